"""Readers' vectors from feedback to the next slate: computed as feedback comes, or for all readers at once."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from feature_repo.store import ReaderVector, Store, create_store, open_store
from newsrec import artifact
from newsrec.encoders.one_reader import OneReader
from newsrec.event_log import EventDatabase
from newsrec.transitions import Readers
from serving.back_fill import Filled, back_fill
from serving.backends import Backends
from serving.bundle import Bundle, make_bundle
from serving.collector import create_app
from serving.predictor import Predictor
from serving.recommend import ServingConfig
from serving.scoring import made_by, read_rows
from serving.slate_log import SlateLog
from serving.tower import Tower
from tests.serving import small_log
from tests.serving.conftest import Site, clock, wait_for
from tests.serving.test_start import one_line, run


@pytest.fixture
def own(site: Site, tmp_path: Path) -> Site:
    """The site with a store and an event log of this test alone."""
    shutil.copytree(site.untouched_store, tmp_path / "store")
    for part in ("artifact", "releases"):
        shutil.copytree(site.folder / part, tmp_path / part)
    create_store(tmp_path / "store")
    return Site(tmp_path, site.now)


@pytest.fixture
def backends(own: Site) -> Iterator[Backends]:
    database = EventDatabase(own.event_log)
    yield Backends(open_store(own.store), database, None, clock)
    database.close()


@pytest.fixture
def bundle(own: Site, backends: Backends) -> Bundle:
    return make_bundle(artifact.load(own.folder / "artifact"), backends, ServingConfig())


def found(store: Store, user_id: str) -> ReaderVector | None:
    ((_, vector),) = store.readers_and_vectors([user_id])
    return vector


def ask(server: Predictor, **request: Any) -> dict[str, Any]:
    return asyncio.run(server.predict({"instances": [request]}))["predictions"][0]


def test_feedback_brings_a_vector_that_changes_no_slate(own: Site, backends: Backends, bundle: Bundle) -> None:
    """It is there with the row, and what is drawn from it is what the tower in the request would have drawn."""
    slate_log = SlateLog(backends.database, clock)
    nearline = Predictor("newsrec", bundle, backends, ServingConfig(), slate_log)
    online = Predictor("newsrec", bundle, backends, ServingConfig(), slate_log, nearline=False)
    vectors = []
    with TestClient(create_app(backends, tower=Tower(bundle))) as collector:
        for seed in range(3):
            shown = ask(nearline, user_id="kim", seed=seed, k=5)
            click = {"event_id": shown["request_id"], "request_id": shown["request_id"], "user_id": "kim"}
            click |= {"kind": "click", "article_id": shown["slate"][0]["article_id"]}
            collector.post("/v1/feedback", json={"events": [click]})
            wait_for(lambda seed=seed: backends.store.readers(["kim"])[0]["reads"] == seed + 1, 20)
            wait_for(lambda: found(backends.store, "kim") is not None, 20)
            vector = found(backends.store, "kim")
            assert vector is not None
            vectors.append(vector.vector)
            request = {"user_id": "kim", "seed": 7, "k": 20, "time": own.now}
            answers = [ask(server, **request) for server in (nearline, online)]
            assert answers[0]["slate"] == answers[1]["slate"]
            assert not answers[0]["cold"]
    slate_log.close()
    assert len(set(vectors)) == 3


def test_near_line_no_tower_runs_and_online_it_does(
    own: Site, backends: Backends, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    tower = OneReader.vector
    monkeypatch.setattr(OneReader, "vector", lambda *reads: ran.append("tower") or tower(*reads))
    nearline = Predictor("newsrec", bundle, backends, ServingConfig())
    assert ask(nearline, user_id="stranger")["cold"]
    assert ran == []
    ask(nearline, user_id="ann")
    assert ran == ["tower"], "ann has no vector yet"
    back_fill(backends.store, Tower(bundle))
    ran.clear()
    ask(nearline, user_id="ann")
    assert ran == []
    ask(Predictor("newsrec", bundle, backends, ServingConfig(), nearline=False), user_id="ann")
    assert ran == ["tower"]


def test_all_readers_get_theirs_at_once_and_what_is_fresh_is_left_alone(backends: Backends, bundle: Bundle) -> None:
    store = backends.store
    shelf, by = bundle.live.shelves[0], bundle.arms.all[0].artifact
    told: list[int] = []
    assert back_fill(store, Tower(bundle), told.append) == Filled(len(small_log.READERS), 0, 0)
    assert sum(told) == len(small_log.READERS)
    for row, vector in store.readers_and_vectors(small_log.READERS):
        assert made_by(vector, read_rows(Readers.from_row(row), shelf), shelf, by) is not None
    first = found(store, "ann")
    assert first is not None
    store.write_vector("ann", first._replace(policy_version=b"another"), store.readers(["ann"])[0]["event_timestamp"])
    assert back_fill(store, Tower(bundle)) == Filled(1, len(small_log.READERS) - 1, 0)
    again = found(store, "ann")
    assert again is not None
    assert again.policy_version == by.version.encode()


def test_the_command_says_what_it_did(
    own: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "vectors", f"--artifact={own.folder / 'releases'}", *own.options) == 0
    assert f"{len(small_log.READERS)} vectors are new, 0 were fresh" in capfd.readouterr().out


def test_a_collector_without_its_artefact_ends_with_one_sentence(
    own: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "collector", f"--artifact={tmp_path}", *own.options, "--port=0") == 2
    assert "expected the folder of an artefact" in one_line(capfd)
