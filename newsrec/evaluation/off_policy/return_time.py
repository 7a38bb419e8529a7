"""What a policy does to the next visit: its hazard and the curve of gaps, from logged visits that may still be open.

A visit's decisions have the weight w, the product of pi(a | x) / p(a | x) over what was shown in it (all its places and
slates). What followed is the gap until the next visit, which the log's end may have cut: *censored*, neither lost nor
dropped. Then

- the weighted Kaplan-Meier curve (Xie and Liu 2005), with w in place of 1 for each gap::

      S(t) = prod over gaps that ended at u <= t of (1 - w_u / sum of w over gaps that lasted u or longer)

- the hazard ratio against habit, with the returns that were seen and those that habit lets expect in the same time
  (``newsrec.habit``), the weighted score equation of a proportional hazard (Breslow and Day 1987, section 4.3)::

      theta = sum of w returned / sum of w expected

and the effect of a policy is theta under its weights less theta as logged: 0.05 is 5 % of habit's hazard more.

Valid for *one* visit by the policy, after which everything is as it was, met in the states that the log met. Needs
true propensities, support, and a log's end that does not look at the reader (given the start, for S: so take visits of
all of the log, or by when they began). Where a policy's hazards are not proportional to habit, theta is their mean over
the time that was seen, and a longer log may move it; S does not assume that. A policy that is followed for weeks does
more than the sum of its visits: that is for ``sequential``, the simulator and the A/B test.
"""

from typing import NamedTuple

import numpy as np

from newsrec.evaluation.off_policy import checks
from newsrec.evaluation.off_policy.terms import Ratio, Terms
from newsrec.evaluation.resampling import Weighted


class VisitLog(NamedTuple):
    """V visits and what followed. ``logged.visits`` makes it."""

    reader: np.ndarray
    """[V] int64, readers numbered from 0."""
    weight: np.ndarray
    """[V] float64, 0 or more: the product of target over behaviour of all that was shown in the visit."""
    hours: np.ndarray
    """[V] float64, from the visit's end to the next one or to the log's end."""
    ended: np.ndarray
    """[V] bool, False: still open at the log's end."""
    returned: np.ndarray
    """[V] float64, 1 where the next visit came within the horizon of ``expected`` and the log."""
    expected: np.ndarray
    """[V] float64, the visits that habit lets expect in the time that was seen of it (habit.Windows)."""


def survival(log: VisitLog, at: np.ndarray) -> Weighted:
    """[n] S: the share of visits without a next one up to each of the hours ``at`` [n], from the readers' weights [R].

    For ``resampling.resample``, whose ``share_band`` gives the interval. NaN behind the last gap where that is open.
    """
    _check(log)
    order = np.lexsort([~log.ended, log.hours])  # of equal gaps those that ended first
    hours, ended, reader, w = (x[order] for x in (log.hours, log.ended, log.reader, log.weight))

    def curve(weight: np.ndarray) -> np.ndarray:
        counted = weight[reader] * w
        at_risk = np.cumsum(counted[::-1])[::-1]
        lost = np.divide(counted * ended, at_risk, out=np.zeros(len(counted)), where=at_risk > 0)
        steps = np.append(1.0, np.cumprod(1.0 - np.minimum(lost, 1.0)))
        found = steps[np.searchsorted(hours, at, side="right")]
        longest = hours[counted > 0].max(initial=0.0)
        return np.where((at <= longest) | (found < 1e-12), found, np.nan)

    return curve


def return_within(log: VisitLog, hours: float) -> Weighted:
    """[1] The share of visits with a next one within ``hours``."""
    curve = survival(log, np.array([hours]))
    return lambda weight: 1.0 - curve(weight)


def hazard_ratio(log: VisitLog) -> Terms:
    """theta of the policy in question: its hazard of the next visit, in that of habit."""
    _check(log)
    return Terms(log.reader, (Ratio(log.weight * log.returned, log.weight * log.expected),))


def hazard_effect(log: VisitLog) -> Terms:
    """``hazard_ratio`` less that of the policy that acted, on the same visits."""
    logged = log._replace(weight=np.ones(len(log.weight)))
    return hazard_ratio(log).minus(hazard_ratio(logged))


def _check(log: VisitLog) -> None:
    checks.same_shape(**log._asdict())
    for name in ("weight", "hours", "returned", "expected"):
        values = getattr(log, name)
        checks.finite(name, values)
        if (values < 0).any():
            bad = values < 0
            raise checks.InvalidLog(f"{name}: {bad.sum()} of {bad.size} are negative, expected 0 or more")
