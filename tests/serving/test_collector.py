"""The collector over HTTP, and what the predictor makes of it: the loop from a slate to the next one."""

import uuid
from typing import Any

import numpy as np
import pytest

from newsrec import dataset
from newsrec.event_log import EventDatabase
from newsrec.events import KINDS
from newsrec.features import HOUR
from tests.serving import test_predictor
from tests.serving.conftest import Process, Site, clock, wait_for
from tests.serving.test_predictor import shown


def ask(predictor: Process, **request: Any) -> dict[str, Any]:
    """The answer to one request, from when it is in the event log on: a reader takes longer to react."""
    prediction = test_predictor.ask(predictor, **request)
    wait_for(lambda: "\nnewsrec_slates_waiting 0.0\n" in predictor.http.get("/metrics").text)
    return prediction


def event(prediction: dict[str, Any], position: int = 0, kind: str = "click", **more: Any) -> dict[str, Any]:
    return {
        "event_id": uuid.uuid4().hex,
        "request_id": prediction["request_id"],
        "user_id": prediction["user_id"],
        "article_id": prediction["slate"][position]["article_id"],
        "position": position,
        "kind": kind,
    } | more


def send(collector: Process, *sent: dict[str, Any]) -> dict[str, Any]:
    answer = collector.http.post("/v1/feedback", json={"events": list(sent)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_click_changes_the_next_slate(predictor: Process, collector: Process, site: Site) -> None:
    reader = uuid.uuid4().hex
    first = ask(predictor, user_id=reader, k=5, seed=3, time=site.now)
    answer = send(collector, event(first, 1), event(first, 1, "dwell", dwell_seconds=42.0))
    assert answer == {"accepted": 2, "repeated": 0, "quarantined": 0, "history": "updated"}
    second = ask(predictor, user_id=reader, k=40, seed=3, time=site.now)
    assert (first["cold"], second["cold"]) == (True, False)
    assert shown(first)[1] not in shown(second)
    scores = {item["article_id"]: item["score"] for item in first["slate"]}
    seen_before = [item for item in second["slate"] if item["article_id"] in scores]
    assert len(seen_before) == 4
    assert all(item["score"] != scores[item["article_id"]] for item in seen_before)


def test_feedback_extends_the_history_that_was_imported(predictor: Process, collector: Process) -> None:
    first = ask(predictor, user_id="ann", k=5)
    assert not {"a05", "a10", "a12"} & set(shown(first))
    send(collector, event(first))
    assert not {"a05", "a10", "a12", shown(first)[0]} & set(shown(ask(predictor, user_id="ann", k=100)))


def test_repeated_feedback_changes_nothing(
    predictor: Process, collector: Process, site: Site, database: EventDatabase
) -> None:
    reader = uuid.uuid4().hex
    sent = [event(ask(predictor, user_id=reader), position) for position in range(3)]
    assert send(collector, *sent)["accepted"] == 3
    after = ask(predictor, user_id=reader, k=5, seed=1, time=site.now)["slate"]
    assert send(collector, *sent, sent[0]) == {"accepted": 0, "repeated": 4, "quarantined": 0, "history": "updated"}
    assert ask(predictor, user_id=reader, k=5, seed=1, time=site.now)["slate"] == after
    assert len(database.feedback_of(reader)) == 3


def test_feedback_to_an_unknown_request_is_kept_aside(collector: Process, database: EventDatabase) -> None:
    foreign = {"request_id": "never-made", "user_id": "ann", "slate": [{"article_id": "a01"}]}
    before = database.quarantine_size()
    assert send(collector, event(foreign))["quarantined"] == 1
    assert database.quarantine_size() == collector.http.get("/healthz").json()["quarantined"] == before + 1


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"kind": "view"}, 400, "events.0.kind: Input should be 'impression', 'click'"),
        ({"kind": "dwell"}, 400, "feedback row 0, column dwell_seconds: found None"),
        ({"article_id": None}, 400, "feedback row 0, column article_id: found None"),
        ({"position": -1}, 400, "events.0.position: Input should be greater than or equal to 0"),
        ({"time": "yesterday"}, 400, "events.0.time: expected ISO 8601 with a timezone"),
        ({"user_id": 7}, 400, "events.0.user_id: Input should be a valid string, found 7"),
        ({"extra": 1}, 400, "events.0.extra: Extra inputs are not permitted"),
    ],
)
def test_bad_feedback_is_refused_whole(
    collector: Process, database: EventDatabase, change: dict[str, Any], status: int, error: str
) -> None:
    good = {"event_id": "fine", "request_id": "log", "user_id": "u", "article_id": "a01", "kind": "click"}
    answer = collector.http.post("/v1/feedback", json={"events": [good | {"event_id": "bad"} | change, good]})
    assert answer.status_code == status
    assert answer.json()["error"].startswith(error)
    assert not {"fine", "bad"} & {row["event_id"] for row in database.quarantined()}


