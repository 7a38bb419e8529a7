"""What the door refuses, and in which words."""

import json

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import ValidationError

from newsrec.events import KINDS
from serving.refusals import BodyLimit, answer_refusals, one_sentence
from serving.schema import ArticleBatch, FeedbackBatch, FeedbackEvent, Instances, SlateRequest

EVENT = {"event_id": "e", "request_id": "r", "user_id": "u", "kind": "click", "article_id": "a"}


@pytest.mark.parametrize(
    ("instance", "sentence"),
    [
        ({}, "instances.0.user_id: a value is required"),
        ({"user_id": 7}, "instances.0.user_id: Input should be a valid string, found 7"),
        ({"user_id": ""}, "instances.0.user_id: expected 1 to 256 bytes without NUL, found ''"),
        ({"user_id": "ü" * 129}, "instances.0.user_id: expected 1 to 256 bytes without NUL"),
        ({"user_id": "a\0"}, "instances.0.user_id: expected 1 to 256 bytes without NUL"),
        ({"user_id": "u", "k": 0}, "instances.0.k: Input should be greater than or equal to 1, found 0"),
        ({"user_id": "u", "k": 10_000}, "instances.0.k: Input should be less than or equal to 100, found 10000"),
        ({"user_id": "u", "k": True}, "instances.0.k: Input should be a valid integer, found True"),
        ({"user_id": "u", "k": "3"}, "instances.0.k: Input should be a valid integer, found '3'"),
        ({"user_id": "u", "kk": 3}, "instances.0.kk: Extra inputs are not permitted"),
        ({"user_id": "u", "candidates": []}, "instances.0.candidates: List should have at least 1 item"),
        ({"user_id": "u", "candidates": ["a"] * 501}, "instances.0.candidates: List should have at most 500 items"),
        ({"user_id": "u", "exclude": "a"}, "instances.0.exclude: Input should be a valid list, found 'a'"),
        ({"user_id": "u", "context": 3}, "instances.0.context: expected a JSON object, found 3"),
        ({"user_id": "u", "context": {"utc_offset_minutes": 2_000}}, "instances.0.context.utc_offset_minutes: "),
        ({"user_id": "u", "time": "2024-05-01T08:30:00"}, "instances.0.time: expected ISO 8601 with a timezone"),
        ({"user_id": "u", "time": "0001-01-01T00:00:00+14:00"}, "instances.0.time: expected a time from 1970"),
        ({"user_id": "u", "time": -1}, "instances.0.time: expected a time from 1970 to 2099"),
        ({"user_id": "u", "time": 4_102_444_800_000_000}, "instances.0.time: expected a time from 1970 to 2099"),
        ({"user_id": "u", "seed": 2**63}, "instances.0.seed: Input should be less than"),
        (
            {"user_id": "u", "k": 0, "seed": -1},
            "instances.0.k: Input should be greater than or equal to 1, found 0 (and 1 ",
        ),
        ([], "instances.0: expected a JSON object, found []"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(instance: object, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Instances.model_validate({"instances": [instance]})
    assert one_sentence(caught.value.errors()).startswith(sentence)


@pytest.mark.parametrize(
    ("time", "microseconds"),
    [
        (1_714_552_200_000_001, 1_714_552_200_000_001),
        ("2024-05-01T08:30:00.000001Z", 1_714_552_200_000_001),
        ("2024-05-01T10:30:00.000001+02:00", 1_714_552_200_000_001),
    ],
)
def test_times_are_microseconds_whatever_their_form(time: object, microseconds: int) -> None:
    assert SlateRequest.model_validate({"user_id": "u", "time": time}).time == microseconds


def test_every_kind_of_the_event_schema_is_accepted_and_no_other() -> None:
    for kind in KINDS:
        assert FeedbackEvent.model_validate(EVENT | {"kind": kind}).kind == kind
    with pytest.raises(ValidationError):
        FeedbackEvent.model_validate(EVENT | {"kind": "view"})


@pytest.mark.parametrize("dwell", [-1.0, float("inf"), float("nan"), 86_401.0, "3"])
def test_a_dwell_that_cannot_be_is_refused(dwell: object) -> None:
    with pytest.raises(ValidationError):
        FeedbackEvent.model_validate(EVENT | {"kind": "dwell", "dwell_seconds": dwell})


def test_batches_are_limited() -> None:
    FeedbackBatch.model_validate({"events": [EVENT] * 1_000})
    article = {"article_id": "a", "published_at": 0, "title": "t"}
    for batch, body in [
        (FeedbackBatch, {"events": [EVENT] * 1_001}),
        (FeedbackBatch, {"events": []}),
        (ArticleBatch, {"articles": [article] * 101}),
        (Instances, {"instances": [{"user_id": "u"}] * 101}),
    ]:
        with pytest.raises(ValidationError):
            batch.model_validate(body)


def echo() -> TestClient:
    app = FastAPI()
    app.add_middleware(BodyLimit, limit=1_000)
    answer_refusals(app)

    @app.post("/")
    def count(batch: FeedbackBatch) -> int:
        return len(batch.events)

    return TestClient(app)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "the request: a value is required"),
        (b"{nope", 400, "the body is no JSON: Expecting property name enclosed in double quotes"),
        (b'{"events": 3}', 400, "events: Input should be a valid list, found 3"),
        (b"\xff", 400, "There was an error parsing the body"),
        (b"[" * 900, 400, "the body is no JSON: Expecting value"),
        (b" " * 1_001, 413, "the body is longer than 1,000 bytes, the most that is accepted"),
        ([b" " * 600] * 2, 413, "the body is longer than 1,000 bytes, the most that is accepted"),
    ],
)
def test_every_refusal_over_http_is_one_sentence(body: bytes | list[bytes], status: int, error: str) -> None:
    content = iter(body) if isinstance(body, list) else body
    answer = echo().post("/", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_a_body_of_the_very_limit_passes() -> None:
    body = json.dumps({"events": [EVENT]}).encode()
    answer = echo().post("/", content=body.ljust(1_000), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, 1)
