"""From decisions to the estimators' input: the policy that acted gets weights of one, others what slate.py says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from newsrec import dataset
from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy import contextual, logged, slate
from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.off_policy.logged import Acting, Marginals
from newsrec.policy import mask_scores
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.slate import SlateConfig
from newsrec.transitions import Candidates, State
from tests.logs import HOUR, MINUTE, MONDAY, article, decision, event, log


def alike(state: State, candidates: Candidates) -> Tensor:
    return mask_scores(torch.zeros(candidates.mask.shape), candidates)


def fresh(state: State, candidates: Candidates) -> Tensor:
    """Newer articles first."""
    return mask_scores(-candidates.age_hours, candidates)


UNIFORM = Acting(alike, SlateConfig("plackett_luce"))
EPSILON = Acting(fresh, SlateConfig("epsilon", epsilon=0.4))


@pytest.fixture(scope="module")
def simulated() -> Decisions:
    """Uniform slates of three."""
    return dataset.from_log(simulate(SimulationConfig(readers=200, days=6, slate_size=3, candidates=8, seed=3)))


def three_slates() -> Decisions:
    """The policy that acted knew three articles, oldest first; u comes twice within a visit and again the next day."""
    articles = [article(a, MONDAY + i * HOUR) for i, a in enumerate("abc")]
    nine = MONDAY + 9 * HOUR
    decisions = [
        decision("r1", "u", nine, "ca", "abc", propensities=[0.5, 0.25]),
        decision("r2", "u", nine + 10 * MINUTE, "b", "abc", propensities=[0.5]),
        decision("r3", "u", nine + 24 * HOUR, "b", "ab", propensities=[0.5]),
        decision("r4", "v", nine + 24 * HOUR, "ac", "ac", propensities=[0.25, 1.0]),
    ]
    clicks = [event(r, u, "click", a, nine + 25 * HOUR) for r, u, a in (("r1", "u", "a"), ("r4", "v", "a"))]
    return dataset.from_log(log(articles, decisions, clicks))


def test_rewards_and_propensities_by_hand() -> None:
    """Epsilon 0.4 on freshness: of three the newest has 0.6 + 0.4 / 3, of two that are left the newer 0.8."""
    found = logged.slate_log(three_slates(), np.arange(4), EPSILON)
    assert found.shown.tolist() == [[True, True], [True, False], [True, False], [True, True]]
    assert found.reward.tolist() == [[0, 1], [0, 0], [0, 0], [1, 0]]
    assert found.behaviour == pytest.approx(np.array([[0.5, 0.25], [0.5, 1.0], [0.5, 1.0], [0.25, 1.0]]))
    best = 0.6 + 0.4 / 3
    assert found.target == pytest.approx(np.array([[best, 0.2], [0.4 / 3, 1.0], [0.8, 1.0], [0.2, 1.0]]))
    assert found.marginal_target is None
    one = logged.as_one_action(found)
    assert contextual.weights(one) == pytest.approx([best * 0.2 / 0.125, 0.8 / 3, 1.6, 0.8])
    assert one.reward.tolist() == [1, 0, 0, 1]
    assert contextual.ips(one).value == pytest.approx(slate.standard_ips(found).value)


def test_visits_carry_the_weights_of_all_their_slates() -> None:
    decisions = three_slates()
    found = logged.visits(decisions, logged.slate_log(decisions, np.array([3, 1, 2, 0]), EPSILON))
    assert found.reader.tolist() == [0, 0, 1]
    first = (0.6 + 0.4 / 3) * 0.2 / 0.125 * (0.8 / 3)
    assert found.weight == pytest.approx([first, 1.6, 0.8])
    assert found.hours == pytest.approx([24.0 - 1 / 6, 0.0, 0.0])
    assert found.ended.tolist() == [True, False, False]
    assert found.returned.tolist() == [1.0, 0.0, 0.0]
    assert found.expected == pytest.approx(decisions.expected[[1, 2, 3]])


def test_a_visit_without_its_end_is_refused() -> None:
    decisions = three_slates()
    with pytest.raises(InvalidLog, match="1 visits of 3 lack their last decisions"):
        logged.visits(decisions, logged.slate_log(decisions, np.array([0, 2, 3]), EPSILON))
    without_start = logged.visits(decisions, logged.slate_log(decisions, np.array([1, 2, 3]), EPSILON))
    assert without_start.weight == pytest.approx([0.8 / 3, 1.6, 0.8])


def test_two_slates_of_one_moment_are_one_visit() -> None:
    articles = [article(a, MONDAY) for a in "ab"]
    same = [decision(r, "u", MONDAY + HOUR, "a", "ab", propensities=[0.5]) for r in ("r1", "r2")]
    decisions = dataset.from_log(log(articles, same, []))
    greedy = Acting(alike, SlateConfig("epsilon", epsilon=0.5))  # the first of equals: 0.75
    found = logged.visits(decisions, logged.slate_log(decisions, np.arange(2), greedy))
    assert found.weight == pytest.approx([1.5**2])


def test_the_policy_that_acted_has_weights_of_one(simulated: Decisions) -> None:
    rows = np.random.default_rng(0).permutation(len(simulated))
    found = logged.slate_log(simulated, rows, UNIFORM)
    assert len(rows) > 600  # more than a batch
    assert found.reader.tolist() == simulated.user[rows].tolist()
    assert slate.prefix_weights(found) == pytest.approx(np.ones(found.shown.shape), rel=1e-5)
    assert slate.standard_ips(found).value == pytest.approx(slate.on_policy(found).value, rel=1e-5)
    assert slate.on_policy(found).value > 0.0


def test_weights_of_another_policy_are_one_in_the_mean(simulated: Decisions) -> None:
    milder = EPSILON._replace(slates=SlateConfig("epsilon", epsilon=0.7))
    weight = slate.prefix_weights(logged.slate_log(simulated, np.arange(len(simulated)), milder))
    away = weight - 1.0
    assert (np.abs(away.mean(0)) < 4.0 * away.std(0) / len(away) ** 0.5).all()
    assert weight.std() > 0.5


def test_marginals_sum_over_what_stands_above(simulated: Decisions) -> None:
    """All alike: each of eight at each place. By freshness: enumerated for four candidates."""
    rows = np.arange(50)
    how = Marginals(UNIFORM, torch.Generator().manual_seed(0), draws=600)
    found = logged.slate_log(simulated, rows, EPSILON, marginals=how)
    candidates = np.diff(simulated.candidate.offsets)[rows]
    shown = found.shown & (candidates >= 3)[:, None]
    assert found.marginal_behaviour[shown] == pytest.approx((1.0 / candidates[:, None] + 0 * shown)[shown], rel=0.2)
    assert found.marginal_target[:, 0] == pytest.approx(found.target[:, 0])
    scores, chosen = torch.tensor([[3.0, 2.0, 1.0, 0.0]]), torch.tensor([[2, 0]])
    mask, config = torch.ones(1, 2, dtype=torch.bool), SlateConfig("epsilon", epsilon=0.4)
    many = Marginals(UNIFORM, torch.Generator().manual_seed(0), draws=4_000)
    exact = 0.1 * (0.6 + 0.4 / 3) * 3  # 0 below one of the others, each above with 0.1, is the best that is left
    assert logged.marginal_propensities(scores, chosen, mask, config, many)[0] == pytest.approx([0.1, exact], rel=0.1)


def test_a_log_without_propensities_is_refused(simulated: Decisions) -> None:
    none = replace(simulated, propensity=np.full(len(simulated.propensity), np.nan, np.float32))
    with pytest.raises(InvalidLog, match=r"logged propensities: found \d+ missing of"):
        logged.slate_log(none, np.arange(10), UNIFORM)


def test_rows_that_stand_twice_and_unknown_feedback_are_refused(simulated: Decisions) -> None:
    with pytest.raises(InvalidLog, match="1 of 3 rows repeat one, 1 among them"):
        logged.slate_log(simulated, np.array([0, 1, 1]), UNIFORM)
    with pytest.raises(ValueError, match="kind is 'applause'"):
        logged.slate_log(simulated, np.arange(3), UNIFORM, kind="applause")
