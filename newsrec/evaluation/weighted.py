"""Statistics of rows whose readers carry weights: what ``resampling`` computes again for each resample.

Each function takes N rows of R readers, sorts or counts them once, and returns a function of the weights [R].
"""

from typing import NamedTuple

import numpy as np

from newsrec.evaluation.resampling import Weighted


class Rows(NamedTuple):
    """N values, each of a reader."""

    reader: np.ndarray  # [N] int64
    value: np.ndarray  # [N] float64, never NaN


class Trials(NamedTuple):
    """N trials, each of a reader and a kind, and whether they succeeded."""

    reader: np.ndarray  # [N] int64
    kind: np.ndarray  # [N] int64
    success: np.ndarray  # [N] bool


def mean(rows: Rows) -> Weighted:
    """[1] The mean over rows: a reader with many weighs as much as they have."""
    total, count = np.bincount(rows.reader, rows.value), np.bincount(rows.reader)
    return lambda weight: np.array([_ratio(weight @ total, weight @ count)])


def quantile(rows: Rows, q: float) -> Weighted:
    """[1] The smallest value that a share ``q`` of the rows does not exceed."""
    order = np.argsort(rows.value, kind="stable")
    value, reader = rows.value[order], rows.reader[order]

    def weighted(weight: np.ndarray) -> np.ndarray:
        below = np.cumsum(weight[reader])
        return value[[min(np.searchsorted(below, q * below[-1]), len(value) - 1)]]

    return weighted


def shares_at_most(rows: Rows, at: np.ndarray) -> Weighted:
    """[n] The share of rows with a value of each of ``at`` [n] or less."""
    readers, bins = int(rows.reader.max()) + 1, len(at) + 1
    cell = rows.reader * bins + np.searchsorted(at, rows.value)
    counts = np.bincount(cell, minlength=readers * bins).reshape(readers, bins)  # [R, n + 1], the last beyond
    return lambda weight: _ratio(np.cumsum(weight @ counts)[:-1], (weight @ counts).sum())


def shares(rows: Rows, at: np.ndarray) -> Weighted:
    """[n] The share of rows in each of the bins that start at 0, 1, ... n - 1."""
    readers, bins = int(rows.reader.max()) + 1, len(at)
    cell = rows.reader * bins + rows.value.astype(np.int64)
    counts = np.bincount(cell, minlength=readers * bins).reshape(readers, bins)  # [R, n]
    return lambda weight: _ratio(weight @ counts, (weight @ counts).sum())


def rates(trials: Trials, at: np.ndarray) -> Weighted:
    """[n] The share of successes among the trials of kinds 0, 1, ... n - 1; other kinds are left out."""
    readers, kinds = int(trials.reader.max()) + 1, len(at)
    known = trials.kind < kinds
    cell, success = (trials.reader * kinds + trials.kind)[known], trials.success[known]
    tried, succeeded = (
        np.bincount(cells, minlength=readers * kinds).reshape(readers, kinds) for cells in (cell, cell[success])
    )  # [R, n]
    return lambda weight: _ratio(weight @ succeeded, weight @ tried)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """``above / below``, NaN where there is nothing below."""
    below = np.broadcast_to(np.asarray(below, float), np.shape(above))
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
