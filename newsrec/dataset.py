"""Events and point-in-time features to ``Decisions``.

Features come from Feast or from ``snapshots`` and hold what had arrived by the decision; labels are all the feedback
that the log holds.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from newsrec import catalogue as catalogues
from newsrec import events, habit, surrogate
from newsrec.catalogue import Catalogue
from newsrec.decisions import Decisions, Ragged, StoredCounts
from newsrec.events import KINDS, ORDINAL_TIME, TIME, EventLog, InvalidEvents, join, microseconds
from newsrec.features import HOUR, POPULARITY_HALF_LIFE_HOURS
from newsrec.reward import RewardConfig, discount, engagement, open_discount
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from newsrec.transitions import Readers


def build(
    log: EventLog, reader_rows: pa.Table, article_rows: pa.Table, reward: RewardConfig, use_time: bool = True
) -> Decisions:
    """The decisions of ``log`` with the point-in-time features that belong to ``decision_moments``/``article_moments``.

    ``reader_rows`` carries row_id and READER_FEATURES, ``article_rows`` article_id, event_timestamp, the decayed counts
    and as_of, in any order. Raises InvalidEvents where a row is missing, where the log shows no article, and where its
    times are made up and ``use_time`` asks for features of time.
    """
    if use_time and ORDINAL_TIME in log.flags:
        wanted = "age, popularity, hour, session gaps and active days need a clock"
        raise InvalidEvents(f"the log's times only give an order ({ORDINAL_TIME}), and {wanted}; set use_time = false")
    recommendations = log.decisions
    recommendations = recommendations.sort_by([("time", "ascending"), ("request_id", "ascending")])
    if not recommendations.num_rows:
        raise InvalidEvents("recommendations: found no decision (only imported reads), expected logged slates")
    if not pc.any(pc.greater(pc.list_value_length(recommendations["slate"]), 0)).as_py():
        raise InvalidEvents("recommendations: every slate is empty, expected at least one article that was shown")
    catalogue = catalogues.from_articles(log.articles)
    time = microseconds(recommendations["time"])
    user = pc.rank(recommendations["user_id"], tiebreaker="dense").to_numpy().astype(np.int64) - 1
    offset = pc.struct_field(recommendations["context"].combine_chunks(), "utc_offset_minutes")
    candidate, slate = (_ragged(recommendations[name], catalogue) for name in ("candidates", "slate"))
    position = _find((slate.row, slate.values), (candidate.row, candidate.values)) - candidate.offsets[slate.row]
    stored, count_row = _stored_counts(candidate.values, time[candidate.row] // HOUR, article_rows, catalogue)
    feedback = _feedback(log, recommendations, slate, catalogue)
    rewards = np.bincount(slate.row, engagement(feedback, reward), len(time))
    next_row = _next_rows(user, time)
    minutes = pc.fill_null(offset, 0).to_numpy().astype(np.int64)
    of_visit = habit.visits(user, time, minutes)
    seen = habit.windows(habit.fit(of_visit, int(time[-1])), of_visit, int(time[-1]), reward.return_horizon_hours)
    gap = np.where(next_row >= 0, time[next_row] - time, time[-1] - time) / HOUR
    rate = seen.rate[of_visit.of_decision]
    visit_end = time == of_visit.end[of_visit.of_decision]
    returned, expected = seen.returned[of_visit.of_decision], seen.expected[of_visit.of_decision]
    retained = (returned - expected) * visit_end
    if reward.retention == "signs":
        retained, _ = surrogate.retention(feedback, slate.row, of_visit.of_decision, seen.returned, seen.expected)
    worth = np.where(next_row >= 0, discount(gap, reward), open_discount(gap, rate, reward))
    return Decisions(
        catalogue=catalogue,
        use_time=use_time,
        time=time,
        user=user,
        utc_offset=minutes,
        readers=_readers(recommendations["request_id"], reader_rows),
        candidate=candidate,
        stored=stored,
        count_row=count_row,
        slate=Ragged(position, slate.offsets),
        feedback=feedback,
        propensity=_propensities(recommendations["propensities"], slate),
        reward=rewards.astype(np.float32),
        next_row=next_row,
        discount=worth.astype(np.float32),
        visit_end=visit_end,
        returned=returned,
        expected=expected,
        retention=retained,
        return_to_go=_returns(rewards, worth, next_row),
    )


def from_log(log: EventLog, reward: RewardConfig | None = None, use_time: bool = True) -> Decisions:
    """``build`` with the library's own point-in-time join: for tests, the simulator, and logs without a store."""
    return build(log, *point_in_time_features(log), reward or RewardConfig(), use_time)


def point_in_time_features(log: EventLog) -> tuple[pa.Table, pa.Table]:
    """The rows of readers and of articles that ``build`` takes, by the library's own join."""
    readers = point_in_time(decision_moments(log), reader_snapshots(log), "user_id")
    counts = article_snapshots(log).drop_columns(["embedding", "published_at"])
    return readers, point_in_time(article_moments(log), counts, "article_id")


