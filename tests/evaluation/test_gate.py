"""Each threshold lets through what meets it and refuses, with its number, what does not."""

import json
import re

import numpy as np
import pytest

from newsrec.evaluation.comparison import ComparisonConfig, compare
from newsrec.evaluation.gate import GateConfig, decide
from tests.evaluation.rankings import noisy, ranking

BASE = noisy(0.3, 0)


def comparison(candidate, incumbent=None, popularity=None):
    rankings = {"popularity": popularity or ranking(BASE), "transformer": candidate}
    if incumbent:
        rankings["incumbent"] = incumbent
    return compare(rankings, ["popularity", "incumbent"] if incumbent else ["popularity"])


def better(by: float, noise: int = 5, **more):
    """A candidate better than BASE by ``by`` with readers who differ in that."""
    return ranking(BASE + noisy(by, noise, spread=0.02), **{"lists": 1} | more)


def verdict(found, incumbent: str | None = "incumbent", **config):
    return decide(found, "transformer", incumbent, GateConfig(**config))


def test_without_an_incumbent_only_popularity_and_the_lists_count():
    found = verdict(comparison(better(0.1)), None)
    assert found.ship
    assert [check.name for check in found.checks] == ["ndcg_at_10 lift over popularity", "same_list_at_10"]
    assert found.decision == "ship"
    assert found.reasons == ()


def test_what_popularity_does_as_well_is_refused_with_the_number():
    found = comparison(ranking(BASE - noisy(0.1, 5, spread=0.02), lists=1))
    lift = found["differences"]["popularity"]["transformer"]["metrics"]["ndcg_at_10"]
    refused = verdict(found, None)
    assert not refused.ship
    mean, low, high = (f"{lift[end]:+.4f}" for end in ("mean", "low", "high"))
    assert refused.reasons == (
        f"ndcg_at_10 lift over popularity is {mean} [{low}, {high}], expected at least 0: short by {-lift['low']:.2g}",
    )


def test_the_lower_end_decides_not_the_mean():
    found = comparison(ranking(BASE + noisy(0.01, 8), lists=1))
    lift = found["differences"]["popularity"]["transformer"]["metrics"]["ndcg_at_10"]
    assert lift["low"] < 0 < lift["mean"]
    assert not verdict(found, None).ship
    assert verdict(found, None, min_lift_over_popularity=lift["low"]).ship
    assert not verdict(found, None, min_lift_over_popularity=lift["low"] + 1e-6).ship


def test_an_incumbent_that_is_better_stays():
    found = verdict(comparison(better(0.1), incumbent=better(0.2, noise=6, lists=2)))
    assert [check.name for check in found.checks if not check.passed] == ["ndcg_at_10 lift over incumbent"]
    number = r"-0\.\d{4}"
    sentence = (
        rf"ndcg_at_10 lift over incumbent is {number} \[{number}, {number}\], expected at least 0: short by 0\.\d+"
    )
    assert re.fullmatch(sentence, found.reasons[0])


def test_a_margin_lets_a_candidate_through_that_is_hardly_worse():
    found = comparison(better(0.1), incumbent=better(0.12, noise=6, lists=2))
    assert not verdict(found).ship
    assert verdict(found, min_lift_over_incumbent=-0.1).ship


def test_a_candidate_with_the_lists_of_the_incumbent_has_nothing_to_gain():
    found = verdict(comparison(better(0.1), incumbent=better(0.1)), min_lift_over_incumbent=-1.0)
    assert found.reasons == ("transformer gives the same list as incumbent in every decision: nothing to gain",)


def test_a_list_that_differs_once_is_a_change():
    incumbent = better(0.0)
    incumbent.lists[0, 9] = 77
    found = verdict(comparison(better(0.1), incumbent=incumbent))
    assert found.ship
    assert "another list than incumbent in 1.7% of the decisions" in found.to_markdown()


