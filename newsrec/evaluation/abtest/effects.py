"""Two arms, each with an estimate and the variance of it, to one effect: difference, lift, interval, p-value.

Readers are the units that were assigned, so variances are those between readers. With arms t and c,

    difference = m_t - m_c          variance v_t + v_c - 2 cov
    lift       = m_t / m_c - 1      from all r with (m_t - r m_c)^2 <= q^2 (v_t - 2 r cov + r^2 v_c), Fieller (1954)

and q Student's quantile with Welch's (1947) degrees of freedom. A lift with ends excludes 0 exactly when its difference
does. ``cov`` is 0 where the arms share nothing but the calendar.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit


class Estimate(NamedTuple):
    """What was estimated in one arm."""

    value: float
    variance: float
    """Of the estimate, not of a reader."""
    readers: int


class Effect(NamedTuple):
    """What the treated arm has over the control; NaN where an arm has fewer than two readers."""

    difference: float
    low: float
    high: float
    lift: float
    """The difference over the control's value; NaN where that is 0."""
    lift_low: float
    """Minus infinity, and ``lift_high`` infinity, where the control's value itself is not told from 0."""
    lift_high: float
    error: float
    """Standard error of the difference."""
    p_value: float
    """Two-sided, of one look that was planned."""

    @property
    def told(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0.0 or self.high < 0.0


def mean_of(values: np.ndarray) -> Estimate:
    """The mean of ``values`` [N], one a reader."""
    n = len(values)
    if n < 2:
        return Estimate(float(np.mean(values)) if n else np.nan, np.nan, n)
    return Estimate(float(np.mean(values, dtype=float)), float(np.var(values, ddof=1, dtype=float)) / n, n)


def difference_of_means(treated: np.ndarray, control: np.ndarray, confidence: float = 0.95) -> Effect:
    """Of ``treated`` [N] and ``control`` [M], one value a reader."""
    return effect(mean_of(treated), mean_of(control), confidence)


def effect(treated: Estimate, control: Estimate, confidence: float = 0.95, covariance: float = 0.0) -> Effect:
    """What ``treated`` has over ``control``, whose estimates have ``covariance``."""
    variance = treated.variance + control.variance - 2.0 * covariance
    found = treated.value - control.value
    if not np.isfinite(variance):
        return Effect(found, *[np.nan] * 7)
    error = max(variance, 0.0) ** 0.5
    freedom = _welch(treated, control)
    quantile = float(stdtrit(freedom, (1.0 + confidence) / 2.0))
    statistic = abs(found) / error if error > 0.0 else (np.inf if found else 0.0)
    p_value = float(2.0 * stdtr(freedom, -statistic))
    lift = _lift(treated, control, covariance, quantile)
    return Effect(found, found - quantile * error, found + quantile * error, *lift, error, p_value)


def _welch(treated: Estimate, control: Estimate) -> float:
    """Degrees of freedom."""
    below = treated.variance**2 / (treated.readers - 1) + control.variance**2 / (control.readers - 1)
    total = (treated.variance + control.variance) ** 2
    return total / below if below > 0.0 else float(treated.readers + control.readers - 2)


def _lift(treated: Estimate, control: Estimate, covariance: float, quantile: float) -> tuple[float, float, float]:
    t, c, wide = treated.value, control.value, quantile**2
    if c == 0.0:
        return np.nan, np.nan, np.nan
    square = c * c - wide * control.variance
    half, rest = t * c - wide * covariance, t * t - wide * treated.variance
    if square <= 0.0:
        return t / c - 1.0, -np.inf, np.inf
    root = max(half * half - square * rest, 0.0) ** 0.5
    return t / c - 1.0, (half - root) / square - 1.0, (half + root) / square - 1.0
