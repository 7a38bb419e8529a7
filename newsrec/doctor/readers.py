"""Who came, how often, and for how long they were watched."""

import numpy as np

from newsrec.doctor.evidence import FEW_READERS, Evidence, numbers, share
from newsrec.doctor.finding import CALIBRATION, FREE, GATE, NO_CLOCK, OFF_POLICY, RETENTION, Costs, Finding, costs
from newsrec.events import NO_READER_IDS, ORDINAL_TIME
from newsrec.features import DAY

LEAST_FOLLOWED = 0.2
"""Share of the decisions that another one of the same reader follows. Below it a log is a sample of visits and not of
readers: who left cannot be told from whose next visit was not taken. Readers who come once weigh little here."""
LEAST_WATCHED = 0.25
"""Share of the decisions after which the log goes on for the horizon."""


def readers(e: Evidence) -> Finding:
    """How many there are: their decisions resemble one another, so intervals go by reader."""
    if NO_READER_IDS in e.log.flags:
        counts = {"decisions": len(e.decisions)}
        reason = "readers are unknown: no policy can use what somebody read, each decision passes for a reader"
        return Finding("readers", None, counts, "unknown", costs("limited", reason, GATE))
    cost = FREE
    if e.readers < FEW_READERS:
        few = f"{e.readers:,} readers are few: expected {FEW_READERS} for an interval"
        cost = costs("unfit" if e.readers < 2 else "limited", few, GATE, OFF_POLICY)
    counts = {"readers": e.readers, "decisions": len(e.decisions)}
    return Finding("readers", e.readers, counts, f"{e.readers:,} readers", cost)


def seen_again(e: Evidence) -> Finding:
    """Whether readers are seen again, in another decision and in another visit (session)."""
    if NO_READER_IDS in e.log.flags:
        cost = costs("unfit", "retention cannot be studied: the log does not say who its readers are", RETENTION)
        cost += costs("limited", "no law of return: the log does not say who its readers are", CALIBRATION)
        return Finding("seen again", None, {}, "unknown", cost)
    made, total = len(e.decisions), e.readers
    decisions = np.bincount(e.reader, minlength=total)
    visits = _visits(e)
    twice, back = int((decisions > 1).sum()), int((visits > 1).sum())
    counts = {"readers": total, "seen_again": twice, "came_back": back, "visits": int(visits.sum())}
    followed = share(made - total, made)
    cost = FREE
    if followed < LEAST_FOLLOWED:
        cost = _unstudied(f"{twice:,} of {total:,} readers are seen twice")
    elif share(counts["visits"] - total, counts["visits"]) < LEAST_FOLLOWED:
        cost = _unstudied(f"{back:,} of {total:,} readers come for a second visit")
    elif back < FEW_READERS:
        few = f"{back:,} readers who come back are few: expected {FEW_READERS} for an interval"
        cost = costs("limited", few, RETENTION, CALIBRATION)
    sentence = f"{twice:,} of {total:,} readers are seen twice, {back:,} in a second visit; {followed:.0%} of the "
    return Finding("seen again", followed, counts, sentence + "decisions are followed by one of the same reader", cost)


def _unstudied(found: str) -> Costs:
    cost = costs("unfit", f"retention cannot be studied: {found}", RETENTION)
    return cost + costs("limited", f"no law of return: {found}", CALIBRATION)


def _visits(e: Evidence) -> np.ndarray:
    """[R] sessions of each reader."""
    session = numbers(e.decisions["session_id"])
    pairs = np.unique(np.stack([e.reader, session]), axis=1)
    return np.bincount(pairs[0], minlength=e.readers)


def length(e: Evidence) -> Finding:
    """Whether the log goes on long enough after its decisions to see whether readers come back within the horizon."""
    if ORDINAL_TIME in e.log.flags:
        return Finding("length", None, {}, f"unknown: {NO_CLOCK}", costs("unfit", NO_CLOCK, RETENTION))
    made, end = len(e.decisions), int(e.time[-1])
    days, horizon = (end - int(e.time[0])) / DAY, e.horizon / DAY
    watched = int((e.time <= end - e.horizon).sum())
    cost = FREE
    if days < 1.0:
        cost = costs("unfit", f"retention cannot be studied: the log has {days * 24:.1f} hours, no next day", RETENTION)
        cost += costs("limited", f"no law of return: the log has {days * 24:.1f} hours", CALIBRATION)
    elif not watched:
        reason = f"the log lasts {days:.2f} days: a return after {horizon:g} cannot be seen"
        cost = costs("limited", reason, RETENTION, CALIBRATION)
    elif share(watched, made) < LEAST_WATCHED:
        reason = f"{watched:,} of {made:,} decisions are watched for {horizon:g} days"
        cost = costs("limited", reason, RETENTION, CALIBRATION)
    sentence = f"{days:.2f} days; {watched:,} of {made:,} decisions are watched for the horizon of {horizon:g}"
    counts = {"days": days, "horizon_days": horizon, "decisions": made, "watched": watched}
    return Finding("length", days, counts, sentence, cost)
