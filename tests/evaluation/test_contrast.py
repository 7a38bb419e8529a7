"""Contrasts worked out by hand, and intervals that cover the truth as often as they say."""

import math

import numpy as np
import pytest

from newsrec.evaluation.contrast import (
    Arm,
    Contrast,
    Point,
    contrast,
    curve,
    monotone_within_intervals,
    rises,
    share_of_headroom,
)

T2 = 4.302653
"""Student's 97.5 % quantile with two degrees of freedom."""
MOST_DAYS, RATE, EFFECT = 28, 3 / 13, 0.4
DRAWS = 2_000


def arm(*seeds: list[float]) -> Arm:
    return {number: np.array(values, float) for number, values in enumerate(seeds)}


CONTROL = arm([2, 6], [4, 6], [1, 11])
TREATED = arm([3, 7], [6, 8], [2, 16])
"""Mean differences 1, 2 and 3 of readers whose control has means 4, 5 and 6."""


def test_the_seeds_are_the_units_and_weigh_alike() -> None:
    found = contrast(TREATED, CONTROL)
    away = T2 * 1.0 / math.sqrt(3)
    assert found[:3] == pytest.approx((2.0, 2.0 - away, 2.0 + away))
    assert found.lift == pytest.approx(2.0 / 5.0)
    assert (found.seeds, found.readers) == (3, 6)
    more_readers = contrast(TREATED | {0: np.tile(TREATED[0], 9)}, CONTROL | {0: np.tile(CONTROL[0], 9)})
    assert more_readers == pytest.approx(found._replace(readers=22))


def test_the_order_in_which_seeds_were_tried_does_not_matter() -> None:
    backwards = {seed: CONTROL[seed] for seed in (2, 1, 0)}
    assert contrast(TREATED, backwards) == contrast(TREATED, CONTROL)


def test_the_ends_of_a_lift_are_where_student_s_test_just_rejects() -> None:
    found = contrast(TREATED, CONTROL)
    assert found.lift_low < 0.4 < found.lift_high
    for end in (found.lift_low, found.lift_high):
        rest = np.array([1.0, 2.0, 3.0]) - end * np.array([4.0, 5.0, 6.0])
        assert abs(rest.mean()) / (rest.std(ddof=1) / math.sqrt(3)) == pytest.approx(T2)


def test_a_lift_excludes_zero_exactly_when_its_difference_does() -> None:
    generator = np.random.default_rng(3)
    sides = set()
    for _ in range(200):
        base = arm(*generator.uniform(3, 9, (4, 5)))
        found = contrast({seed: days + generator.normal(0.5, 0.5) for seed, days in base.items()}, base)
        assert (found.low > 0, found.high < 0) == (found.lift_low > 0, found.lift_high < 0)
        sides.add(found.low > 0)
    assert sides == {True, False}


def test_one_seed_is_about_its_readers_alone_and_says_so() -> None:
    found = contrast({7: np.array([1.0, 4.0, 3.0])}, {7: np.array([1.0, 2.0, 3.0])})
    error = np.std([0.0, 2.0, 0.0], ddof=1) / math.sqrt(3)
    assert found[:3] == pytest.approx((2 / 3, 2 / 3 - T2 * error, 2 / 3 + T2 * error))
    assert (found.lift, found.seeds, found.readers) == (pytest.approx(1 / 3), 1, 3)


def test_who_never_came_counts_and_a_control_of_nobody_has_no_lift() -> None:
    assert contrast(arm([4, 0, 0, 0], [4, 0, 0, 0]), arm([0] * 4, [0] * 4)).difference == 1.0
    nobody = contrast(arm([1, 0], [0, 3]), arm([0, 0], [0, 0]))
    assert nobody.difference == 1.0
    assert np.isnan([nobody.lift, nobody.lift_low, nobody.lift_high]).all()


def test_the_sign_of_the_contrast_and_a_wider_confidence() -> None:
    found, reverse, wide = contrast(TREATED, CONTROL), contrast(CONTROL, TREATED), contrast(TREATED, CONTROL, 0.99)
    assert (reverse.difference, reverse.low, reverse.high) == (-found.difference, -found.high, -found.low)
    assert wide.low < found.low < found.high < wide.high
    assert wide.lift_low < found.lift_low < found.lift_high < wide.lift_high


def played(generator: np.random.Generator, seeds: int, training: float) -> tuple[Arm, Arm]:
    """60 readers a seed, most with few days; under treatment three in ten get many more. ``training`` is the standard
    deviation between seeds of what treatment does."""
    treated, control = {}, {}
    for seed in range(seeds):
        days = generator.binomial(MOST_DAYS, generator.beta(0.6, 2.0, 60)).astype(float)
        gained = (generator.random(60) < 0.3) * generator.exponential(1 / 0.3, 60)
        control[seed] = days
        treated[seed] = days + EFFECT + 2.0 * (gained - 1.0) + generator.normal(0.0, training)
    return treated, control


@pytest.mark.parametrize("training", [0.0, 0.5])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_95_percent_intervals_cover_the_truth_with_and_without_a_spread_of_training(
    seeds: int, training: float
) -> None:
    generator, hits = np.random.default_rng(0), np.zeros(2)
    for _ in range(DRAWS):
        found = contrast(*played(generator, seeds, training))
        truth = EFFECT / (MOST_DAYS * RATE)
        hits += found.low <= EFFECT <= found.high, found.lift_low <= truth <= found.lift_high
    assert hits.min() / DRAWS > 0.93
    assert hits.max() / DRAWS < 0.975


