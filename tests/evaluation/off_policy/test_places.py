"""Weights of articles over all places: right where readers look at some places less, and read off the log alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from newsrec import dataset
from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy import places
from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.off_policy.logged import Acting
from newsrec.evaluation.off_policy.places import Placed
from newsrec.evaluation.off_policy.uncertainty import standard_errors
from newsrec.policy import mask_scores
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.slate import SlateConfig, draw
from newsrec.transitions import Candidates, State
from tests.evaluation.off_policy.test_logged import three_slates

PLACKETT_LUCE = SlateConfig("plackett_luce")
EXAMINED = np.array([1.0, 0.5, 0.3])
CLICK = np.array([0.1, 0.3, 0.5, 0.6, 0.2])
"""Of each of five articles, if it is looked at."""
EVEN, KEEN = torch.zeros(1, 5), torch.tensor([[0.0, 0.2, 1.0, 1.5, 0.3]])


def alike(state: State, candidates: Candidates) -> Tensor:
    return mask_scores(torch.zeros(candidates.mask.shape), candidates)


def fresh(state: State, candidates: Candidates) -> Tensor:
    return mask_scores(-candidates.age_hours, candidates)


def whole(scores: Tensor) -> Tensor:
    """[C, K]: where each article stands."""
    generator, rows = torch.Generator().manual_seed(5), 4000
    real = torch.ones(rows, 3, dtype=torch.bool)
    return places._at_places(scores.expand(rows, -1), real, PLACKETT_LUCE, generator, 2).mean(0)


def drawn(acted: Tensor, target: Tensor, n: int, seed: int) -> tuple[Placed, np.ndarray]:
    """Slates of three by ``acted``, and their clicks."""
    chosen = draw(acted.expand(n, -1), 3, PLACKETT_LUCE, torch.Generator().manual_seed(seed)).chosen
    click = np.random.default_rng(seed).random((n, 3)) < EXAMINED * CLICK[chosen]
    behaviour, own = (whole(scores)[chosen].numpy() for scores in (acted, target))
    shown, none = np.ones((n, 3), bool), np.zeros(n)
    return Placed(np.arange(n), shown, behaviour, own, np.full(n, 5), none, none), click * 1.0


def estimated(placed: Placed, click: np.ndarray) -> tuple[float, float]:
    examined = places.examination(placed, click)
    terms = places.value(placed, places.weights(placed, examined), examined, click)
    (found,), (error,) = standard_errors([terms])
    return float(found), float(error)


@pytest.mark.parametrize(("acted", "target"), [(EVEN, KEEN), (KEEN, EVEN), (KEEN, -KEEN)])
def test_the_estimate_is_what_the_policy_earns(acted: Tensor, target: Tensor) -> None:
    truth = float((whole(target).numpy() * EXAMINED * CLICK[:, None]).sum())
    found, error = estimated(*drawn(acted, target, 40_000, 1))
    assert found == pytest.approx(truth, abs=4 * error)
    assert error < 0.02
    assert estimated(*drawn(target, target, 40_000, 1))[0] == pytest.approx(truth, abs=0.02)


def test_the_places_are_found_under_a_policy_that_puts_the_best_on_top() -> None:
    placed, click = drawn(KEEN, KEEN, 40_000, 2)
    assert places.examination(placed, click) == pytest.approx(EXAMINED, abs=0.04)
    assert places.examination(placed, np.zeros_like(click)).tolist() == [1.0, 1.0, 1.0]


def test_what_acted_is_read_off_the_log() -> None:
    """True Plackett-Luce slates of 3 from 40: only their own propensities are looked at."""
    generator = torch.Generator().manual_seed(7)
    scores = torch.randn(300, 40, generator=generator)
    slate = draw(scores, 3, PLACKETT_LUCE, generator)
    there = torch.ones(300, 40, dtype=torch.bool)
    read = places._logged(slate.propensity, slate.chosen, slate.mask, there, generator, 200)
    true = places._at_places(scores, slate.mask, PLACKETT_LUCE, generator, 200)
    index = slate.chosen[..., None].expand(-1, -1, 3)
    off = np.abs((read.gather(1, index) / true.gather(1, index)).numpy() - 1.0)
    assert np.quantile(off, 0.5) < 0.02
    assert np.quantile(off, 0.95) < 0.1


@pytest.fixture(scope="module")
def simulated() -> Decisions:
    return dataset.from_log(simulate(SimulationConfig(readers=150, days=6, slate_size=3, candidates=8, seed=3)))


def test_the_policy_that_acted_has_weights_of_one(simulated: Decisions) -> None:
    """But for the noise of the drawn slates, which is none where greedy slates need no draw."""
    rows = np.arange(len(simulated))
    placed = places.chances(simulated, rows, Acting(alike, PLACKETT_LUCE))
    examined = places.examination(placed, places.rewards(simulated, rows, "click") > 0)
    weight = places.weights(placed, examined)
    assert weight[placed.shown].mean() == pytest.approx(1.0, abs=0.01)
    assert weight[placed.shown].std() < 0.1
    assert placed.unsupported.max() == 0.0
    clicks = (places.rewards(simulated, rows, "click") > 0) * 1.0
    logged = places.as_logged(placed, clicks).value
    assert places.value(placed, weight, examined, clicks).value == pytest.approx(logged, rel=0.02)
    assert logged == clicks.sum(1).mean()


def test_the_mean_weight_is_one_and_the_same_seed_gives_the_same(simulated: Decisions) -> None:
    rows = np.arange(len(simulated))
    acting = Acting(fresh, SlateConfig("plackett_luce", temperature=2.0))
    one, two = (places.chances(simulated, rows, acting) for _ in range(2))
    assert (one.target == two.target).all()
    weight = places.slate_weights(one, places.weights(one, EXAMINED), EXAMINED)
    assert weight.std() > 0.2
    assert weight.mean() == pytest.approx(1.0, abs=4 * weight.std() / len(rows) ** 0.5)


def test_short_slates_and_few_candidates_by_hand() -> None:
    """Of r3 the log shows the article b of two with 0.5; greedy shows the newer one at once."""
    found = places.chances(three_slates(), np.arange(4), Acting(fresh, SlateConfig("greedy")))
    assert found.target[2, 0].tolist() == [1.0, 0.0]
    assert found.behaviour[2, 0, 0] == pytest.approx(0.5)
    assert found.target[3].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    weight = places.weights(found, np.array([1.0, 0.5]))
    assert weight[2].tolist() == pytest.approx([2.0, 0.0])


def test_a_log_without_chance_supports_nothing_else(simulated: Decisions) -> None:
    sure = replace(simulated, propensity=np.ones_like(simulated.propensity))
    found = places.chances(sure, np.arange(40), Acting(alike, PLACKETT_LUCE))
    assert found.unsupported[found.candidates == 8].mean() == pytest.approx(5 / 8, abs=0.02)
    assert found.behaviour[:, 0, 0] == pytest.approx(np.ones(40))


def test_a_log_without_propensities_is_refused(simulated: Decisions) -> None:
    lacking = replace(simulated, propensity=np.full_like(simulated.propensity, np.nan))
    with pytest.raises(InvalidLog, match="missing"):
        places.chances(lacking, np.arange(4), Acting(alike, PLACKETT_LUCE))
