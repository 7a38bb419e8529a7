"""SLOPE: which threshold or shrinkage, chosen by the log itself (Su, Srinath and Krishnamurthy 2020, section 3).

Line the estimates up from the least biased, whose intervals are wide, to the most biased, whose are narrow. Going down
the line, biases grow and intervals shrink; as long as all intervals so far have a point in common, the bias is hidden
in their width, and the next estimate can only be better. Take the last before they part::

    chosen = max { i : I_1 and ... and I_i have a point in common },   I_j = value_j -+ 2 width_j

The chosen estimate's error is at most a constant times that of the best one in the line, with the confidence of the
widths. Those are normal and clustered by reader here. The interval of the chosen one holds its own noise, *not its
bias*, which may be as large as the intervals at the head of the line are wide: an interval that holds the truth is that
of DR.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from newsrec.evaluation.off_policy import contextual
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.terms import Terms
from newsrec.evaluation.off_policy.uncertainty import normal_intervals

GRID = 30
"""Values that are tried, as in the experiments of the shrinkage's paper."""


class Choice(NamedTuple):
    """A value of a hyper-parameter and its estimate."""

    parameter: float
    terms: Terms


def slope(line: list[Choice], confidence: float = 0.95) -> Choice:
    """The choice from ``line``, which runs from the least biased to the most biased."""
    if not line:
        raise ValueError("found no estimate to choose from, expected one or more")
    values, widths = normal_intervals([choice.terms for choice in line], confidence)
    widths = np.minimum.accumulate(widths)  # they may not grow along the line
    low, high, chosen = -np.inf, np.inf, line[0]
    for choice, value, width in zip(line, values, widths, strict=True):
        low, high = max(low, value - 2.0 * width), min(high, value + 2.0 * width)
        if not low <= high:
            break
        chosen = choice
    return chosen


def switch_doubly_robust(log: ContextualLog, confidence: float = 0.95) -> Choice:
    """Switch-DR with the tau that SLOPE chooses among quantiles of the weights, from the largest down to none."""
    w = contextual.weights(log)
    taus = np.unique(np.quantile(w, np.linspace(0.0, 1.0, GRID)))[::-1]
    return _chosen(log, contextual.switch_doubly_robust, np.append(taus, 0.0), confidence)


def shrunk_doubly_robust(log: ContextualLog, confidence: float = 0.95) -> Choice:
    """DRos with the lambda that SLOPE chooses.

    From infinity, then 100 times the 95 % quantile of w^2, down to 0.01 times that of 5 %.
    """
    w = contextual.weights(log)
    least, most = np.quantile(w**2, (0.05, 0.95))
    lambdas = np.geomspace(max(0.01 * least, 1e-9), max(100.0 * most, 1e-6), GRID)[::-1]
    return _chosen(log, contextual.shrunk_doubly_robust, np.append(np.inf, lambdas), confidence)


def _chosen(
    log: ContextualLog, estimator: Callable[[ContextualLog, float], Terms], values: np.ndarray, confidence: float
) -> Choice:
    return slope([Choice(float(value), estimator(log, float(value))) for value in values], confidence)
