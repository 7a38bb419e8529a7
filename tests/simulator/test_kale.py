"""Chocolate and kale: its equations by hand, and policies against what they must earn."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit

from newsrec.simulator import kale_optimum as planning
from newsrec.simulator.kale import KaleConfig, KaleEnv, KaleVectorEnv
from tests.simulator.encounters import agree
from tests.simulator.gymnasium_contract import accepted, equal_to_singles

STILL = KaleConfig(documents=3, slate_size=1, innovation=1e-12, spread=0.0)
"""Nothing is left to chance but the first exposure and which document of a slate is clicked."""
CONFIG = KaleConfig()


def showing(config: KaleConfig, readers: int, *documents: int) -> np.ndarray:
    actions = np.zeros((readers, config.documents), np.float32)
    actions[:, documents] = 1.0
    return actions


def exposure(config: KaleConfig, observation: np.ndarray) -> np.ndarray:
    satisfaction = observation[..., 0].astype(float)
    return np.log(satisfaction / (1.0 - satisfaction)) / config.sensitivity


def test_kale_raises_exposure_and_chocolate_lowers_it() -> None:
    """0.7 x + 1 after kale (document 2), 0.7 x after what is neither, 0.7 x - 1 after chocolate."""
    env = KaleEnv(STILL)
    observation, _ = env.reset(seed=0)
    before = exposure(STILL, observation)
    for step, (document, moved) in enumerate([(2, 1.0), (2, 1.0), (1, 0.0), (0, -1.0), (0, -1.0)]):
        observation, reward, terminated, truncated, info = env.step(showing(STILL, 1, document)[0])
        after = exposure(STILL, observation)
        assert after == pytest.approx(0.7 * before + moved, abs=1e-4)
        assert reward == pytest.approx(np.exp(expit(0.1 * before) * (5.0, 4.5, 4.0)[document]), rel=1e-5)
        assert observation[1] == pytest.approx(1 - (step + 1) / 60)
        assert (terminated, truncated, info["clicked"]) == (False, False, document)
        before = after


def test_first_exposures_are_uniform_and_an_episode_has_its_steps() -> None:
    env = KaleVectorEnv(20_000, replace(STILL, steps=2))
    observation, _ = env.reset(seed=0)
    first = exposure(STILL, observation)
    assert np.abs(first).max() == pytest.approx(0.5 / 0.3, rel=1e-3)
    for edge in (-1.0, 0.0, 1.0):
        agree(first < edge, (edge + 5 / 3) / (10 / 3))
    assert not env.step(showing(STILL, 20_000, 0))[2].any()
    assert env.step(showing(STILL, 20_000, 0))[2].all()


def test_the_sweeter_document_of_a_slate_is_clicked_more() -> None:
    """e to 1 between pure chocolate and pure kale; engagement and innovation have their means and deviations."""
    env = KaleVectorEnv(50_000, CONFIG)
    observation, _ = env.reset(seed=3)
    before = exposure(CONFIG, observation)
    observation, reward, _, _, info = env.step(showing(CONFIG, 50_000, 0, 9))
    agree(info["clicked"] == 0, np.e / (1.0 + np.e))
    assert set(info["clicked"]) == {0, 9}
    mean = np.where(info["clicked"] == 0, 5.0, 4.0) * expit(0.1 * before)
    noise = np.log(reward) - mean
    assert abs(noise.mean()) < 4 / 50_000**0.5
    assert noise.std() == pytest.approx(1.0, abs=0.015)
    innovation = exposure(CONFIG, observation) - 0.7 * before - np.where(info["clicked"] == 0, -1.0, 1.0)
    assert abs(innovation.mean()) < 4 * 0.05 / 50_000**0.5
    assert innovation.std() == pytest.approx(0.05, rel=0.015)


def test_bounds_hold_the_value_that_integration_gives() -> None:
    """Two documents, one a slate, two steps: chocolate at the end, before it what is better at the first exposure."""
    config = KaleConfig(documents=2, slate_size=1, steps=2, sensitivity=0.6)

    def now(x: float, document: int) -> float:
        return np.exp(expit(0.6 * x) * (5.0, 4.0)[document] + 0.5)

    nodes, weights = np.polynomial.hermite_e.hermegauss(20)

    def both(x: float, document: int) -> float:
        after = [now(0.7 * x + (-1.0, 1.0)[document] + 0.05 * z, 0) for z in nodes]
        return now(x, document) + float(weights @ after) / weights.sum()

    best, _ = quad(lambda x: max(both(x, 0), both(x, 1)) * 0.3, -5 / 3, 5 / 3, limit=200)
    chocolate, _ = quad(lambda x: both(x, 0) * 0.3, -5 / 3, 5 / 3)
    for bounds, value in [
        (planning.optimum(config).bounds, best),
        (planning.always(config, np.array([0])), chocolate),
    ]:
        assert bounds.low < value < bounds.high
        assert bounds.high - bounds.low < 0.01 * value
    assert best > 1.01 * chocolate


def test_policies_earn_what_was_computed() -> None:
    """The optimum beats uniform slates by about a tenth and chocolate by a quarter; four standard errors."""
    readers, plan = 6_000, planning.optimum(CONFIG)
    rng = np.random.default_rng(1)
    acting = {
        "optimum": (plan.bounds, plan.scores),
        "chocolate": (planning.always(CONFIG, np.array([0, 1])), lambda seen: showing(CONFIG, len(seen), 0, 1)),
        "kale": (planning.always(CONFIG, np.array([8, 9])), lambda seen: showing(CONFIG, len(seen), 8, 9)),
        "uniform": (planning.random(CONFIG), lambda seen: rng.random((len(seen), 10), np.float32)),
    }
    for name, (bounds, scores) in acting.items():
        env = KaleVectorEnv(readers, CONFIG)
        observation, _ = env.reset(seed=5)
        total = np.zeros(readers)
        for _ in range(CONFIG.steps):
            observation, reward, terminated, _, _ = env.step(scores(observation))
            total += reward
        assert terminated.all()
        error = 4 * total.std() / readers**0.5
        assert bounds.low - error < total.mean() < bounds.high + error, (name, bounds, total.mean())
        assert error < 12
    low, high = (lambda name: acting[name][0].low), (lambda name: acting[name][0].high)
    assert low("optimum") - high("chocolate") > 190
    assert low("optimum") - high("uniform") > 80
    assert low("optimum") - high("kale") > 25


def test_with_the_sensitivity_of_recsim_chocolate_is_optimal() -> None:
    config = replace(CONFIG, sensitivity=0.01)
    chocolate = planning.always(config, np.array([0, 1]))
    assert planning.optimum(config).bounds.high < 1.0005 * chocolate.low


def test_the_optimum_is_sweet_at_the_end_and_kale_to_the_dissatisfied() -> None:
    plan = planning.optimum(CONFIG)
    kaleness = CONFIG.kaleness[plan.slates].mean(1)  # [A]
    shown = kaleness[plan.best[:, 1:]]  # [steps, G - 2]; at minus infinity all slates are worth the same
    assert (shown[-1] == kaleness.min()).all()
    middle = shown[30, np.abs(plan.grid[1:-1]) < 3.0]
    assert middle[0] == kaleness.max()
    assert middle[-1] <= 0.5
    assert (np.diff(middle) <= 0).all()


def test_gymnasium_accepts_it() -> None:
    accepted(gymnasium.make("newsrec.simulator.kale:newsrec/Kale-v0"))


def test_the_vector_is_equal_to_single_ones() -> None:
    config = replace(CONFIG, steps=3)
    vector = gymnasium.make_vec("newsrec.simulator.kale:newsrec/Kale-v0", num_envs=5, config=config)
    assert isinstance(vector, KaleVectorEnv)
    assert equal_to_singles(vector, [KaleEnv(config) for _ in range(5)], steps=9) == 2 * 5 * 2


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("documents", 1, "expected 2 or more"),
        ("slate_size", 11, "expected at most the 10 documents"),
        ("sensitivity", 0.0, "expected more than 0"),
        ("memory", 1.0, r"expected a share in \[0, 1\)"),
    ],
)
def test_impossible_worlds_are_refused_by_name(field: str, value: float, expected: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is .*{expected}"):
        replace(CONFIG, **{field: value})


def test_a_plan_over_too_many_slates_is_refused() -> None:
    with pytest.raises(ValueError, match="there are 17310309456440 slates, expected at most 20000"):
        planning.optimum(replace(CONFIG, documents=100, slate_size=10))
