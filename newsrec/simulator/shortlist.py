"""The candidates for a reader: articles that are alive and, as far as the site knows, unread."""

import numpy as np
import pyarrow as pa

from newsrec.catalogue import Catalogue
from newsrec.features import HOUR
from newsrec.simulator.world import World
from newsrec.transitions import Readers


class Shortlist:
    """For the readers of ``world`` and a policy that was trained on the catalogue ``trained_on``, if on any.

    ``articles`` are those of the world's newsroom, with embeddings.
    """

    def __init__(self, world: World, articles: pa.Table, trained_on: Catalogue | None) -> None:
        self.world, self.articles = world, articles
        self.catalogue = trained_on.updated(articles) if trained_on else Catalogue(articles, trained=0)
        self._row = self.catalogue.rows(articles["article_id"].to_pylist())  # [A] article -> row of the catalogue
        self._article = np.full(len(self.catalogue.ids), -1)  # [N + 1] row of the catalogue -> article
        self._article[self._row] = np.arange(len(self._row))

    def candidates(self, read: np.ndarray, now: np.ndarray) -> np.ndarray:
        """[B, C] int32, newest first, -1 behind the end, at ``now`` [B] for readers of ``read`` [B, H], -1 for none."""
        config, published = self.world.config, self.world.newsroom.published
        oldest = np.searchsorted(published, now - int(config.newsroom.shelf_life_hours * HOUR), side="right")
        newest = np.searchsorted(published, now, side="right") - 1
        count = np.minimum(newest - oldest + 1, config.candidates)  # [B] before any is left out
        row, at = np.nonzero((read >= 0) & (read > (newest - count)[:, None]))
        left_out = np.unique(row * config.candidates + newest[row] - read[row, at])  # by reader and place from newest
        row, place = np.divmod(left_out, config.candidates)
        number = np.arange(len(row)) - np.searchsorted(row, row)  # of each among those of its reader
        step = np.zeros((len(now), config.candidates), np.int32)
        np.add.at(step, (row, place - number), 1)
        from_newest = np.arange(config.candidates, dtype=np.int32) + np.cumsum(step, 1, np.int32, out=step)  # [B, C]
        newest, count = newest[:, None].astype(np.int32), count[:, None].astype(np.int32)
        return np.where(from_newest < count, newest - from_newest, np.int32(-1))

    def read(self, known: Readers) -> np.ndarray:
        """[B, H] articles in the histories of readers of whom this is ``known``, -1 behind the end."""
        there = np.arange(known.key.shape[1]) < known.length[:, None]  # [B, H]
        return np.where(there, self._article[self.catalogue.rows_of_keys(known.key)], -1)

    def rows(self, candidates: np.ndarray) -> np.ndarray:
        """[B, C] rows of the catalogue, -1 behind the end."""
        return np.where(candidates >= 0, self._row[candidates], -1)
