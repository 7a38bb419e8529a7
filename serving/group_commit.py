"""Feedback of requests that come at the same time, into the event log in one commit.

A request that finds nobody writing writes at once. Those that come meanwhile wait for it, and the first of them then
writes for all: a commit, which waits for the disk, and the statements around it serve as many requests as there are. A
request returns when its own feedback is on disk. One that cannot be stored makes no other fail.
"""

import threading
from concurrent.futures import Future
from typing import NamedTuple

from newsrec.event_log import AppendResult, EventDatabase
from newsrec.events import InvalidEvents


class _Call(NamedTuple):
    rows: list[dict]
    now: int
    became: Future[AppendResult]


class GroupCommit:
    """Appends to ``database``, for several threads."""

    def __init__(self, database: EventDatabase) -> None:
        self._database = database
        self._turn, self._mutex = threading.Lock(), threading.Lock()
        self._waiting: list[_Call] = []

    def append(self, rows: list[dict], now: int) -> AppendResult:
        """As ``EventDatabase.append_feedback``; ``now`` may become that of a later request."""
        call = _Call(rows, now, Future())
        with self._mutex:
            self._waiting.append(call)
        with self._turn:
            if not call.became.done():
                with self._mutex:
                    calls, self._waiting = self._waiting, []
                self._write(calls)
        return call.became.result()

    def _write(self, calls: list[_Call]) -> None:
        now = max(call.now for call in calls)
        try:
            results = self._database.append_feedback_calls([call.rows for call in calls], now)
        except InvalidEvents as error:
            if len(calls) == 1:
                calls[0].became.set_exception(error)
            else:
                for call in calls:
                    self._write([call])
        except BaseException as error:  # each of them raises it
            for call in calls:
                call.became.set_exception(error)
        else:
            for call, result in zip(calls, results, strict=True):
                call.became.set_result(result)
