"""What one event costs from the request on: into the event log, and from there into its reader's row and vector.

As the collector does it, without HTTP. Alone, and where so many requests of one event each come at the same time that
one commit takes all of them (``serving.group_commit``); each reader's history is brought up to date on its own.
"""

import time
from typing import Any, NamedTuple

from benchmarks.serving import site as sites
from benchmarks.serving.verdict import middle
from feature_repo.store import Store
from newsrec.event_log import EventDatabase
from serving.backends import Backends
from serving.online_store import Histories
from serving.tower import Tower

TOGETHER = (1, 8, 32)
"""Requests that one commit takes."""


class Spent(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Spent":
        return cls(time.perf_counter(), time.process_time())

    def since(self, before: "Spent") -> "Spent":
        return Spent(self.wall - before.wall, self.cpu - before.cpu)


def costs(site: sites.Site, store: Store, database: EventDatabase, tower: Tower, rounds: int) -> dict[str, Any]:
    """Microseconds an event by the number of requests in a commit: of the log, and of the reader's history."""
    histories = Histories(Backends(store, database, None, lambda: time.time_ns() // 1_000), tower)
    database.append_recommendations([_decision(site, reader) for reader in site.readers], time.time_ns() // 1_000)
    found: dict[str, Any] = {}
    for together in TOGETHER:
        log, history = [], []
        readers = site.readers[: min(together, len(site.readers))]
        for number in range(rounds + 1):
            calls = [[_click(site, reader, f"{together}-{number}", number)] for reader in readers]
            before = Spent.now()
            database.append_feedback_calls(calls, time.time_ns() // 1_000)
            between = Spent.now()
            for reader in readers:
                if not histories.catch_up(reader):
                    raise RuntimeError(f"the history of {reader} is pending, expected it in the store")
            after = Spent.now()
            if number:  # the first round warms up
                log.append(between.since(before))
                history.append(after.since(between))
        found[str(together)] = {
            f"{part}_{kind}_microseconds": middle([1e6 * getattr(spent, kind) / len(readers) for spent in taken])
            for part, taken in (("log", log), ("history", history))
            for kind in Spent._fields
        }
    return found


def _decision(site: sites.Site, reader: str) -> dict[str, Any]:
    slate = site.candidates
    return {"request_id": f"now-{reader}", "user_id": reader, "session_id": "now", "time": time.time_ns() // 1_000} | {
        "policy": "uniform",
        "candidates": slate,
        "slate": slate,
        "propensities": [1.0 / (len(slate) - position) for position in range(len(slate))],
    }


def _click(site: sites.Site, reader: str, event: str, number: int) -> dict[str, Any]:
    about = {"event_id": f"{event}-{reader}", "request_id": f"now-{reader}", "user_id": reader, "kind": "click"}
    position = number % len(site.candidates)
    return about | {"article_id": site.candidates[position], "position": position, "time": time.time_ns() // 1_000}