@pytest.mark.parametrize(("coverage", "ships"), [(0.40, True), (0.39, False)])
def test_coverage_may_not_fall_below_a_share_of_the_incumbents(coverage, ships):
    found = verdict(comparison(better(0.1, coverage=coverage), incumbent=ranking(BASE, coverage=0.5)))
    assert found.ship == ships
    if not ships:
        assert found.reasons == (
            "coverage_at_10 is 0.3900, expected at least 0.4000 (80% of the 0.5000 of incumbent): short by 0.01",
        )


@pytest.mark.parametrize(("share", "ships"), [(0.5, True), (0.51, False)])
def test_readers_may_not_all_get_the_same_list(share, ships):
    found = verdict(comparison(better(0.1, same_list=share)), None)
    assert found.ship == ships
    if not ships:
        assert found.reasons == ("same_list_at_10 is 0.5100 [0.5100, 0.5100], expected at most 0.5: over by 0.01",)


def test_a_guard_that_cannot_be_measured_says_so():
    found = verdict(comparison(better(0.1, same_list=np.nan)), None)
    assert found.ship
    assert found.checks[-1].message.startswith("same_list_at_10 could not be measured")


def test_a_lift_without_an_interval_is_refused():
    values = np.full(60, np.nan)
    values[:3] = 0.9  # one reader
    assert verdict(comparison(ranking(values, lists=1)), None).reasons == (
        "ndcg_at_10 lift over popularity has no interval: fewer than two readers have a decision that defines it",
    )


def test_popularity_itself_may_be_the_candidate():
    found = comparison(better(0.1), incumbent=ranking(BASE - noisy(0.1, 7, 0.01), lists=3))
    assert decide(found, "popularity", "incumbent", GateConfig()).ship
    refused = decide(found, "popularity", "incumbent", GateConfig(min_lift_over_popularity=0.01))
    expected = "ndcg_at_10 lift over popularity is 0, being popularity itself, expected at least 0.01: short by 0.01"
    assert refused.reasons == (expected,)


def test_a_verdict_reads_the_same_as_json_and_as_markdown():
    found = verdict(comparison(ranking(BASE - 0.1, lists=1)), None)
    plain = json.loads(found.to_json())
    assert (plain["ship"], plain["candidate"], plain["incumbent"]) == (False, "transformer", None)
    assert plain["decision"] == "refuse"
    assert plain["reasons"] == list(found.reasons)
    assert [check["passed"] for check in plain["checks"]] == [False, True]
    assert found.to_markdown().startswith("**Refuse** transformer as the first release.\n\n- **failed**: ndcg_at_10")


def test_a_comparison_that_does_not_fit_is_refused():
    found = comparison(better(0.1))
    for change, message in [
        ({"format": 0}, "format 0, expected 1"),
        ({"protocol": found["protocol"] | {"confidence": 0.9}}, "intervals of 90%, the gate expects 95%"),
        ({"policies": {"transformer": {}}}, "lacks popularity; it holds transformer"),
        ({"differences": {}}, "no differences against popularity"),
    ]:
        with pytest.raises(ValueError, match=message):
            verdict(found | change, None)
    with pytest.raises(ValueError, match="metric is 'ndcg_at_20', expected one of ndcg_at_10, mrr"):
        GateConfig(metric="ndcg_at_20")
    with pytest.raises(ValueError, match="lacks incumbent"):
        verdict(found, "incumbent")


def test_the_gate_takes_comparisons_of_another_confidence_only_when_told():
    rankings = {"popularity": ranking(BASE), "transformer": better(0.1)}
    found = compare(rankings, ["popularity"], ComparisonConfig(confidence=0.8))
    assert verdict(found, None, confidence=0.8).ship


@pytest.mark.parametrize("bad", [{"min_coverage_of_incumbent": -0.1}, {"max_same_list": -1.0}])
def test_impossible_thresholds_are_refused(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is"):
        GateConfig(**bad)
