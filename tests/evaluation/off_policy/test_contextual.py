"""Contextual estimators: by hand, at the truth where their assumptions hold, away from it where they do not."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.off_policy.synthetic import choices, draw_choices, with_predictions
from newsrec.evaluation.off_policy import contextual
from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.terms import Terms
from newsrec.evaluation.off_policy.uncertainty import bootstrap

BY_HAND = ContextualLog(
    reader=np.arange(4),
    reward=np.array([1.0, 0.0, 1.0, 0.0]),
    behaviour=np.array([0.5, 0.25, 0.5, 0.5]),
    target=np.array([0.25, 0.5, 0.5, 0.0]),  # weights 1/2, 2, 1, 0
    q=np.array([0.5, 0.25, 1.0, 0.5]),
    v=np.array([0.4, 0.2, 0.8, 0.1]),
)

EVERY: dict[str, Callable[[ContextualLog], Terms]] = {
    "ips": contextual.ips,
    "snips": contextual.snips,
    "direct": contextual.direct_method,
    "dr": contextual.doubly_robust,
    "sndr": contextual.self_normalised_doubly_robust,
    "switch": lambda log: contextual.switch_doubly_robust(log, tau=1.0),
    "shrunk": lambda log: contextual.shrunk_doubly_robust(log, shrinkage=2.0),
}
NEEDS_WEIGHTS = [name for name in EVERY if name != "direct"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ips", (0.5 + 1.0) / 4),
        ("snips", 1.5 / 3.5),
        ("direct", 1.5 / 4),
        ("dr", (0.65 - 0.3 + 0.8 + 0.1) / 4),
        ("sndr", 1.5 / 4 + (0.25 - 0.5) / 3.5),
        ("switch", (0.65 + 0.2 + 0.8 + 0.1) / 4),
        ("shrunk", (0.4 + 4 / 9 * 0.5 + 0.2 - 2 / 3 * 0.25 + 0.8 + 0.1) / 4),
    ],
)
def test_by_hand(name: str, expected: float) -> None:
    assert EVERY[name](BY_HAND).value == pytest.approx(expected)


def test_the_mean_reward_is_the_value_of_the_policy_that_acted() -> None:
    assert contextual.on_policy(BY_HAND).value == 0.5


def test_switch_and_shrinkage_run_from_the_direct_method_to_doubly_robust() -> None:
    direct, dr = contextual.direct_method(BY_HAND).value, contextual.doubly_robust(BY_HAND).value
    for estimator in (contextual.switch_doubly_robust, contextual.shrunk_doubly_robust):
        assert estimator(BY_HAND, 0.0).value == pytest.approx(direct)
        assert estimator(BY_HAND, np.inf).value == pytest.approx(dr)
    assert contextual.switch_doubly_robust(BY_HAND, 2.0).value == pytest.approx(dr)  # the largest weight, kept
    assert contextual.shrunk_doubly_robust(BY_HAND, 1e12).value == pytest.approx(dr)


def test_self_normalised_estimates_move_with_the_rewards_and_ips_does_not() -> None:
    raised = BY_HAND._replace(reward=BY_HAND.reward + 10.0)
    assert contextual.snips(raised).value == pytest.approx(contextual.snips(BY_HAND).value + 10.0)
    assert contextual.ips(raised).value == pytest.approx(contextual.ips(BY_HAND).value + 10.0 * 3.5 / 4)


def test_value_under_is_the_mean_of_the_predictions() -> None:
    target = np.array([[[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]], np.float32)
    predicted = np.array([[[1.0, 3.0, 9.0], [1.0, 3.0, 9.0]]], np.float32)
    assert contextual.value_under(target, predicted).tolist() == [[2.0, 9.0]]
    with pytest.raises(InvalidLog, match="1 of 2 lines do not sum to 1"):
        contextual.value_under(target * np.array([[1.0], [0.9]], np.float32), predicted)
    with pytest.raises(InvalidLog, match="predictions: 1 of 6 are missing"):
        contextual.value_under(target, np.where(predicted == 9.0, [[[1.0], [np.nan]]], predicted))


@pytest.fixture(scope="module")
def world_and_log() -> tuple[float, ContextualLog]:
    world = choices(seed=3)
    log, context, action = draw_choices(world, 20_000, np.random.default_rng(4))
    return world.truth, with_predictions(log, world, context, action)


def intervals(log: ContextualLog) -> dict[str, tuple[float, float, float]]:
    estimates = {name: EVERY[name](log) for name in ("ips", "snips", "direct", "dr", "sndr")}
    return bootstrap(estimates, np.random.default_rng(0), confidence=0.99, draws=500)


def test_with_support_and_true_propensities_the_truth_is_in_every_interval(
    world_and_log: tuple[float, ContextualLog],
) -> None:
    truth, log = world_and_log
    assert abs(contextual.on_policy(log).value - truth) > 0.05  # there is something to correct
    found = intervals(log)
    assert all(found[name].low <= truth <= found[name].high for name in ("ips", "snips", "dr", "sndr")), found
    assert found["direct"].high < truth  # a line is no logistic curve
    assert found["dr"].high - found["dr"].low < 0.8 * (found["ips"].high - found["ips"].low)  # predictions help


def test_a_wrong_model_misleads_the_direct_method_alone(world_and_log: tuple[float, ContextualLog]) -> None:
    truth, log = world_and_log
    found = intervals(log._replace(q=log.q + 0.2, v=log.v + 0.2))
    assert found["direct"].low > truth
    assert all(found[name].low <= truth <= found[name].high for name in ("ips", "snips", "dr", "sndr"))


def test_a_right_model_makes_up_for_wrong_propensities_in_doubly_robust_alone() -> None:
    world = choices(seed=3)
    log, context, action = draw_choices(world, 20_000, np.random.default_rng(4))
    log = log._replace(q=world.click[context, action], v=(world.target * world.click).sum(1)[context])
    found = intervals(log._replace(behaviour=np.full(20_000, 0.1)))  # as if all had been equally likely
    assert found["ips"].low > world.truth
    assert found["snips"].low > world.truth or found["snips"].high < world.truth
    assert found["dr"].low <= world.truth <= found["dr"].high


def test_without_support_all_but_the_model_are_wrong() -> None:
    """The policy that acted never shows the two actions that are clicked most."""
    world = choices(seed=3)
    best = np.argsort(world.click, 1)[:, -2:]
    behaviour = world.behaviour.copy()
    np.put_along_axis(behaviour, best, 0.0, 1)
    lacking = world._replace(behaviour=behaviour / behaviour.sum(1, keepdims=True))
    log, context, action = draw_choices(lacking, 20_000, np.random.default_rng(4))
    log = log._replace(q=world.click[context, action], v=(world.target * world.click).sum(1)[context])
    found = intervals(log)
    assert found["ips"].high < world.truth
    assert found["snips"].high < world.truth
    assert found["dr"].low <= world.truth <= found["dr"].high  # by the model, which happens to be true


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"behaviour": [np.nan, 0.25, 0.0, 1.5]}, "1 missing, 1 zero or less, 1 above one of 4, the first in row 0"),
        ({"behaviour": [0.5, 0.25, -0.5, 0.5]}, "found 1 zero or less of 4, the first in row 2"),
        ({"target": [0.5, 0.25, np.nan, 1.1]}, "2 of 4 are missing, negative or above one, the first in row 2"),
        ({"reward": [0.0, 1.0, 0.0, np.nan]}, "reward: 1 of 4 are missing or infinite, the first in row 3"),
        ({"request": [8, 9, 9, 9]}, "2 of 4 rows repeat one, 9 among them"),
        ({"target": [0.5, 0.25, 0.5]}, r"target has shape \(3,\), expected \(4,\)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", NEEDS_WEIGHTS)
def test_a_broken_log_is_refused_with_what_was_found(name: str, broken: dict, sentence: str) -> None:
    with pytest.raises(InvalidLog, match=sentence):
        EVERY[name](BY_HAND._replace(**{field: np.array(values) for field, values in broken.items()}))


@pytest.mark.parametrize("name", ["direct", "dr", "sndr", "switch", "shrunk"])
def test_a_log_without_predictions_is_refused_where_they_are_needed(name: str) -> None:
    with pytest.raises(InvalidLog, match="holds no v"):
        EVERY[name](BY_HAND._replace(v=None))
    with pytest.raises(InvalidLog, match="v: 1 of 4 are missing"):
        EVERY[name](BY_HAND._replace(v=np.array([0.1, np.nan, 0.1, 0.1])))


def test_impossible_hyper_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="tau is -1"):
        contextual.switch_doubly_robust(BY_HAND, -1.0)
    with pytest.raises(ValueError, match="shrinkage is nan"):
        contextual.shrunk_doubly_robust(BY_HAND, float("nan"))
