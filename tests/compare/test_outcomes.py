"""What is said of policies, from lives made by hand and from lives lived."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newsrec.compare.jobs import plan
from newsrec.compare.outcomes import Judged, curves_of, elasticities, judged, read
from newsrec.compare.scheduling import run
from newsrec.compare.work import read_lives
from newsrec.evaluation.contrast import contrast
from newsrec.simulator.lives import Lives
from tests.compare.studies import Free, study


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


def test_the_curve_has_a_point_for_each_elasticity() -> None:
    found = study(worlds={"nominal": {}, "flat": {"elasticity": 0.0}, "cascade": {"response_family": "cascade"}})
    worse, same = lives([1.0, 1.0, 0.0, 4.0]), lives([1.0, 3.0, 0.0, 4.0])
    worlds = {
        world: judged({"popularity": {1: same}, "lottery": {1: of_world}}, "popularity")
        for world, of_world in (("nominal", worse), ("flat", same), ("cascade", same))
    }
    curves = curves_of(found, worlds)
    assert curves.keys() == {"lottery"}
    points, monotone, rises = curves["lottery"]
    assert [(point.elasticity, point.contrast.lift) for point in points] == [(0.0, 0.0), (1.5, -0.25)]
    assert (monotone, rises) == (True, False)
    alone = study(worlds={"nominal": {}, "cascade": {"response_family": "cascade"}})
    assert not curves_of(alone, worlds)


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


AGREEABLE = study(log={"readers": 80, "days": 3} | AGREEING, readers=150, days=7, oracles=True)


@pytest.mark.slow
def test_slates_at_random_are_worse_than_popularity_where_clicks_tell_what_is_worth_reading(played: Path) -> None:
    found: Judged = read(AGREEABLE, plan(AGREEABLE), played).worlds["nominal"]
    lottery = found.contrasts["lottery"]
    assert (lottery.readers, lottery.seeds) == (150, 1)
    assert lottery.high < 0.0
    assert found.contrasts["planner"].low > 0.0
    clicks = {name: levels["click_rate"].value for name, levels in found.levels.items()}
    assert clicks["lottery"] < clicks["popularity"] < clicks["greedy_click"]
    assert found.levels["lottery"]["coverage"].value > found.levels["popularity"]["coverage"].value


@pytest.mark.slow
def test_readers_of_two_policies_are_the_same_with_the_same_luck(played: Path) -> None:
    plays = plan(AGREEABLE).plays
    popularity, lottery = (
        read_lives(plays[name, "nominal", 1].at(played)).active_days for name in ("popularity", "lottery")
    )
    assert np.corrcoef(popularity, lottery)[0, 1] > 0.8
    paired = contrast({1: lottery}, {1: popularity})
    strangers = contrast({1: lottery[::-1]}, {1: popularity})
    assert paired.high - paired.low < 0.6 * (strangers.high - strangers.low)
