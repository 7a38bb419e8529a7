"""Whether a feature is distributed today as it was where the served policy was trained: the population stability index.

Over B bins with the shares p (reference) and q (today)::

    PSI = sum_b (q_b - p_b) ln(q_b / p_b)        (Siddiqi 2006; the symmetrised Kullback-Leibler divergence)

By convention less than 0.1 is no change and more than 0.2 a large one. Two samples of one distribution do not give 0:
PSI is then about (1/n + 1/m) times a chi-square variable of B - 1 degrees of freedom (Yurdakul and Naranjo 2020). A
feature has therefore drifted where PSI exceeds the threshold *and* the quantile ``confidence`` of that; where the mean,
(B - 1) (1/n + 1/m), exceeds half the threshold, nothing is judged. n and m count *readers* or *articles*, not rows: the
rows of one of them resemble one another.

Bins: the reference's most frequent categories, and one for all others; for numbers the reference's quantiles, one for
what is missing, and where the lowest holds a single value one for what lies below it. Both sides are smoothed alike, by
half an observation in each bin (Krichevsky and Trofimov 1981): p_b = (n share_b + 1/2) / (n + B/2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import chdtri

from newsrec.features import DAY
from newsrec.monitoring.columns import MISSING, Column

OTHER = "other"
"""The bin of all categories beyond the most frequent ones of the reference."""
_NONE = np.zeros(1)
"""An edge for a reference of missing values only."""


@dataclass(frozen=True)
class DriftConfig:
    """What counts as drift."""

    threshold: float = 0.2
    """PSI above which a feature may have drifted."""
    confidence: float = 0.999
    """Share of the days without drift that stay below what a few readers or articles give by chance."""
    bins: int = 10
    """Quantiles of a number, and most categories with a bin of their own."""
    reference_days: int = 7
    """The last days that the served policy knew, whole weeks: its young days had younger readers and counts."""
    not_judged: tuple[str, ...] = ("reads", "sessions")
    """Measured, but no reason to retrain: they only ever grow."""

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise ValueError(f"threshold is {self.threshold}, expected more than 0")
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(f"confidence is {self.confidence}, expected a share between 0 and 1, such as 0.999")
        if self.bins < 2:
            raise ValueError(f"bins is {self.bins}, expected 2 or more")
        if self.reference_days < 1:
            raise ValueError(f"reference_days is {self.reference_days}, expected 1 or more")


class Drift(NamedTuple):
    """How far one feature moved."""

    psi: float | None
    """As measured, None where a side is empty."""
    limit: float
    """What it must exceed to count as drift."""
    reference: int
    """Readers or articles behind the reference."""
    today: int
    judged: bool
    """False where there are too few, and for what is measured only."""
    drifted: bool
    why: str
    """The bin whose share changed most, or why nothing is judged."""


def measure(
    columns: Mapping[str, Column], reference: tuple[int, int], today: tuple[int, int], config: DriftConfig
) -> dict[str, Drift]:
    """The drift of each column between two windows of time, [start, end) in microseconds."""
    found = {}
    for name, column in columns.items():
        before, now = column.between(*reference), column.between(*today)
        if name in config.not_judged:
            found[name] = compare(before, now, config, "measured only: it never stops growing")
            continue
        log_days = (reference[0] - column.time.min(initial=reference[0])) / DAY
        young = f"needs {column.memory_days} days of log before the reference, found {log_days:.1f}"
        found[name] = compare(before, now, config, young if log_days < column.memory_days else "")
    return found


def compare(reference: Column, today: Column, config: DriftConfig, unfit: str = "") -> Drift:
    """The drift from ``reference`` to ``today``; where ``unfit`` says why it cannot be judged, it is measured only."""
    n, m = len(np.unique(reference.cluster)), len(np.unique(today.cluster))
    if not n or not m:
        side = "today" if n else "in the reference"
        return Drift(None, config.threshold, n, m, False, False, f"found no rows {side}")
    names, before, now = shares(reference.values, today.values, config.bins)
    value, chance, freedom = psi(before, now, n, m), 1 / n + 1 / m, len(names) - 1
    limit = max(config.threshold, chance * float(chdtri(freedom, 1.0 - config.confidence)) if freedom else 0.0)
    if not unfit and freedom * chance > config.threshold / 2:
        usual = f"{freedom * chance:.3f} is usual without drift"
        unfit = f"too few: {usual}, up to {config.threshold / 2:.2g} could be judged"
    most = int(np.argmax(np.abs(now - before)))
    change = f"{names[most]}: {before[most]:.1%} before, {now[most]:.1%} today"
    return Drift(value, limit, n, m, not unfit, not unfit and value > limit, unfit or change)


def psi(before: np.ndarray, now: np.ndarray, n: int, m: int) -> float:
    """The index of two distributions over the same bins [B], the shares of ``n`` and ``m`` observations; smoothed."""
    bins = len(before)
    p, q = (n * before + 0.5) / (n + 0.5 * bins), (m * now + 0.5) / (m + 0.5 * bins)
    return float(((q - p) * np.log(q / p)).sum())


def shares(before: np.ndarray, now: np.ndarray, bins: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The bins that have rows, by name, and the share of each in ``before`` and in ``now``; neither side is empty."""
    cut = _categories if before.dtype.kind == "U" else _quantiles
    names, codes = cut(before, now, bins)
    p, q = (np.bincount(code, minlength=len(names)) / len(code) for code in codes)
    used = p + q > 0
    return [name for name, some in zip(names, used, strict=True) if some], p[used], q[used]


def _categories(before: np.ndarray, now: np.ndarray, bins: int) -> tuple[list[str], list[np.ndarray]]:
    """Names of the bins, and the bin of each value of both sides."""
    found, counts = np.unique(before, return_counts=True)
    kept = np.sort(found[np.argsort(-counts, kind="stable")[:bins]])
    codes = []
    for values in (before, now):
        at = np.minimum(np.searchsorted(kept, values), len(kept) - 1)
        codes.append(np.where(kept[at] == values, at, len(kept)))
    return [*kept.tolist(), OTHER], codes


def _quantiles(before: np.ndarray, now: np.ndarray, bins: int) -> tuple[list[str], list[np.ndarray]]:
    """As ``_categories``; a bin holds what is above the edge before it, up to and with its own."""
    known = before[~np.isnan(before)]
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf")) if len(known) else _NONE
    names = [f"up to {edges[0]:.3g}", *(f"{a:.3g} to {b:.3g}" for a, b in pairwise(edges)), f"above {edges[-1]:.3g}"]
    if edges[0] == known.min(initial=np.inf):
        edges = np.append(np.nextafter(edges[0], -np.inf), edges)
        names[:1] = [f"below {edges[1]:.3g}", f"{edges[1]:.3g}"]
    codes = [np.where(np.isnan(v), len(names), np.searchsorted(edges, v)) for v in (before, now)]
    return [*names, MISSING], codes
