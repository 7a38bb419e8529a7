"""How much higher one small sample lies than another, without a word on how either is distributed.

Where the two differ by a shift alone, every way to divide the values into one of n and one of m is as likely as any
other. How many of the n m pairs rise then has the Mann-Whitney distribution, whatever the values are, and so do the
ends of the interval (Hodges and Lehmann 1963; Bauer 1972)::

    differences = sort(a_i - b_j)              n m of them
    estimate    = their median
    interval    = c-th smallest to c-th largest, c the most for which P(U < c) <= (1 - confidence) / 2

A single wild value moves at most m (or n) of the pairs, however wild it is.
"""

import numpy as np

from newsrec.evaluation.intervals import Interval

_ROUNDING = 1e-12


def shift(a: np.ndarray, b: np.ndarray, confidence: float = 0.95) -> Interval:
    """The shift from ``b`` [m] to ``a`` [n].

    NaN where one of them is empty; the ends are NaN where even complete separation would be too likely by chance: 95 %
    ask for 4 and 4 values, 3 and 5, or 2 and 8.
    """
    differences = np.sort(np.subtract.outer(a, b), axis=None)  # [n m]
    if not len(differences):
        return Interval(np.nan, np.nan, np.nan)
    ways = _ways(len(a), len(b))
    tail = np.cumsum(ways) / ways.sum()  # P(U <= u)
    cut = int(np.searchsorted(tail, (1.0 - confidence) / 2.0 + _ROUNDING, side="right"))
    ends = (differences[cut - 1], differences[-cut]) if cut else (np.nan, np.nan)
    return Interval(float(np.median(differences)), float(ends[0]), float(ends[1]))


def _ways(n: int, m: int) -> np.ndarray:
    """[n m + 1]: in how many of the orders of n and m values u of the pairs rise."""
    ways = np.zeros((n + 1, n * m + 1))  # [values of a so far, u]
    ways[0, 0] = 1.0
    for rank in range(n + m):  # from the lowest value on: is it one of a, and above how many of b does it lie?
        for taken in range(min(rank, n - 1), max(rank - m, 0) - 1, -1):
            below = rank - taken
            ways[taken + 1, below:] += ways[taken, : ways.shape[1] - below]
    return ways[n]
