"""Feedback of requests that come at the same time is committed together, and each request is told of its own."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from newsrec.event_log import AppendResult, EventDatabase
from newsrec.events import InvalidEvents
from serving.group_commit import GroupCommit
from tests.event_rows import event, recommendation
from tests.serving.conftest import wait_for

NOW = 1_700_000_000_000_000


class Slow(EventDatabase):
    """The event log; its first write takes until ``go``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.go, self.writes = threading.Event(), [0]
        self.fails: Exception | None = None

    def append_feedback_calls(self, calls: Any, now: int) -> list[AppendResult]:
        if not self.go.is_set():
            assert self.go.wait(20)
        if self.fails:
            raise self.fails
        self.writes.append(len(calls))
        return super().append_feedback_calls(calls, now)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Slow]:
    opened = Slow(f"sqlite:///{tmp_path / 'events.db'}")
    opened.append_recommendations([recommendation(f"r{n}", f"u{n}") for n in range(8)], NOW)
    yield opened
    opened.close()


def together(database: Slow, calls: list[list[dict]]) -> list[Future[AppendResult]]:
    """The first call is writing when the others come."""
    group = GroupCommit(database)
    with ThreadPoolExecutor(len(calls)) as threads:
        found = [threads.submit(group.append, calls[0], NOW + 9)]
        wait_for(group._turn.locked, 20)
        wait_for(lambda: not group._waiting, 20)
        found += [threads.submit(group.append, rows, NOW + 9) for rows in calls[1:]]
        wait_for(lambda: len(group._waiting) == len(calls) - 1, 20)
        database.go.set()
    return found


def test_those_that_come_while_another_writes_are_written_at_once(database: Slow) -> None:
    """Of three calls of one event, whoever is stored first has it accepted."""
    calls = [[event(f"{n}", f"r{n}", f"u{n}")] for n in range(6)]
    calls += [[event("again", "r6", "u6"), event("lost", "nowhere", "u6"), event("again", "r6", "u6")]]
    calls += [[event("0", "r0", "u0")]]
    found = [call.result() for call in together(database, calls)]
    assert found[:6] == [AppendResult(1, 0, 0)] * 6
    assert found[6:] == [AppendResult(1, 1, 1), AppendResult(0, 1, 0)]
    assert database.writes[1:] == [1, 7]
    assert database.export().feedback["event_id"].to_pylist() == ["0", "1", "2", "3", "4", "5", "again"]
    assert set(database.export().feedback["received_at"].cast("int64").to_pylist()) == {NOW + 9}


def test_one_that_cannot_be_stored_makes_no_other_fail(database: Slow) -> None:
    bad = [event("bad", "r2", "u2", kind="dance")]
    first, second, third, fourth = together(
        database, [[event("0", "r0", "u0")], [event("1", "r1", "u1")], bad, [event("3", "r3", "u3")]]
    )
    assert [call.result().accepted for call in (first, second, fourth)] == [1, 1, 1]
    with pytest.raises(InvalidEvents, match="dance"):
        third.result()


def test_a_log_that_does_not_answer_says_so_to_each_and_is_asked_again(database: Slow) -> None:
    database.fails = OSError("the disk is gone")
    for call in together(database, [[event(f"{n}", f"r{n}", f"u{n}")] for n in range(3)]):
        with pytest.raises(OSError, match="gone"):
            call.result()
    database.fails = None
    assert GroupCommit(database).append([event("0", "r0", "u0")], NOW).accepted == 1


def test_without_others_each_is_its_own_commit(database: Slow) -> None:
    database.go.set()
    group = GroupCommit(database)
    for n in range(3):
        assert group.append([event(f"{n}", f"r{n}", f"u{n}")], NOW + n) == AppendResult(1, 0, 0)
    assert database.writes[1:] == [1, 1, 1]