def test_readers_as_the_units_of_several_trainings_would_fail_that_test() -> None:
    generator, hits = np.random.default_rng(0), 0
    for _ in range(500):
        treated, control = (np.concatenate(list(a.values())) for a in played(generator, 5, 1.0))
        found = contrast({0: treated}, {0: control})
        hits += found.low <= EFFECT <= found.high
    assert hits / 500 < 0.8


def test_a_share_of_headroom_by_hand() -> None:
    greedy, planner = arm([0, 0], [1, 1], [2, 2]), arm([3, 5], [5, 5], [5, 7])  # 4 in every seed
    found = share_of_headroom(TREATED, CONTROL, planner, greedy)
    assert found == pytest.approx((0.5, *(end / 4.0 for end in contrast(TREATED, CONTROL)[1:3])))
    no_headroom = share_of_headroom(TREATED, CONTROL, arm([9, 9], [-8, -8], [0, 0]), arm([0, 0], [0, 0], [0, 0]))
    assert no_headroom[1:] == (-math.inf, math.inf)


@pytest.mark.parametrize(("seeds", "headroom"), [(3, 1.0), (5, 1.0), (10, 0.3)])
def test_shares_of_headroom_cover_the_truth(seeds: int, headroom: float) -> None:
    generator, hits = np.random.default_rng(1), 0
    for _ in range(DRAWS):
        arms: dict[str, Arm] = {"treated": {}, "control": {}, "planner": {}, "greedy": {}}
        for seed in range(seeds):
            greedy = generator.normal(6.0, 3.0, 40)
            arms["greedy"][seed] = greedy
            arms["planner"][seed] = greedy + headroom + generator.normal(0.0, 0.2) + generator.normal(0.0, 0.3, 40)
            arms["control"][seed] = greedy + generator.normal(0.0, 0.1, 40)
            gained = 0.4 * headroom + generator.normal(0.0, 0.2) + generator.normal(0.0, 0.3, 40)
            arms["treated"][seed] = arms["control"][seed] + gained
        found = share_of_headroom(**arms)
        hits += found.low <= 0.4 <= found.high
    assert 0.93 < hits / DRAWS < 0.975


def point(elasticity: float, lift: float, away: float) -> Point:
    return Point(elasticity, Contrast(lift, lift - away, lift + away, lift, lift - away, lift + away, 3, 6))


def test_a_curve_is_in_order_of_elasticity() -> None:
    found = curve({1.5: (TREATED, CONTROL), 0.0: (CONTROL, CONTROL)})
    assert [p.elasticity for p in found] == [0.0, 1.5]
    assert found[0].contrast.lift == 0.0
    assert found[1].contrast == contrast(TREATED, CONTROL)
    assert curve({0.0: (TREATED, CONTROL)}, 0.5)[0].contrast == contrast(TREATED, CONTROL, 0.5)


@pytest.mark.parametrize(
    ("lifts", "monotone", "higher_at_the_end"),
    [
        ([0.0, 0.1, 0.2], True, True),
        ([0.0, 0.2, 0.15], True, True),  # falls, but within its interval
        ([0.0, 0.3, 0.1], False, False),
        ([0.3, 0.24, 0.18], False, False),  # neighbours overlap, the first and the last do not
        ([0.1, 0.1, 0.1], True, False),
    ],
)
def test_a_curve_is_monotone_where_no_interval_lies_below_an_earlier_one(
    lifts: list[float], monotone: bool, higher_at_the_end: bool
) -> None:
    points = [point(i, lift, 0.05) for i, lift in enumerate(lifts)]
    assert monotone_within_intervals(points) is monotone
    assert rises(points) is higher_at_the_end


def test_few_flat_curves_are_taken_for_falling() -> None:
    generator, fell = np.random.default_rng(0), 0
    for _ in range(600):
        worlds = {}
        for elasticity in range(5):
            base = arm(*generator.normal(10.0, 1.0, (3, 2)))
            worlds[float(elasticity)] = {seed: days + generator.normal() for seed, days in base.items()}, base
        fell += not monotone_within_intervals(curve(worlds))
    assert 0 < fell / 600 < 0.04


@pytest.mark.parametrize(
    ("treated", "control", "message"),
    [
        (TREATED, {0: CONTROL[0]}, "treated has the training seeds 0, 1, 2, control 0; expected the same ones"),
        (
            TREATED,
            CONTROL | {1: np.zeros(3)},
            "training seed 1, treated has 2 readers and control 3; expected the same",
        ),
        (arm([1.0]), arm([0.0]), "treated has 1 reader with training seed 0, expected 2 or more"),
        ({}, {}, "treated has no training seed"),
        (TREATED, CONTROL | {2: np.array([1.0, np.nan])}, "control with training seed 2 has values that are no number"),
    ],
)
def test_arms_that_cannot_be_compared_are_refused(treated: Arm, control: Arm, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contrast(treated, control)


def test_an_impossible_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="confidence is 95"):
        contrast(TREATED, CONTROL, 95)
