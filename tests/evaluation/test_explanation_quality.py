"""Recorded causes beside histories by hand, recall by counting, and a curve that falls when the right read goes."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from newsrec import dataset
from newsrec.decisions import Decisions
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig
from newsrec.evaluation.explanation import read_attributions
from newsrec.evaluation.explanation_judge import REFERENCES, judge
from newsrec.evaluation.explanation_quality import (
    CausedClicks,
    JudgeConfig,
    caused_clicks,
    content_similarity,
    deletion_fall,
    judged,
    latest_on_topic,
    on_topic,
    requests,
    top_k_recall,
)
from newsrec.events import EventLog
from newsrec.features import EMBEDDING_DIM, HOUR
from newsrec.transitions import Candidates
from tests.baselines.batches import batch
from tests.logs import MONDAY, article, decision, event
from tests.logs import log as made_log

NAN = np.nan


def logged() -> EventLog:
    """One reader reads a, b and c of three slates and then, two hours later, clicks d; another one reads nothing."""
    topics = {"a": "sport", "b": "money", "c": "sport", "d": "sport", "e": None}
    articles = [article(a, category=topic, embedding=np.eye(EMBEDDING_DIM)[i].tolist())
                for i, (a, topic) in enumerate(topics.items())]  # fmt: skip
    decisions = [decision(f"r{i}", "u", MONDAY + i * HOUR, slate) for i, slate in enumerate(("ae", "be", "ce"))]
    decisions += [decision("r5", "u", MONDAY + 5 * HOUR, "ed"), decision("r0b", "v", MONDAY, "ab")]
    clicks = [("r0", "a", 0), ("r1", "b", 1), ("r2", "c", 2), ("r5", "d", 5)]
    feedback = [event(r, "u", "click", a, MONDAY + hour * HOUR + 1) for r, a, hour in clicks]
    return made_log(articles, decisions, feedback)


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return dataset.from_log(logged())


def causes(*rows: tuple[str, str, str, float]) -> pa.Table:
    names = ("request_id", "article_id", "read_article_id", "weight")
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})


def test_causes_stand_beside_the_reads_that_they_are_of(decisions: Decisions) -> None:
    """A cause of a read that the policy never saw (z), or of a click of another log, is nobody's; twice adds up."""
    log = logged()
    names = requests(log)
    assert names.to_pylist() == ["r0", "r0b", "r1", "r2", "r5"]
    assert decisions.time.tolist() == [MONDAY + h * HOUR for h in (0, 0, 1, 2, 5)]
    found = caused_clicks(
        causes(
            ("r5", "d", "c", -0.1),
            ("r5", "d", "a", 0.3),
            ("r5", "d", "a", 0.1),
            ("r2", "c", "a", 0.2),
            ("r5", "d", "z", 9.0),
            ("r9", "d", "a", 9.0),
        ),
        decisions,
        names,
    )
    assert found.row.tolist() == [3, 4]
    assert found.at.tolist() == [0, 1]
    np.testing.assert_allclose(found.weight[:, :3], [[0.2, NAN, NAN], [0.4, NAN, -0.1]])
    assert np.isnan(found.weight[:, 3:]).all()
    assert on_topic(decisions, found)[:, :3].tolist() == [[True, False, False], [True, False, True]]
    assert judged(found, JudgeConfig(k=1, min_reads=2, min_weight=0.3)).tolist() == [False, True]
    assert judged(found, JudgeConfig(k=1, min_reads=3, min_weight=0.3)).tolist() == [False, False]
    assert judged(found, JudgeConfig(k=1, min_reads=2, min_weight=0.5)).tolist() == [False, False]


def clicks(*weight: list[float]) -> CausedClicks:
    return CausedClicks(np.arange(len(weight)), np.zeros(len(weight), int), np.array(weight))


def test_recall_counts_whether_the_largest_cause_is_among_the_first() -> None:
    caused = clicks([0.1, 0.5, -0.9, 0.2], [0.1, 0.5, -0.9, 0.2], [NAN, 0.1, 0.2, NAN])
    named = np.array([[4.0, 3.0, 2.0, 1.0], [4.0, 1.0, 3.0, 2.0], [9.0, 1.0, 2.0, 9.0]])
    assert top_k_recall(named, caused, 1).tolist() == [0.0, 0.0, 1.0]
    assert top_k_recall(named, caused, 2).tolist() == [1.0, 0.0, 1.0]
    assert top_k_recall(named, caused, 4).tolist() == [1.0, 1.0, 1.0]


