"""The effect on 28 days, told from the first days: a surrogate index.

On old readers, whose windows are whole, the outcome y is regressed on what their first days and their past showed,
s [P]; of the readers of the experiment only s is known yet. With the old readers' coefficients b, the effect on y is
that on the index ``s b`` (Prentice 1989; Athey, Chetty, Imbens and Kang 2019, NBER 26463):

    effect   = (mean_t s - mean_c s) b
    variance = var_t(s b) / n_t + var_c(s b) / n_c + (mean_t s - mean_c s) V (mean_t s - mean_c s)

with V the covariance of b that holds under unequal variances (White 1980). The first two terms are who was drawn, the
third is that b was estimated, and is shared by the arms.

It is the effect on y only if (1) the first days carry all that the arm does to y, (2) the old readers come back to
given first days as the new ones do, (3) the regression has the right form. *A noisy first week fails (1):* where an arm
makes readers come more often for good, a week counts that with noise, the regression rightly shrinks towards the mean,
and the index tells too little of the effect. Compare the two on tests that are over before the index decides alone.
"""

from typing import NamedTuple

import numpy as np

from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.effects import Effect, Estimate, effect

LEAST_READERS = 10
"""Old readers for each coefficient below which no index is fitted."""


class SurrogateIndex(NamedTuple):
    """A regression of the outcome on a constant and P surrogates."""

    coefficient: np.ndarray  # [1 + P] float64
    covariance: np.ndarray  # [1 + P, 1 + P] float64
    explained: float
    """Share of the old readers' variance of the outcome that the index has."""
    readers: int

    def __call__(self, surrogates: np.ndarray) -> np.ndarray:
        """[N] the outcome that is expected of readers with ``surrogates`` [N, P]."""
        return _with_constant(surrogates) @ self.coefficient


def fit(surrogates: np.ndarray, outcome: np.ndarray) -> SurrogateIndex:
    """The index of N old readers: ``surrogates`` [N, P], ``outcome`` [N]. Least squares.

    Surrogates that do not vary, or repeat others, get the coefficients of the least norm. Raises InvalidConfig for
    fewer readers than LEAST_READERS a coefficient.
    """
    x, y = _with_constant(surrogates), np.asarray(outcome, float)
    n, p = x.shape
    if n < LEAST_READERS * p:
        raise InvalidConfig(f"found {n} old readers for {p} coefficients, expected {LEAST_READERS * p} or more")
    inverse = np.linalg.pinv(x.T @ x, rcond=1e-12, hermitian=True)
    coefficient = inverse @ (x.T @ y)
    rest = y - x @ coefficient
    scores = x * rest[:, None]
    covariance = inverse @ (scores.T @ scores) @ inverse * n / (n - p)
    spread = float(((y - y.mean()) ** 2).sum())
    return SurrogateIndex(coefficient, covariance, 1.0 - float(rest @ rest) / spread if spread > 0.0 else 0.0, n)


def effect_on(index: SurrogateIndex, treated: np.ndarray, control: np.ndarray, confidence: float = 0.95) -> Effect:
    """The effect on the index of readers with the surrogates ``treated`` [N, P] and ``control`` [M, P]."""
    t, c = _with_constant(treated).mean(0), _with_constant(control).mean(0)
    arms = []
    for mean, surrogates in ((t, treated), (c, control)):
        drawn, n = index(surrogates), len(surrogates)
        variance = float(np.var(drawn, ddof=1)) / n if n > 1 else np.nan
        arms.append(Estimate(float(drawn.mean()), variance + float(mean @ index.covariance @ mean), n))
    return effect(arms[0], arms[1], confidence, covariance=float(t @ index.covariance @ c))


def _with_constant(surrogates: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(surrogates)), np.asarray(surrogates, float)])
