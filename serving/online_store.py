"""One reader's features in the online store, brought up to date after feedback."""

import logging
from collections.abc import Mapping
from typing import Any

from prometheus_client import Gauge

from feature_repo.store import FeatureStoreError, ReaderVector
from newsrec.features import ReaderState, article_key
from serving.backends import Backends
from serving.failures import EVENT_LOG_FAILURES, one_line
from serving.mirror import Mirror
from serving.stored_readers import STORE_FAILURES
from serving.tower import Before, Tower

READERS_PENDING = Gauge("newsrec_readers_pending", "Readers with committed feedback that the feature store lacks")
SWEEP_SECONDS = 1.0

log = logging.getLogger(__name__)


class Histories:
    """Readers' rows in the online store, folded from the event log.

    A row carries the arrival of the last event in it, so that folding goes on from there: what a failure left out is
    caught up by the next call, an imported history stays, and no event counts twice. Threads and processes may fold one
    reader at the same time: each writes the fold of all events up to some arrival, and the store keeps the newest.

    With a ``tower`` each row is written together with its vector. In a store of older code, which has no place for one,
    requests compute it themselves.
    """

    def __init__(self, backends: Backends, tower: Tower | Mirror | None = None) -> None:
        self._store, self._database, self._tower = backends.store, backends.database, tower
        if tower is not None and not self._store.has_vectors:
            log.warning("the store in %s has no reader vectors; run create_store on it again", self._store.root)
            self._tower = None
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
        before = self._before(user_id)
        row = before[0]
        forgotten, stamp, events = self._database.unfolded(user_id, row["event_timestamp"])
        if not events:
            return
        state = ReaderState() if stamp is None else ReaderState.from_row(row)
        for event in events:
            key = None if event["article_id"] is None else article_key(event["article_id"])
            state.observe(event["kind"], key, event["time"], event["dwell_seconds"], event["utc_offset_minutes"] or 0)
        row, stamp = state.row(), events[-1]["received_at"]
        vector = self._vector(user_id, row, before)
        self._store.write_reader(user_id, row, stamp, vector)
        if self._database.forgotten_at(user_id) != forgotten:
            self._store.erase_readers([user_id])
            self._fold(user_id)

    def _before(self, user_id: str) -> Before:
        """The reader's row and the vector beside it; none where its bytes are no vector, which a new one replaces."""
        try:
            return self._store.readers_and_vectors([user_id])[0]
        except ValueError:
            return self._store.readers([user_id])[0], None

    def _vector(self, user_id: str, row: Mapping[str, Any], before: Before) -> ReaderVector | None:
        """What the tower makes of ``row``; nothing where it fails: the row is kept, and requests make their own."""
        try:
            return None if self._tower is None else self._tower.vector(user_id, row, before)
        except Exception as error:  # whatever a policy does
            log.warning("a reader's row has no vector, the history tower failed: %s", one_line(error))
            return None

    def sweep(self) -> int:
        """How many readers are still behind after another try for each; the first failure ends the round."""
        for user_id in list(self._pending):
            if not self.catch_up(user_id):
                break
        return len(self._pending)
