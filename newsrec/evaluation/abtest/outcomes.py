"""What became of the assigned readers: one row each, day by day, zeros included.

Day k of a reader is the k-th time 24 hours from their assignment, so every window has the same length whenever it
began. The figure is *active days in 28*: on how many of them the reader asked for a slate. A reader whose window the
log's end cuts is *censored*: counted as such, left out of figures on whole windows and never taken for lost. When
somebody was assigned does not depend on the arm, so that leaves out as many of each. What was seen of censored readers
still counts in return times.

Feedback counts on the day of its decision. A repeated request or event counts once, feedback on an unknown request not
at all; both are counted.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.evaluation.abtest.assigned import Assigned
from newsrec.evaluation.survival import Gaps
from newsrec.events import EventLog, InvalidEvents, join, microseconds
from newsrec.features import DAY, HOUR


class LeftOut(NamedTuple):
    """Rows of the log that do not count."""

    repeated_requests: int
    repeated_feedback: int
    unknown_requests: int
    """Feedback on a request that the log does not hold."""


class Outcomes(NamedTuple):
    """N readers and D days from the assignment of each; what lies behind the log's end is 0 and not ``seen``."""

    assigned: Assigned
    end: int
    """Microseconds; what happens later is not seen."""
    seen_days: np.ndarray  # [N] int64, whole days before the end, at most D
    active: np.ndarray  # [N, D] bool, asked for a slate
    sessions: np.ndarray  # [N, D] float32, that began on the day
    impressions: np.ndarray  # [N, D] float32
    clicks: np.ndarray  # [N, D] float32
    hides: np.ndarray  # [N, D] float32
    dwell_minutes: np.ndarray  # [N, D] float32
    before: np.ndarray  # [N, 2] float64: active days before the assignment, and 1 for a reader without any
    gap_hours: np.ndarray  # [N] float64, from the first session (or the assignment) to the next, or to the end
    gap_ended: np.ndarray  # [N] bool, False: still away at the end
    left_out: LeftOut

    @property
    def complete(self) -> np.ndarray:
        """[N] bool: the whole window is seen."""
        return self.seen_days == self.active.shape[1]

    @property
    def at_once(self) -> bool:
        """Whether all were assigned at one moment, so that all windows close together."""
        return bool((self.assigned.time == self.assigned.time[0]).all())

    @property
    def closed_day(self) -> np.ndarray:
        """[N] int64: the day of the experiment on which the reader's window closed, from its first assignment on."""
        first = int(self.assigned.time.min())
        return (self.assigned.time - first) // DAY + self.active.shape[1]

    def gaps(self, of: np.ndarray) -> Gaps:
        """The first gap of each of the readers ``of`` [N] bool."""
        return Gaps.of(np.flatnonzero(of), self.gap_hours[of], self.gap_ended[of])

    def early(self, days: int) -> np.ndarray:
        """[N, 7] float64, surrogates: the past, and what the first ``days`` showed."""
        half = days // 2
        columns = [self.active[:, :half].sum(1), self.active[:, half:days].sum(1)]
        columns += [table[:, :days].sum(1) for table in (self.sessions, self.clicks, self.dwell_minutes)]
        return np.column_stack([self.before, *columns]).astype(float)


