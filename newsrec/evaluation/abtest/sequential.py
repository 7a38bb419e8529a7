"""Confidence sequences: intervals that cover the effect on every day at once, so that looking daily is allowed.

A plain 95 % interval excludes a true zero on some day of 28 in about 28 % of tests. With n readers so far, d the
difference of the arms' means and s its standard error, the normal mixture (Robbins 1970; asymptotically for any outcome
of finite variance: Waudby-Smith et al. 2024, arXiv:2103.06476) gives

    d +- s sqrt((1 + 1/x) (log(1 + x) - 2 log alpha)),    x = n rho^2

and covers for all n together with ``1 - alpha``. ``rho^2 = (log(1 - 2 log alpha) - 2 log alpha) / n*`` makes it
tightest near n* readers, 3.0 standard errors at 95 %; at ten times n* it reaches 3.2 and at a tenth 3.9. n* has to be
said before the first look. Read as a test it is the always-valid p-value of Johari et al. (2022,
doi:10.1287/opre.2021.2135),

    p = min over looks of  sqrt(1 + x) exp(-z^2 x / (2 (1 + x))),    z = d / s

*A reader enters once, when their window is whole.* Were a reader's days added one by one, looks would not be sums of
new readers and nothing above would hold (Ankargren, Franberg and Schultzberg 2023, "The peeking problem 2.0").
"""

from typing import NamedTuple

import numpy as np

from newsrec.evaluation.abtest.cuped import adjust
from newsrec.evaluation.abtest.effects import Effect, mean_of

LEAST_READERS = 100
"""In each arm before the first look: what holds asymptotically does not hold for a handful."""


class Looks(NamedTuple):
    """What was seen on each of L days; a day with fewer than LEAST_READERS in an arm has no ends and p-value 1."""

    day: np.ndarray  # [L] int64
    readers: np.ndarray  # [L] int64, of both arms, whose window is whole
    difference: np.ndarray  # [L] float64
    low: np.ndarray  # [L] float64
    high: np.ndarray  # [L] float64
    p_value: np.ndarray  # [L] float64, always valid: never rises

    @property
    def told(self) -> bool:
        """Whether some look excluded 0: one may stop there."""
        return bool(np.any((self.low > 0.0) | (self.high < 0.0)))


def mixing(alpha: float) -> float:
    """``x`` at the number of readers for which the sequence is tightest; 7.9 at alpha 0.05."""
    spent = -2.0 * np.log(alpha)
    return float(spent + np.log1p(spent))


def boundary(readers: np.ndarray | float, tuned_for: float, alpha: float) -> np.ndarray:
    """How many standard errors the sequence reaches at each number of ``readers``."""
    x = np.asarray(readers, float) * mixing(alpha) / tuned_for
    return np.sqrt((1.0 + 1.0 / x) * (np.log1p(x) - 2.0 * np.log(alpha)))


def always_valid(z: np.ndarray, readers: np.ndarray, tuned_for: float, alpha: float) -> np.ndarray:
    """[..., L] p-values of the looks so far; ``z`` [..., L], NaN where nothing was looked at, ``readers`` [L]."""
    x = np.asarray(readers, float) * mixing(alpha) / tuned_for
    square = np.nan_to_num(z) ** 2
    p = np.exp(0.5 * np.log1p(x) - square * x / (2.0 * (1.0 + x)))
    return np.minimum.accumulate(np.minimum(p, 1.0), axis=-1)


def one_look(day: int, readers: int, effect: Effect) -> Looks:
    """What there is to look at where all windows close on ``day``: looking again shows the same, so nothing is paid."""
    values = (day, readers, effect.difference, effect.low, effect.high, effect.p_value)
    return Looks(*(np.array([value]) for value in values))


def look_daily(
    values: np.ndarray,
    treated: np.ndarray,
    day: np.ndarray,
    tuned_for: float,
    alpha: float = 0.05,
    covariates: np.ndarray | None = None,
) -> Looks:
    """The confidence sequence over each distinct ``day`` on which windows closed.

    ``values`` [N], one a reader, with ``treated`` [N] bool and ``day`` [N] int64 when the reader's window closed.
    ``covariates`` [N, P] from before the assignment make it CUPED's, fitted anew to the readers of each look.
    """
    days = np.unique(day)
    readers = np.searchsorted(np.sort(day), days, side="right")
    found, error = np.full((2, len(days)), np.nan)
    for look, until in enumerate(days):
        so_far = day <= until
        y, side = values[so_far], treated[so_far]
        if min(side.sum(), (~side).sum()) < LEAST_READERS:
            continue
        if covariates is not None:
            y = adjust(y, covariates[so_far], side.astype(np.int64)).values
        t, c = mean_of(y[side]), mean_of(y[~side])
        found[look], error[look] = t.value - c.value, (t.variance + c.variance) ** 0.5
    away = boundary(readers, tuned_for, alpha) * error
    z = np.divide(found, error, out=np.full(len(days), np.nan), where=error > 0.0)
    return Looks(days, readers, found, found - away, found + away, always_valid(z, readers, tuned_for, alpha))
