"""What is said of policies, from lives made by hand and from lives lived."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newsrec.compare.jobs import plan
from newsrec.compare.outcomes import Judged, elasticities, judged, read
from newsrec.compare.scheduling import run
from newsrec.compare.work import read_lives
from newsrec.evaluation.contrast import contrast
from newsrec.simulator.lives import Lives
from tests.compare.studies import POPULARITY, Free, study


def lives(active_days: list[float], **others: Any) -> Lives:
    zeros = {name: np.zeros(len(active_days)) for name in Lives._fields}
    return Lives(**zeros | {"active_days": np.array(active_days), "shown": np.array([0, 5, 1, 0])} | others)


BY_HAND = {
    "base": {1: lives([1.0, 3.0, 0.0, 4.0], week_visits=np.array([2.0, 0.0, 0.0, 6.0]), week_returns=np.ones(4))},
    "better": {1: lives([2.0, 3.0, 0.0, 5.0], shown=np.array([1, 1, 1, 0]))},
    "planner": {1: lives([3.0, 4.0, 1.0, 4.0])},
    "greedy_click": {1: lives([1.0, 3.0, 0.0, 4.0])},
}


def test_a_policy_is_judged_by_active_days_against_the_baseline() -> None:
    found = judged(BY_HAND, "base")
    assert {name: levels["active_days"].value for name, levels in found.levels.items()} == {
        "base": 2.0,
        "better": 2.5,
        "planner": 3.0,
        "greedy_click": 2.0,
    }
    assert found.contrasts.keys() == {"better", "planner", "greedy_click"}
    assert found.contrasts["better"].difference == 0.5
    assert found.contrasts["better"].lift == 0.25
    assert found.headroom.keys() == {"better"}
    assert found.headroom["better"].value == 0.5  # half a day of the day that knowing the truth wins


def test_no_headroom_without_the_oracles() -> None:
    assert not judged({name: BY_HAND[name] for name in ("base", "better", "planner")}, "base").headroom


def test_ratios_are_of_all_readers_and_coverage_of_the_newsroom() -> None:
    levels = judged(BY_HAND, "base").levels
    assert levels["base"]["return_within_week"].value == pytest.approx(4 / 8)
    assert math.isnan(levels["better"]["return_within_week"].value)  # nobody came early enough
    assert (levels["base"]["coverage"].value, levels["better"]["coverage"].value) == (0.5, 0.75)


def test_seeds_are_what_is_independent() -> None:
    two = {name: {**of_seed, 2: lives([5.0, 5.0, 0.0, 0.0])} for name, of_seed in BY_HAND.items()}
    found = judged(two, "base")
    assert found.contrasts["better"].seeds == 2
    assert found.levels["base"]["active_days"].value == pytest.approx(2.25)
    assert found.contrasts["better"].high - found.contrasts["better"].low > 1.0


def test_worlds_make_a_curve_where_only_the_elasticity_differs() -> None:
    worlds = {
        "cascade": {"response_family": "cascade", "elasticity": 0.7},
        "steep": {"elasticity": 3.0},
        "nominal": {},
        "again": {"elasticity": 3.0},
        "reversed": {"elasticity": -1.0},
    }
    assert elasticities(study(worlds=worlds)) == {3.0: "steep", 1.5: "nominal", -1.0: "reversed"}


AGREEING = {
    "elasticity": 4.0,
    "articles_per_day": 30,
    "candidates": 50,
    "utility": {"quality": 1.5, "clickbait": 0.0, "worth_clickbait": 0.0, "worth_quality": 1.5},
}
"""A world in which what is clicked is what is worth reading."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("played")
    run(plan(AGREEABLE).jobs, folder, Free())
    return folder


AGREEABLE = study(
    log={"readers": 80, "days": 3} | AGREEING,
    readers=180,
    days=8,
    oracles=True,
    worlds={"agreeing": {}, "indifferent": {"elasticity": 0.0}},
)


def test_slates_at_random_are_worse_than_popularity_where_clicks_tell_what_is_worth_reading(played: Path) -> None:
    found: Judged = read(AGREEABLE, plan(AGREEABLE), played).worlds["agreeing"]
    lottery = found.contrasts["lottery"]
    assert (lottery.readers, lottery.seeds) == (180, 1)
    assert lottery.high < 0.0
    assert found.contrasts["planner"].low > 0.0
    clicks = {name: levels["click_rate"].value for name, levels in found.levels.items()}
    assert clicks["lottery"] < clicks["popularity"] < clicks["greedy_click"]
    assert found.levels["lottery"]["coverage"].value > found.levels["popularity"]["coverage"].value


def test_the_curve_has_a_point_for_each_world(played: Path) -> None:
    curve = read(AGREEABLE, plan(AGREEABLE), played).curves["lottery"]
    assert [point.elasticity for point in curve.points] == [0.0, 4.0]
    assert curve.points[1].contrast.high < 0.0
    assert not curve.rises


def test_readers_of_two_policies_are_the_same_with_the_same_luck(played: Path) -> None:
    whole = plan(AGREEABLE)
    days = {
        name: read_lives(whole.plays[name, "indifferent", 1].at(played)).active_days
        for name in ("popularity", "lottery")
    }
    assert np.corrcoef(days["popularity"], days["lottery"])[0, 1] > 0.9  # slates do not matter there, luck does
    paired = contrast({1: days["lottery"]}, {1: days["popularity"]})
    shuffled = contrast({1: days["lottery"][::-1]}, {1: days["popularity"]})
    assert paired.high - paired.low < 0.5 * (shuffled.high - shuffled.low)
    other = study(contenders={"popularity": POPULARITY}, seeds=[1, 2])
    assert other.world("nominal", 1).seed != other.world("nominal", 2).seed
