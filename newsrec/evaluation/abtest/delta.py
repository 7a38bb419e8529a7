"""Ratio metrics, such as clicks an impression, where the reader is assigned and the impression is not.

A reader's impressions resemble one another, so the variance of a share of impressions is not ``p (1 - p) / n``. With
sums a_i and b_i of reader i the delta method gives (Deng, Knoblich and Lu 2018, doi:10.1145/3219819.3219919)

    ratio    = sum_i a_i / sum_i b_i
    variance = var_i(a_i - ratio b_i) / (N mean(b)^2)

It is an approximation of first order: good where ``mean(b)`` is many of its standard errors away from 0.
"""

import numpy as np

from newsrec.evaluation.abtest.effects import Effect, Estimate, effect


def ratio_of(above: np.ndarray, below: np.ndarray) -> Estimate:
    """``sum(above) / sum(below)`` of both [N], one row a reader; NaN where nothing stands below."""
    n, base = len(below), float(np.mean(below, dtype=float)) if len(below) else 0.0
    if base == 0.0:
        return Estimate(np.nan, np.nan, n)
    value = float(np.mean(above, dtype=float)) / base
    rest = np.asarray(above, float) - value * np.asarray(below, float)
    return Estimate(value, float(np.var(rest, ddof=1)) / n / base**2 if n > 1 else np.nan, n)


def difference_of_ratios(
    treated: tuple[np.ndarray, np.ndarray], control: tuple[np.ndarray, np.ndarray], confidence: float = 0.95
) -> Effect:
    """Of (above, below) in each arm."""
    return effect(ratio_of(*treated), ratio_of(*control), confidence)