def outcomes(
    log: EventLog, assigned: Assigned, days: int = 28, before_days: int = 28, end: int | None = None
) -> Outcomes:
    """The rows of ``assigned`` readers. The log ends at ``end`` (microseconds), or with what it saw last.

    Raises InvalidEvents where the log ends before the last assignment.
    """
    log, repeated = distinct(log)
    decisions = log.decisions
    found = join(decisions, log.feedback)
    imported = join(log.recommendations, log.feedback) >= 0
    feedback, of = log.feedback.filter(pa.array(found >= 0)), found[found >= 0]
    time = microseconds(decisions["time"])
    if end is None:
        end = int(max(time.max(initial=0), microseconds(feedback["received_at"]).max(initial=0)))
    if end < assigned.time.max():
        raise InvalidEvents("the log ends before the last reader is assigned, expected days of everybody to count")
    row = pc.fill_null(pc.index_in(decisions["user_id"], value_set=assigned.reader), -1).to_numpy()  # [R]
    since = np.where(row >= 0, time - assigned.time[row], -1)
    day = since // DAY
    inside = (row >= 0) & (since >= 0) & (day < days) & (time <= end)
    cell = np.where(inside, row * days + day, 0)
    shape = (len(assigned.arm), days)

    def table(rows: np.ndarray, amount: np.ndarray | None = None) -> np.ndarray:
        """[N, D]: the decisions ``rows``, those that are inside, summed."""
        counted = inside[rows]
        weights = None if amount is None else amount[counted]
        return np.bincount(cell[rows[counted]], weights, shape[0] * days).reshape(shape).astype(np.float32)

    def happened(kind: str) -> np.ndarray:
        return of[pc.equal(feedback["kind"], kind).to_numpy()]

    reads = feedback.filter(pc.equal(feedback["kind"], "dwell"))
    minutes = pc.fill_null(reads["dwell_seconds"], 0.0).to_numpy().astype(float) / 60.0
    begins, gap_hours, gap_ended = _sessions(row, time, decisions["session_id"], assigned.time, end)
    return Outcomes(
        assigned,
        end,
        seen_days=np.clip((end - assigned.time) // DAY, 0, days),
        active=table(np.arange(len(row))) > 0,
        sessions=table(begins),
        impressions=table(happened("impression")),
        clicks=table(happened("click")),
        hides=table(happened("hide")),
        dwell_minutes=table(happened("dwell"), minutes),
        before=_before(row, since, len(assigned.arm), before_days),
        gap_hours=gap_hours,
        gap_ended=gap_ended,
        left_out=LeftOut(*repeated, unknown_requests=int((~imported).sum())),
    )


def distinct(log: EventLog) -> tuple[EventLog, tuple[int, int]]:
    """``log`` with each request and each event once, the first of them; and how many of each were repeated."""
    tables = []
    for table, key in ((log.recommendations, "request_id"), (log.feedback, "event_id")):
        codes = table[key].combine_chunks().dictionary_encode().indices.to_numpy()
        first = np.sort(np.unique(codes, return_index=True)[1])
        tables.append(table if len(first) == table.num_rows else table.take(pa.array(first)))
    repeated = log.recommendations.num_rows - tables[0].num_rows, log.feedback.num_rows - tables[1].num_rows
    return log._replace(recommendations=tables[0], feedback=tables[1]), repeated


def _before(row: np.ndarray, since: np.ndarray, readers: int, days: int) -> np.ndarray:
    past = (row >= 0) & (since < 0) & (since >= -days * DAY)
    pairs = np.unique(np.stack([row[past], since[past] // DAY]), axis=1)
    active = np.bincount(pairs[0], minlength=readers).astype(float)
    return np.column_stack([active, active == 0.0])


def _sessions(
    row: np.ndarray, time: np.ndarray, session_id: pa.ChunkedArray, assigned: np.ndarray, end: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The decisions that begin a session, and of each reader the hours of the first gap and whether it ended."""
    session = session_id.combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.lexsort([time, session, row])
    order = order[row[order] >= 0]
    new = np.append(True, (np.diff(row[order]) != 0) | (np.diff(session[order]) != 0))[: len(order)]
    begins, ends = order[new], order[np.append(new[1:], True)[: len(order)]]
    after = (time[begins] >= assigned[row[begins]]) & (time[begins] <= end)
    reader, start, stop = row[begins][after], time[begins][after], time[ends][after]
    by_start = np.lexsort([start, reader])
    reader, start, stop = reader[by_start], start[by_start], stop[by_start]
    since = assigned.copy()  # where each gap begins
    rank = np.arange(len(reader)) - np.searchsorted(reader, reader)
    here = (rank == 0) & (start == assigned[reader])  # the session of the assignment
    since[reader[here]] = stop[here]
    with_session = np.zeros(len(assigned), np.int64)
    with_session[reader[here]] = 1
    back = rank == with_session[reader]
    until = np.full(len(assigned), end)
    until[reader[back]] = start[back]
    ended = np.zeros(len(assigned), bool)
    ended[reader[back]] = True
    return begins, np.maximum(until - since, 0) / HOUR, ended
