"""When a reader would come by habit alone: the yardstick by which a return is early or late.

Readers differ by factors of ten in how often they come, and all of them sleep. What a slate did to the next visit shows
only against that. Here the hazard of the next visit, where what was read does not matter, is::

    hazard(t) = rate c(t)        c: relative rate by hour of the reader's own week, 1 on average
    rate      = (shape + visits before) / (hours + hours before on the clock of c)

a Poisson process on an operational clock (Cox & Lewis 1966, section 3) with a gamma prior between readers, which is
fitted by moments. Only what happened before a visit enters its rate: who comes back often *because* of the slates since
then is not told that they were a habit. While nobody comes the rate sinks with the hours that pass, so that a window of
h hours of that clock lets expect ``(shape + visits before) log(1 + h / (hours + hours before))`` visits.

A window is what was seen of a time without a visit, up to a horizon: it ends with the next visit or is cut by the
horizon or by the log. ``returned - expected`` is the martingale residual of the hazard (Therneau & Grambsch 2000,
section 4.3): its mean is 0 under habit alone, whatever cut the window, so an open window is neither lost nor dropped.
"""

from typing import NamedTuple

import numpy as np

from newsrec.features import HOUR, SESSION_GAP_MINUTES

WEEK_HOURS = 168
MONDAY = 4 * 24
"""Hours from the first midnight of 1970, a Thursday, to the next Monday."""
PRIOR_VISITS = 20.0
"""Weight of an even week against what an hour of the week shows, in visits."""
GAP = SESSION_GAP_MINUTES * 60_000_000


class Visits(NamedTuple):
    """V visits by reader, then by time."""

    reader: np.ndarray  # [V] int64
    start: np.ndarray  # [V] int64, microseconds, of the first slate
    end: np.ndarray  # [V] int64, of the last one
    offset: np.ndarray  # [V] int64, microseconds by which the reader's clock is ahead of UTC
    of_decision: np.ndarray  # [N] int64, the visit of each decision


class Windows(NamedTuple):
    """What followed each of V visits."""

    returned: np.ndarray  # [V] float32, 1 where the next visit began within the horizon and the log
    expected: np.ndarray  # [V] float32, visits that habit predicts for the time that was seen
    rate: np.ndarray  # [V] float64, visits an hour, by what was known when the window closed


class Habit(NamedTuple):
    """The hour of the week and how much readers differ. ``fit`` makes it."""

    curve: np.ndarray  # [168] float64, from Monday midnight of the reader's own clock, mean 1
    shape: float
    hours: float
    """The prior of a reader's rate: gamma with mean shape / hours, in visits an hour."""

    def clock(self, local: np.ndarray) -> np.ndarray:
        """[...] float64, hours since a Monday in 1970 on the clock of habit; as many as on the wall over a week."""
        hours = np.asarray(local) / HOUR - MONDAY
        weeks, into = np.divmod(hours, WEEK_HOURS)
        passed = np.append(0.0, np.cumsum(self.curve))
        return weeks * WEEK_HOURS + np.interp(into, np.arange(WEEK_HOURS + 1), passed)


def visits(user: np.ndarray, time: np.ndarray, utc_offset_minutes: np.ndarray) -> Visits:
    """The visits of N decisions: a silence of SESSION_GAP_MINUTES ends one. Arguments [N], times in microseconds."""
    order = np.lexsort([time, user])
    reader, moment = user[order], time[order]
    begins = np.append(True, (np.diff(reader) != 0) | (np.diff(moment) > GAP))[: len(order)]
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(order))[: len(first)] - 1
    of_decision = np.empty(len(order), np.int64)
    of_decision[order] = np.cumsum(begins) - 1
    return Visits(
        reader[first], moment[first], moment[last], utc_offset_minutes[order][first] * 60_000_000, of_decision
    )


def fit(visits: Visits, end: int) -> Habit:
    """The habit of the readers of a log that ends at ``end`` (microseconds).

    A reader counts from their first visit on, which itself does not count: who never came is not in the log.
    """
    first = _firsts(visits)
    start, again = (visits.start + visits.offset) / HOUR - MONDAY, ~first  # hours
    until = (end + visits.offset[first]) / HOUR - MONDAY
    edges = np.arange(np.floor(start.min(initial=0.0)), np.ceil(until.max(initial=0.0)) + 1.0)
    waiting = _time_before(edges, until) - _time_before(edges, start[first])  # reader hours up to each edge
    at_risk = np.bincount((edges[:-1] % WEEK_HOURS).astype(int), np.diff(waiting), WEEK_HOURS)
    seen = np.bincount((np.floor(start[again]) % WEEK_HOURS).astype(int), minlength=WEEK_HOURS)
    mean = seen.sum() / max(at_risk.sum(), 1e-9)
    relative = (seen + PRIOR_VISITS) / (at_risk * mean + PRIOR_VISITS)
    habit = Habit(relative / relative.mean(), 1.0, 1.0)
    exposure = habit.clock(end + visits.offset[first]) - habit.clock(visits.start[first] + visits.offset[first])
    counts = np.diff(np.append(np.flatnonzero(first), len(first))) - 1  # [R] visits after the first
    shape, hours = _gamma(counts, exposure)
    return Habit(habit.curve, shape, hours)


def windows(habit: Habit, visits: Visits, end: int, horizon_hours: float) -> Windows:
    """What followed each visit within ``horizon_hours``, in a log that ends at ``end``."""
    first = _firsts(visits)
    origin = np.flatnonzero(first)[np.cumsum(first) - 1]  # [V] the reader's first visit
    local_end = visits.end + visits.offset
    before = np.arange(len(first)) - origin
    known = np.maximum(habit.clock(local_end) - habit.clock((visits.start + visits.offset)[origin]), 0.0)
    follows = np.append(~first[1:], False)[: len(first)]
    following = np.where(follows, np.append(visits.start[1:], 0)[: len(first)], np.iinfo(np.int64).max)
    horizon = visits.end + int(horizon_hours * HOUR)
    until = np.minimum(np.minimum(following, horizon), end)
    opens = visits.end + GAP  # no visit begins earlier: it would be the same one
    seen = habit.clock(np.maximum(until, opens) + visits.offset) - habit.clock(opens + visits.offset)
    returned = following <= np.minimum(horizon, end)
    count, hours = habit.shape + before, habit.hours + known
    return Windows(
        returned.astype(np.float32), (count * np.log1p(seen / hours)).astype(np.float32), count / (hours + seen)
    )


def _firsts(visits: Visits) -> np.ndarray:
    """[V] bool: a reader's first visit."""
    return np.append(True, np.diff(visits.reader) != 0)[: len(visits.reader)]


def _time_before(edges: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """For each of ``edges`` the negated sum over ``begins`` of the time from each up to it; 0 where it is earlier."""
    order = np.sort(begins)
    passed = np.searchsorted(order, edges)
    return np.append(0.0, np.cumsum(order))[passed] - passed * edges


def _gamma(counts: np.ndarray, exposure: np.ndarray) -> tuple[float, float]:
    """Shape and hours of the gamma prior of R rates, by moments of ``counts`` [R] over ``exposure`` [R] hours.

    Without overdispersion the readers are taken for equal: a prior worth a thousand visits.
    """
    mean = max(counts.sum(), 0.5) / max(exposure.sum(), 1.0)
    excess = ((counts - mean * exposure) ** 2 - mean * exposure).sum()
    shape = mean**2 * (exposure**2).sum() / excess if excess > 0 else 1e3
    shape = float(np.clip(shape, 0.05, 1e3))
    return shape, float(shape / mean)