def test_a_body_of_ten_megabytes_is_refused(collector: Process) -> None:
    answer = collector.http.post("/v1/feedback", content=b" " * 10_000_000)
    assert (answer.status_code, answer.json()["error"][:18]) == (413, "the body is longer")


def test_a_new_article_is_served_within_seconds(predictor: Process, collector: Process) -> None:
    fresh = {
        "article_id": "news/fresh 1",
        "published_at": clock(),
        "title": "A goal in the last minute",
        "category": "sport",
    }
    assert collector.http.post("/v1/articles", json={"articles": [fresh]}).json() == {"changed": 1}
    wait_for(lambda: "news/fresh 1" in shown(ask(predictor, user_id="reader of news", k=100)))
    assert collector.http.post("/v1/articles", json={"articles": [fresh]}).json() == {"changed": 0}
    assert collector.http.delete("/v1/articles/news/fresh%201").json() == {"withdrawn": "news/fresh 1"}
    wait_for(lambda: "news/fresh 1" not in shown(ask(predictor, user_id="reader of news", k=100)))


def test_an_article_of_the_artefact_can_be_withdrawn(predictor: Process, collector: Process, site: Site) -> None:
    assert "wrong" in shown(ask(predictor, user_id="anyone", k=100))
    assert collector.http.delete("/v1/articles/wrong").status_code == 200
    wait_for(lambda: "wrong" not in shown(ask(predictor, user_id="anyone", k=100)))
    assert "wrong" not in shown(ask(predictor, user_id="anyone", k=100, time=site.now - HOUR))
    assert "wrong" not in shown(ask(predictor, user_id="anyone", candidates=["wrong", "a01"]))


def test_an_unknown_article_cannot_be_withdrawn(collector: Process) -> None:
    answer = collector.http.delete("/v1/articles/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"error": "article 'nowhere' is unknown"})


def test_a_wrong_article_is_refused(collector: Process) -> None:
    answer = collector.http.post("/v1/articles", json={"articles": [{"article_id": "x", "title": "no time"}]})
    assert (answer.status_code, answer.json()) == (400, {"error": "articles.0.published_at: a value is required"})


def test_what_was_served_is_a_log_to_train_on(predictor: Process, collector: Process, database: EventDatabase) -> None:
    reader = uuid.uuid4().hex
    prediction = ask(predictor, user_id=reader, k=3)
    send(collector, event(prediction, 2), event(prediction, 2, "dwell", dwell_seconds=30.0))
    log = database.export()
    decisions = dataset.from_log(log)
    row = (
        log.recommendations.sort_by([("time", "ascending"), ("request_id", "ascending")])["user_id"]
        .to_pylist()
        .index(reader)
    )
    batch = decisions.batch(np.array([row]))
    propensities = [item["propensity"] for item in prediction["slate"]]
    assert batch.log_propensity[0].exp().tolist() == pytest.approx(propensities)
    assert batch.feedback[0, :, KINDS.index("click")].tolist() == [0.0, 0.0, 1.0]
    assert batch.feedback[0, :, KINDS.index("dwell")].tolist() == [0.0, 0.0, 30.0]


def test_metrics_and_description(collector: Process) -> None:
    assert 'newsrec_feedback_total{outcome="accepted"}' in collector.http.get("/metrics").text
    paths = collector.http.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/v1/feedback", "/v1/articles", "/v1/articles/{article_id}", "/healthz", "/metrics"}
