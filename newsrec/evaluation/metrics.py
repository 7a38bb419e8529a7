"""Ranking metrics over padded lists [B, C], B decisions and C articles, one number a decision.

Articles of equal score form a tie group, and a metric is its expected value when every group is shuffled: a constant
scorer gets an AUC of exactly one half and the nDCG of a random order, whatever order the list came in.

A decision where nothing was clicked, or where everything was, cannot tell a good order from a bad one: every metric
is NaN there, to be left out and counted.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln


class Ranked(NamedTuple):
    """B lists sorted by score, best first and padding last. Arrays are [B, C], in sorted order."""

    order: np.ndarray
    """int64, positions in the list as it was given."""
    real: np.ndarray
    """bool, False for padding."""
    clicked: np.ndarray
    """bool."""
    above: np.ndarray
    """int64, articles scored higher than this one's tie group."""
    size: np.ndarray
    """int64, members of the tie group."""
    hits: np.ndarray
    """int64, clicked members of the tie group."""

    @property
    def informative(self) -> np.ndarray:
        """[B] bool: something was clicked and something was not."""
        clicks = self.clicked.sum(1)
        return (clicks > 0) & (clicks < self.real.sum(1))


def rank(scores: np.ndarray, clicked: np.ndarray, mask: np.ndarray) -> Ranked:
    """The lists with ``scores`` [B, C], sorted; ``mask`` [B, C] is False for padding, whose scores do not matter."""
    batch, width = scores.shape
    scores = np.where(mask, scores, -np.inf)
    order = np.lexsort((-scores, ~mask), axis=1)  # [B, C], stable
    scores, real, clicked = (np.take_along_axis(x, order, 1) for x in (scores, mask, clicked & mask))
    first = np.ones((batch, width), bool)  # [B, C], where a tie group begins
    first[:, 1:] = (scores[:, 1:] != scores[:, :-1]) | (real[:, 1:] != real[:, :-1])
    group = np.cumsum(first) - 1  # [B * C]
    above = np.flatnonzero(first)[group] % width
    size = np.bincount(group)[group]
    hits = np.bincount(group, clicked.ravel())[group].astype(np.int64)
    return Ranked(order, real, clicked, *(x.reshape(batch, width) for x in (above, size, hits)))


def auc(ranked: Ranked) -> np.ndarray:
    """[B]: the share of pairs (clicked, not clicked) in the right order, a tie counting one half.

    With P clicked of C articles and R the sum of their middle ranks, ``1 - (R - P (P + 1) / 2) / (P (C - P))``.
    """
    clicks = ranked.clicked.sum(1)
    others = ranked.real.sum(1) - clicks
    middle = ranked.above + (ranked.size + 1) / 2  # [B, C]
    wrong = (middle * ranked.clicked).sum(1) - clicks * (clicks + 1) / 2
    return _where_informative(ranked, 1.0 - wrong / np.maximum(clicks * others, 1))


def ndcg(ranked: Ranked, k: int) -> np.ndarray:
    """[B]: ``sum_{r <= k} clicked_r / log2(r + 1)`` over its largest possible value.

    A rank within a tie group is clicked with the group's share of clicks (McSherry and Najork 2008).
    """
    worth = 1.0 / np.log2(np.arange(2, min(k, ranked.order.shape[1]) + 2))  # [K]
    gain = (ranked.hits / ranked.size)[:, : len(worth)] @ worth
    best = np.concatenate([[1.0], np.cumsum(worth)])[np.minimum(ranked.clicked.sum(1), len(worth))]
    return _where_informative(ranked, gain / best)


def mrr(ranked: Ranked) -> np.ndarray:
    """[B]: one over the rank of the first clicked article.

    With n articles of which m are clicked in its tie group, and a above, the expectation is
    ``sum_j C(n - j, m - 1) / C(n, m) / (a + j)``. (MIND's script averages over all clicked articles instead.)
    """
    at = np.argmax(ranked.hits > 0, axis=1)[:, None]  # [B, 1]
    above, size, hits = (np.take_along_axis(x, at, 1) for x in (ranked.above, ranked.size, ranked.hits))
    place = np.arange(1, size.max(initial=1) + 1)  # [J]
    possible = place <= size - hits + 1  # [B, J]
    chance = np.exp(_log_choose(size - place, hits - 1) - _log_choose(size, hits))
    return _where_informative(ranked, (np.where(possible, chance, 0.0) / (above + place)).sum(1))


def hit(ranked: Ranked, k: int) -> np.ndarray:
    """[B]: 1 where a clicked article stands among the first k.

    Where the cut goes through a tie group of n with m clicked, s of them within, ``1 - C(n - m, s) / C(n, s)``.
    """
    cut = min(k, ranked.order.shape[1]) - 1
    above, size, hits = ranked.above[:, cut], ranked.size[:, cut], ranked.hits[:, cut]
    within = np.minimum(k - above, size)
    missed = np.exp(_log_choose(size - hits, within) - _log_choose(size, within))
    missed = np.where(within <= size - hits, missed, 0.0)
    earlier = (ranked.clicked & (np.arange(ranked.clicked.shape[1]) < above[:, None])).any(1)
    return _where_informative(ranked, np.where(earlier, 1.0, 1.0 - missed))


def _where_informative(ranked: Ranked, values: np.ndarray) -> np.ndarray:
    return np.where(ranked.informative, values, np.nan)


def _log_choose(n: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Logarithm of the binomial coefficient; its value outside 0 <= r <= n is not meant to be used."""
    n, r = np.maximum(n, 0), np.maximum(r, 0)
    return gammaln(n + 1) - gammaln(r + 1) - gammaln(np.maximum(n - r, 0) + 1)
