"""Reader and article features over a whole log, as snapshots: one row each time they changed.

A point-in-time look-up is then the latest row at or before a moment, and a row holds what had *arrived* by its moment.
These tables are Feast's offline source.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import HISTORY_TIME_MADE_UP, IMPORTED_POLICY, KINDS, TIME, EventLog, join, microseconds
from newsrec.features import (
    ARTICLE_FEATURES,
    HOUR,
    POPULARITY_HALF_LIFE_HOURS,
    READER_FEATURES,
    Feature,
    ReaderState,
    article_key,
    count_weights,
    pack_embedding,
)


def reader_snapshots(log: EventLog) -> pa.Table:
    """Columns user_id, event_timestamp and READER_FEATURES: one row for each reader and moment of arrival.

    Feedback whose request is unknown is left out. The order within one moment is by event id. Imported reads with a
    made-up clock are one row, after the last of them.
    """
    request = join(log.recommendations, log.feedback)
    feedback = log.feedback.filter(pa.array(request >= 0))
    request = request[request >= 0]
    offsets = pc.struct_field(log.recommendations["context"].combine_chunks(), "utc_offset_minutes")
    offset = pc.fill_null(offsets, 0).to_numpy(zero_copy_only=False)[request]
    imported = pc.equal(log.recommendations["policy"], IMPORTED_POLICY).to_numpy()[request]
    clockless = imported & (HISTORY_TIME_MADE_UP in log.flags)
    order = pc.sort_indices(feedback, [(name, "ascending") for name in ("user_id", "received_at", "event_id")])
    feedback, offset, clockless = feedback.take(order), offset[order].tolist(), clockless[order].tolist()
    users, received = feedback["user_id"].to_pylist(), microseconds(feedback["received_at"]).tolist()
    keys = [None if a is None else article_key(a) for a in feedback["article_id"].to_pylist()]
    times, dwell = microseconds(feedback["time"]).tolist(), feedback["dwell_seconds"].to_pylist()
    rows, state, last = [], ReaderState(), len(users) - 1
    for i, event in enumerate(zip(feedback["kind"].to_pylist(), keys, times, dwell, strict=True)):
        if clockless[i]:
            state.remember(*event)
        else:
            state.observe(*event, offset[i])
        new_reader = i == last or users[i + 1] != users[i]
        made_up = clockless[i] and not new_reader and clockless[i + 1]
        if new_reader or (received[i + 1] != received[i] and not made_up):
            rows.append({"user_id": users[i], "event_timestamp": received[i], **state.row()})
        if new_reader:
            state = ReaderState()
    return pa.Table.from_pylist(rows, schema=_schema("user_id", READER_FEATURES))


def article_snapshots(log: EventLog) -> pa.Table:
    """Columns article_id, event_timestamp and ARTICLE_FEATURES: a row at publication and after each hour with feedback.

    A row at the full hour counts what arrived before it. Imported reads with a made-up clock are not counted.
    """
    ids = log.articles["article_id"].combine_chunks()
    published = microseconds(log.articles["published_at"])
    request = join(log.recommendations, log.feedback)
    imported = pc.equal(log.recommendations["policy"], IMPORTED_POLICY).to_numpy()
    clockless = np.append(imported & (HISTORY_TIME_MADE_UP in log.flags), False)[request]
    counted = (request >= 0) & ~clockless
    article = pc.fill_null(pc.index_in(log.feedback["article_id"], value_set=ids), -1).to_numpy()
    received = microseconds(log.feedback["received_at"])
    kind = pc.index_in(log.feedback["kind"], value_set=pa.array(KINDS)).to_numpy()
    weight = count_weights(kind, pc.fill_null(log.feedback["dwell_seconds"], 0.0).to_numpy())  # [F, 4]
    counted &= (article >= 0) & (weight != 0.0).any(1)
    article, received, weight = (x[counted] for x in (article, received, weight))
    first = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(first, article, received)
    silent = np.flatnonzero(published <= first)  # nothing had arrived at publication
    article, hour, counts = _decayed_counts(article, received, weight)
    times = np.concatenate([published[silent], hour * HOUR])
    which = np.concatenate([silent, article])
    counts = np.concatenate([np.zeros((len(silent), counts.shape[1])), counts]).astype(np.float32)
    order = np.lexsort([times, which])
    times, which, counts = times[order], which[order], counts[order]
    embeddings = [None if e is None else pack_embedding(e) for e in log.articles["embedding"].to_pylist()]
    table = {
        "article_id": ids.take(pa.array(which)),
        "event_timestamp": pa.array(times).cast(TIME),
        "embedding": pa.array(embeddings, pa.binary()).take(pa.array(which)),
        "published_at": pa.array(published[which]),
        **{name: pa.array(column) for name, column in zip(POPULARITY_HALF_LIFE_HOURS, counts.T.copy(), strict=True)},
        "as_of": pa.array(times),
    }
    return pa.table(table, schema=_schema("article_id", ARTICLE_FEATURES))


def _decayed_counts(
    article: np.ndarray, received: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each article and full hour after an arrival, sorted: article [G], hour [G], and the decayed counts [G, 4].

    ``weight`` [F, 4] is what each of the F events adds to its article's counts.
    """
    half_lives = np.array(list(POPULARITY_HALF_LIFE_HOURS.values()))
    hour = received // HOUR + 1
    weight = weight * np.exp2((received / HOUR - hour)[:, None] / half_lives)  # [F, 4]
    start = hour.min(initial=0)
    span = hour.max(initial=0) - start + 1
    pair, member = np.unique(article * span + hour - start, return_inverse=True)
    counts = np.stack([np.bincount(member, w, len(pair)) for w in weight.T], 1)  # [G, 4]
    article, hour = pair // span, pair % span + start
    passed = np.maximum(np.diff(hour, prepend=hour[:1]), 0)  # hours since the article's row above
    decay = np.exp2(-passed[:, None] / half_lives)  # [G, 4]
    number = np.arange(len(pair)) - np.searchsorted(article, article)
    order = np.argsort(number, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(number)))[1:]:  # every article's second hour, its third, ...
        counts[rows] += counts[rows - 1] * decay[rows]
    return article, hour, counts


