"""What a foreign log lacks, made up in one place: clocks, sessions, requests for imported reads, publication times.

Arrays of one entry a recommendation are [R]; ``row`` [N] says to which recommendation each of N elements belongs.
Times are int64 microseconds, UTC.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from newsrec.config import InvalidConfig
from newsrec.events import (
    FIRST_SIGHT,
    IMPORTED_POLICY,
    MAX_CANDIDATES,
    TIME,
    EventLog,
    InvalidEvents,
    conform,
    validate,
)

SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000
SESSION_GAP = 30 * MINUTE
"""A reader who was silent for longer starts a new session."""
CLICK_AFTER = SECOND
"""A click without a time of its own follows its impression by this much."""
ORDINAL_START = 946_684_800 * SECOND
"""Made-up time starts on 1 January 2000."""


def parquet(path: Path) -> pa.Table:
    """The table in a file of other makers. Raises InvalidEvents for what is no Parquet, FileNotFoundError."""
    try:
        return pq.read_table(path, partitioning=None)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise InvalidEvents(f"{path} is no readable Parquet file: {error}") from None


def localised(stamps: pa.Array, timezone: str | None, where: str) -> tuple[np.ndarray, np.ndarray]:
    """UTC times of ``stamps`` [N], and the minutes by which local time is ahead, both int64.

    Naive stamps are local to ``timezone``: an hour that the clock repeats is taken at its first pass, one that it skips
    at the moment of the jump. Stamps that carry a timezone keep it. ``where`` names the source in errors. Raises
    InvalidEvents for naive stamps without a timezone, InvalidConfig for a timezone that does not exist.
    """
    if stamps.type.tz is not None:
        local = pc.local_timestamp(stamps)
    elif timezone is None:
        name = "such as --timezone Europe/Copenhagen"
        raise InvalidEvents(f"{where}: times carry no timezone, expected the name of the log's timezone, {name}")
    else:
        local = stamps
        try:
            stamps = pc.assume_timezone(local, timezone, ambiguous="earliest", nonexistent="latest")
        except pa.ArrowInvalid:
            expected = "an IANA name such as Europe/Copenhagen"
            raise InvalidConfig(f"timezone: found {timezone!r}, expected {expected}") from None
    time, local = (t.cast(pa.timestamp("us", t.type.tz)).cast(pa.int64()).to_numpy() for t in (stamps, local))
    return time, (local - time) // MINUTE


def ordinal_time(rows: int) -> np.ndarray:
    """One minute a row."""
    return ORDINAL_START + MINUTE * np.arange(rows)


def codes(values: pa.Array) -> np.ndarray:
    """Equal values as equal numbers, from 0 in order of appearance. int64"""
    return values.dictionary_encode().indices.to_numpy().astype(np.int64)


def sessions(users: pa.Array, time: np.ndarray) -> np.ndarray:
    """The number, from 0, of each row's session among those of its reader: a new one after SESSION_GAP of silence."""
    user = codes(users)
    order = np.lexsort([time, user])
    first = np.diff(user[order], prepend=-1) != 0
    opened = np.cumsum(first | (np.diff(time[order], prepend=0) > SESSION_GAP))
    number = np.empty(len(user), np.int64)
    number[order] = opened - np.maximum.accumulate(np.where(first, opened, 0))
    return number


def numbered(prefix: pa.Array, number: np.ndarray) -> pa.Array:
    """Names such as ``u7/0``."""
    return pc.binary_join_element_wise(prefix, pa.array(number).cast(pa.string()), "/")


def rows_of(lists: pa.Array) -> np.ndarray:
    """The row [N] of each element of ``lists``."""
    return np.repeat(np.arange(len(lists)), pc.fill_null(pc.list_value_length(lists), 0).to_numpy())


def numbers_in(row: np.ndarray) -> np.ndarray:
    """The place, from 0, of each element in its row; ``row`` ascends. [N]"""
    return np.arange(len(row)) - np.searchsorted(row, row)


def lists(row: np.ndarray, values: pa.Array, rows: int) -> pa.Array:
    """``values`` as lists by ``row``, which ascends."""
    return pa.ListArray.from_arrays(pa.array(np.searchsorted(row, np.arange(rows + 1)), pa.int32()), values)


def last_in_row(row: np.ndarray, values: pa.Array) -> np.ndarray:
    """True for the last of equal values in a row. [N] bool"""
    pair = row * len(values) + codes(values)
    last = np.zeros(len(pair), bool)
    last[len(pair) - 1 - np.unique(pair[::-1], return_index=True)[1]] = True
    return last


