"""Decisions on their way to the event log: taken at once, committed together, counted where they are lost."""

import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY as METRICS

from newsrec.event_log import EventDatabase
from newsrec.events import SCHEMAS
from serving import slate_log as module
from serving.slate_counter import SIZE, default_folder
from serving.slate_log import LogFull, SlateLog
from tests.conftest import ROOT
from tests.event_rows import NOON, event, recommendation
from tests.serving.conftest import wait_for

QUICK = 0.005


def row(request_id: str, **more: Any) -> dict[str, Any]:
    return dict.fromkeys(SCHEMAS["recommendations"].names) | recommendation(request_id, **more)


class Gated(EventDatabase):
    """Commits only while ``go`` is set, and keeps the size of each batch; ``raising`` is what it raises instead."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sizes: list[int] = []
        self.began, self.go = threading.Event(), threading.Event()
        self.raising: Exception | None = None
        self.go.set()

    def append_decisions(self, rows: list[dict], now: int, encode: Any) -> int:
        self.sizes.append(len(rows))
        self.began.set()
        assert self.go.wait(30)
        if self.raising is not None:
            raise self.raising
        return super().append_decisions(rows, now, encode)

    @property
    def requests(self) -> list[str]:
        return self.export().recommendations["request_id"].to_pylist()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Gated]:
    opened = Gated(f"sqlite:///{tmp_path / 'events.db'}")
    yield opened
    opened.go.set()
    opened.close()


Open = Callable[..., SlateLog]


@pytest.fixture
def opened(database: Gated) -> Iterator[Open]:
    """Opens slate logs on ``database`` that end with the test."""
    every: list[SlateLog] = []

    def open_log(**options: Any) -> SlateLog:
        every.append(SlateLog(database, lambda: NOON + 60, **{"every_seconds": QUICK} | options))
        return every[-1]

    yield open_log
    database.raising = None
    database.go.set()
    for log in every:
        log.close()


def lost() -> float:
    return METRICS.get_sample_value("newsrec_slates_lost_total") or 0.0


def test_put_returns_while_the_database_is_busy_and_what_waits_shares_a_commit(database: Gated, opened: Open) -> None:
    log = opened()
    database.go.clear()
    log.put([row("first")])
    assert database.began.wait(30)
    for number in range(9):
        log.put([row(f"r{number}"), row(f"s{number}")])
    assert database.requests == []
    database.go.set()
    assert log.flush()
    assert database.sizes == [1, 18]
    assert len(database.requests) == 19


def test_a_backlog_is_committed_in_batches(database: Gated, opened: Open) -> None:
    log = opened()
    database.go.clear()
    log.put([row("first")])
    assert database.began.wait(30)
    log.put([row(f"r{number:03}") for number in range(600)])
    database.go.set()
    assert log.flush()
    assert database.sizes == [1, 256, 256, 88]


def test_a_full_log_takes_nothing_of_a_call_and_has_room_after_a_commit(database: Gated, opened: Open) -> None:
    log = opened(capacity=3)
    database.go.clear()
    log.put([row("a"), row("b")])
    before = METRICS.get_sample_value("newsrec_slate_log_full_total") or 0.0
    with pytest.raises(LogFull, match="2 slates wait for the event log, at most 3 may") as refused:
        log.put([row("c"), row("d")])
    assert refused.value.retry_after_seconds >= 1
    assert METRICS.get_sample_value("newsrec_slate_log_full_total") == before + 1
    log.put([row("e")])
    assert METRICS.get_sample_value("newsrec_slates_waiting") == 3
    database.go.set()
    assert log.flush()
    log.put([row("c"), row("d"), row("f")])
    assert log.flush()
    assert database.requests == ["a", "b", "c", "d", "e", "f"]


def test_what_the_database_does_not_take_is_tried_again_until_it_does(
    database: Gated, opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", QUICK)
    log, before = opened(), lost()
    database.raising = sa.exc.OperationalError("INSERT secret", {}, sqlite3.OperationalError("disk I/O error"))
    log.put([row("a")])
    wait_for(lambda: len(database.sizes) > 3)
    log.put([row("b")])
    database.raising = None
    assert log.flush()
    assert database.requests == ["a", "b"]
    assert lost() == before
    assert [record.getMessage() for record in caplog.records] == [
        "the event log does not answer, 1 slates wait: disk I/O error"
    ]


def test_it_complains_while_nothing_of_what_waits_is_committed(database: Gated, opened: Open) -> None:
    """Whether the database raises or hangs."""
    patient, strict = opened(patience_seconds=3_600.0), opened(patience_seconds=0.0)
    assert (strict.stalled_seconds, strict.complaint()) == (0.0, None)
    database.go.clear()
    for log in (patient, strict):
        log.put([row(f"r{id(log)}")])
    wait_for(lambda: strict.stalled_seconds > 0)
    assert patient.complaint() is None
    assert strict.complaint() == "The event log does not answer, 1 of at most 10,000 slates wait for it."
    database.go.set()
    assert strict.flush()
    assert (strict.stalled_seconds, strict.complaint()) == (0.0, None)


def test_a_slate_that_cannot_be_stored_costs_no_other_one(
    database: Gated, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    log, before = opened(), lost()
    log.put([row("a"), row("bad", user_id=None), row("worse", candidates=[object()]), row("b")])
    assert log.flush()
    assert database.requests == ["a", "b"]
    assert lost() == before + 2
    assert len(caplog.records) == 2


def test_nothing_is_lost_between_threads(database: Gated, opened: Open) -> None:
    log = opened()
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda i: log.put([row(f"r{i:03}")]), range(400)))
    assert log.flush()
    assert database.requests == [f"r{i:03}" for i in range(400)]


def test_close_commits_what_waits_and_takes_nothing_more(database: Gated) -> None:
    log = SlateLog(database, lambda: NOON, every_seconds=3_600.0)
    log.put([row("a")])
    log.close()
    assert database.requests == ["a"]
    with pytest.raises(LogFull):
        log.put([row("b")])


def test_close_does_not_wait_for_ever_and_the_next_start_counts_what_it_left(
    database: Gated, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", QUICK)
    monkeypatch.setattr(module, "RETRY_SECONDS", QUICK)
    before = lost()
    log = opened(state=tmp_path)
    database.raising = sa.exc.OperationalError("", {}, sqlite3.OperationalError("database is locked"))
    log.put([row("a"), row("b")])
    log.close()
    assert "2 slates are lost: the event log did not answer before the end" in caplog.text
    opened(state=tmp_path)
    assert lost() == before + 2


def test_feedback_that_overtakes_its_slate_is_released_with_it(database: Gated, opened: Open) -> None:
    log = opened()
    database.go.clear()
    log.put([row("r")])
    assert database.append_feedback([event("e")], NOON + 6).quarantined == 1
    database.go.set()
    assert log.flush()
    assert [(found["event_id"], found["received_at"]) for found in database.feedback_of("ann")] == [("e", NOON + 60)]
    assert database.quarantine_size() == 0


CHILD = """
import sys, time
from newsrec.event_log import EventDatabase
from newsrec.events import SCHEMAS
from serving import slate_log
from tests.event_rows import recommendation

