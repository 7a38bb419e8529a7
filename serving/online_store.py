"""One reader's features in the online store: read for a request, brought up to date after feedback."""

import logging
from typing import NamedTuple

from prometheus_client import Counter, Gauge

from feature_repo.store import FeatureStoreError, Store
from newsrec.features import READER_FEATURES, ReaderState, article_key
from newsrec.transitions import Readers
from serving.backends import Backends
from serving.failures import EVENT_LOG_FAILURES, one_line

STORE_FAILURES = Counter("newsrec_store_failures", "Reads and writes that the feature store did not answer", ["what"])
READERS_PENDING = Gauge("newsrec_readers_pending", "Readers with committed feedback that the feature store lacks")
SWEEP_SECONDS = 1.0

log = logging.getLogger(__name__)


class OnlineReader(NamedTuple):
    features: Readers
    """One row; empty for a reader of whom nothing is known."""
    degraded: bool
    """The store did not answer, so the reader is served as unknown."""


def read_reader(store: Store, user_id: str) -> OnlineReader:
    """The reader's features. A store that does not answer is counted and gives the features of an unknown reader."""
    try:
        return OnlineReader(Readers.from_rows(store.readers([user_id])), False)
    except FeatureStoreError as error:
        STORE_FAILURES.labels("read").inc()
        log.warning("a reader is served as unknown: %s", one_line(error))
        return OnlineReader(unknown_reader(), True)


def unknown_reader() -> Readers:
    return Readers.from_rows([dict.fromkeys(feature.name for feature in READER_FEATURES)])


class Histories:
    """Readers' rows in the online store, folded from the event log.

    A row carries the arrival of the last event in it, so that folding goes on from there: what a failure left out is
    caught up by the next call, an imported history stays, and no event counts twice. Threads and processes may fold one
    reader at the same time: each writes the fold of all events up to some arrival, and the store keeps the newest.
    """

    def __init__(self, backends: Backends) -> None:
        self._store, self._database = backends.store, backends.database
        self._pending: set[str] = set()

    def catch_up(self, user_id: str) -> bool:
        """Whether the reader's row now holds all their committed feedback; if not, ``sweep`` tries again."""
        try:
            self._fold(user_id)
        except (FeatureStoreError, *EVENT_LOG_FAILURES) as error:
            STORE_FAILURES.labels("write").inc()
            log.warning("a reader's history is pending: %s", one_line(error))
            self._pending.add(user_id)
        else:
            self._pending.discard(user_id)
        READERS_PENDING.set(len(self._pending))
        return user_id not in self._pending

    def _fold(self, user_id: str) -> None:
        forgotten = self._database.forgotten_at(user_id)
        (row,) = self._store.readers([user_id])
        stamp = row["event_timestamp"]
        if forgotten is not None and stamp is not None and stamp <= forgotten:
            stamp = None
        events = self._database.feedback_of(user_id, received_after=stamp)
        if not events:
            return
        state = ReaderState() if stamp is None else ReaderState.from_row(row)
        for event in events:
            key = None if event["article_id"] is None else article_key(event["article_id"])
            state.observe(event["kind"], key, event["time"], event["dwell_seconds"], event["utc_offset_minutes"] or 0)
        self._store.write_reader(user_id, state.row(), events[-1]["received_at"])
        if self._database.forgotten_at(user_id) != forgotten:
            self._store.erase_readers([user_id])
            self._fold(user_id)

    def sweep(self) -> int:
        """How many readers are still behind after another try for each; the first failure ends the round."""
        for user_id in list(self._pending):
            if not self.catch_up(user_id):
                break
        return len(self._pending)