def within_limit(row: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """True for the MAX_CANDIDATES articles of each row that are kept: the clicked ones, then the first others. [N]"""
    order = np.lexsort([~clicked, row])
    kept = np.empty(len(row), bool)
    kept[order] = numbers_in(row[order]) < MAX_CANDIDATES
    return kept


def recommendations(columns: dict[str, Any], time: np.ndarray, context: dict[str, pa.Array]) -> pa.Table:
    """The table of the schema; what is in neither ``columns`` nor ``context`` is null."""
    struct = pa.StructArray.from_arrays(list(context.values()), list(context))
    return conform(pa.table({**columns, "time": pa.array(time).cast(TIME), "context": struct}), "recommendations")


def feedback(
    kind: str,
    decided: pa.Table,
    row: np.ndarray,
    number: np.ndarray,
    article: pa.Array,
    time: np.ndarray,
    **optional: pa.Array,
) -> pa.Table:
    """N events of one kind, received when they happened; ``number`` tells events of one request and kind apart."""
    request, user = (decided[name].combine_chunks().take(pa.array(row)) for name in ("request_id", "user_id"))
    stamps = pa.array(time).cast(TIME)
    columns = {
        "event_id": numbered(pc.binary_join_element_wise(request, kind, "/"), number),
        "request_id": request,
        "user_id": user,
        "article_id": article,
        "kind": pa.repeat(kind, len(row)),
        "time": stamps,
        "received_at": stamps,
    }
    return conform(pa.table({**columns, **optional}), "feedback")


def impressions(decided: pa.Table) -> pa.Table:
    """An impression, at the moment of the decision, of every article of every slate; positions are left null."""
    slate = decided["slate"].combine_chunks()
    row = rows_of(slate)
    time = decided["time"].cast(pa.int64()).to_numpy()
    return feedback("impression", decided, row, numbers_in(row), slate.flatten(), time[row])


def imported_reads(
    columns: dict[str, Any], reads: pa.Array, time: np.ndarray, dwell_seconds: np.ndarray | None = None
) -> tuple[pa.Table, pa.Table]:
    """Recommendations that never were, one a row of ``reads``, and the clicks (and dwell) on their articles.

    ``columns`` holds request_id, user_id and session_id [R]; ``time`` and ``dwell_seconds`` [N] belong to the elements
    of ``reads``, no row of which is empty. The decision stands at the row's earliest read, its slate holds each article
    once, in the order of the last reads.
    """
    row, articles = rows_of(reads), reads.flatten()
    last = last_in_row(row, articles)
    slate = lists(row[last], articles.filter(pa.array(last)), len(reads))
    start = np.full(len(reads), np.iinfo(np.int64).max)
    np.minimum.at(start, row, time)
    shown = {"policy": pa.repeat(IMPORTED_POLICY, len(reads)), "candidates": slate, "slate": slate}
    surface = {"surface": pa.repeat("history", len(reads))}
    decided = recommendations({**columns, **shown}, start, surface)
    happened = [feedback("click", decided, row, numbers_in(row), articles, time)]
    if dwell_seconds is not None:
        known = np.isfinite(dwell_seconds)
        end = time[known] + (dwell_seconds[known] * SECOND).astype(np.int64)
        seconds = pa.array(dwell_seconds[known])
        of = (row[known], numbers_in(row)[known], articles.filter(pa.array(known)))
        happened.append(feedback("dwell", decided, *of, end, dwell_seconds=seconds))
    return decided, pa.concat_tables(happened)


def event_log(described: pa.Table, decided: pa.Table, happened: pa.Table, flags: Iterable[str] = ()) -> EventLog:
    """The valid log. The catalogue holds the articles of ``described``, then every other that something happened to.

    ``published_at`` is first sight, or the time that ``described`` gives if that is earlier; an article that was never
    seen appears at the log's last moment, since nothing before knew of it. Raises InvalidEvents.
    """
    seen = happened.group_by("article_id", use_threads=False).aggregate([("time", "min")])
    unnamed = seen.filter(pc.invert(pc.is_in(seen["article_id"], value_set=described["article_id"])))
    if "published_at" not in described.column_names:
        described = described.append_column("published_at", pa.nulls(described.num_rows, TIME))
    articles = pa.concat_tables([described, unnamed.select(["article_id"])], promote_options="default")
    sight = seen["time_min"].combine_chunks().take(pc.index_in(articles["article_id"], value_set=seen["article_id"]))
    given, never = articles["published_at"].cast(TIME), pc.max(happened["time"]).cast(pa.int64())
    earliest = pc.min_element_wise(sight.cast(pa.int64()), given.cast(pa.int64()))  # what is not null of the two
    published = pc.fill_null(earliest, never).cast(TIME)
    articles = articles.drop_columns("published_at").append_column("published_at", published)
    flags = frozenset(flags) | ({FIRST_SIGHT} if given.null_count else set())
    tables = {"articles": articles, "recommendations": decided, "feedback": happened}
    return EventLog(**{name: validate(table, name) for name, table in tables.items()}, flags=flags)
