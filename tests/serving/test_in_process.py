"""Predictor and collector as objects: with hashed reader ids, with a store or an event log that is down."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from feature_repo.store import open_store
from newsrec import artifact
from newsrec.assignment import pseudonym
from newsrec.event_log import EventDatabase
from newsrec.features import HISTORY_LENGTH
from serving.backends import Backends
from serving.bundle import make_bundle
from serving.collector import create_app
from serving.live_articles import LiveArticles
from serving.predictor import Predictor
from serving.recommend import ServingConfig
from serving.slate_log import LogFull, SlateLog
from tests.full_disk import full
from tests.serving.conftest import Site, clock, wait_for

READER, KEY = "ann@example.org", b"a secret of the site"
PSEUDONYM = pseudonym(READER, KEY)


class Both(NamedTuple):
    predictor: Predictor
    live: LiveArticles
    collector: TestClient
    backends: Backends
    slate_log: SlateLog

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer, which is in the event log when this returns."""
        answer = asyncio.run(self.predictor.predict({"instances": [request]}))["predictions"][0]
        assert self.slate_log.flush()
        return answer

    def click(self, prediction: dict[str, Any]) -> Any:
        click = {"event_id": "e", "request_id": prediction["request_id"], "user_id": prediction["user_id"]}
        click |= {"kind": "click", "article_id": prediction["slate"][0]["article_id"]}
        return self.collector.post("/v1/feedback", json={"events": [click]})


@pytest.fixture
def both(site: Site, tmp_path: Path) -> Iterator[Both]:
    """On a store and an event log of this test alone, reader ids hashed."""
    shutil.copytree(site.untouched_store, tmp_path / "store")
    database = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    backends = Backends(open_store(tmp_path / "store"), database, KEY, clock)
    loaded = artifact.load(site.folder / "artifact")
    bundle = make_bundle(loaded, backends, ServingConfig())
    slate_log = SlateLog(database, clock, capacity=5, every_seconds=0.005)
    predictor = Predictor("newsrec", bundle, backends, ServingConfig(), slate_log)
    with TestClient(create_app(backends)) as collector:
        yield Both(predictor, bundle.live, collector, backends, slate_log)
    slate_log.close()
    database.close()


def test_with_a_key_a_reader_is_stored_under_the_pseudonym_alone(both: Both) -> None:
    first = both.ask(user_id=READER, k=100)
    assert (first["user_id"], first["cold"]) == (READER, True)
    assert both.click(first).json() == {"accepted": 1, "repeated": 0, "quarantined": 0, "history": "updated"}
    second = both.ask(user_id=READER, k=100)
    assert not second["cold"]
    assert first["slate"][0]["article_id"] not in [item["article_id"] for item in second["slate"]]
    log = both.backends.database.export()
    assert set(log.recommendations["user_id"].to_pylist()) == {PSEUDONYM}
    assert log.feedback["user_id"].to_pylist() == [PSEUDONYM]
    assert all(session.startswith(f"{PSEUDONYM}/") for session in log.recommendations["session_id"].to_pylist())
    stored = both.backends.store.readers([PSEUDONYM, READER])
    assert [row["reads"] for row in stored] == [1, None]


def test_feedback_that_overtakes_its_slate_reaches_the_history_when_the_slate_is_logged(both: Both) -> None:
    late = SlateLog(both.backends.database, clock, every_seconds=3_600.0)
    predictor = Predictor("late", both.predictor.bundle, both.backends, ServingConfig(), late)
    prediction = asyncio.run(predictor.predict({"instances": [{"user_id": READER}]}))["predictions"][0]
    answer = both.click(prediction).json()
    assert (answer["accepted"], answer["quarantined"], answer["history"]) == (0, 1, "pending")
    again = both.click(prediction).json()
    assert (again["repeated"], again["history"]) == (1, "pending")
    late.close()
    wait_for(lambda: both.backends.store.readers([PSEUDONYM])[0]["reads"] == 1)
    assert both.click(prediction).json()["history"] == "updated"


