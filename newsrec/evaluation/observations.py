"""What readers did, as a log shows it: decisions, sessions, gaps, active days, shown articles, reads, lateness.

Reads that a log imported from elsewhere are left out: their slates were not the log's. Hours and days are the reader's
own where the log says how far their clock is from UTC, else UTC.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec import events
from newsrec.evaluation.survival import Gaps
from newsrec.evaluation.weighted import Rows
from newsrec.events import EventLog, InvalidEvents, microseconds
from newsrec.features import DAY, HOUR

MINUTE, SECOND = 60_000_000, 1_000_000
MOST_CLICKED = 0.9
"""Share of the slates with a click above which a log was selected by clicks."""


class Sessions(NamedTuple):
    """S sessions by reader, then by time."""

    reader: np.ndarray  # [S] int64
    start: np.ndarray  # [S] int64, microseconds, of the first slate
    local_start: np.ndarray  # [S] int64, microseconds, the same on the reader's clock
    end: np.ndarray  # [S] int64, of the last one
    slates: np.ndarray  # [S] int64


class Shown(NamedTuple):
    """M articles of slates."""

    decision: np.ndarray  # [M] int64
    position: np.ndarray  # [M] int64, from 0, as the slate lists them
    clicked: np.ndarray  # [M] bool
    age_hours: np.ndarray  # [M] float64, NaN for an article that the catalogue lacks


@dataclass(frozen=True)
class Observations:
    """D decisions of a log in order of time; readers are numbered from 0. ``observe`` makes it."""

    log: EventLog
    """The decisions alone, and the feedback on them."""
    reader: np.ndarray  # [D] int64
    time: np.ndarray  # [D] int64, microseconds
    local: np.ndarray  # [D] int64, microseconds, the reader's clock
    session: np.ndarray  # [D] int64, equal for the decisions of a session; readers may share a number
    feedback_row: np.ndarray  # [F] int64, the decision of each row of feedback

    @property
    def readers(self) -> int:
        return int(self.reader.max(initial=-1)) + 1

    @property
    def start(self) -> int:
        """The first decision, microseconds."""
        return int(self.time.min())

    @property
    def end(self) -> int:
        """The last decision: what happens later is not seen."""
        return int(self.time.max())

    @property
    def days(self) -> float:
        return (self.end - self.start) / DAY

    @cached_property
    def clicked(self) -> np.ndarray:
        """[D] bool: any click."""
        return np.bincount(self.feedback_row[self._is("click")], minlength=len(self.time)) > 0

    @property
    def only_clicked(self) -> bool:
        """Whether so many slates have a click that those without one must have been left out of the log."""
        return bool(self.clicked.mean() > MOST_CLICKED)

    @cached_property
    def stayed(self) -> np.ndarray:
        """[D] bool: another slate of the same session follows."""
        order, last = self._by_session
        stayed = np.empty(len(order), bool)
        stayed[order] = ~last
        return stayed

    @cached_property
    def sessions(self) -> Sessions:
        order, last = self._by_session
        reader, time = self.reader[order], self.time[order]
        end = np.flatnonzero(last)
        begin = np.append(0, end[:-1] + 1)
        by_start = np.lexsort([time[begin], reader[begin]])
        begin, end = begin[by_start], end[by_start]
        return Sessions(reader[begin], time[begin], self.local[order[begin]], time[end], end - begin + 1)

    @cached_property
    def _by_session(self) -> tuple[np.ndarray, np.ndarray]:
        """[D] decisions session by session, each in order of time, and where in that order a session ends."""
        order = np.lexsort([self.time, self.session, self.reader])
        last = (np.diff(self.reader[order]) != 0) | (np.diff(self.session[order]) != 0)
        return order, np.append(last, True)

    @cached_property
    def gaps(self) -> Gaps:
        """From the last slate of a session to the first of the next; each reader's last one is open."""
        s = self.sessions
        last = np.append(np.diff(s.reader) != 0, True)
        until = np.where(last, self.end, np.append(s.start[1:], 0))
        return Gaps.of(s.reader, np.maximum(until - s.end, 0) / HOUR, ~last)

    @cached_property
    def active_days(self) -> np.ndarray:
        """[N, 2] int64: reader and day since 1970 on the reader's clock, each once, in order."""
        return np.unique(np.stack([self.reader, self.local // DAY], 1), axis=0)

    def days_to_next(self) -> Rows:
        """For each active day that another one follows, the days until that one."""
        day = self.active_days
        same = np.diff(day[:, 0]) == 0
        return Rows(day[1:, 0][same], np.diff(day[:, 1])[same].astype(float))

    def next_day_returns(self) -> Rows:
        """For each active day whose morrow the log holds to its end, whether the reader was active then: 1 or 0."""
        day = self.active_days
        returned = np.append((np.diff(day[:, 0]) == 0) & (np.diff(day[:, 1]) == 1), False)
        ahead = np.zeros(self.readers, np.int64)
        ahead[self.reader] = self.local - self.time  # the latest one, as decisions are in order of time
        whole = (day[:, 1] + 2) * DAY - ahead[day[:, 0]] <= self.end
        return Rows(day[whole, 0], returned[whole].astype(float))

    @cached_property
    def shown(self) -> Shown:
        slate = self.log.recommendations["slate"].combine_chunks()
        decision = pc.list_parent_indices(slate).to_numpy().astype(np.int64)
        articles, catalogue = slate.flatten(), self.log.articles
        clicks = self.log.feedback.filter(pa.array(self._is("click")))
        number = _codes(pa.chunked_array([articles, clicks["article_id"].combine_chunks()]))
        of_click = _pairs(self.feedback_row[self._is("click")], number[len(articles) :])
        row = pc.index_in(articles, value_set=catalogue["article_id"].combine_chunks())
        published = microseconds(catalogue["published_at"])[pc.fill_null(row, 0).to_numpy()]
        age = (self.time[decision] - published) / HOUR
        return Shown(
            decision,
            np.arange(len(decision)) - np.searchsorted(decision, decision),
            np.isin(_pairs(decision, number[: len(articles)]), of_click),
            np.where(row.is_null().to_numpy(zero_copy_only=False), np.nan, age),
        )

    def lengths(self, column: str) -> Rows:
        """Articles in each decision's ``slate`` or ``candidates``."""
        counts = pc.list_value_length(self.log.recommendations[column]).to_numpy()
        return Rows(self.reader, counts.astype(float))

    def dwells(self) -> Rows:
        """Seconds on each article read, where the log tells them."""
        known = pc.and_(pc.equal(self.log.feedback["kind"], "dwell"), self.log.feedback["dwell_seconds"].is_valid())
        rows = known.to_numpy()
        seconds = pc.fill_null(self.log.feedback["dwell_seconds"], 0.0).to_numpy()[rows]
        return Rows(self.reader[self.feedback_row[rows]], seconds.astype(float))

    def seconds_to_click(self) -> Rows:
        """From each slate with a click to its first one."""
        rows = self._is("click")
        first = np.full(len(self.time), np.iinfo(np.int64).max)
        np.minimum.at(first, self.feedback_row[rows], microseconds(self.log.feedback["time"])[rows])
        some = self.clicked
        return Rows(self.reader[some], (first[some] - self.time[some]) / SECOND)

    def lateness(self) -> Rows:
        """Minutes from each event to its arrival."""
        late = microseconds(self.log.feedback["received_at"]) - microseconds(self.log.feedback["time"])
        return Rows(self.reader[self.feedback_row], late / MINUTE)

    @property
    def has_positions(self) -> bool:
        """Whether the order of the slates is the order of the page: feedback on articles names their positions."""
        about = self.log.feedback.filter(self.log.feedback["article_id"].is_valid())
        return about.num_rows > 0 and about["position"].null_count == 0

    def _is(self, kind: str) -> np.ndarray:
        return pc.equal(self.log.feedback["kind"], kind).to_numpy()


def observe(log: EventLog, session_gap_minutes: float | None = None) -> Observations:
    """The decisions of ``log`` with the feedback on them.

    Sessions are the log's own, or with ``session_gap_minutes`` begin where a reader had no slate for longer: logs
    differ in what they call a session. Raises InvalidEvents for a log without decisions.
    """
    decided = log.decisions
    if not decided.num_rows:
        raise InvalidEvents("the log holds no decision, expected slates that were shown to readers")
    decided = decided.sort_by([("time", "ascending"), ("request_id", "ascending")])
    row = events.join(decided, log.feedback)
    own = row >= 0
    reader, time = _codes(decided["user_id"]), microseconds(decided["time"])
    offset = pc.struct_field(decided["context"].combine_chunks(), "utc_offset_minutes")
    ahead = pc.fill_null(offset, 0).to_numpy().astype(np.int64) * MINUTE
    session = _codes(decided["session_id"])
    if session_gap_minutes is not None:
        session = _silences(reader, time, session_gap_minutes)
    kept = EventLog(log.articles, decided, log.feedback.filter(pa.array(own)), log.flags)
    return Observations(kept, reader, time, time + ahead, session, row[own])


def _silences(reader: np.ndarray, time: np.ndarray, minutes: float) -> np.ndarray:
    """[D] int64: how many silences of more than ``minutes`` each decision has before it, of any reader in turn."""
    order = np.lexsort([time, reader])
    silent = np.diff(time[order], prepend=0) > minutes * MINUTE
    session = np.empty(len(order), np.int64)
    session[order] = np.cumsum(silent)
    return session


def slates_with_click(log: EventLog) -> EventLog:
    """``log`` as one that leaves out slates without a click would have it."""
    clicks = log.feedback.filter(pc.equal(log.feedback["kind"], "click"))
    kept = pc.is_in(log.recommendations["request_id"], value_set=clicks["request_id"].combine_chunks())
    return log._replace(recommendations=log.recommendations.filter(kept))


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    """Equal values as equal numbers, from 0 in order of appearance. int64"""
    return values.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)


def _pairs(row: np.ndarray, number: np.ndarray) -> np.ndarray:
    """One number for each pair of a decision and an article. int64"""
    return row << 32 | number
