"""``python -m serving forget READER``: gone everywhere, completed after an interruption, and not coming back."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from feature_repo.store import Forgotten, Store, create_store, materialize_training_set
from newsrec import events
from newsrec.assignment import pseudonym
from newsrec.erasure import Removed
from newsrec.event_log import AppendResult, EventDatabase
from newsrec.ingestion import ingest
from serving.backends import Backends
from serving.collector import create_app
from serving.forget import forget
from serving.online_store import Histories
from serving.precompute import STATE
from tests.event_rows import article, event, recommendation
from tests.serving.conftest import Site, clock, ended

KEY = b"a secret of the site"
HOUR = 3_600_000_000


@pytest.fixture
def backends(site: Site, tmp_path: Path) -> Iterator[Backends]:
    """A log in which ann and bob have each a decision with a click, folded, and the site's store with ann's history."""
    shutil.copytree(site.untouched_store, tmp_path / "store")
    database = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    backends = Backends(create_store(tmp_path / "store"), database, None, clock)
    database.upsert_articles([article("a"), article("b"), article("c")], site.now)
    for reader in ("ann", "bob"):
        database.append_recommendations([recommendation(reader, reader, time=site.now - HOUR)], site.now)
        database.append_feedback([event(reader, reader, reader, time=site.now - HOUR)], site.now)
        assert Histories(backends).catch_up(reader)
    yield backends
    database.close()


def rows(store: Store) -> dict[str, Any]:
    return {user: store.readers([user])[0]["reads"] for user in ("ann", "bob")}


def everywhere(backends: Backends, user_id: str) -> list[str]:
    """The places where something of ``user_id`` is."""
    log, store = backends.database.export(), backends.store
    found = {
        "recommendations": user_id in log.recommendations["user_id"].to_pylist(),
        "feedback": user_id in log.feedback["user_id"].to_pylist(),
        "quarantine": user_id in [row["user_id"] for row in backends.database.quarantined()],
        "offline": any(user_id.encode() in path.read_bytes() for path in (store.root / "offline").iterdir()),
        "online": store.readers([user_id])[0]["event_timestamp"] is not None,
    }
    return [place for place, there in found.items() if there]


def test_a_reader_is_gone_everywhere_and_others_stay(backends: Backends) -> None:
    assert everywhere(backends, "ann") == ["recommendations", "feedback", "offline", "online"]
    assert rows(backends.store)["bob"] is not None
    before = rows(backends.store)
    done = forget(backends, "ann")
    assert done.log == Removed(1, 1, 0)
    assert done.store.offline > 0
    assert (done.store.online, done.flushed, done.unfinished) == (1, True, 0)
    assert str(done).startswith("deleted: 1 recommendations, 1 feedback events and 0 waiting ones in the event log, ")
    assert everywhere(backends, "ann") == []
    assert rows(backends.store) == before | {"ann": None}
    again = forget(backends, "ann")
    assert (again.log, again.store) == (Removed(), Forgotten(0, 0))


def test_the_progress_of_an_interrupted_batch_names_the_reader_no_more(backends: Backends) -> None:
    progress = backends.store.root / STATE
    progress.write_text(json.dumps({"version": "v", "began": 0, "last": "ann"}))
    forget(backends, "an")
    assert progress.exists()
    forget(backends, "ann")
    assert not progress.exists()


STEPS = {
    "EventDatabase.forget": "newsrec.erasure.remove_reader",
    "offline rows": "feature_repo.store.erase_offline",
    "online rows": "feature_repo.store.Store.erase_readers",
    "flush": "newsrec.event_log.flush_deletions",
    "finish": "newsrec.event_log.EventDatabase.finish_forgetting",
}


@pytest.mark.parametrize("step", STEPS)
def test_killed_before_any_step_it_is_completed_by_the_next(
    backends: Backends, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(STEPS[step], killed)
        with pytest.raises(KeyboardInterrupt):
            forget(backends, "ann")
    late = event("late", "ann", "ann", time=clock() - HOUR)
    assert backends.database.append_feedback([late], clock()) == AppendResult(0, 0, 0, 1)
    assert forget(backends, "bob").unfinished == 1
    assert forget(backends, "ann").unfinished == 0
    assert everywhere(backends, "ann") == []


def test_a_pipeline_on_the_log_or_on_an_old_export_knows_nothing_of_the_reader(
    backends: Backends, tmp_path: Path
) -> None:
    old = events.write(backends.database.export(), tmp_path / "old")
    forget(backends, "ann")
    store = backends.store.root
    for source in (f"log:{backends.database.engine.url}", f"events:{old}"):
        out = ingest(source, tmp_path / "new", store=store)
        assert events.read(out).recommendations["user_id"].to_pylist() == ["bob"]
        shutil.rmtree(out)
    (tmp_path / "set").mkdir()
    shutil.copytree(old, tmp_path / "set" / "log")  # of a run that had read the log before
    materialize_training_set(tmp_path / "set", store, tmp_path / "counts.json")
    assert everywhere(backends, "ann") == []


def test_who_comes_back_is_a_new_reader(backends: Backends) -> None:
    forget(backends, "ann")
    now = clock()
    backends.database.append_recommendations([recommendation("back", "ann", time=now)], now)
    backends.database.append_feedback([event("back", "back", "ann", time=now)], now)
    assert Histories(backends).catch_up("ann")
    assert rows(backends.store)["ann"] == 1
    (row,) = backends.database.feedback_of("ann")
    assert backends.store.readers(["ann"])[0]["event_timestamp"] == row["received_at"]


def test_the_collector_says_how_much_it_dropped(backends: Backends) -> None:
    forget(backends, "ann")
    late = {"event_id": "late", "request_id": "ann", "user_id": "ann", "article_id": "b", "kind": "click"}
    with TestClient(create_app(backends)) as collector:
        answer = collector.post("/v1/feedback", json={"events": [late | {"time": clock() - HOUR}]})
        assert answer.json() == {"accepted": 0, "repeated": 0, "quarantined": 0, "forgotten": 1, "history": "updated"}
        assert 'newsrec_feedback_total{outcome="forgotten"}' in collector.get("/metrics").text
    assert everywhere(backends, "ann") == []


def test_a_fold_that_read_before_the_deletion_leaves_nothing(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is forgotten while the collector has their old events in its hands."""
    now, real = clock(), EventDatabase.unfolded
    backends.database.append_recommendations([recommendation("last", "ann", time=now)], now)
    backends.database.append_feedback([event("last", "last", "ann", time=now)], now)

    def read_and_lose(database: EventDatabase, user_id: str, folded_until: int | None) -> Any:
        found = real(database, user_id, folded_until)
        if database.forgotten_at(user_id) is None:
            forget(backends, user_id)
        return found

    monkeypatch.setattr(EventDatabase, "unfolded", read_and_lose)
    assert Histories(backends).catch_up("ann")
    assert everywhere(backends, "ann") == []


