"""When readers come back: the Kaplan-Meier curve of gaps between sessions.

A gap starts where a session ends. It ends with the reader's next session, or it is still open at the log's end: such a
gap is *censored* there. Leaving open gaps out would keep the short ones and make readers look more loyal than they are;
counting them as lost would make the log's last days look like an exodus. Kaplan and Meier (1958) do neither::

    S(t) = prod over gaps that ended at u <= t of (1 - w_u / sum of w over the gaps that lasted u or longer)

with the weight w of a gap's reader, 1 in the estimate and the times drawn in a resample. S is of *a visit picked at
random*: readers who come often count as often as they come. The log's end is the only censoring and does not look at
the reader, therefore S does not depend on how long the log ran.
"""

from typing import NamedTuple

import numpy as np

LEAST_AT_RISK = 10
"""A curve is not told where fewer readers have a gap that lasted as long."""


class Gaps(NamedTuple):
    """G gaps, the shortest first; of equal ones those that ended stand before those that are open."""

    reader: np.ndarray  # [G] int64
    hours: np.ndarray  # [G] float64
    ended: np.ndarray  # [G] bool, False: still open at the log's end

    @classmethod
    def of(cls, reader: np.ndarray, hours: np.ndarray, ended: np.ndarray) -> "Gaps":
        order = np.lexsort([~ended, hours])
        return cls(reader[order], hours[order], ended[order])


def survival(gaps: Gaps, at: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """[n]: the share of visits without a next one up to each of the hours ``at`` [n].

    ``weight`` [R] by reader, 1 each where it is left out. NaN where no gap lasted as long and the last one is open.
    """
    w = np.ones(len(gaps.hours)) if weight is None else np.asarray(weight, float)[gaps.reader]
    at_risk = np.cumsum(w[::-1])[::-1]  # [G]
    lost = np.divide(w * gaps.ended, at_risk, out=np.zeros(len(w)), where=at_risk > 0)
    curve = np.append(1.0, np.cumprod(1.0 - lost))  # equal gaps one by one: the product telescopes to 1 - d / n
    found = curve[np.searchsorted(gaps.hours, at, side="right")]
    longest = gaps.hours[w > 0].max(initial=0.0)
    return np.where((at <= longest) | (found < 1e-12), found, np.nan)


def readers_at_risk(gaps: Gaps, at: np.ndarray) -> np.ndarray:
    """[n] int64: readers with a gap that lasted each of the hours ``at`` [n] or longer."""
    readers = gaps.reader.max(initial=-1) + 1
    longest = np.zeros(readers)
    np.maximum.at(longest, gaps.reader, gaps.hours)
    return (longest[:, None] >= at).sum(0)
