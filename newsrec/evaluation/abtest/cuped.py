"""CUPED: what readers did before they were assigned explains part of what they do after, and no arm can have moved it.

With outcome y and covariates x from before the assignment, the adjusted outcome (Deng, Xu, Kohavi and Walker 2013,
doi:10.1145/2433396.2433413)

    y - (x - mean(x)) theta,    theta = S_xx^-1 S_xy  within arms, pooled

has the same difference of arm means in expectation, and the variance ``1 - rho^2`` times that of y, rho the (multiple)
correlation of y and x within arms. Any x that was fixed at the assignment will do: a reader without a past has zeros
there, and a column that says so.
"""

from typing import NamedTuple

import numpy as np


class Adjusted(NamedTuple):
    """Outcomes from which the readers' past was taken."""

    values: np.ndarray  # [N] float64
    theta: np.ndarray  # [P] float64
    variance_left: float
    """``1 - rho^2``; NaN where outcomes do not vary within arms."""


def adjust(outcome: np.ndarray, covariates: np.ndarray, arm: np.ndarray) -> Adjusted:
    """``outcome`` [N] adjusted by ``covariates`` [N, P]; ``arm`` [N] numbers the arms.

    Covariates that say nothing, or the same as others, do no harm.
    """
    y, x = np.asarray(outcome, float), np.asarray(covariates, float)
    y_within, x_within = _within(y[:, None], arm)[:, 0], _within(x, arm)
    theta = np.linalg.lstsq(x_within.T @ x_within, x_within.T @ y_within, rcond=1e-10)[0]
    total = float(y_within @ y_within)
    rest = y_within - x_within @ theta
    left = float(rest @ rest) / total if total > 0.0 else np.nan
    return Adjusted(y - (x - x.mean(0)) @ theta if len(x) else y, theta, left)


def _within(values: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """[N, P]: ``values`` less the mean of their arm."""
    readers = np.maximum(np.bincount(arm), 1)
    means = np.stack([np.bincount(arm, column) for column in values.T], 1) / readers[:, None]  # [arms, P]
    return values - means[arm]
