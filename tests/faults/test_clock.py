"""The clock of both servers jumps back by an hour, forward by a day, and back again, between and within visits."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from feature_repo.store import open_store
from newsrec import artifact
from newsrec.event_log import EventDatabase
from newsrec.features import DAY, HOUR
from serving.backends import Backends
from serving.bundle import make_bundle
from serving.collector import create_app
from serving.predictor import Predictor
from serving.recommend import ServingConfig
from serving.slate_log import SlateLog
from tests.serving.conftest import Site, clock, make_site, wait_for

JUMPS = (0, -HOUR, -HOUR, DAY, DAY, 0, -10 * DAY, 0)


def test_no_slate_and_no_event_is_lost_or_doubled_and_histories_go_on(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.untouched_store, tmp_path / "store")
    jump = 0
    database = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    backends = Backends(open_store(tmp_path / "store"), database, None, lambda: clock() + jump)
    bundle = make_bundle(artifact.load(site.folder / "artifact"), backends, ServingConfig())
    slate_log = SlateLog(database, backends.clock, state=tmp_path)
    predictor = Predictor("newsrec", bundle, backends, ServingConfig(), slate_log)
    seen, read = [], []
    with TestClient(create_app(backends)) as collector:
        for number, jump in enumerate(JUMPS):
            request = {"user_id": "ann", "k": 5, "candidates": [f"a{i:02}" for i in range(20)]}
            (answer,) = asyncio.run(predictor.predict({"instances": [request]}))["predictions"]
            seen.append(answer["request_id"])
            if not answer["slate"]:  # ten days ago nothing had been published
                assert jump == -10 * DAY
                continue
            article = answer["slate"][0]["article_id"]
            assert article not in read
            read.append(article)
            wait_for(lambda made=answer["request_id"]: made in logged(database))
            event: dict[str, Any] = {"event_id": f"e{number}", "request_id": answer["request_id"], "user_id": "ann"}
            event |= {"kind": "click", "article_id": article, "position": 0}
            for outcome in ("accepted", "repeated"):
                sent = collector.post("/v1/feedback", json={"events": [event]}).json()
                assert (sent[outcome], sent["history"]) == (1, "updated")
            assert backends.store.readers(["ann"])[0]["reads"] == 3 + len(read)  # three came with the log
        assert collector.get("/healthz").status_code == 200
    slate_log.close()
    received = database.export().feedback
    stamps = received.sort_by("event_id")["received_at"].to_pylist()
    assert stamps == sorted(set(stamps))  # in the order in which they came, whatever the clock said
    assert len(read) == received.num_rows == 7
    assert set(logged(database)) == set(seen) - {seen[6]}
    database.close()


def logged(database: EventDatabase) -> list[str]:
    return database.export().recommendations["request_id"].to_pylist()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), "popularity")
