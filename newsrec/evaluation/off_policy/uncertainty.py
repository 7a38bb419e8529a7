"""Intervals of estimates, with the reader as the unit.

*Bootstrap*: whole readers are drawn with replacement; a reader's sums are all that is needed of them, so a million rows
are added up once and each resample is a product of a matrix with the readers' counts (Field and Welsh 2007). All
estimates of a call come from the same resamples. The ends are widened as in ``evaluation.intervals``, and stand where
the expected share of the resamples is beyond them (Hyndman and Fan 1996, definition 6). Right where the largest weights
are many; with a handful of readers who carry the estimate it is too narrow, which is what
``diagnostics`` refuses.

*Empirical Bernstein*: holds at every number of readers, without any appeal to normality, if the range is right (Maurer
and Pontil 2009, theorem 4, once for each side)::

    mean -+ sqrt(2 V log(4 / delta) / R) + 7 span log(4 / delta) / (3 (R - 1))

with the variance V of the readers' terms. Wide: at 95 % about 1.5 times the normal interval plus the second term.

*Standard error*: from the linear part of each ratio, the sandwich estimator of clustered rows.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from newsrec.evaluation.intervals import Interval, tails
from newsrec.evaluation.off_policy.terms import Terms

_PICKS_AT_ONCE = 8_000_000


class ReaderSums(NamedTuple):
    """E estimates as sums of R readers."""

    columns: np.ndarray
    """[M, R]: sums by reader, of each array of terms once."""
    pairs: tuple[tuple[tuple[int, int], ...], ...]
    """For each estimate its parts: the columns above and below."""

    @classmethod
    def of(cls, estimates: list[Terms]) -> "ReaderSums":
        distinct = {id(terms.reader): terms.reader for terms in estimates}
        readers, number = np.unique(np.concatenate(list(distinct.values())), return_inverse=True)
        starts = np.cumsum([len(reader) for reader in distinct.values()])
        index = dict(zip(distinct, np.split(number, starts[:-1]), strict=True))
        columns: list[np.ndarray] = []
        known: dict[tuple[int, int | None], int] = {}
        pairs = []

        def column(terms: Terms, values: np.ndarray | None) -> int:
            key = id(terms.reader), None if values is None else id(values)
            if key not in known:
                known[key] = len(columns)
                columns.append(np.bincount(index[key[0]], values, len(readers)).astype(np.float64))
            return known[key]

        for terms in estimates:
            pairs.append(tuple((column(terms, p.above), column(terms, p.below)) for p in terms.parts))
        return cls(np.stack(columns), tuple(pairs))

    def values(self, totals: np.ndarray) -> np.ndarray:
        """[..., E]: the estimates from the sums over readers, ``totals`` [..., M]; NaN where nothing is below."""
        found = []
        for parts in self.pairs:
            above, below = (totals[..., [pair[side] for pair in parts]] for side in (0, 1))
            ratio = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
            found.append(ratio.sum(-1))
        return np.stack(found, -1)

    def influence(self, estimate: int) -> np.ndarray:
        """[R]: how much each reader moves the estimate, times R: their mean is 0 and their variance its R-fold."""
        moved = np.zeros(self.columns.shape[1])
        for above, below in self.pairs[estimate]:
            a, b = self.columns[above], self.columns[below]
            moved += (a - a.sum() / b.sum() * b) / b.mean()
        return moved


def bootstrap(
    estimates: Mapping[str, Terms], generator: np.random.Generator, confidence: float = 0.95, draws: int = 1000
) -> dict[str, Interval]:
    """An interval for each of ``estimates``, from the same resamples of readers; NaN ends with fewer than two."""
    sums = ReaderSums.of(list(estimates.values()))
    readers = sums.columns.shape[1]
    value = sums.values(sums.columns.sum(1))  # [E]
    ends = np.full((2, len(value)), np.nan)
    if readers > 1:
        found = _resampled(sums, generator, draws)  # [draws, E]
        told = ~np.isnan(found).all(0)
        ends[:, told] = np.nanquantile(found[:, told], tails(readers, confidence), axis=0, method="weibull")
    return {
        name: Interval(float(mean), float(low), float(high))
        for name, mean, low, high in zip(estimates, value, *ends, strict=True)
    }


def standard_errors(estimates: list[Terms]) -> tuple[np.ndarray, np.ndarray]:
    """The values and their standard errors over readers, [E] each; NaN errors with fewer than two."""
    sums = ReaderSums.of(estimates)
    readers = sums.columns.shape[1]
    values, errors = sums.values(sums.columns.sum(1)), np.full(len(estimates), np.nan)
    if readers > 1:
        errors[:] = [sums.influence(e).std(ddof=1) / readers**0.5 for e in range(len(estimates))]
    return values, errors


def normal_intervals(estimates: list[Terms], confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The values and half the widths of their normal intervals, [E] each."""
    values, errors = standard_errors(estimates)
    return values, float(ndtri((1.0 + confidence) / 2.0)) * errors


def empirical_bernstein(terms: Terms, span: float, confidence: float = 0.95) -> Interval:
    """``span`` is the range of one reader's term: known before the log is looked at, not read off its largest.

    For IPS of a click with one decision a reader: the largest weight that the two policies allow; for DR with
    predictions in [0, 1]: 1 + 2 times that. A ratio of sums, such as a self-normalised estimate or readers with unlike
    numbers of decisions, enters by its linear part, which makes the promise approximate. Raises ValueError where the
    terms show that the span is too small.
    """
    sums = ReaderSums.of([terms])
    term = terms.value + sums.influence(0)  # [R]
    readers, seen = len(term), float(np.ptp(term))
    if seen > span * (1.0 + 1e-9):
        raise ValueError(f"span is {span:g}, and the readers' terms range over {seen:g}; expected at least that")
    if readers < 2:
        return Interval(terms.value, np.nan, np.nan)
    doubt = np.log(4.0 / (1.0 - confidence))
    away = np.sqrt(2.0 * term.var(ddof=1) * doubt / readers) + 7.0 * span * doubt / (3.0 * (readers - 1))
    return Interval(terms.value, float(terms.value - away), float(terms.value + away))


def _resampled(sums: ReaderSums, generator: np.random.Generator, draws: int) -> np.ndarray:
    """[draws, E]: the estimates in each resample of R readers."""
    readers = sums.columns.shape[1]
    at_once = max(1, _PICKS_AT_ONCE // readers)
    found = []
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        picks = generator.integers(readers, size=(size, readers)) + np.arange(size)[:, None] * readers
        counts = np.bincount(picks.ravel(), minlength=size * readers).reshape(size, readers)
        found.append(sums.values(counts.astype(np.float64) @ sums.columns.T))
    return np.concatenate(found)
