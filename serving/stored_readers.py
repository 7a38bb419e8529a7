"""Readers' rows and vectors from the online store, for requests that cannot wait for one that fails.

Whoever asks in the same turn of the event loop is asked for together, without a thread between. A store that does not
answer in its time is left alone for REST_SECONDS: readers are served as unknown at once, popularity and freshness
decide, and the answer says so. Then one question in a thread finds out whether it is back; nobody waits for that. A row
that this code cannot read makes one reader unknown and says nothing of the others.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from prometheus_client import Counter

from feature_repo.store import FeatureStoreError, ReaderSlate, ReaderVector, Store
from newsrec.features import READER_FEATURES
from newsrec.transitions import Readers
from serving.failures import one_line

REST_SECONDS = 1.0
STORE_FAILURES = Counter("newsrec_store_failures", "Reads and writes that the feature store did not answer", ["what"])
UNREADABLE_ROWS = Counter("newsrec_unreadable_rows", "Stored readers' rows that this code could not read")

log = logging.getLogger(__name__)


class OnlineReader(NamedTuple):
    features: Readers
    """One row; empty for a reader of whom nothing is known."""
    degraded: bool
    """The store gave nothing that can be read, so the reader is served as unknown."""
    vector: ReaderVector | None = None
    """What was made of this row."""
    slate: ReaderSlate | None = None
    """What was scored for the reader in advance."""


def unknown_reader() -> Readers:
    return Readers.from_row(dict.fromkeys(feature.name for feature in READER_FEATURES))


class StoredReaders:
    """Reads ``store``; beside the rows vectors, slates or nothing. ``clock`` gives monotonic seconds."""

    def __init__(
        self,
        store: Store,
        vectors: bool = True,
        clock: Callable[[], float] = time.monotonic,
        slates: bool = False,
    ) -> None:
        self._store, self._vectors, self._slates, self._clock = store, vectors, slates, clock
        self._rests_until: float | None = None
        self._waiting: list[tuple[Sequence[str], asyncio.Future[list[OnlineReader]]]] = []
        self._unknown = OnlineReader(unknown_reader(), True)

    async def of(self, user_ids: Sequence[str]) -> list[OnlineReader]:
        """``read``, together with all who ask before the event loop goes on to its next turn."""
        loop = asyncio.get_running_loop()
        if self._rests_until is not None:
            if self._clock() >= self._rests_until:
                self._rests_until = self._clock() + REST_SECONDS
                loop.run_in_executor(None, self.read, [""])
            return [self._unknown] * len(user_ids)
        if not self._waiting:
            loop.call_soon(self._read_waiting)
        found: asyncio.Future[list[OnlineReader]] = loop.create_future()
        self._waiting.append((user_ids, found))
        return await found

    def _read_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        readers = iter(self.read([user_id for user_ids, _ in waiting for user_id in user_ids]))
        for user_ids, found in waiting:
            answer = [next(readers) for _ in user_ids]
            if not found.done():  # whoever asked may be gone
                found.set_result(answer)

    def read(self, user_ids: Sequence[str]) -> list[OnlineReader]:
        """The readers, in order; all of them unknown where the store does not answer, which is counted."""
        try:
            rows = self._rows(user_ids)
        except FeatureStoreError as error:
            STORE_FAILURES.labels("read").inc()
            if self._rests_until is None:
                log.warning("readers are served as unknown: %s", one_line(error))
            self._rests_until = self._clock() + REST_SECONDS
            return [self._unknown] * len(user_ids)
        except ValueError:
            if len(user_ids) > 1:
                return [found for user_id in user_ids for found in self.read([user_id])]
            return [self._unreadable()]
        if self._rests_until is not None:
            log.warning("the online store answers again")
            self._rests_until = None
        return [self._reader(row, beside) for row, beside in rows]

    def _rows(
        self, user_ids: Sequence[str]
    ) -> Sequence[tuple[dict[str, Any], ReaderVector | None] | tuple[dict[str, Any], ReaderSlate | None]]:
        if self._slates:
            return self._store.readers_and_slates(user_ids)
        if self._vectors:
            return self._store.readers_and_vectors(user_ids)
        return [(row, None) for row in self._store.readers(user_ids)]

    def _reader(self, row: dict[str, Any], beside: ReaderVector | ReaderSlate | None) -> OnlineReader:
        try:
            features = Readers.from_row(row)
            if isinstance(beside, ReaderSlate):
                return OnlineReader(features, False, slate=beside)
            return OnlineReader(features, False, beside)
        except ValueError:
            return self._unreadable()

    def _unreadable(self) -> OnlineReader:
        UNREADABLE_ROWS.inc()
        return self._unknown
