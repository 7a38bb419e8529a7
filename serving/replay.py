"""After a crash: readers whose feedback was committed and not folded any more, found in the event log by themselves.

Feedback is in the log before it is in a history, and a process can end between the two. The log keeps a moment up to
which all feedback has reached the online store. At the start and every few seconds whoever has feedback since then is
compared: the latest arrival in the log with the row's own. Who is behind is folded, then the moment moves on. It stays
a minute back, as a writer may wait that long for its turn with an arrival that it took before.
"""

import logging
import threading

from prometheus_client import Counter

from feature_repo.store import FeatureStoreError
from serving.backends import Backends
from serving.failures import EVENT_LOG_FAILURES, one_line
from serving.online_store import Histories

EVERY_SECONDS = 10.0
GRACE = 60_000_000
"""Microseconds; twice as long as a writer waits for its turn."""
BATCH = 1_000
REPLAYED = Counter("newsrec_readers_replayed", "Readers whose committed feedback no process had folded any more")

log = logging.getLogger(__name__)


class Replay(threading.Thread):
    """Brings readers up to date who were left behind, until ``stop``."""

    def __init__(self, backends: Backends, histories: Histories) -> None:
        super().__init__(name="replay", daemon=True)
        self._backends, self._histories, self._stopped = backends, histories, threading.Event()
        self._checked: dict[str, int] = {}  # reader -> arrival up to which the row is known to be whole

    def round(self) -> int:
        """How many readers were behind. Raises what store and event log raise; the moment then stays where it is."""
        database, store = self._backends.database, self._backends.store
        since, behind, pending, recent = database.folded_until(), 0, False, dict[str, int]()
        part = database.arrivals(since, "", BATCH)
        now = self._backends.clock() if part else 0
        while part:
            if self._stopped.is_set():
                return behind
            unsure = [(user, newest) for user, newest in part if self._checked.get(user, -1) < newest]
            for (user, newest), time in zip(unsure, store.reader_times([user for user, _ in unsure]), strict=True):
                if time is None or time < newest:
                    behind += 1
                    pending |= not self._histories.catch_up(user)
            recent.update(row for row in part if row[1] > now - GRACE)
            part = database.arrivals(since, part[-1][0], BATCH) if len(part) == BATCH else []
        self._checked = {} if pending else recent
        if not pending and now - GRACE > since:
            database.set_folded_until(now - GRACE)
        REPLAYED.inc(behind)
        return behind

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                if behind := self.round():
                    log.warning("%d readers had feedback that was not in their histories", behind)
            except (FeatureStoreError, *EVENT_LOG_FAILURES) as error:
                log.warning("readers were not compared with the event log: %s", one_line(error))
            self._stopped.wait(EVERY_SECONDS)

    def stop(self) -> None:
        self._stopped.set()
        self.join()
