"""Decisions to the event log, on disk before they are answered, with one commit for all that wait at the same time."""

import threading
from concurrent.futures import Future
from typing import Any

from newsrec.event_log import EventDatabase


class SlateLog:
    """A commit takes as long for eight decisions as for one: those that arrive during a commit share the next."""

    def __init__(self, database: EventDatabase) -> None:
        self._database = database
        self._waiting: list[tuple[list[dict[str, Any]], Future[None]]] = []
        self._queue, self._turn = threading.Lock(), threading.Lock()

    def append(self, rows: list[dict[str, Any]], now: int) -> None:
        """Return when ``rows`` are committed; raises what the commit raised, for everyone in it."""
        committed: Future[None] = Future()
        with self._queue:
            self._waiting.append((rows, committed))
        with self._turn:
            if not committed.done():
                self._commit(now)
        committed.result()

    def _commit(self, now: int) -> None:
        with self._queue:
            batch, self._waiting = self._waiting, []
        try:
            self._database.append_recommendations([row for rows, _ in batch for row in rows], now)
        except Exception as error:
            for _, committed in batch:
                committed.set_exception(error)
        else:
            for _, committed in batch:
                committed.set_result(None)
