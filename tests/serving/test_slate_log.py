"""Decisions of many threads, committed together."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from newsrec.event_log import EventDatabase
from newsrec.events import InvalidEvents
from serving.slate_log import SlateLog
from tests.event_rows import NOON, recommendation


class Counting(EventDatabase):
    """Counts commits; the first one lasts until ``go`` is set."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sizes: list[int] = []
        self.began, self.go = threading.Event(), threading.Event()

    def append_recommendations(self, rows: list[dict], now: int) -> int:
        self.sizes.append(len(rows))
        self.began.set()
        assert self.go.wait(30)
        return super().append_recommendations(rows, now)


def test_decisions_that_wait_share_a_commit(tmp_path: Path) -> None:
    database = Counting(f"sqlite:///{tmp_path / 'events.db'}")
    slate_log = SlateLog(database)
    with ThreadPoolExecutor(20) as threads:
        first = threads.submit(slate_log.append, [recommendation("first")], NOON)
        assert database.began.wait(30)
        others = [
            threads.submit(slate_log.append, [recommendation(f"r{i}"), recommendation(f"s{i}")], NOON) for i in range(9)
        ]
        while len(slate_log._waiting) < 9:
            threading.Event().wait(0.01)
        assert not any(done.done() for done in [first, *others])
        database.go.set()
        for done in [first, *others]:
            done.result(30)
    assert database.sizes == [1, 18]
    assert database.export().recommendations.num_rows == 19
    database.close()


def test_a_failed_commit_reaches_everyone_in_it_and_the_next_goes_on(tmp_path: Path) -> None:
    database = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    slate_log = SlateLog(database)
    with pytest.raises(InvalidEvents):
        slate_log.append([recommendation("bad", propensities=[2.0, 0.5])], NOON)
    slate_log.append([recommendation("good")], NOON)
    assert database.export().recommendations["request_id"].to_pylist() == ["good"]
    database.close()


def test_nothing_is_lost_between_threads(tmp_path: Path) -> None:
    database = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    slate_log = SlateLog(database)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda i: slate_log.append([recommendation(f"r{i}")], NOON), range(200)))
    assert database.export().recommendations.num_rows == 200
    database.close()
