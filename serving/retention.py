"""How long the event log keeps decisions and feedback, in days; what is older is deleted a little at a time.

Articles stay, and so do readers' online rows: a reader who was away for long is still known by what is folded there.
"""

import logging
import threading
import time
from collections.abc import Callable

from prometheus_client import Counter

from newsrec.config import InvalidConfig
from newsrec.erasure import Removed
from newsrec.event_log import EventDatabase
from serving.failures import EVENT_LOG_FAILURES, one_line

DAY = 86_400_000_000
HORIZON_DAYS = 28
"""Over which returns and active days are counted: a decision that is younger still waits for what comes of it."""
EVERY_SECONDS = 3600.0
PAUSE_SECONDS = 0.02
"""Between two batches: writers take their turn."""
EXPIRED = Counter("newsrec_expired", "Rows of the event log that were older than what is kept", ["what"])

log = logging.getLogger(__name__)


def check_days(days: int, below_horizon: bool) -> None:
    """Raises InvalidConfig where ``days`` would cut off what is still counted, unless that is wanted."""
    if days < HORIZON_DAYS and not below_horizon:
        raise InvalidConfig(
            f"{days} days are kept, but returns and experiments count active days over {HORIZON_DAYS}; expected "
            f"{HORIZON_DAYS} or more, or --below-horizon to delete decisions whose {HORIZON_DAYS} days are not over"
        )


def retain(database: EventDatabase, days: int, now: int, pause_seconds: float = PAUSE_SECONDS) -> Removed:
    """Delete what is older than ``days`` at ``now`` (microseconds)."""
    return _count(database.retain(now - days * DAY, lambda: time.sleep(pause_seconds)))


class Retention(threading.Thread):
    """Deletes what is older than ``days``, now and every hour, until ``stop``; a batch at most is waited for."""

    def __init__(self, database: EventDatabase, days: int, clock: Callable[[], int]) -> None:
        super().__init__(name="retention", daemon=True)
        self._database, self._days, self._clock, self._stopped = database, days, clock, threading.Event()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                removed = _count(self._database.retain(self._clock() - self._days * DAY, self._pause))
                if any(removed):
                    log.info("older than %d days: %d recommendations, %d feedback events", self._days, *removed[:2])
            except _Stopped:
                return
            except EVENT_LOG_FAILURES as error:
                log.warning("nothing more is deleted from the event log for now: %s", one_line(error))
            self._stopped.wait(EVERY_SECONDS)

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def _pause(self) -> None:
        if self._stopped.wait(PAUSE_SECONDS):
            raise _Stopped


class _Stopped(Exception):
    """The thread ends between two batches."""


def _count(removed: Removed) -> Removed:
    for what, count in removed._asdict().items():
        EXPIRED.labels(what).inc(count)
    return removed
