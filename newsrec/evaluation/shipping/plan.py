"""How much of a candidate may be mixed in today, when that decides the whole, and what it may cost.

*Share.* A mixture that gives a share a of the readers the candidate is worth (1 - a) V(incumbent) + a V(candidate), so
that its gain is a times the candidate's, in every metric and exactly. (A mixture by slate too, for metrics that a slate
decides on its own.) With the lower bound low_k of each gain and the loss that is tolerated in it::

    share = min over k with low_k < 0 of tolerated_k / -low_k,        and at most most_share

is the largest one for which ``share low_k >= -tolerated_k`` in all.

*Days.* The mixture is read as a test, share against the rest, each reader as the log's readers are; with the deviation
s_k of the incumbent's readers, the distance D_k between what must be found and what is needed (``effect - least_gain``
of the objective, the margin of a guard-rail), and m metrics in the log::

    readers = max over k of (z(1 - risk) + z(1 - (1 - power) / m))^2 s_k^2 (1 / share + 1 / (1 - share)) / D_k^2
    days    = until that many readers came, as new ones come in the log

All m are then decided with at least ``power`` (each may miss its m-th of the rest). What the old log says is not
counted, and candidates' readers are taken to differ as much as the incumbent's.

*Cost.* share x decisions a day x days x the clicks a decision that the candidate loses, at worst (-low, 0 where that is
a gain) and as estimated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from newsrec.evaluation.abtest.plan import days_until
from newsrec.evaluation.shipping.bounds import Bound
from newsrec.evaluation.shipping.config import ShippingConfig


class Volume(NamedTuple):
    """How many come."""

    new_readers: tuple[float, ...]
    """Readers who are seen for the first time, on each day of the log; behind it the mean of its last week goes on."""
    decisions_a_day: float

    @classmethod
    def of(cls, reader: np.ndarray, day: np.ndarray) -> "Volume":
        """From decisions of ``reader`` [n] on ``day`` [n] (whole numbers); days without any count."""
        if not len(day):
            raise ValueError("the log holds no decisions, expected some to tell how many readers come")
        first = np.full(len(np.unique(reader)), np.iinfo(np.int64).max)
        np.minimum.at(first, np.unique(reader, return_inverse=True)[1], day - day.min())
        days = int(day.max() - day.min()) + 1
        return cls(tuple(np.bincount(first, minlength=days).astype(float).tolist()), len(day) / days)


@dataclass(frozen=True)
class Plan:
    """A mixture and what comes of it."""

    share: float
    """Of the readers who get the candidate."""
    limited_by: str
    """The metric whose tolerated loss allows no more, or ``most_share``."""
    readers: int
    """Of both parts, that decide the whole."""
    days: int
    clicks_at_worst: float | None
    """That the mixture may lose until then; None where clicks are not measured."""
    clicks_expected: float | None
    """That it is expected to gain, less than 0 for a loss."""


def safe_share(bounds: Sequence[Bound], config: ShippingConfig) -> tuple[float, str]:
    """The largest share, and the metric that limits it."""
    allowed = [(bound.tolerated / -bound.low, bound.metric) for bound in bounds if bound.low < 0.0]
    return min([(config.most_share, "most_share"), *allowed])


def explore(share: float, limited_by: str, bounds: Sequence[Bound], volume: Volume, config: ShippingConfig) -> Plan:
    """The plan of a mixture. Raises InvalidConfig where as many readers never come."""
    logged = [bound for bound in bounds if bound.logged]
    parts = 1.0 / share + 1.0 / (1.0 - share)
    spread = max(bound.deviation / distance(bound, config) for bound in logged)
    readers = max(2, ceil(drift(len(logged), config) ** 2 * spread**2 * parts))
    days = days_until(readers, volume.new_readers)
    served = share * volume.decisions_a_day * days
    worst = expected = None
    for bound in bounds:
        if bound.metric == config.clicks:
            worst, expected = served * max(0.0, -bound.low), served * bound.gain
    return Plan(share, limited_by, readers, days, worst, expected)


def missing_readers(bounds: Sequence[Bound], config: ShippingConfig) -> int:
    """About how many more readers of this log would decide the whole without a mixture.

    Twice the readers where the log should have been able to and was not.
    """
    logged = [bound for bound in bounds if bound.logged]
    needed = [(drift(len(logged), config) * bound.error / distance(bound, config)) ** 2 for bound in logged]
    factor = max(needed)
    return ceil(logged[0].readers * ((factor if factor > 1.0 else 2.0) - 1.0))


def drift(metrics: int, config: ShippingConfig) -> float:
    """How many standard errors an effect must be for all ``metrics`` to be shown with the planned power."""
    return float(ndtri(1.0 - config.risk) + ndtri(1.0 - (1.0 - config.power) / metrics))


def distance(bound: Bound, config: ShippingConfig) -> float:
    """Between the gain that is to be found and the one that is needed."""
    return (config.effect if bound.metric == config.objective else 0.0) - bound.needed