def test_a_fold_between_tombstone_and_deletion_does_not_go_on_from_the_old_row(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "erase_readers", killed)
    with pytest.raises(KeyboardInterrupt):
        forget(backends, "ann")
    now = clock()
    backends.database.append_recommendations([recommendation("back", "ann", time=now)], now)
    backends.database.append_feedback([event("back", "back", "ann", time=now)], now)
    assert rows(backends.store)["ann"] > 1
    assert Histories(backends).catch_up("ann")
    assert rows(backends.store)["ann"] == 1


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return ended("forget", *arguments, f"--store={folder / 'store'}", f"--event-log=sqlite:///{folder / 'events.db'}")


@pytest.mark.usefixtures("warm")
def test_the_command_hashes_the_id_as_the_servers_do(backends: Backends, tmp_path: Path) -> None:
    stored = pseudonym("ann@example.org", KEY)
    backends.database.append_recommendations([recommendation("r", stored, time=clock())], clock())
    backends.database.append_feedback([event("e", "r", stored, time=clock())], clock())
    assert Histories(backends).catch_up(stored)
    (tmp_path / "key").write_bytes(KEY)
    done = command(tmp_path, "ann@example.org", f"--reader-key-file={tmp_path / 'key'}")
    assert done.returncode == 0, done.stderr
    assert "1 recommendations, 1 feedback events" in done.stdout
    assert "ann@example.org" not in done.stdout + done.stderr
    assert everywhere(backends, stored) == []
    assert everywhere(backends, "ann") == ["recommendations", "feedback", "offline", "online"]


@pytest.mark.usefixtures("warm")
def test_where_the_key_is_not_at_hand_the_stored_id_does(backends: Backends, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY)
    stored = ended("stored-id", "--reader-key-file", str(tmp_path / "key"), "--", "-ann@example.org").stdout.strip()
    assert stored == pseudonym("-ann@example.org", KEY)
    assert ended("stored-id", "ann").stdout == "ann\n"
    backends.database.append_recommendations([recommendation("r", stored, time=clock())], clock())
    assert command(tmp_path, stored).returncode == 0
    assert everywhere(backends, stored) == []
    empty = command(tmp_path, "")
    assert (empty.returncode, empty.stderr.count("\n")) == (2, 1)
    assert "the reader's id is empty" in empty.stderr


def test_a_folder_that_cannot_be_written_keeps_its_files_alone(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr("feature_repo.store.tombstones.add", read_only)
        with pytest.raises(OSError, match="Read-only"):
            forget(backends, "ann")
    assert everywhere(backends, "ann") == ["offline"]
    assert forget(backends, "bob").unfinished == 1
    forget(backends, "ann")
    assert everywhere(backends, "ann") == []


@pytest.mark.usefixtures("warm")
def test_the_command_says_what_it_cannot_reach(backends: Backends, tmp_path: Path) -> None:
    (tmp_path / "store" / "registry.db").unlink()
    done = command(tmp_path, "ann")
    assert done.returncode == 2
    assert done.stderr.startswith("serving: no feature store in ")
    assert done.stderr.count("\n") == 1