database = EventDatabase(sys.argv[1])
folder, count, stuck = sys.argv[2], int(sys.argv[3]), sys.argv[4]
if stuck == "after":  # dies between the commit and its being counted
    class Stuck(slate_log.SlateCounter):
        def end(self):
            print("committed", flush=True)
            time.sleep(60)
    slate_log.SlateCounter = Stuck
from pathlib import Path
log = slate_log.SlateLog(database, lambda: 0, state=Path(folder))
full = dict.fromkeys(SCHEMAS["recommendations"].names)
print("ready", flush=True)
for number in range(count):
    log.put([full | recommendation(f"{sys.argv[5]}-{number:06}")])
    if stuck == "running":
        print(number, flush=True)
print("put", flush=True)
time.sleep(60)
"""


Child = Callable[..., subprocess.Popen]


@pytest.fixture
def child(python: Path) -> Child:
    def start(url: str, folder: Path, count: int, stuck: str, name: str = "r") -> subprocess.Popen:
        command = [python, "-c", CHILD, url, str(folder), str(count), stuck, name]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    return start


def until(process: subprocess.Popen, line: str) -> None:
    assert process.stdout
    for found in process.stdout:
        if found == f"{line}\n":
            return
    raise AssertionError(f"it ended before it said {line}")


def kill(process: subprocess.Popen) -> str:
    """SIGKILL; what it had printed and nobody had read."""
    process.kill()
    assert process.wait() == -9
    assert process.stdout
    with process.stdout as out:
        return out.read()


def test_after_sigkill_the_next_start_counts_exactly_what_is_missing(
    database: Gated, opened: Open, child: Child, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another writer holds the database at the moment of death, after it has taken some."""
    url, before = str(database.engine.url), lost()
    process = child(url, tmp_path, 1_000, "no")
    until(process, "ready")
    wait_for(lambda: database.export().recommendations.num_rows > 0)
    with sqlite3.connect(tmp_path / "events.db", timeout=30, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        until(process, "put")
        kill(process)
        other.execute("ROLLBACK")
    missing = 1_000 - database.export().recommendations.num_rows
    opened(state=tmp_path)
    assert lost() - before == missing
    said = f"{missing} slates that a predictor had answered when it died never came into the event log"
    assert [record.getMessage() for record in caplog.records] == ([said] if missing else [])
    opened(state=tmp_path)
    assert lost() - before == missing  # not again


@pytest.mark.parametrize("wait", [0.02, 0.06, 0.1])
def test_sigkill_at_any_moment(wait: float, database: Gated, opened: Open, child: Child, tmp_path: Path) -> None:
    """The one that is put at that very moment counts or does not."""
    before = lost()
    process = child(str(database.engine.url), tmp_path, 1_000_000, "running")
    until(process, "0")
    threading.Event().wait(wait)
    said = kill(process).split()
    put = int(said[-1]) + 1 if said else 1
    opened(state=tmp_path)
    missing = put - database.export().recommendations.num_rows
    assert lost() - before in (missing, missing + 1)


def test_a_batch_that_was_committed_and_not_counted_is_not_lost(
    database: Gated, opened: Open, child: Child, tmp_path: Path
) -> None:
    before = lost()
    process = child(str(database.engine.url), tmp_path, 7, "after")
    until(process, "committed")
    kill(process)
    committed = database.export().recommendations.num_rows
    assert committed > 0
    opened(state=tmp_path)
    assert lost() - before == 7 - committed


def test_two_predictors_never_share_a_counter(database: Gated, opened: Open, child: Child, tmp_path: Path) -> None:
    """Both die; the one that starts next counts what both have lost."""
    url, before = str(database.engine.url), lost()
    with sqlite3.connect(tmp_path / "events.db", timeout=30, isolation_level=None) as other:
        processes = [child(url, tmp_path, count, "no", f"of-{count}") for count in (30, 12)]
        for process in processes:
            until(process, "ready")
        other.execute("BEGIN IMMEDIATE")
        for process in processes:
            until(process, "put")
        assert len(list(tmp_path.glob("slates-*.counter"))) == 2
        for process in processes:
            kill(process)
        other.execute("ROLLBACK")
    missing = 42 - database.export().recommendations.num_rows
    opened(state=tmp_path)
    assert lost() - before == missing


def test_the_counters_of_another_event_log_are_left_alone(
    database: Gated, opened: Open, child: Child, tmp_path: Path
) -> None:
    other = EventDatabase(f"sqlite:///{tmp_path / 'other.db'}")
    before = lost()
    for url in (str(database.engine.url), str(other.engine.url)):
        process = child(url, tmp_path, 5, "after")
        until(process, "committed")
        kill(process)
    other.close()
    files = {path.name: path.read_bytes() for path in tmp_path.glob("slates-*.counter")}
    opened(state=tmp_path)
    unchanged = [name for name, content in files.items() if (tmp_path / name).read_bytes() == content]
    assert len(unchanged) == 1
    assert lost() - before == 5 - database.export().recommendations.num_rows


@pytest.mark.parametrize("content", [b"", b"short", b"?" * SIZE, b"\0" * SIZE])
def test_a_damaged_or_foreign_file_is_said_and_replaced(
    content: bytes, database: Gated, opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(state=tmp_path).close()
    (file,) = tmp_path.glob("slates-*.counter")
    file.write_bytes(content)
    before = lost()
    log = opened(state=tmp_path)
    log.put([row("a")])
    assert log.flush()
    assert lost() == before
    damaged = bool(content.strip(b"\0"))
    assert [f"{file} is replaced" in record.getMessage() for record in caplog.records] == [True] * damaged
    assert file.stat().st_size == SIZE


def test_counters_stand_beside_sqlite_and_else_among_temporary_files(tmp_path: Path) -> None:
    assert default_folder(sa.make_url(f"sqlite:///{tmp_path / 'events.db'}")) == tmp_path
    folder = default_folder(sa.make_url("postgresql+psycopg://newsrec:secret@postgres/newsrec"))
    assert folder.parts[:2] == ("/", "tmp")
    assert "secret" not in str(folder)