def test_an_explanation_that_tells_nothing_finds_as_much_as_chance() -> None:
    caused = clicks([0.1, 0.5, -0.9, 0.2, NAN])
    assert top_k_recall(np.zeros((1, 5)), caused, 3).tolist() == [0.75]
    assert top_k_recall(np.array([[5.0, 0.0, 0.0, 0.0, 0.0]]), caused, 2).tolist() == pytest.approx([1 / 3])


def state_of(history: list[int]) -> tuple:
    content = torch.randn(12, EMBEDDING_DIM, generator=torch.Generator().manual_seed(1))
    content[0] = 0.0
    made = batch([history, history[:3]], [[9, 10, 11], [9, 10, 11]], [0, 0], content)
    return made.state, made.candidates, torch.tensor([1, 2])


def test_references_by_hand() -> None:
    state, candidates, at = state_of([1, 2, 3, 4, 5])
    same = np.array([[True, False, True, False, False], [False, True, False, False, False]])
    order = (-latest_on_topic(state, same)).argsort(1)
    assert order[0].tolist() == [2, 0, 4, 3, 1]
    assert order[1, -3:].tolist() != order[0, -3:].tolist()
    one = Candidates(*(column[torch.arange(2), at][:, None] for column in candidates))
    cosine = content_similarity(state, one)
    a, b = state.history_content[0, 2], candidates.content[0, 1]
    assert cosine[0, 2] == pytest.approx(float(a @ b / (a.norm() * b.norm())), rel=1e-5)


def test_the_score_falls_furthest_when_reads_go_in_the_order_of_what_they_did() -> None:
    """Without a transformer a score is the sum of its reads over sqrt(n): the best order is known."""
    torch.manual_seed(0)
    network = HistoryScorer(NetworkConfig(width=16, layers=1, heads=1), 11).eval()
    state, candidates, at = state_of([1, 2, 3, 4, 5])
    parts = read_attributions(network, state, candidates, at, "pooled").double().numpy()
    falls = {name: deletion_fall(network, state, candidates, at, order, steps=5)
             for name, order in {"best": parts, "worst": -parts, "tied": 0 * parts}.items()}  # fmt: skip
    assert (falls["best"] >= falls["tied"]).all()
    assert (falls["tied"] >= falls["worst"]).all()
    assert falls["best"][0] > falls["tied"][0] > falls["worst"][0]
    with torch.no_grad():
        served = network.scores(state, candidates)
    unit = float((served - served.mean(1, keepdim=True)).square().mean().sqrt())
    values = np.sort(parts[0])[::-1] * 5**0.5
    left = [values[gone:].sum() / max(5 - gone, 1) ** 0.5 for gone in range(6)]
    by_hand = np.mean([left[0] - left[gone] for gone in range(1, 6)]) / unit
    assert falls["best"][0] == pytest.approx(by_hand, rel=1e-4)


def test_methods_and_references_are_judged_on_the_same_clicks(decisions: Decisions) -> None:
    """Here a is the cause: the latest read on the topic is c, and content tells nothing."""
    torch.manual_seed(0)
    network = HistoryScorer(NetworkConfig(width=8, layers=1, heads=1), 5)
    table = causes(("r5", "d", "a", 0.3), ("r5", "d", "b", 0.1), ("r5", "d", "c", -0.1), ("r2", "c", "a", 0.4))
    caused = caused_clicks(table, decisions, requests(logged()))
    config = JudgeConfig(k=1, min_reads=3)
    found = judge(network, decisions, caused, ["pooled", "leave_one_out"], np.random.default_rng(0), config)
    assert found.reads.tolist() == [3]
    assert set(found.recall) == set(found.fall) == {"pooled", "leave_one_out", *REFERENCES}
    assert (found.recall["recency"], found.recall["latest_on_topic"]) == (np.array([0.0]), np.array([0.0]))
    assert found.recall["content_similarity"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="none of 2 clicks can be judged; expected one with 5 known reads"):
        judge(network, decisions, caused, ["pooled"], np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k is 0, expected 1 or more"),
        ({"steps": 0}, "steps is 0, expected 1 or more"),
        ({"min_reads": 3}, "min_reads is 3, expected more than the 3 that are named"),
        ({"min_weight": 0.0}, "min_weight is 0.0, expected more than 0"),
    ],
)
def test_impossible_judges_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JudgeConfig(**change)
