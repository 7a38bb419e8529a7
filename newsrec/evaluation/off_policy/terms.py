"""What an estimator returns: terms, one a row of the log, whose sums make the estimate.

Every estimator with terms is a sum of P ratios of sums over n rows::

    value = sum_p  sum_i above_pi / sum_i below_pi

A mean has ``below`` 1, a self-normalised mean the weights. So the sums of each reader's rows are all that a resample of
readers needs (``uncertainty``), and the difference of two policies on one log is again of this form.
"""

from typing import NamedTuple

import numpy as np


class Ratio(NamedTuple):
    """A ratio of two sums over n rows."""

    above: np.ndarray  # [n] float64
    below: np.ndarray | None = None  # [n] float64; None is 1 in each row, so that the ratio is a mean

    @property
    def value(self) -> float:
        """NaN where the sum below is 0."""
        total = float(len(self.above) if self.below is None else self.below.sum())
        return float(self.above.sum()) / total if total else np.nan


class Terms(NamedTuple):
    """An estimate before its rows are summed."""

    reader: np.ndarray
    """[n] who each row belongs to, numbers or names: rows of one reader resemble one another."""
    parts: tuple[Ratio, ...]

    @property
    def value(self) -> float:
        """The estimate."""
        return sum(part.value for part in self.parts)

    def minus(self, other: "Terms") -> "Terms":
        """The difference of two estimates from the same rows: what is luck in both cancels out."""
        if other.reader is not self.reader and not np.array_equal(other.reader, self.reader):
            raise ValueError("the two estimates are of different rows, expected the same log")
        return Terms(self.reader, self.parts + tuple(Ratio(-part.above, part.below) for part in other.parts))


def mean(reader: np.ndarray, values: np.ndarray) -> Terms:
    """The mean of ``values`` [n]."""
    return Terms(reader, (Ratio(values),))
