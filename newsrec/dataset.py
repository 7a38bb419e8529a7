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
from newsrec import events
from newsrec.catalogue import Catalogue
from newsrec.decisions import Decisions, Ragged
from newsrec.events import IMPORTED_POLICY, KINDS, ORDINAL_TIME, TIME, EventLog, InvalidEvents, join, microseconds
from newsrec.features import HOUR, POPULARITY_HALF_LIFE_HOURS
from newsrec.reward import RewardConfig, discount, engagement
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from newsrec.transitions import Readers


def build(
    log: EventLog, reader_rows: pa.Table, article_rows: pa.Table, reward: RewardConfig, use_time: bool = True
) -> Decisions:
    """The decisions of ``log`` with the point-in-time features that belong to ``decision_moments``/``article_moments``.

    ``reader_rows`` carries row_id and READER_FEATURES, ``article_rows`` article_id, event_timestamp and
    ARTICLE_FEATURES, in any order. Raises InvalidEvents where a row is missing, where the log holds no decision, and
    where its times are made up and ``use_time`` asks for features of time.
    """
    if use_time and ORDINAL_TIME in log.flags:
        wanted = "age, popularity, hour, session gaps and active days need a clock"
        raise InvalidEvents(f"the log's times only give an order ({ORDINAL_TIME}), and {wanted}; set use_time = false")
    recommendations = log.recommendations.filter(pc.not_equal(log.recommendations["policy"], IMPORTED_POLICY))
    recommendations = recommendations.sort_by([("time", "ascending"), ("request_id", "ascending")])
    if not recommendations.num_rows:
        raise InvalidEvents("recommendations: found no decision (only imported reads), expected logged slates")
    if not pc.any(pc.greater(pc.list_value_length(recommendations["slate"]), 0)).as_py():
        raise InvalidEvents("recommendations: every slate is empty, expected at least one article that was shown")
    catalogue = catalogues.from_articles(log.articles)
    time = microseconds(recommendations["time"])
    users = recommendations["user_id"].combine_chunks().dictionary_encode()
    user = (users.combine_chunks() if isinstance(users, pa.ChunkedArray) else users).indices.to_numpy().astype(np.int64)
    offset = pc.struct_field(recommendations["context"].combine_chunks(), "utc_offset_minutes")
    at = _rows_of(recommendations["request_id"], reader_rows["row_id"], "reader")
    candidate = _ragged(recommendations["candidates"], catalogue)
    slate_rows = _ragged(recommendations["slate"], catalogue)
    slate = Ragged(_positions(slate_rows, candidate, len(catalogue.ids)), slate_rows.offsets)
    hour = np.repeat(time // HOUR, np.diff(candidate.offsets))
    count_row = _count_rows(candidate.values, hour, article_rows, catalogue)
    feedback = _feedback(log, recommendations, slate_rows, catalogue)
    counts = np.stack([pc.fill_null(article_rows[n], 0.0).to_numpy() for n in POPULARITY_HALF_LIFE_HOURS], 1)
    as_of = pc.fill_null(article_rows["as_of"], 0).to_numpy()
    shown = np.diff(slate.offsets)
    logged = zip(recommendations["propensities"].to_pylist(), shown, strict=True)
    propensity = [np.full(n, np.nan) if p is None else p for p, n in logged]
    rewards = np.bincount(np.repeat(np.arange(len(time)), shown), engagement(feedback, reward), len(time))
    next_row = _next_rows(user, time)
    gap = np.where(next_row >= 0, time[next_row] - time, 0) / HOUR
    worth = discount(gap, reward) * (next_row >= 0)
    return Decisions(
        catalogue,
        use_time,
        time,
        user,
        pc.fill_null(offset, 0).to_numpy(zero_copy_only=False).astype(np.int64),
        Readers.from_table(reader_rows.take(pa.array(at))),
        candidate,
        counts.astype(np.float64),
        as_of,
        count_row,
        slate,
        feedback,
        np.concatenate(propensity).astype(np.float32),
        rewards.astype(np.float32),
        next_row,
        worth.astype(np.float32),
        _returns(rewards, worth, next_row),
    )


def from_log(log: EventLog, reward: RewardConfig | None = None, use_time: bool = True) -> Decisions:
    """``build`` with the library's own point-in-time join: for tests, the simulator, and logs without a store."""
    readers = point_in_time(decision_moments(log), reader_snapshots(log), "user_id")
    articles = point_in_time(article_moments(log), article_snapshots(log), "article_id")
    return build(log, readers, articles, reward or RewardConfig(), use_time)


def _ragged(lists: pa.ChunkedArray, catalogue: Catalogue) -> Ragged:
    lists = lists.combine_chunks()
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())])
    rows = catalogue.rows(lists.flatten().to_pylist())
    if not rows.all():
        missing = lists.flatten()[int(np.argmin(rows))].as_py()
        raise InvalidEvents(f"recommendations name the article {missing!r}, which articles.parquet does not hold")
    return Ragged(rows, offsets.astype(np.int64))


