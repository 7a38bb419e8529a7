"""The articles in the predictor's memory, kept up to date: new, changed and withdrawn ones each second, counts rarely.

The event log holds the catalogue. The artefact's articles, which are its state at training, are added to the log where
it lacks them: so every article that is ever recommended can be withdrawn, and stands in the log that the next training
reads. Where several policies serve, all of them choose from the same articles and counts of the same moment.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from prometheus_client import Counter

from feature_repo.store import FeatureStoreError
from newsrec.artifact import Artifact
from newsrec.catalogue import Catalogue
from newsrec.features import POPULARITY_HALF_LIFE_HOURS
from serving.backends import Backends
from serving.failures import EVENT_LOG_FAILURES, one_line
from serving.retrieval import RetrievalConfig
from serving.shelf import Shelf

POLL_SECONDS = 1.0
"""How often the event log is asked for changes: an article published this long ago can be served."""
COUNT_BATCH = 500
REFRESH_FAILURES = Counter("newsrec_refresh_failures", "Times that articles or their counts could not be read again")

log = logging.getLogger(__name__)


class Sight(NamedTuple):
    """Who looks at the shelves, and for what."""

    artifacts: Sequence[Artifact]
    """One for each shelf."""
    shelf_life: int
    """Microseconds."""
    config: RetrievalConfig


class LiveArticles:
    """``shelves`` is the state to serve from, one for each of ``catalogues``: replaced whole, never changed in place.

    All shelves hold the same articles, each in the rows of its catalogue and new ones after these. Of an article that
    only catalogues know the last one's form is taken. ``sight`` shows each shelf to the policy that serves from it.
    """

    def __init__(self, catalogues: Sequence[Catalogue], backends: Backends, sight: Sight | None = None) -> None:
        self.shelves = tuple(without_counts(catalogue) for catalogue in catalogues)
        self._database, self._store, self._clock = backends.database, backends.store, backends.clock
        self._sight = sight
        self._stamp: int | None = None
        known = set(self._database.articles()[0]["article_id"].to_pylist())
        rows = {row["article_id"]: row for catalogue in catalogues for row in catalogue.articles.to_pylist()}
        missing = [row for article, row in rows.items() if article not in known]
        self._database.upsert_articles(missing, backends.clock())
        self.poll()
        self.count()

    def poll(self) -> int:
        """How many articles changed in the event log since the last call; all of them are on the shelves now."""
        changed, stamp = self._database.articles(self._stamp)
        if changed.num_rows:
            self._show(tuple(_changed(shelf, changed, str(stamp)) for shelf in self.shelves))
        self._stamp = stamp
        return changed.num_rows

    def count(self) -> None:
        """Read the counts of all articles again from the feature store; an article that it lacks has none."""
        ids, counts, as_of = self.shelves[0].catalogue.ids, {}, {}
        for start in range(1, len(ids), COUNT_BATCH):
            batch = ids[start : start + COUNT_BATCH]
            for article, stored in zip(batch, self._store.articles(batch), strict=True):
                if stored["as_of"] is not None:
                    counts[article] = [stored[name] for name in POPULARITY_HALF_LIFE_HOURS]
                    as_of[article] = stored["as_of"]
        fresh = []
        for shelf in self.shelves:
            counted, rows = without_counts(shelf.catalogue), shelf.catalogue.rows(list(counts))
            if counts:
                counted.counts[rows], counted.as_of[rows] = list(counts.values()), list(as_of.values())
            fresh.append(Shelf(shelf.catalogue, counted.counts, counted.as_of, shelf.version, shelf.finder).warmed())
        self._show(tuple(fresh))

    def _show(self, shelves: tuple[Shelf, ...]) -> None:
        if self._sight is None:
            self.shelves = shelves
            return
        now, (artifacts, life, config) = self._clock(), self._sight
        pairs = zip(shelves, artifacts, strict=True)
        self.shelves = tuple(shelf.seen_by(artifact, now, now - life, config) for shelf, artifact in pairs)


def _changed(shelf: Shelf, articles: pa.Table, version: str) -> Shelf:
    """``shelf`` with ``articles`` replaced or added, the latter with no click counted yet."""
    catalogue = shelf.catalogue.updated(articles)
    more = len(catalogue.ids) - len(shelf.as_of)
    counts, as_of = np.pad(shelf.counts, ((0, more), (0, 0))), np.pad(shelf.as_of, (0, more))
    return Shelf(catalogue, counts, as_of, version, shelf.finder).warmed()


class Refresher(threading.Thread):
    """Polls for changed articles each second, and re-reads counts every ``refresh_seconds``, until ``stop``.

    ``current`` tells at each poll which articles are served. A failure is logged and counted; what was read last goes
    on being served.
    """

    def __init__(self, current: Callable[[], LiveArticles], refresh_seconds: float) -> None:
        super().__init__(name="refresher", daemon=True)
        self._current, self._refresh_seconds = current, refresh_seconds
        self._stopped = threading.Event()

    def run(self) -> None:
        counted = time.monotonic()
        while not self._stopped.wait(POLL_SECONDS):
            live = self._current()
            try:
                if changed := live.poll():
                    log.info("%d articles are new or changed", changed)
                if time.monotonic() - counted >= self._refresh_seconds:
                    live.count()
                    counted = time.monotonic()
            except (FeatureStoreError, *EVENT_LOG_FAILURES) as error:
                REFRESH_FAILURES.inc()
                log.warning("articles were not refreshed: %s", one_line(error))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def without_counts(catalogue: Catalogue) -> Shelf:
    """The articles of ``catalogue`` with no click counted yet."""
    rows = len(catalogue.ids)
    return Shelf(catalogue, np.zeros((rows, len(POPULARITY_HALF_LIFE_HOURS))), np.zeros(rows, np.int64))
