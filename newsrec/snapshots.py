"""Reader and article features over a whole log, as snapshots: one row each time they changed.

A point-in-time look-up is then the latest row at or before a moment, and a row holds what had *arrived* by its moment.
These tables are Feast's offline source.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import HISTORY_TIME_MADE_UP, IMPORTED_POLICY, TIME, EventLog, join, microseconds
from newsrec.features import (
    ARTICLE_FEATURES,
    HOUR,
    POPULARITY_HALF_LIFE_HOURS,
    READER_FEATURES,
    Feature,
    ReaderState,
    article_key,
    pack_embedding,
)


def reader_snapshots(log: EventLog) -> pa.Table:
    """Columns user_id, event_timestamp and READER_FEATURES: one row for each reader and moment of arrival.

    Feedback whose request is unknown is left out. The order within one moment is by event id.
    """
    request = join(log.recommendations, log.feedback)
    feedback = log.feedback.filter(pa.array(request >= 0))
    request = request[request >= 0]
    offsets = pc.struct_field(log.recommendations["context"].combine_chunks(), "utc_offset_minutes")
    offset = pc.fill_null(offsets, 0).to_numpy(zero_copy_only=False)[request]
    imported = pc.equal(log.recommendations["policy"], IMPORTED_POLICY).to_numpy()[request]
    clockless = imported & (HISTORY_TIME_MADE_UP in log.flags)
    order = pc.sort_indices(feedback, [(name, "ascending") for name in ("user_id", "received_at", "event_id")])
    feedback, order = feedback.take(order), order.to_numpy()
    users = feedback["user_id"].to_pylist()
    received, times = microseconds(feedback["received_at"]).tolist(), microseconds(feedback["time"]).tolist()
    keys = [None if a is None else article_key(a) for a in feedback["article_id"].to_pylist()]
    columns = zip(feedback["kind"].to_pylist(), keys, times, feedback["dwell_seconds"].to_pylist(), strict=True)
    rows, state, last = [], ReaderState(), len(users) - 1
    for i, event in enumerate(columns):
        if clockless[order[i]]:
            state.remember(*event)
        else:
            state.observe(*event, int(offset[order[i]]))
        new_reader = i == last or users[i + 1] != users[i]
        if new_reader or received[i + 1] != received[i]:
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
    counted = request >= 0
    if HISTORY_TIME_MADE_UP in log.flags:
        counted &= ~pc.equal(log.recommendations["policy"], IMPORTED_POLICY).to_numpy()[request]
    article = pc.fill_null(pc.index_in(log.feedback["article_id"], value_set=ids), -1).to_numpy()
    kind, received = log.feedback["kind"], microseconds(log.feedback["received_at"])
    click, impression = pc.equal(kind, "click").to_numpy(), pc.equal(kind, "impression").to_numpy()
    counted &= (article >= 0) & (click | impression)
    article, received, click, impression = (x[counted] for x in (article, received, click, impression))
    hour = received // HOUR + 1  # the full hour after the arrival
    group, member = np.unique(np.stack([article, hour]), axis=1, return_inverse=True)
    counts = {}
    for name, half_life in POPULARITY_HALF_LIFE_HOURS.items():
        weight = np.exp2((received / HOUR - hour) / half_life) * (click if name.startswith("clicks") else impression)
        counts[name] = np.bincount(member.ravel(), weight, group.shape[1])
    rows = _running_counts(group[0], group[1], counts)
    first = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(first, group[0], group[1] * HOUR)
    silent = np.flatnonzero(published < first)
    times = np.concatenate([published[silent], group[1] * HOUR])
    which = np.concatenate([silent, group[0]])
    columns = {name: np.concatenate([np.zeros(len(silent)), rows[name]]).astype(np.float32) for name in counts}
    order = np.lexsort([times, which])
    embeddings = [pack_embedding(e) if e is not None else None for e in log.articles["embedding"].to_pylist()]
    table = {
        "article_id": ids.take(pa.array(which[order])),
        "event_timestamp": pa.array(times[order]).cast(TIME),
        "embedding": pa.array([embeddings[i] for i in which[order]], pa.binary()),
        "published_at": pa.array(published[which[order]]),
        **{name: pa.array(values[order]) for name, values in columns.items()},
        "as_of": pa.array(times[order]),
    }
    return pa.table(table, schema=_schema("article_id", ARTICLE_FEATURES))


def _running_counts(article: np.ndarray, hour: np.ndarray, counts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Hourly counts summed up with decay; ``article`` and ``hour`` sorted, one entry a pair."""
    total = {name: values.copy() for name, values in counts.items()}
    for i in range(1, len(article)):
        if article[i] == article[i - 1]:
            for name, half_life in POPULARITY_HALF_LIFE_HOURS.items():
                total[name][i] += total[name][i - 1] * 2.0 ** ((hour[i - 1] - hour[i]) / half_life)
    return total


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
    decisions = log.recommendations.filter(pc.not_equal(log.recommendations["policy"], IMPORTED_POLICY))
    times = pa.array(microseconds(decisions["time"]) - 1).cast(TIME)
    return pa.table({"row_id": decisions["request_id"], "user_id": decisions["user_id"], "event_timestamp": times})


def article_moments(log: EventLog) -> pa.Table:
    """Columns row_id, article_id and event_timestamp: each candidate with each full hour before its decisions.

    Article snapshots change at full hours only, so this is every moment at which a candidate's counts are needed.
    """
    decisions = log.recommendations.filter(pc.not_equal(log.recommendations["policy"], IMPORTED_POLICY))
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
