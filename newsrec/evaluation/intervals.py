"""Means over decisions with intervals that respect readers.

A reader's decisions resemble one another, so n decisions of R readers tell less than n independent ones would. The
bootstrap therefore resamples whole *readers* with replacement and recomputes a ratio of sums, in which a reader with
many decisions weighs as much as they do in the mean itself (Field and Welsh 2007):

    mean = sum_r w_r sum_r / sum_r w_r n_r,   w = how often reader r was drawn, 1 for the estimate

The interval holds the central share of the resampled means, widened as Student's distribution widens a normal interval
(Hesterberg 2015, "expanded percentile"). On skewed readers, 95 % intervals cover 95 % at 400 readers, 94 % at 120, 93 %
at 40 and 91 % at 20.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

_PICKS_AT_ONCE = 2_000_000


class Interval(NamedTuple):
    """A mean and the ends of its interval; NaN where there is nothing to tell them from."""

    mean: float
    low: float
    high: float


def clustered_means(
    values: np.ndarray,
    clusters: np.ndarray,
    generator: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 1000,
) -> list[Interval]:
    """The mean of each column of ``values`` [n, M] over its defined (not NaN) rows, all from the same resamples.

    ``clusters`` [n] numbers the readers. The ends are NaN where fewer than two readers have a defined value.
    """
    reader = np.unique(clusters, return_inverse=True)[1]
    defined = ~np.isnan(values)
    sums = _sum_by(reader, np.where(defined, values, 0.0))  # [R, M]
    counts = _sum_by(reader, defined)  # [R, M]
    resampled = _resample(sums, counts, generator, draws)  # [draws, M]
    intervals = []
    for m in range(values.shape[1]):
        total = counts[:, m].sum()
        mean = float(sums[:, m].sum() / total) if total else np.nan
        low, high = np.nan, np.nan
        readers = int(np.count_nonzero(counts[:, m]))
        if readers > 1:
            low, high = np.nanquantile(resampled[:, m], tails(readers, confidence))
        intervals.append(Interval(mean, float(low), float(high)))
    return intervals


def clustered_mean(
    values: np.ndarray,
    clusters: np.ndarray,
    generator: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 1000,
) -> Interval:
    """The mean of ``values`` [n] over its defined rows; see ``clustered_means``."""
    return clustered_means(values[:, None], clusters, generator, confidence, draws)[0]


def paired_difference(
    a: np.ndarray,
    b: np.ndarray,
    clusters: np.ndarray,
    generator: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 1000,
) -> Interval:
    """The mean of ``a - b`` [n] on the same decisions: what is hard or easy for both cancels out."""
    return clustered_mean(a - b, clusters, generator, confidence, draws)


def clustered_difference(
    sides: np.ndarray,
    clusters: np.ndarray,
    generator: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 1000,
) -> Interval:
    """The mean of the first column of ``sides`` [n, 2] less that of the second, each over its defined rows.

    For two groups of decisions. A reader who is in both is drawn with both of their parts. The ends are NaN where a
    column has fewer than two readers; the readers of the smaller one widen the interval.
    """
    reader = np.unique(clusters, return_inverse=True)[1]
    defined = ~np.isnan(sides)
    sums, counts = _sum_by(reader, np.where(defined, sides, 0.0)), _sum_by(reader, defined)  # [R, 2]
    readers = int(np.count_nonzero(counts, axis=0).min())
    if not readers:
        return Interval(np.nan, np.nan, np.nan)
    first, second = sums.sum(0) / counts.sum(0)
    low, high = np.nan, np.nan
    if readers > 1:
        resampled = _resample(sums, counts, generator, draws)  # [draws, 2]
        low, high = np.nanquantile(resampled[:, 0] - resampled[:, 1], tails(readers, confidence))
    return Interval(float(first - second), float(low), float(high))


def tails(readers: int, confidence: float) -> list[float]:
    """The shares of the resamples at which the interval's ends lie."""
    student = stdtrit(readers - 1, (1.0 - confidence) / 2.0)
    tail = ndtr(np.sqrt(readers / (readers - 1)) * student)
    return [tail, 1.0 - tail]


def _sum_by(reader: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[R, M]: the rows of ``values`` [n, M] summed by reader."""
    return np.stack([np.bincount(reader, column) for column in values.T], axis=1)


def _resample(sums: np.ndarray, counts: np.ndarray, generator: np.random.Generator, draws: int) -> np.ndarray:
    """[draws, M]: the ratio of sums in each resample of R readers; NaN where a resample holds no defined value."""
    readers = len(sums)
    at_once = max(1, _PICKS_AT_ONCE // readers)
    means = []
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        picks = generator.integers(readers, size=(size, readers)) + np.arange(size)[:, None] * readers
        weight = np.bincount(picks.ravel(), minlength=size * readers).reshape(size, readers).astype(float)
        total = weight @ counts  # [size, M]
        means.append(np.divide(weight @ sums, total, out=np.full_like(total, np.nan), where=total > 0))
    return np.concatenate(means)
