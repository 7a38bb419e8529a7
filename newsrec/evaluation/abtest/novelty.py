"""Does the effect wear off? What is new wins attention for being new, and readers need time to learn what is good.

Whether reader i was active on day k after the assignment is a_ik. The effect of day k is the difference of the arms'
means, and its slope over days is the difference of the means of the readers' own slopes,

    b_i = sum_k (k - mean k) a_ik / sum_k (k - mean k)^2

so the interval comes from readers, whose days resemble one another, as units. The day of assignment is left out: a
reader who is assigned by a request is active on it whatever the arm does. Days are counted from each reader's own
assignment, so that a holiday falls on every k alike.
"""

from typing import NamedTuple

import numpy as np

from newsrec.evaluation.abtest.effects import Effect, difference_of_means

WEEK = 7


class Novelty(NamedTuple):
    """How the effect on being active moves with the days since assignment."""

    by_day: np.ndarray  # [D - 1] float64, effect on the share of active readers on day 1, 2, ...
    first_week: Effect
    """On the share of active days 1 to 7."""
    last_week: Effect
    """On that of the last seven days."""
    slope: Effect
    """Of the effect, a week; its lift means nothing and is that of the slopes."""

    @property
    def fades(self) -> bool:
        """Whether the first week's effect is told, and the effect moves from it towards 0 beyond chance."""
        return self.first_week.told and self.slope.told and self.first_week.difference * self.slope.difference < 0.0


def novelty(active: np.ndarray, treated: np.ndarray, confidence: float = 0.95) -> Novelty:
    """Of readers with whole windows: ``active`` [N, D] bool by day since assignment, ``treated`` [N] bool.

    Raises ValueError for windows of fewer than 15 days, which have no two weeks behind the first day.
    """
    days = active.shape[1]
    if days < 2 * WEEK + 1:
        raise ValueError(f"windows have {days} days, expected {2 * WEEK + 1} or more to compare two weeks")
    after = active[:, 1:].astype(float)  # [N, D - 1]
    k = np.arange(days - 1) - (days - 2) / 2.0
    slope = after @ (k / (k @ k)) * WEEK  # [N]

    def of(values: np.ndarray) -> Effect:
        return difference_of_means(values[treated], values[~treated], confidence)

    by_day = after[treated].mean(0) - after[~treated].mean(0) if treated.any() and not treated.all() else k * np.nan
    return Novelty(by_day, of(after[:, :WEEK].mean(1)), of(after[:, -WEEK:].mean(1)), of(slope))
