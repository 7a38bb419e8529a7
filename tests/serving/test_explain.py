"""Which reads an explanation names, that they are the policy's own reasons, and that it explains the slate served."""

import asyncio
import threading
from typing import Any

import pytest
import torch

from newsrec.artifact import Artifact, create
from newsrec.encoders.scorer import HistoryScorer
from newsrec.event_log import EventDatabase
from newsrec.registry import REGISTRY
from newsrec.slate import SlateConfig
from newsrec.transitions import Readers
from serving.explain import MAX_WAITING, MOST_READS, Explainer, TooMuch, explanation
from serving.recommend import Decision, ServingConfig, Shelf, Visit, recommend
from serving.refusals import Busy
from serving.schema import SlateRequest
from serving.stored_readers import unknown_reader
from tests.serving.conftest import Process, Site, wait_for
from tests.serving.test_predictor import V1, ask
from tests.serving.test_recommend import CATALOGUE, NOW, reader, shelf

EXPLAIN = V1.replace(":predict", ":explain")


def policy(name: str, **config: Any) -> Artifact:
    """Untrained, its parts away from where they start: many start at zero and would hide mistakes."""
    torch.manual_seed(0)
    entry = REGISTRY[name]
    made = entry.policy(entry.config(**config), CATALOGUE.articles.num_rows)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        if isinstance(made, HistoryScorer):
            made.article.identity.weight[0] = 0.0  # of an unknown article
    return create(name, made, CATALOGUE)


TRANSFORMER = policy("transformer", width=8, layers=1)


def decided(artifact: Artifact, known: Readers, degraded: bool = False, **request: Any) -> tuple[Decision, Shelf]:
    on = shelf(a05=6.0)
    visit = Visit(SlateRequest(user_id="ann", **request), "r1", "ann", known, degraded, NOW)
    config = ServingConfig(SlateConfig("greedy"))
    return recommend(visit, on, artifact, config, b""), on


def test_weights_add_up_to_what_the_history_does_to_the_served_score() -> None:
    """To the score of a reader whose reads say nothing: of articles that no catalogue knows, with the same times."""
    found = explanation(*decided(TRANSFORMER, reader("a05", "a10", "a01"), k=5))
    silent, _ = decided(TRANSFORMER, reader("x", "y", "z"), k=40)
    nothing = dict(zip(silent.slate, silent.scores, strict=True))
    assert (found["method"], found["reason"]) == ("integrated_gradients", None)
    assert (found["reads"], len(found["slate"])) == (3, 5)
    for item in found["slate"]:
        assert sum(read["weight"] for read in item["driven_by"]) == pytest.approx(item["weight"], abs=1e-5)
        assert item["weight"] == pytest.approx(item["score"] - nothing[item["article_id"]], abs=0.02)
        assert sum(abs(read["share"]) for read in item["driven_by"]) == pytest.approx(1.0)
        sizes = [abs(read["weight"]) for read in item["driven_by"]]
        assert sizes == sorted(sizes, reverse=True)
        assert {read["article_id"] for read in item["driven_by"]} == {"a05", "a10", "a01"}
    assert max(abs(item["weight"]) for item in found["slate"]) > 0.1


def test_of_many_reads_the_largest_are_named_and_an_unknown_article_has_no_name() -> None:
    read = [*(f"a{i:02}" for i in range(20)), "forgotten"]
    found = explanation(*decided(TRANSFORMER, reader(*read), k=3))
    assert found["reads"] == 21
    for item in found["slate"]:
        assert len(item["driven_by"]) == MOST_READS
    longest = explanation(*decided(TRANSFORMER, reader("forgotten", "a01"), k=1))["slate"][0]["driven_by"]
    moments = [read["time"] for read in longest]
    assert [read["article_id"] for read in longest] == ["a01"]  # a read that says nothing drives nothing
    assert moments == [NOW - 3600 * 1_000_000 + 1_000_000]


def test_a_policy_without_a_network_over_reads_is_asked_with_each_read_left_out() -> None:
    factors = policy("matrix_factorization")
    known = reader("a05", "a10")
    found = explanation(*decided(factors, known, k=2))
    assert found["method"] == "leave_one_out"
    alone, _ = decided(factors, reader("a10"), k=40)
    without = dict(zip(alone.slate, alone.scores, strict=True))
    for item in found["slate"]:
        (weight,) = (read["weight"] for read in item["driven_by"] if read["article_id"] == "a05")
        assert weight == pytest.approx(item["score"] - without[item["article_id"]], abs=1e-5)


