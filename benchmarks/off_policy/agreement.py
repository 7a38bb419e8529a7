"""How well estimated contrasts to the incumbent agree with true ones: of what worth they are to somebody who chooses.

A policy without an estimate (not enough evidence) stands at 0: nothing is claimed, and the incumbent stays.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata


class Agreement(NamedTuple):
    """Of one estimator over P policies."""

    explained: float
    """1 - sum (estimate - truth)^2 / sum (truth - mean truth)^2: at most 0 for a constant."""
    spearman: float
    """Of the ranks; 0 where all estimates are the same."""
    lost: float
    """Share of the best policy's gain over the incumbent that is lost by taking the estimated best; where several are
    that, in the mean over them. The whole where the incumbent is better than what is taken, or the best of all."""
    refused: float
    """Share of the policies without an estimate."""


def agreement(estimate: np.ndarray, truth: np.ndarray) -> Agreement:
    """Of ``estimate`` [P], NaN where there is none, with ``truth`` [P]; contrasts to the incumbent."""
    refused = np.isnan(estimate)
    told = np.where(refused, 0.0, estimate)
    away = np.square(told - truth).sum() / np.square(truth - truth.mean()).sum()
    ranks, true_ranks = rankdata(told), rankdata(truth)
    alike = np.ptp(told) == 0.0
    gain = float(truth.max())
    taken = float(truth[told == told.max()].mean())
    return Agreement(
        explained=float(1.0 - away),
        spearman=0.0 if alike else float(np.corrcoef(ranks, true_ranks)[0, 1]),
        lost=min(1.0, 1.0 - taken / gain) if gain > 0.0 else 1.0,
        refused=float(refused.mean()),
    )


def contrast(earned: np.ndarray, of_incumbent: np.ndarray) -> tuple[float, float]:
    """Clicks a slate of a policy beyond those of the incumbent, and its standard error over N readers.

    Both [2, N] are the clicks and the slates of the same readers with the same luck.
    """
    value, influence = 0.0, np.zeros(earned.shape[1])
    for sign, (clicks, slates) in ((1.0, earned), (-1.0, of_incumbent)):
        rate = clicks.sum() / slates.sum()
        value += sign * rate
        influence += sign * (clicks - rate * slates) / slates.mean()
    return float(value), float(influence.std(ddof=1) / len(influence) ** 0.5)


def to_markdown(estimators: Mapping[str, Mapping[str, float | None]]) -> str:
    """What became of the estimators of one newsroom as a table for prose; None where nothing was said."""
    columns = {
        "explained variance": ("explained", "{:.2f}"),
        "Spearman": ("spearman", "{:.2f}"),
        "gain lost": ("lost", "{:.0%}"),
        "refused": ("refused", "{:.0%}"),
        "intervals that hold the truth": ("covered", "{:.0%}"),
        "bias": ("bias", "{:+.4f}"),
        "root mean square error": ("error", "{:.4f}"),
    }
    rows = [("estimator", *columns), ("---",) * (1 + len(columns))]
    for name, found in estimators.items():
        cells = [(found[key], form) for key, form in columns.values()]
        rows.append((name, *("" if value is None else form.format(value) for value, form in cells)))
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)