def _positions(slate: Ragged, candidate: Ragged, articles: int) -> np.ndarray:
    """For each shown article its position among the candidates of its own decision."""
    pair = np.repeat(np.arange(len(candidate.offsets) - 1), np.diff(candidate.offsets)) * articles + candidate.values
    shown = np.repeat(np.arange(len(slate.offsets) - 1), np.diff(slate.offsets))
    order = np.argsort(pair)
    found = order[np.searchsorted(pair[order], shown * articles + slate.values)]
    return found - candidate.offsets[shown]


def _count_rows(article: np.ndarray, hour: np.ndarray, stored: pa.Table, catalogue: Catalogue) -> np.ndarray:
    """For each candidate the row of ``stored`` with its counts at its hour."""
    stored_hour = microseconds(stored["event_timestamp"].cast(TIME)) // HOUR
    stored_article = catalogue.rows(stored["article_id"].to_pylist())
    start = stored_hour.min(initial=0)
    span = int(max(stored_hour.max(initial=0), hour.max(initial=0)) - start + 1)
    pair = stored_article * span + stored_hour - start
    wanted = article * span + hour - start
    order = np.argsort(pair)
    at = order[np.minimum(np.searchsorted(pair[order], wanted), len(pair) - 1)]
    if (pair[at] != wanted).any():
        raise InvalidEvents(f"article features are missing for {(pair[at] != wanted).sum()} candidates; rebuild them")
    return at


def _feedback(log: EventLog, recommendations: pa.Table, shown: Ragged, catalogue: Catalogue) -> np.ndarray:
    """[S, F] float32: counts by kind for each shown article, dwell in seconds."""
    decision = join(recommendations, log.feedback)
    article = catalogue.rows([a or "" for a in log.feedback["article_id"].to_pylist()])
    row = np.repeat(np.arange(len(shown.offsets) - 1), np.diff(shown.offsets))
    pair = row * len(catalogue.ids) + shown.values
    order = np.argsort(pair)
    wanted = decision * len(catalogue.ids) + article
    at = order[np.minimum(np.searchsorted(pair[order], wanted), len(pair) - 1)]
    good = (decision >= 0) & (article > 0) & (pair[at] == wanted)
    kind = pc.index_in(log.feedback["kind"], value_set=pa.array(KINDS)).to_numpy()
    amount = np.where(kind == KINDS.index("dwell"), pc.fill_null(log.feedback["dwell_seconds"], 0).to_numpy(), 1.0)
    result = np.zeros((len(pair), len(KINDS)), np.float32)
    np.add.at(result, (at[good], kind[good]), amount[good])
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


def _rows_of(wanted: pa.ChunkedArray, stored: pa.ChunkedArray, what: str) -> np.ndarray:
    found = pc.index_in(wanted, value_set=stored.combine_chunks())
    if found.null_count:
        raise InvalidEvents(f"{what} features are missing for {found.null_count} decisions; rebuild them")
    return found.to_numpy()


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
