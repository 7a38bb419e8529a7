"""Articles that may be shown at one moment, with all that a score needs of them whoever asks."""

from typing import NamedTuple, Self

import numpy as np

from newsrec.catalogue import Catalogue
from newsrec.encoders.article import FRESHNESS_HALF_LIFE_HOURS
from newsrec.features import HOUR, popularity
from newsrec.transitions import Readers


class Offer(NamedTuple):
    """C articles at one moment, in the eyes of one policy. Requests share the arrays: they are read, never written."""

    rows: np.ndarray
    """[C] int64, of the catalogue."""
    ids: list[str]
    """C article ids."""
    vectors: np.ndarray
    """[C, W] float32."""
    demand: np.ndarray
    """[C, D] float32, ``demand_numbers``."""
    keys: np.ndarray
    """[C] uint32: under which a reader's impressions hold them."""

    @classmethod
    def of(cls, rows: np.ndarray, vectors: np.ndarray, demand: np.ndarray, catalogue: Catalogue) -> Self:
        """``rows`` [C] of ``catalogue`` with their ``vectors`` and ``demand``."""
        ids = [catalogue.ids[row] for row in rows.tolist()]
        return cls(rows, ids, vectors, demand, catalogue.short_keys[rows])

    def without(self, gone: np.ndarray, catalogue: Catalogue) -> "Offer":
        """All but the rows ``gone`` [n] of ``catalogue``."""
        barred = np.zeros(len(catalogue.ids), np.bool_)
        barred[gone] = True
        kept = np.flatnonzero(~barred[self.rows])
        if len(kept) == len(self.rows):
            return self
        ids = [self.ids[place] for place in kept.tolist()]
        return Offer(self.rows[kept], ids, self.vectors[kept], self.demand[kept], self.keys[kept])


def demand_numbers(
    rows: np.ndarray, time: int, catalogue: Catalogue, counts: np.ndarray, as_of: np.ndarray, use_time: bool
) -> np.ndarray:
    """[C, D] float32: ``newsrec.encoders.article.demand_features`` of ``rows`` [C] at ``time``.

    ``counts`` and ``as_of`` as in ``serving.shelf.Shelf``.
    """
    ages = np.maximum(time - catalogue.published_at[rows], 0) / HOUR * (rows > 0)  # [C]
    popular = popularity(counts[rows], as_of[rows], np.array(time))  # [C, P]
    if not use_time:
        ages, popular = np.zeros_like(ages), np.zeros_like(popular)
    age = ages.astype(np.float32)
    found = np.empty((len(rows), 6), np.float32)
    found[:, :4] = popular
    found[:, 2] = np.log((popular[:, 2] + np.float32(0.01)) / np.float32(0.06))
    found[:, 4] = np.log1p(age)
    found[:, 5] = np.exp2(-age / np.float32(FRESHNESS_HALF_LIFE_HOURS))
    return found


def times_shown(readers: Readers, rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """[C] float32: how often the one reader was shown each of ``rows`` [C], which have the short ``keys`` [C]."""
    shown = readers.shown_key[0]  # [S]
    hits = np.flatnonzero(keys[:, None] == shown)
    return np.bincount(hits // len(shown), minlength=len(keys)).astype(np.float32) * (rows > 0)