def _ragged(lists: pa.ChunkedArray, catalogue: Catalogue) -> Ragged:
    """Lists of article ids as rows of the catalogue."""
    lists = lists.combine_chunks()
    ids = lists.flatten()
    rows = catalogue.rows_of_ids(ids)
    if not rows.all():
        missing = ids[int(np.argmin(rows))].as_py()
        raise InvalidEvents(f"recommendations name the article {missing!r}, which articles.parquet does not hold")
    return Ragged(rows, np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())]))


def _find(wanted: tuple[np.ndarray, np.ndarray], stored: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """For each pair of numbers in ``wanted`` its place among the pairs ``stored``, -1 where it is missing. int64"""
    start = min(wanted[1].min(initial=0), stored[1].min(initial=0))
    span = max(wanted[1].max(initial=0), stored[1].max(initial=0)) - start + 1
    pairs, among = (pa.array(first * span + second - start) for first, second in (wanted, stored))
    return pc.fill_null(pc.index_in(pairs, value_set=among), -1).to_numpy().astype(np.int64)


def _stored_counts(
    article: np.ndarray, hour: np.ndarray, article_rows: pa.Table, catalogue: Catalogue
) -> tuple[StoredCounts, np.ndarray]:
    """The stored counts that candidates need, and for each candidate (``article`` at ``hour``) its row in them."""
    columns = ["article_id", "event_timestamp", *POPULARITY_HALF_LIFE_HOURS, "as_of"]
    rows = article_rows.select(columns).sort_by([("event_timestamp", "ascending"), ("article_id", "ascending")])
    stored_article = catalogue.rows_of_ids(rows["article_id"])
    stored_hour = microseconds(rows["event_timestamp"].cast(TIME)) // HOUR
    found = _find((article, hour), (stored_article, stored_hour))
    if (found < 0).any():
        raise InvalidEvents(f"article features are missing for {(found < 0).sum()} candidates; rebuild them")
    used, count_row = np.unique(found, return_inverse=True)
    counts = np.stack([pc.fill_null(rows[n], 0.0).to_numpy() for n in POPULARITY_HALF_LIFE_HOURS], 1)
    as_of = pc.fill_null(rows["as_of"], 0).to_numpy()
    return StoredCounts(stored_article[used], stored_hour[used], counts[used], as_of[used]), count_row


def _readers(requests: pa.ChunkedArray, reader_rows: pa.Table) -> Readers:
    found = pc.index_in(requests, value_set=reader_rows["row_id"])
    if found.null_count:
        raise InvalidEvents(f"reader features are missing for {found.null_count} decisions; rebuild them")
    return Readers.from_table(reader_rows.take(found))


def _feedback(log: EventLog, recommendations: pa.Table, shown: Ragged, catalogue: Catalogue) -> np.ndarray:
    """[S, F] float32: counts by kind for each shown article, dwell in seconds."""
    happened = (join(recommendations, log.feedback), catalogue.rows_of_ids(log.feedback["article_id"]))
    at = _find(happened, (shown.row, shown.values))
    kind = pc.index_in(log.feedback["kind"], value_set=pa.array(KINDS)).to_numpy()
    amount = np.where(kind == KINDS.index("dwell"), pc.fill_null(log.feedback["dwell_seconds"], 0).to_numpy(), 1.0)
    cell, count = at * len(KINDS) + kind, len(shown.values) * len(KINDS)
    return np.bincount(cell[at >= 0], amount[at >= 0], count).reshape(-1, len(KINDS)).astype(np.float32)


def _propensities(logged: pa.ChunkedArray, shown: Ragged) -> np.ndarray:
    """[S] float32, NaN for the slates whose propensities were not logged."""
    logged = logged.combine_chunks()
    result = np.full(len(shown.values), np.nan, np.float32)
    result[logged.is_valid().to_numpy(zero_copy_only=False)[shown.row]] = logged.flatten().to_numpy()
    return result


def _next_rows(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """[N] the row of the same reader's next decision, -1 where there is none."""
    order = np.lexsort([time, user])
    following = np.append(order[1:], -1)
    same = np.append(user[order[1:]] == user[order[:-1]], False)
    result = np.empty(len(user), np.int64)
    result[order] = np.where(same, following, -1)
    return result


def _returns(reward: np.ndarray, worth: np.ndarray, next_row: np.ndarray) -> np.ndarray:
    """[N] float32: reward plus the discounted return of the next decision. Rows are in order of time."""
    total = reward.astype(np.float64)
    for row in range(len(total) - 1, -1, -1):
        if next_row[row] >= 0:
            total[row] += worth[row] * total[next_row[row]]
    return total.astype(np.float32)


def read(directory: str | Path, reward: RewardConfig | None = None, use_time: bool = True) -> Decisions:
    """The decisions of a training set that the feature store wrote: log/, readers.parquet and articles.parquet.

    Raises InvalidEvents and FileNotFoundError.
    """
    directory = Path(directory)
    for name in ("readers.parquet", "articles.parquet"):
        if not (directory / name).exists():
            raise FileNotFoundError(f"{directory / name} is missing; expected a training set with log/ and features")
    readers, articles = pq.read_table(directory / "readers.parquet"), pq.read_table(directory / "articles.parquet")
    return build(events.read(directory / "log"), readers, articles, reward or RewardConfig(), use_time)
