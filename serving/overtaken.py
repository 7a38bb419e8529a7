"""Feedback that came before its slate was in the event log, and the readers whose histories it belongs to.

The predictor commits a slate up to 100 ms after it answered. Feedback that is faster waits in quarantine, and whoever
commits the slate releases it: not the collector, which has to look. It looks often at what came within the last second,
once a second at what came before, and no more after ten minutes: then it belongs to no slate of ours.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from newsrec.event_log import EventDatabase
from serving.failures import EVENT_LOG_FAILURES, one_line

SOON_SECONDS, LATER_SECONDS = 0.02, 1.0
"""Between two looks: at events of the last LATER_SECONDS, and at all others."""
KEEP_SECONDS = 600.0
MOST_SOON, MOST = 1_000, 10_000
"""Events that are looked for; beyond, the oldest are not: their reader's next event brings the history up to date."""

log = logging.getLogger(__name__)


class Overtaken(threading.Thread):
    """Calls ``catch_up`` with each reader whose feedback was released, until ``stop``."""

    def __init__(self, database: EventDatabase, catch_up: Callable[[str], object]) -> None:
        super().__init__(name="overtaken", daemon=True)
        self._database, self._catch_up = database, catch_up
        self._waiting: dict[str, tuple[str, float]] = {}  # event -> reader, and when it came by the monotonic clock
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def add(self, early: Mapping[str, str]) -> None:
        """Look for the events of ``early``, each with its reader, from now on."""
        now = time.monotonic()
        with self._lock:
            self._waiting.update({event: (reader, now) for event, reader in early.items()})
            for oldest in list(self._waiting)[: max(0, len(self._waiting) - MOST)]:
                del self._waiting[oldest]

    def look(self, seconds: float = KEEP_SECONDS, most: int = MOST) -> int:
        """How many of the latest ``most`` events that came within ``seconds`` are released now."""
        now = time.monotonic()
        with self._lock:
            for event in [event for event, (_, came) in self._waiting.items() if now - came > KEEP_SECONDS]:
                del self._waiting[event]
            asked = {event: reader for event, (reader, came) in self._waiting.items() if now - came <= seconds}
        asked = dict(list(asked.items())[-most:])
        if not asked:
            return 0
        released = asked.keys() - self._database.early_feedback(asked).keys()
        with self._lock:
            for event in released:
                self._waiting.pop(event, None)
        for reader in {asked[event] for event in released}:
            self._catch_up(reader)
        return len(released)

    def run(self) -> None:
        looked = 0.0
        while not self._stopped.wait(SOON_SECONDS):
            if not self._waiting:
                continue
            try:
                if time.monotonic() - looked >= LATER_SECONDS:
                    self.look()
                    looked = time.monotonic()
                else:
                    self.look(LATER_SECONDS, MOST_SOON)
            except EVENT_LOG_FAILURES as error:
                log.warning("early feedback was not looked for: %s", one_line(error))
                self._stopped.wait(LATER_SECONDS)

    def stop(self) -> None:
        self._stopped.set()
        self.join()
