"""How far from zero must an effect lie, in standard errors of the last look, to be told with a given probability?

With one look the answer is ``z_(1 - alpha/2) + z_power``. With K looks at equal steps the difference of the arms, in
information time u = k / K, is a Brownian motion with drift; that it stays within the confidence sequence on all looks
is an integral over K dimensions which is done one look at a time (Armitage, McPherson and Rowe 1969):

    f_1(x) = phi(x; delta / K, 1 / K)
    f_k(x) = int over |w| < b_(k-1) of  f_(k-1)(w) phi(x; w + delta / K, 1 / K) dw
    power  = 1 - int over |x| < b_K of  f_K(x) dx

with b_k = sqrt(k / K) times the sequence's reach, and Gauss-Legendre points within each boundary.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from newsrec.evaluation.abtest.sequential import boundary

POINTS = 200
"""Of each integral; a step of the motion spans several of them for up to MOST_LOOKS."""
MOST_LOOKS = 60
"""More looks change power by less than 0.01: they are counted as this many."""


def drift_for(power: float, alpha: float, looks: int = 1) -> float:
    """The effect in standard errors of the last look that is told, on some look, with probability ``power``.

    One look is a plain test, several are a confidence sequence that is tuned for the last one.
    """
    if looks == 1:
        return float(ndtri(1.0 - alpha / 2.0) + ndtri(power))
    return float(brentq(lambda drift: power_of(drift, alpha, looks) - power, 0.0, 20.0, xtol=1e-4))


def power_of(drift: float, alpha: float, looks: int = 1) -> float:
    """The probability that an effect of ``drift`` standard errors of the last look is told, on some look."""
    if looks == 1:
        reach = ndtri(1.0 - alpha / 2.0)
        return float(ndtr(drift - reach) + ndtr(-drift - reach))
    looks = min(looks, MOST_LOOKS)
    share = np.arange(1, looks + 1) / looks
    bounds = boundary(share, 1.0, alpha) * share**0.5
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    spread = looks**-0.5
    at, mass = np.zeros(1), np.ones(1)  # where the motion is, and how likely, on the looks so far
    for bound in bounds:
        to = nodes * bound
        density = np.exp(-0.5 * ((to[:, None] - at - drift / looks) / spread) ** 2) / (spread * (2 * np.pi) ** 0.5)
        at, mass = to, density @ mass * weights * bound
    return float(1.0 - mass.sum())