def test_nothing_read_comes_back_however_much_was_read(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """More reads than a packed history holds, all within the shelf life."""
    monkeypatch.setattr("serving.predictor.LOG_SECONDS", 30.0)  # whatever else this machine does meanwhile
    now = both.backends.clock()
    fresh = [{"article_id": f"n{i:02}", "published_at": now - i, "title": f"News {i}"} for i in range(HISTORY_LENGTH)]
    assert both.collector.post("/v1/articles", json={"articles": fresh}).json() == {"changed": HISTORY_LENGTH}
    assert both.live.poll() == HISTORY_LENGTH
    read: list[str] = []
    for number in range(HISTORY_LENGTH + 10):
        answer = both.ask(user_id=READER, k=1)
        article = answer["slate"][0]["article_id"]
        assert article not in read
        read.append(article)
        event = {"event_id": f"e{number}", "request_id": answer["request_id"], "user_id": READER, "kind": "click"}
        both.collector.post("/v1/feedback", json={"events": [{**event, "article_id": article}]})


def test_without_the_store_a_reader_is_served_as_unknown_and_the_answer_says_so(both: Both) -> None:
    file = both.backends.store.root / "online_store.db"
    healthy = file.read_bytes()
    file.write_bytes(b"no database " * 1000)
    try:
        answer = both.ask(user_id=READER, k=5)
    finally:
        file.write_bytes(healthy)
    assert (len(answer["slate"]), answer["cold"], answer["degraded"]) == (5, True, True)
    logged = both.backends.database.export().recommendations
    assert logged["request_id"].to_pylist() == [answer["request_id"]]
    wait_for(lambda: "degraded" not in both.ask(user_id=READER, k=5))


def test_feedback_without_the_store_is_kept_and_catches_up_by_itself(both: Both) -> None:
    prediction = both.ask(user_id=READER)
    file = both.backends.store.root / "online_store.db"
    healthy = file.read_bytes()
    file.write_bytes(b"no database " * 1000)
    try:
        answer = both.click(prediction)
        assert answer.json() == {"accepted": 1, "repeated": 0, "quarantined": 0, "history": "pending"}
    finally:
        file.write_bytes(healthy)
    wait_for(lambda: both.backends.store.readers([PSEUDONYM])[0]["reads"] == 1)
    wait_for(lambda: "newsrec_readers_pending 0.0" in both.collector.get("/metrics").text)


def test_without_the_event_log_slates_wait_for_it_and_when_too_many_do_requests_are_refused(
    both: Both, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = both.ask(user_id=READER)
    with both.backends.database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE recommendations RENAME TO away"))
    body = {"instances": [{"user_id": READER}]}
    waiting = [asyncio.run(both.predictor.predict(body))["predictions"][0] for _ in range(5)]
    with monkeypatch.context() as patch:
        patch.delattr(Predictor, "_decide")  # nothing is decided that could not be logged
        with pytest.raises(LogFull, match="5 slates wait for the event log, at most 5 may"):
            asyncio.run(both.predictor.predict(body))
    answer = both.click(prediction)
    assert answer.status_code == 503
    assert answer.json() == {"error": "the event log does not answer; nothing was stored, send it again"}
    wait_for(lambda: both.slate_log.stalled_seconds > 0 and "slates wait" in caplog.text)
    with both.backends.database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO recommendations"))
    assert both.slate_log.flush()
    logged = both.backends.database.export().recommendations["request_id"].to_pylist()
    assert sorted(logged) == sorted(answer["request_id"] for answer in [prediction, *waiting])
    said = {record.getMessage().split(",")[0].split(":")[0] for record in caplog.records if record.levelname == "ERROR"}
    assert said == {"the event log does not answer"}
    assert all(record.getMessage().endswith("no such table: recommendations") for record in caplog.records)


def test_the_collector_is_ready_only_while_the_event_log_takes_writes(both: Both) -> None:
    with full(both.backends.database):
        health = both.collector.get("/healthz")
        assert health.status_code == 503
        assert health.json() == {"error": "the event log does not answer; nothing was stored, send it again"}
    assert both.collector.get("/healthz").json() == {"quarantined": 0}


def test_readiness_writes_once_a_second_however_often_it_is_asked(both: Both) -> None:
    start, written, counts = clock(), [], []
    moments = iter([start, start, start + 999_999, start + 1_000_000, start + 1_000_001, start + 2_500_000])
    app = create_app(both.backends._replace(clock=lambda: next(moments)))

    def record(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        written.extend([statement] if statement.startswith("INSERT INTO write_probe") else [])

    sa.event.listen(both.backends.database.engine, "before_cursor_execute", record)
    with TestClient(app) as collector:
        for _ in range(6):
            assert collector.get("/healthz").status_code == 200
            counts.append(len(written))
    assert counts == [1, 1, 1, 2, 2, 3]
