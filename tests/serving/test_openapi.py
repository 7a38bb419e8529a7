"""schemathesis attacks both servers with what their own OpenAPI documents allow and forbid: over a thousand requests.

It derives them from the documents, the same ones each time: each limit from both sides, missing, unknown and wrong
fields, methods that are not there. What a document allows must be taken, unless for a reason that no schema can say,
what it forbids must be refused, and every answer must be announced and none a failure: of idle servers not even 503.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from tests.serving.test_malformed import Servers, servers

__all__ = ["servers"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]  # half a minute of a core
CONFIG = {
    "seed": 1,
    "generation": {"deterministic": True, "database": "none", "max-examples": 60},
    "phases": {"examples": {"enabled": False}, "stateful": {"enabled": False}},
    "operations": [{"include-method": "GET", "phases": {"fuzzing": {"enabled": False}}}],  # they have no body
    "parameters": {"path.model_name": "newsrec"},
    "checks": {
        "positive_data_acceptance": {"enabled": False},  # knows no exceptions; ``wrongly_refused`` does
        "allow_header_conformance": {"enabled": False},  # where routes look alike, KServe names one's methods alone
    },
}
UNSAID = (
    "bytes without NUL",  # a limit in bytes, not in characters
    ".0",  # JSON Schema calls 3.0 an integer
    "only leave has none",
    "unknown (",  # candidates
    "positions are asked for",  # of all requests in a call for explanations
)
"""Why what a document allows may be refused all the same."""
TENSORS = "POST /v2/models/{model_name}/infer"
"""Its elements are JSON in text, as many as its shape says: no schema can ask for that."""


class Attack(NamedTuple):
    """What came of the requests to one server."""

    answers: Counter[tuple[str, int]]
    """By operation and status."""
    failures: list[str]


def attack(url: str) -> Attack:
    moments = st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC))
    schemathesis.openapi.format("date-time", moments.map(datetime.isoformat))  # schemas cannot say from when to when
    document = schemathesis.openapi.from_url(f"{url}/openapi.json", config=SchemathesisConfig.from_dict(CONFIG))
    done = Attack(Counter(), [])
    for event in from_schema(document).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            done.failures.append(str(event))
        elif isinstance(event, events.ScenarioFinished):
            done.failures.extend([*broken(event.recorder), *wrongly_refused(event.recorder)])
            for exchange in event.recorder.interactions.values():
                done.answers[event.recorder.label, exchange.response.status_code if exchange.response else 0] += 1
    return done


def broken(recorder: ScenarioRecorder) -> Iterator[str]:
    """Checks of schemathesis that failed."""
    for case, checks in recorder.checks.items():
        for check in checks:
            if check.status is not Status.SUCCESS:
                answer = recorder.interactions[case].response
                yield f"{recorder.label}: {check.name}: {check.failure_info.failure} {answer and answer.text[:300]}"


def wrongly_refused(recorder: ScenarioRecorder) -> Iterator[str]:
    """Requests that the document allows and that were refused for no reason of ``UNSAID``."""
    for case, exchange in recorder.interactions.items():
        if recorder.label == TENSORS or recorder.cases[case].value.meta.generation.mode.is_negative:
            continue
        body: Any = exchange.response.json() if exchange.response and exchange.response.status_code == 400 else None
        if body is not None and not any(reason in body["error"] for reason in UNSAID):
            allowed = str(exchange.request.body)[:500]
            yield f"{recorder.label}: the server says {body['error']!r} of what the document allows: {allowed}"


@pytest.fixture(scope="module")
def attacks(servers: Servers) -> dict[str, Attack]:
    return {name: attack(str(servers.http(name).base_url)) for name in Servers._fields}


@pytest.mark.parametrize("server", Servers._fields)
def test_each_answer_is_what_the_document_says(attacks: dict[str, Attack], server: str) -> None:
    assert not attacks[server].failures, "\n".join(attacks[server].failures)


def test_more_than_a_thousand_requests_got_through_to_what_answers_them(attacks: dict[str, Attack]) -> None:
    answers = attacks["predictor"].answers + attacks["collector"].answers
    assert sum(answers.values()) > 1_200, answers
    for route in ("models/{model_name}:predict", "models/{model_name}:explain", "articles", "feedback"):
        assert answers[f"POST /v1/{route}", 200] > 30, answers
        assert answers[f"POST /v1/{route}", 400] > 80, answers
    assert answers[TENSORS, 400] > 80, answers


def test_the_servers_are_well_after_it(servers: Servers, attacks: dict[str, Attack]) -> None:
    assert servers.predictor.http.get("/v2/health/ready").status_code == 200
    assert servers.collector.http.get("/healthz").status_code == 200
    for server in servers:
        assert "Traceback" not in server.log.read_text()