def latest(snapshots: pa.Table, key: str, values: pa.Array, times: np.ndarray) -> np.ndarray:
    """For each pair of an entity in ``values`` and a moment, the row of its latest snapshot, -1 where there is none.

    ``times`` int64 microseconds. This is the library's own point-in-time join; Feast's gives the same rows.
    """
    entities = pc.unique(snapshots[key])
    wanted = pc.fill_null(pc.index_in(values, value_set=entities), -1).to_numpy(zero_copy_only=False)
    code = np.concatenate([pc.index_in(snapshots[key], value_set=entities).to_numpy(), wanted])
    stamp = np.concatenate([microseconds(snapshots["event_timestamp"]), times])
    asked = np.arange(len(code)) >= snapshots.num_rows
    order = np.lexsort([asked, stamp, code])
    position = np.maximum.accumulate(np.where(asked[order], -1, np.arange(len(order))))
    found = np.where(position >= 0, order[position], -1)
    found[(found < 0) | (code[found] != code[order])] = -1
    result = np.empty(len(code), np.int64)
    result[order] = found
    return result[snapshots.num_rows :]


def decision_moments(log: EventLog) -> pa.Table:
    """Columns row_id (the request), user_id and event_timestamp: the moments at which reader features are needed.

    They stand a microsecond before the decisions: a log that stamps a slate's impressions like the slate itself would
    else tell the decision of its own outcome.
    """
    decisions = log.decisions
    times = pa.array(microseconds(decisions["time"]) - 1).cast(TIME)
    return pa.table({"row_id": decisions["request_id"], "user_id": decisions["user_id"], "event_timestamp": times})


def article_moments(log: EventLog) -> pa.Table:
    """Columns row_id, article_id and event_timestamp: each candidate with each full hour before its decisions.

    Article snapshots change at full hours only, so this is every moment at which a candidate's counts are needed.
    """
    decisions = log.decisions
    candidates = decisions["candidates"].combine_chunks()
    hour = (microseconds(decisions["time"]) // HOUR)[pc.list_parent_indices(candidates).to_numpy()]
    pairs = pa.table({"article_id": candidates.flatten(), "hour": pa.array(hour)}).group_by(["article_id", "hour"])
    pairs = pairs.aggregate([]).sort_by([("hour", "ascending"), ("article_id", "ascending")])
    times = pa.array(pairs["hour"].to_numpy() * HOUR).cast(TIME)
    row_ids = pa.array(np.arange(pairs.num_rows)).cast(pa.string())
    return pa.table({"row_id": row_ids, "article_id": pairs["article_id"], "event_timestamp": times})


def point_in_time(moments: pa.Table, snapshots: pa.Table, key: str) -> pa.Table:
    """``moments`` with the features of the latest snapshot beside each; nulls where there is none yet."""
    rows = latest(snapshots, key, moments[key], microseconds(moments["event_timestamp"]))
    found = snapshots.take(pa.array(rows, mask=rows < 0))
    for name in found.column_names:
        if name not in moments.column_names:
            moments = moments.append_column(name, found[name])
    return moments


def _schema(key: str, features: tuple[Feature, ...]) -> pa.Schema:
    types = {"bytes": pa.binary(), "int64": pa.int64(), "float32": pa.float32()}
    columns = [(feature.name, types[feature.dtype]) for feature in features]
    return pa.schema([(key, pa.string()), ("event_timestamp", TIME), *columns])
