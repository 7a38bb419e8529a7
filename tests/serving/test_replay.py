"""kill -9 of a collector: nothing acknowledged is lost or doubled, and histories catch up without the readers' help."""

import os
import signal
import subprocess
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_repo.store import FeatureStoreError, Store
from newsrec.event_log import EventDatabase
from serving.backends import Backends
from serving.online_store import Histories
from serving.replay import GRACE, Replay
from tests.conftest import ROOT
from tests.event_rows import NOON, event, recommendation
from tests.serving.conftest import clock, free_port, serving, start, wait_for

ARTICLES = [f"a{i:02}" for i in range(40)]


def decide(database: EventDatabase, *readers: str) -> None:
    more = {"candidates": ARTICLES, "slate": ARTICLES, "propensities": None}
    database.append_recommendations([recommendation(r, r, time=clock(), **more) for r in readers], clock())


def click(reader: str, number: int = 0) -> dict[str, Any]:
    return event(f"{reader}-{number}", reader, reader, article_id=ARTICLES[number], time=clock())


def reads(store: Store, reader: str) -> int | None:
    return store.readers([reader])[0]["reads"]


def test_who_was_left_behind_is_folded_and_the_moment_moves_on(backends: Backends) -> None:
    database, store = backends.database, backends.store
    histories = Histories(backends)
    decide(database, "kim", "lee", "mia")
    for reader in ("kim", "lee", "mia"):
        database.append_feedback([click(reader)], clock())
    assert histories.catch_up("lee")
    replay = Replay(backends, histories)
    assert replay.round() == 2
    assert [reads(store, reader) for reader in ("kim", "lee", "mia")] == [1, 1, 1]
    assert clock() - 2 * GRACE < database.folded_until() <= clock() - GRACE
    assert replay.round() == 0
    database.append_feedback([click("lee", 1)], clock())
    assert replay.round() == 1
    assert reads(store, "lee") == 2
    late = backends._replace(clock=lambda: clock() + 2 * GRACE)
    assert Replay(late, histories).round() == 0
    moment = database.folded_until()
    assert moment > clock()
    database.append_feedback([click("kim", 1)], clock())
    assert Replay(backends, histories).round() == 0, "what is from before the moment is not looked at again"
    assert database.folded_until() == moment


def test_a_writer_that_waited_for_its_turn_is_not_missed(backends: Backends) -> None:
    """Its feedback becomes visible with an arrival that is older than what was compared already."""
    decide(backends.database, "kim", "lee")
    replay = Replay(backends, Histories(backends))
    before = clock() - GRACE // 2
    backends.database.append_feedback([click("kim")], clock())
    assert replay.round() == 1
    backends.database.append_feedback([click("lee")], before)
    assert replay.round() == 1
    assert reads(backends.store, "lee") == 1


def test_the_moment_stays_while_the_store_does_not_answer(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    decide(backends.database, "kim")
    backends.database.append_feedback([click("kim")], clock())
    replay = Replay(backends, Histories(backends))

    def down(*_: object) -> bool:
        raise FeatureStoreError("the store is down")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_reader", down)
        assert replay.round() == 1
        patch.setattr(Store, "reader_times", down)
        with pytest.raises(FeatureStoreError):
            replay.round()
    assert backends.database.folded_until() == -1
    assert replay.round() == 1
    assert reads(backends.store, "kim") == 1


def test_readers_are_compared_in_parts(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.replay.BATCH", 2)
    readers = [f"reader {n}" for n in range(5)]
    decide(backends.database, *readers)
    backends.database.append_feedback([click(reader) for reader in readers], NOON)
    assert Replay(backends, Histories(backends)).round() == 5
    assert [reads(backends.store, reader) for reader in readers] == [1] * 5


DIES = """
import os, signal, sys
from serving import __main__, online_store
online_store.Histories.catch_up = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.argv[0] = "serving"
__main__.main()
"""


@pytest.mark.usefixtures("warm")
def test_killed_between_commit_and_history_the_next_start_brings_the_reader_up_to_date(
    backends: Backends, python: Path, tmp_path: Path
) -> None:
    decide(backends.database, "kim")
    options = [f"--store={tmp_path / 'store'}", f"--event-log={backends.database.engine.url}"]
    port = free_port()
    dying = subprocess.Popen(
        [python, "-c", DIES, "collector", f"--port={port}", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
    wait_for(lambda: _answers(http))
    with pytest.raises(httpx.TransportError):
        http.post("/v1/feedback", json={"events": [click("kim")]})
    assert dying.wait() == -signal.SIGKILL
    assert [row["event_id"] for row in backends.database.feedback_of("kim")] == ["kim-0"]
    assert reads(backends.store, "kim") is None
    with serving(start(tmp_path, "next", "collector", *options)):
        wait_for(lambda: reads(backends.store, "kim") == 1, 20)


@pytest.mark.usefixtures("warm")
def test_killed_under_load_every_acknowledged_event_is_in_the_log_exactly_once(
    backends: Backends, tmp_path: Path
) -> None:
    """Clients send again what was not acknowledged; the log and the histories know each event once."""
    readers = [uuid.uuid4().hex for _ in range(8)]
    decide(backends.database, *readers)
    options = [f"--store={tmp_path / 'store'}", f"--event-log={backends.database.engine.url}"]
    acknowledged: list[str] = []

    def send(http: httpx.Client, reader: str, numbers: range) -> None:
        for number in numbers:
            sent = [click(reader, number)] * 2
            try:
                answer = http.post("/v1/feedback", json={"events": sent})
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            acknowledged.append(sent[0]["event_id"])

    first = start(tmp_path, "first", "collector", *options)
    wait_for(lambda: first.process.poll() is None and _answers(first.http))
    with ThreadPoolExecutor(len(readers)) as threads:
        sending = [threads.submit(send, first.http, reader, range(40)) for reader in readers]
        wait_for(lambda: len(acknowledged) > 40 or all(each.done() for each in sending))
        first.process.kill()
        for each in sending:
            each.result()
    first.process.wait()
    before = len(acknowledged)
    assert 40 < before < 40 * len(readers), "the kill came too late to be one"
    stored = Counter(row["event_id"] for reader in readers for row in backends.database.feedback_of(reader))
    assert set(acknowledged) <= set(stored)
    second = start(tmp_path, "second", "collector", *options)
    with serving(second):
        for reader in readers:
            send(second.http, reader, range(40))
        wait_for(lambda: all(reads(backends.store, reader) == 40 for reader in readers), 20)
    stored = Counter(row["event_id"] for reader in readers for row in backends.database.feedback_of(reader))
    assert stored == Counter(f"{reader}-{number}" for reader in readers for number in range(40))


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/metrics").status_code == 200
    except httpx.TransportError:
        return False
