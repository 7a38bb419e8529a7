"""What a log tells before a test: the mean and spread of readers, how the past foretells them, how many come a day."""

import numpy as np

from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.assigned import Assigned, first_requests
from newsrec.evaluation.abtest.cuped import adjust
from newsrec.evaluation.abtest.outcomes import Outcomes, distinct, outcomes
from newsrec.evaluation.abtest.plan import Traffic
from newsrec.evaluation.abtest.surrogate import SurrogateIndex, fit
from newsrec.events import EventLog, InvalidEvents, microseconds
from newsrec.features import DAY


def traffic_of(log: EventLog, days: int = 28, before_days: int = 28) -> Traffic:
    """As if a test had begun with the log, or ``before_days`` later where the log is long enough for both.

    Raises InvalidEvents for a log in which no two readers have a whole window, or all are alike.
    """
    log, _ = distinct(log)
    start, end = _span(log)
    since = start + before_days * DAY if end - start > (before_days + days + 7) * DAY else start
    found = outcomes(log, first_requests(log, since, end + 1), days, before_days, end)
    whole = found.complete
    if whole.sum() < 2:
        seen = (end - start) / DAY
        raise InvalidEvents(f"the log covers {seen:.1f} days, expected more than the {days} of a reader's window")
    active = found.active[whole].sum(1).astype(float)
    if not active.std() > 0.0:
        raise InvalidEvents(f"all {len(active)} readers have {active[0]:.0f} active days, expected some to differ")
    left = adjust(active, found.before[whole], np.zeros(len(active), np.int64)).variance_left
    whole_days = max(int((end - since) // DAY), 1)
    arrivals = np.bincount((found.assigned.time - since) // DAY, minlength=whole_days)[:whole_days]
    correlation = min(max(1.0 - left, 0.0) ** 0.5, 0.999)
    clicks = float(found.clicks[whole].sum(1).mean())
    return Traffic(
        float(active.mean()), float(active.std(ddof=1)), tuple(arrivals.astype(float).tolist()), correlation, clicks
    )


def index_of(
    log: EventLog, assigned: Assigned, days: int, before_days: int, early_days: int
) -> tuple[SurrogateIndex, bool]:
    """The surrogate index of readers whose windows were whole when the experiment of ``assigned`` began.

    They are taken as its readers were: by their first request from a moment on, or all at once among those known
    before. And whether the index knows what readers did before their windows, for which the log must reach back as far.
    Raises InvalidConfig where the log holds too few such readers.
    """
    first, _ = _span(log)
    start = int(assigned.time.min())
    latest = start - days * DAY
    if bool((assigned.time == start).all()):
        since = latest
        old = first_requests(log, max(first, since - before_days * DAY), since)
        old = old._replace(time=np.full(len(old.arm), since, np.int64))
    else:
        since = max(first, latest - days * DAY)
        old = first_requests(log, since, latest + 1)
    if not len(old.arm):
        found = f"the log reaches back {(start - first) / DAY:.1f} days before the experiment"
        raise InvalidConfig(f"{found}, expected more than {days} for old readers with whole windows")
    knows_past = first <= since - before_days * DAY
    seen = outcomes(log, old, days, before_days, end=start)
    return fit(surrogates(seen, early_days, knows_past), seen.active.sum(1)), knows_past


def surrogates(found: Outcomes, early_days: int, with_past: bool) -> np.ndarray:
    """[N, P] what an index sees of readers."""
    early = found.early(early_days)
    return early if with_past else early[:, found.before.shape[1] :]


def _span(log: EventLog) -> tuple[int, int]:
    """The first and the last decision, microseconds. Raises InvalidEvents for a log without any."""
    time = microseconds(log.decisions["time"])
    if not len(time):
        raise InvalidEvents("the log holds no decision, expected slates that were shown to readers")
    return int(time.min()), int(time.max())
