"""Many metrics, few discoveries: which p-values may be believed when a share of false ones among them is allowed.

With m p-values in rising order, the adjusted ones are (Benjamini and Hochberg 1995)

    q_(i) = min over j >= i of  m p_(j) / j

and those with ``q <= alpha`` hold, in expectation, a share of at most alpha of false ones, where the metrics are
independent or positively dependent. Metrics of the same readers may also be opposed (clicks up, dwell down): Benjamini
and Yekutieli (2001) multiply q by ``1 + 1/2 + ... + 1/m`` and hold under any dependence, at that price.
"""

import numpy as np


def adjusted(p_values: np.ndarray, any_dependence: bool = False) -> np.ndarray:
    """[m]: q of each of ``p_values`` [m]; NaN stays NaN and is counted as no test."""
    p = np.asarray(p_values, float)
    q = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    m = len(tested)
    order = tested[np.argsort(p[tested], kind="stable")]
    price = float((1.0 / np.arange(1, m + 1)).sum()) if any_dependence else 1.0
    raw = p[order] * m * price / np.arange(1, m + 1)
    q[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return q
