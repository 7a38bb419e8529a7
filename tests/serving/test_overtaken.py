"""Early feedback: looked for until its slate releases it, and given up in the end."""

from collections.abc import Iterable
from typing import Any

import pytest
import sqlalchemy as sa

from serving import overtaken as module
from serving.overtaken import KEEP_SECONDS, Overtaken
from tests.serving.conftest import wait_for


class Quarantine:
    """Of the event log only what is asked for here: the events that wait."""

    def __init__(self) -> None:
        self.waiting: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.raising: Exception | None = None

    def early_feedback(self, event_ids: Iterable[str]) -> dict[str, str]:
        self.asked.append(list(event_ids))
        if self.raising is not None:
            raise self.raising
        return {event: self.waiting[event] for event in self.asked[-1] if event in self.waiting}


@pytest.fixture
def quarantine() -> Quarantine:
    return Quarantine()


@pytest.fixture
def folded() -> list[str]:
    return []


@pytest.fixture
def overtaken(quarantine: Any, folded: list[str]) -> Overtaken:
    return Overtaken(quarantine, folded.append)


def test_a_reader_is_caught_up_once_when_the_event_is_released(
    quarantine: Quarantine, folded: list[str], overtaken: Overtaken
) -> None:
    quarantine.waiting = {"e1": "ann", "e2": "ann", "e3": "bob"}
    overtaken.add(quarantine.waiting)
    assert (overtaken.look(), folded) == (0, [])
    quarantine.waiting = {"e3": "bob"}
    assert (overtaken.look(), folded) == (2, ["ann"])
    assert (overtaken.look(), folded) == (0, ["ann"])
    assert quarantine.asked[-1] == ["e3"]


def test_what_is_never_released_is_given_up(
    quarantine: Quarantine, folded: list[str], overtaken: Overtaken, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantine.waiting = {"e1": "ann"}
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    overtaken.add(quarantine.waiting)
    now[0] += KEEP_SECONDS
    overtaken.look()
    assert quarantine.asked == [["e1"]]
    overtaken.look(1.0)
    now[0] += 1.0
    overtaken.look()
    assert quarantine.asked == [["e1"]]
    assert folded == []


def test_of_too_many_the_latest_are_looked_for(
    quarantine: Quarantine, overtaken: Overtaken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    quarantine.waiting = {f"e{number}": "ann" for number in range(5)}
    overtaken.add(quarantine.waiting)
    overtaken.look()
    overtaken.look(most=2)
    assert quarantine.asked == [["e2", "e3", "e4"], ["e3", "e4"]]


def test_an_event_log_that_does_not_answer_ends_nothing(
    quarantine: Quarantine, folded: list[str], overtaken: Overtaken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATER_SECONDS", 0.01)
    quarantine.raising = sa.exc.OperationalError("", {}, Exception("gone"))
    overtaken.start()
    overtaken.add({"e1": "ann"})
    wait_for(lambda: len(quarantine.asked) > 1)
    quarantine.raising = None
    wait_for(lambda: folded == ["ann"])
    overtaken.stop()