@pytest.mark.parametrize(
    ("artifact", "known", "degraded", "reason"),
    [
        (policy("popularity"), reader("a05"), False, "the scores of popularity do not depend on what was read"),
        (TRANSFORMER, unknown_reader(), False, "nothing that the reader read is known"),
        (TRANSFORMER, unknown_reader(), True, "the feature store did not answer, so that no read was known"),
    ],
)
def test_where_no_history_drives_a_slate_it_says_so(
    artifact: Artifact, known: Readers, degraded: bool, reason: str
) -> None:
    found = explanation(*decided(artifact, known, degraded, k=3))
    assert (found["method"], found["reason"], found.get("degraded", False)) == (None, reason, degraded)
    assert [(item["weight"], item["driven_by"]) for item in found["slate"]] == [(0.0, [])] * 3


def test_gradients_that_do_not_add_up_give_way_to_reads_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsrec.evaluation.explanation.TOLERANCE", -1.0)
    found = explanation(*decided(TRANSFORMER, reader("a05", "a10"), k=2))
    assert found["method"] == "leave_one_out"
    assert all(item["driven_by"] for item in found["slate"])


def test_an_empty_slate_has_nothing_to_explain() -> None:
    found = explanation(*decided(TRANSFORMER, reader("a05"), candidates=["old"]))
    assert (found["slate"], found["reason"]) == ([], "no article is left to show")


def test_beyond_its_bounds_nothing_is_computed() -> None:
    began, go = threading.Event(), threading.Event()

    def decide(request: SlateRequest) -> tuple[Decision, Shelf]:
        began.set()
        assert go.wait(30)
        return decided(TRANSFORMER, reader("a05"), k=1)

    async def crowd(explainer: Explainer) -> list[Any]:
        asked = [asyncio.ensure_future(explainer.explain([SlateRequest(user_id="u", k=1)], decide)) for _ in range(10)]
        while not began.is_set():
            await asyncio.sleep(0.01)
        go.set()
        done = await asyncio.gather(*asked, return_exceptions=True)
        return [*done, await explainer.explain([SlateRequest(user_id="u", k=1)], decide)]

    done = asyncio.run(crowd(Explainer()))
    assert [type(answer) for answer in done] == [list] * MAX_WAITING + [Busy] * 2 + [list]
    with pytest.raises(TooMuch, match="instances: 150 positions are asked for, expected at most 100 in all"):
        asyncio.run(Explainer().explain([SlateRequest(user_id="u", k=75)] * 2, decide))


def test_the_slate_that_was_predicted_is_explained_and_not_logged(
    predictor: Process, site: Site, database: EventDatabase
) -> None:
    request = {"user_id": "ann", "k": 6, "seed": 11, "time": site.now}
    predicted = ask(predictor, **request)
    wait_for(lambda: predicted["request_id"] in requests(database))
    before = requests(database)
    headers = {"authorization": "Bearer secret", "x-mine": "1"}
    answer = predictor.http.post(EXPLAIN, json={"instances": [request, request | {"user_id": "new"}]}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert not set(headers) & set(answer.headers)
    first, second = answer.json()["explanations"]
    told = [{key: item[key] for key in ("article_id", "score", "propensity", "position")} for item in first["slate"]]
    assert told == predicted["slate"]
    assert first["policy_version"] == predicted["policy_version"]
    read = {"a05", "a10", "a12"} | {event["article_id"] for event in database.feedback_of("ann")}
    assert {each["article_id"] for item in first["slate"] for each in item["driven_by"]} <= read
    assert all(item["driven_by"] for item in first["slate"])
    assert (second["reads"], second["method"]) == (0, None)
    later = ask(predictor, user_id="ann", k=1)["request_id"]
    wait_for(lambda: later in requests(database))  # what was put into the log before it is there as well
    assert requests(database) == before | {later}


def requests(database: EventDatabase) -> set[str]:
    return set(database.export().recommendations["request_id"].to_pylist())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"instances": [{"user_id": "u", "k": 0}]}, "instances.0.k: Input should be greater than or equal to 1"),
        ({"instances": [{"user_id": "u", "k": 100}] * 2}, "instances: 200 positions are asked for, expected at most"),
        ({"instances": [{"user_id": "u", "candidates": ["?"]}]}, "candidates: ? unknown (1 of 1)"),
    ],
)
def test_a_wrong_request_gets_one_sentence(predictor: Process, body: dict[str, Any], error: str) -> None:
    answer = predictor.http.post(EXPLAIN, json=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert answer.json()["error"].startswith(error)
