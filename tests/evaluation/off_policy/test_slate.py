"""Estimators of slates: by hand, and against three kinds of readers, each of whom breaks another assumption."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.off_policy.synthetic import Readers, draw_slates, slates
from newsrec.evaluation.off_policy import slate
from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.off_policy.slate import SlateLog
from newsrec.evaluation.off_policy.terms import Terms
from newsrec.evaluation.off_policy.uncertainty import bootstrap

BY_HAND = SlateLog(
    reader=np.arange(2),
    reward=np.array([[1.0, 1.0], [0.0, 1.0]]),
    behaviour=np.array([[0.5, 0.5], [0.25, 0.5]]),
    target=np.array([[0.25, 1.0], [0.5, 0.25]]),  # ratios 1/2, 2 and 2, 1/2; products 1 and 1
    shown=np.ones((2, 2), bool),
    marginal_behaviour=np.array([[0.5, 0.4], [0.25, 0.2]]),
    marginal_target=np.array([[0.25, 0.6], [0.5, 0.4]]),  # ratios 1/2, 3/2 and 2, 2
    q=np.array([[1.0, 0.5], [0.5, 0.25]]),
    v=np.array([[0.75, 0.5], [0.25, 0.125]]),
)
EVERY: dict[str, Callable[[SlateLog], Terms]] = {
    "standard": slate.standard_ips,
    "standard, normalised": slate.self_normalised_standard_ips,
    "interaction": slate.reward_interaction_ips,
    "interaction, normalised": slate.self_normalised_reward_interaction_ips,
    "independent": slate.independent_ips,
    "independent, normalised": slate.self_normalised_independent_ips,
    "cascade-DR": slate.cascade_doubly_robust,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("standard", (1 * 2 + 1 * 1) / 2),
        ("standard, normalised", (1 * 2 + 1 * 1) / 2),
        ("interaction", (0.5 + 1 + 1) / 2),
        ("interaction, normalised", 0.5 / 2.5 + 2 / 2),
        ("independent", (0.5 + 1.5 + 2) / 2),
        ("independent, normalised", 0.5 / 2.5 + (1.5 + 2) / 3.5),
        # 0.5 (1 - 1) + 0.75, 1 (1 - 0.5) + 0.5 0.5;  2 (0 - 0.5) + 0.25, 1 (1 - 0.25) + 2 0.125
        ("cascade-DR", (0.75 + 0.75 - 0.75 + 1.0) / 2),
    ],
)
def test_by_hand(name: str, expected: float) -> None:
    assert EVERY[name](BY_HAND).value == pytest.approx(expected)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_shown_is_ignored(name: str) -> None:
    """A third place that only the first slate has, and nonsense in the second's."""
    third = {"reward": [1.0, np.nan], "behaviour": [0.5, 0.0], "target": [0.5, 7.0], "shown": [True, False],
             "marginal_behaviour": [0.5, 0.0], "marginal_target": [0.5, np.nan], "q": [1.0, np.nan],
             "v": [0.5, np.inf]}  # fmt: skip
    longer = {field: np.column_stack([getattr(BY_HAND, field), values]) for field, values in third.items()}
    gained = {"standard": 0.5, "standard, normalised": 0.5, "interaction": 0.5, "interaction, normalised": 0.5,
              "independent": 0.5, "independent, normalised": 0.5, "cascade-DR": 0.25}[name]  # fmt: skip
    assert EVERY[name](BY_HAND._replace(**longer)).value == pytest.approx(EVERY[name](BY_HAND).value + gained)


HOLDS = {"independent": set(EVERY), "cascade": {n for n in EVERY if not n.startswith("independent")},
         "interacting": {"standard", "standard, normalised"}}  # fmt: skip


@pytest.mark.parametrize("readers", ["independent", "cascade", "interacting"])
def test_each_estimator_finds_the_truth_of_the_readers_that_it_assumes_and_misses_that_of_others(
    readers: Readers,
) -> None:
    world = slates(readers, seed=1)
    log = draw_slates(world, 30_000, np.random.default_rng(2))
    estimates = {name: estimator(log) for name, estimator in EVERY.items()} | {"logged": slate.on_policy(log)}
    found = bootstrap(estimates, np.random.default_rng(0), confidence=0.99, draws=400)
    covered = {name for name, (_, low, high) in found.items() if low <= world.truth <= high}
    assert covered == HOLDS[readers], found


def test_each_stronger_assumption_is_worth_a_narrower_interval() -> None:
    log = draw_slates(slates("independent", seed=1), 10_000, np.random.default_rng(2))
    found = bootstrap({name: estimator(log) for name, estimator in EVERY.items()}, np.random.default_rng(0), draws=200)
    width = {name: high - low for name, (_, low, high) in found.items()}
    assert width["standard"] > 1.3 * width["interaction"] > 1.3 * 1.3 * width["independent"]
    assert width["standard, normalised"] < width["standard"]
    assert width["cascade-DR"] < width["interaction"]


def test_true_predictions_leave_cascade_dr_the_noise_of_clicks() -> None:
    """Where clicks are certain and predictions right, each slate's term is the value of its context."""
    world = slates("cascade", seed=1, contexts=1)
    world = world._replace(click=np.round(world.click + 0.3))
    log = draw_slates(world, 50, np.random.default_rng(2))
    terms = slate.cascade_doubly_robust(log._replace(q=log.q / 0.8, v=log.v / 0.8)).parts[0].above
    assert terms == pytest.approx(np.full(50, world.truth))


@pytest.mark.parametrize("name", EVERY)
def test_a_broken_log_is_refused_with_what_was_found(name: str) -> None:
    field = "marginal_behaviour" if name.startswith("independent") else "behaviour"
    with pytest.raises(InvalidLog, match="found 1 missing, 1 zero or less, 1 above one of 4"):
        EVERY[name](BY_HAND._replace(**{field: np.array([[0.5, np.nan], [0.0, 2.0]])}))
    with pytest.raises(InvalidLog, match="1 of 2 rows repeat one, a among them"):
        EVERY[name](BY_HAND._replace(request=np.array(["a", "a"])))


@pytest.mark.parametrize(("name", "field"), [("independent", "marginal_target"), ("cascade-DR", "v")])
def test_what_the_log_does_not_hold_is_named(name: str, field: str) -> None:
    with pytest.raises(InvalidLog, match=f"holds no {field}"):
        EVERY[name](BY_HAND._replace(**{field: None}))
