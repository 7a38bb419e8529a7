"""Decisions on their way to the event log: ``put`` takes microseconds, one thread commits what waits every 50 ms.

A commit costs five milliseconds of waiting for the disk, whether of one decision or of a hundred; a request does not
wait for it. So SIGKILL can take the decisions since the last commit along: at most those of the last 100 ms while the
event log answers, and what waits where it does not. ``serving.slate_counter`` has the next start know how many.
Feedback that comes before its decision waits in quarantine and is released with it.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from prometheus_client import Counter, Gauge

from newsrec.event_log import EventDatabase
from serving.failures import one_line
from serving.refusals import Busy
from serving.slate_counter import SlateCounter

EVERY_SECONDS = 0.05
RETRY_SECONDS = 0.25
CLOSE_SECONDS = 5.0
"""How long ``close`` goes on trying."""
PATIENCE_SECONDS = 30.0
CAPACITY = 10_000
BATCH = 256
"""Decisions in one transaction, so that a backlog neither holds the interpreter nor the other writers up."""
LOST = Counter("newsrec_slates_lost", "Slates that were answered and never came into the event log")
WAITING = Gauge("newsrec_slates_waiting", "Slates that were answered and are not in the event log yet")
FULL = Counter("newsrec_slate_log_full", "Requests that were refused because too many slates wait for the event log")
COMMIT_FAILURES = Counter("newsrec_slate_commit_failures", "Times that the event log did not take what waited")

_FAULTS_OF_ROWS = (sa.exc.DataError, sa.exc.IntegrityError, TypeError, ValueError)
"""What the next try would raise again; anything else may pass."""

log = logging.getLogger(__name__)


class LogFull(Busy):
    """As many decisions wait for the event log as may; nothing of the call was taken."""


class SlateLog:
    """A bounded queue in front of ``database`` and the thread that empties it, from construction to ``close``.

    ``state`` is the folder of the counter that survives SIGKILL; without it losses are not known. ``clock`` gives the
    moment at which feedback that waited counts as received, in microseconds. Raises OSError where ``state`` cannot be
    written, and what the event log raises.
    """

    def __init__(
        self,
        database: EventDatabase,
        clock: Callable[[], int],
        capacity: int = CAPACITY,
        every_seconds: float = EVERY_SECONDS,
        state: Path | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._database, self._clock, self._capacity, self._every = database, clock, capacity, every_seconds
        self._rows: list[dict[str, Any]] = []
        self._settled = 0  # rows that have left the queue
        self._lock = threading.Condition()
        self._patience, self._failing = patience_seconds, False
        self._stalled_since: float | None = None  # by the monotonic clock; None while nothing waits
        self._counter = SlateCounter()
        if state is not None:
            self._counter, lost = SlateCounter.claim(state, database.engine.url, database.has_request)
            if lost:
                LOST.inc(lost)
                log.error("%d slates that a predictor had answered when it died never came into the event log", lost)
        WAITING.set_function(lambda: len(self._rows))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slate log", daemon=True)
        self._thread.start()

    def refuse_beyond(self, count: int) -> None:
        """Raise LogFull where ``count`` more decisions would be too many, before anything is done for them."""
        if len(self._rows) + count > self._capacity or self._stopped.is_set():
            FULL.inc()
            raise LogFull(f"{len(self._rows):,} slates wait for the event log, at most {self._capacity:,} may")

    def put(self, rows: list[dict[str, Any]]) -> None:
        """Take complete ``rows`` of recommendations, to be committed soon; never waits. Raises LogFull."""
        with self._lock:
            self.refuse_beyond(len(rows))
            if self._stalled_since is None:
                self._stalled_since = time.monotonic()
            self._rows += rows
            self._counter.put(len(rows))

    def flush(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Whether all that was put before this call is settled, within ``seconds``."""
        with self._lock:
            goal = self._settled + len(self._rows)
            return self._lock.wait_for(lambda: self._settled >= goal, seconds)

    @property
    def stalled_seconds(self) -> float:
        """For how long decisions have waited without any of them being committed, 0 where none waits."""
        since = self._stalled_since
        return 0.0 if since is None else time.monotonic() - since

    def complaint(self) -> str | None:
        """One sentence where the event log has taken nothing of what waits for ``patience_seconds``, else None."""
        if self.stalled_seconds <= self._patience:
            return None
        return f"The event log does not answer, {len(self._rows):,} of at most {self._capacity:,} slates wait for it."

    def close(self) -> None:
        """Commit what waits, then end; what the event log does not take in time is lost, as the next start will say."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._thread.join(CLOSE_SECONDS + 2 * RETRY_SECONDS)
        if self._rows:
            log.error("%d slates are lost: the event log did not answer before the end", len(self._rows))
        if not self._thread.is_alive():  # else it ends with the process
            self._counter.close()

    def _run(self) -> None:
        due = time.monotonic() + self._every
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + (self._every if self._commit_all() else RETRY_SECONDS)
        end = time.monotonic() + CLOSE_SECONDS
        while not self._commit_all() and time.monotonic() < end:
            time.sleep(RETRY_SECONDS)

    def _commit_all(self) -> bool:
        """Whether nothing is left of what waited at the beginning."""
        left = len(self._rows)
        while left > 0:
            batch = self._rows[: min(left, BATCH)]  # they stay in the queue, and count, until they are settled
            try:
                self._commit(batch)
            except Exception as error:  # whatever it is: this thread is the only one that logs
                self._failed(error)
                return False
            self._failing = False
            left -= len(batch)
        return True

    def _commit(self, batch: list[dict[str, Any]]) -> None:
        self._counter.begin(batch[0]["request_id"], len(batch))
        try:
            self._database.append_decisions(batch, self._clock(), orjson.dumps)
        except _FAULTS_OF_ROWS as error:
            if len(batch) > 1:
                for row in batch:
                    self._commit([row])
                return
            LOST.inc()
            log.error("a slate cannot be logged: %s", one_line(error))
        with self._lock:
            del self._rows[: len(batch)]
            self._counter.end()
            self._settled += len(batch)
            self._stalled_since = time.monotonic() if self._rows else None
            self._lock.notify_all()

    def _failed(self, error: Exception) -> None:
        COMMIT_FAILURES.inc()
        if not self._failing:
            self._failing = True
            log.error("the event log does not answer, %d slates wait: %s", len(self._rows), one_line(error))
