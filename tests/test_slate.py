"""Slates and their propensities: exact by enumeration, right in frequency, never an article that is no candidate."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest
from torch import Tensor

from newsrec.slate import SlateConfig, draw, draw_one, luck_of, placements, propensities, uniform

GREEDY = SlateConfig("greedy")
EPSILON = SlateConfig("epsilon", epsilon=0.3)
PLACKETT_LUCE = SlateConfig("plackett_luce", temperature=0.7)
METHODS = [pytest.param(config, id=config.method) for config in (GREEDY, EPSILON, PLACKETT_LUCE)]
EXPLORING = METHODS[1:]

SCORES = torch.tensor([[0.5, 2.0, -1.0, 1.0]])
GAP = torch.tensor([[0.5, 2.0, -torch.inf, 1.0]])


def of_slates(scores: Tensor, slates: list[tuple[int, ...]], config: SlateConfig) -> Tensor:
    """[N] the probability of each of N whole slates."""
    chosen = torch.tensor(slates)
    return propensities(scores.expand(len(slates), -1), chosen, torch.ones_like(chosen, dtype=torch.bool), config).prod(
        1
    )


def test_plackett_luce_by_hand() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0]]).log() * 0.7
    found = propensities(scores, torch.tensor([[1, 0, 2]]), torch.ones(1, 3, dtype=torch.bool), PLACKETT_LUCE)
    np.testing.assert_allclose(found, [[2 / 6, 1 / 4, 1.0]], rtol=1e-6)


def test_plackett_luce_is_a_softmax_of_what_is_left() -> None:
    scores = torch.randn(6, 30, generator=torch.Generator().manual_seed(3)).double() * 4.0
    scores[:, 7] = -torch.inf
    chosen = draw(scores, 8, PLACKETT_LUCE, torch.Generator().manual_seed(4)).chosen
    found = propensities(scores, chosen, torch.ones_like(chosen, dtype=torch.bool), PLACKETT_LUCE)
    for position in range(8):
        expected = (scores / 0.7).softmax(1).gather(1, chosen[:, position : position + 1])[:, 0]
        np.testing.assert_allclose(found[:, position], expected, rtol=1e-12)
        scores = scores.scatter(1, chosen[:, position : position + 1], -torch.inf)


def test_epsilon_by_hand() -> None:
    both = torch.ones(2, 2, dtype=torch.bool)
    found = propensities(SCORES.expand(2, -1), torch.tensor([[1, 2], [2, 1]]), both, EPSILON)
    expected = [[0.7 + 0.3 / 4, 0.3 / 3], [0.3 / 4, 0.7 + 0.3 / 3]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_greedy_takes_the_best_and_of_equals_the_first() -> None:
    slate = draw(torch.tensor([[1.0, 3.0, 3.0, -torch.inf], [0.0, 0.0, 0.0, 0.0]]), 3, GREEDY)
    assert slate.chosen.tolist() == [[1, 2, 0], [0, 1, 2]]
    assert slate.propensity.tolist() == [[1.0] * 3] * 2
    assert draw(torch.zeros(1, 5000), 9, GREEDY).chosen.tolist() == [[*range(9)]]
    assert of_slates(SCORES, [(1, 3), (3, 1), (1, 0)], GREEDY).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("config", METHODS)
@pytest.mark.parametrize(("scores", "count"), [(SCORES, 4), (GAP, 3)], ids=["all", "one masked"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_probabilities_of_all_slates_sum_to_one(config: SlateConfig, scores: Tensor, count: int, k: int) -> None:
    servable = [i for i in range(4) if scores[0, i].isfinite()]
    slates = list(permutations(servable, k))
    assert of_slates(scores, slates, config).sum().item() == pytest.approx(1.0, abs=1e-12)
    others = [slate for slate in permutations(range(4), k) if slate not in slates]
    assert len(servable) == count
    assert not others or of_slates(scores, others, config).max() == 0.0, "no slate with a masked candidate"


@pytest.mark.parametrize("config", METHODS)
def test_an_article_twice_is_impossible(config: SlateConfig) -> None:
    assert of_slates(SCORES, [(1, 1), (0, 0)], config).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("config", EXPLORING)
@pytest.mark.parametrize("scores", [SCORES, GAP], ids=["all", "one masked"])
def test_slates_are_drawn_as_often_as_their_propensities_say(config: SlateConfig, scores: Tensor) -> None:
    draws = 20_000
    slate = draw(scores.expand(draws, -1), 2, config, torch.Generator().manual_seed(7))
    slates = list(permutations([i for i in range(4) if scores[0, i].isfinite()], 2))
    expected = of_slates(scores, slates, config) * draws
    seen = [int((slate.chosen == torch.tensor(s)).all(1).sum()) for s in slates]
    assert sum(seen) == draws
    assert chisquare(seen, expected.numpy()).pvalue > 0.001


@pytest.mark.parametrize("config", EXPLORING)
def test_with_luck_of_its_own_a_row_depends_on_nothing_else(config: SlateConfig) -> None:
    generator = torch.Generator().manual_seed(5)
    scores, luck = torch.randn(40, 9, generator=generator), torch.rand(40, 9 + 4, generator=generator)
    everyone = draw(scores, 4, config, luck=luck)
    some = torch.tensor([31, 2])
    for found, expected in zip(draw(scores[some], 4, config, luck=luck[some]), everyone, strict=True):
        assert torch.equal(found, expected[some])
    assert (draw(scores, 4, config, luck=luck.flip(0)).chosen != everyone.chosen).any(1).float().mean() > 0.5


def test_uniform_slates_are_those_of_equal_scores() -> None:
    count = torch.tensor([9, 3, 0, 4, 1])
    luck = torch.rand(5, 9 + 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    scores = torch.zeros(5, 9).masked_fill(torch.arange(9) >= count[:, None], -torch.inf)
    found, expected = uniform(count, 4, luck[:, :9]), draw(scores, 4, PLACKETT_LUCE, luck=luck)
    assert torch.equal(found.chosen, expected.chosen)
    assert torch.equal(found.mask, expected.mask)
    np.testing.assert_allclose(found.propensity, expected.propensity, rtol=1e-12)
    assert found.propensity.tolist()[:2] == [[1 / 9, 1 / 8, 1 / 7, 1 / 6], [1 / 3, 1 / 2, 1.0, 1.0]]


@pytest.mark.parametrize("config", METHODS)
def test_what_is_drawn_carries_the_propensity_that_is_evaluated(config: SlateConfig) -> None:
    scores = torch.randn(50, 12, generator=torch.Generator().manual_seed(1)).double()
    scores[:, 5] = -torch.inf
    slate = draw(scores, 6, config, torch.Generator().manual_seed(2))
    assert slate.propensity.dtype == torch.float64
    assert torch.equal(slate.propensity, propensities(scores, slate.chosen, slate.mask, config))
    assert (slate.propensity > 0).all()
    assert (slate.propensity <= 1).all()


@pytest.mark.parametrize("config", METHODS)
@pytest.mark.parametrize("k", [0, 1, 3, 9])
def test_no_slate_goes_beyond_the_last_candidate(config: SlateConfig, k: int) -> None:
    scores = torch.tensor([[1.0, -torch.inf, 0.0, -torch.inf, 2.0], [-torch.inf] * 5, [0.0] * 5])
    slate = draw(scores, k, config, torch.Generator().manual_seed(0))
    length = min(k, 5)
    assert slate.chosen.shape == slate.mask.shape == slate.propensity.shape == (3, length)
    assert slate.mask.sum(1).tolist() == [min(k, 3), 0, length]
    for chosen, mask, row in zip(slate.chosen, slate.mask, scores, strict=True):
        shown = chosen[mask].tolist()
        assert len(set(shown)) == len(shown)
        assert row[shown].isfinite().all()
        assert not chosen[~mask].any()
    assert (slate.propensity[~slate.mask] == 1.0).all()


@pytest.mark.parametrize("config", METHODS)
def test_without_candidates_the_slate_is_empty(config: SlateConfig) -> None:
    slate = draw(torch.empty(2, 0), 3, config, torch.Generator())
    assert slate.chosen.shape == slate.propensity.shape == (2, 0)


def test_a_longer_slate_of_another_policy_is_impossible_where_candidates_run_out() -> None:
    scores = torch.tensor([[1.0, -torch.inf]])
    everything = torch.ones(1, 2, dtype=torch.bool)
    for config in (GREEDY, EPSILON, PLACKETT_LUCE):
        assert propensities(scores, torch.tensor([[0, 1]]), everything, config).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("scores", [SCORES, GAP], ids=["all", "one masked"])
def test_epsilon_one_is_uniform_and_epsilon_zero_greedy(scores: Tensor) -> None:
    servable = [i for i in range(4) if scores[0, i].isfinite()]
    uniform = of_slates(scores, list(permutations(servable, 2)), SlateConfig("epsilon", epsilon=1.0))
    n = len(servable)
    np.testing.assert_allclose(uniform, 1 / (n * (n - 1)), rtol=1e-12)
    slate = draw(scores.expand(100, -1), 2, SlateConfig("epsilon", epsilon=0.0), torch.Generator().manual_seed(0))
    assert (slate.chosen == torch.tensor([1, 3])).all()
    assert (slate.propensity == 1.0).all()


def test_temperature_goes_from_greedy_to_uniform() -> None:
    slates = list(permutations(range(4), 2))
    cold = of_slates(SCORES, slates, SlateConfig("plackett_luce", temperature=1e-6))
    assert cold[slates.index((1, 3))] == 1.0
    hot = of_slates(SCORES, slates, SlateConfig("plackett_luce", temperature=1e9))
    np.testing.assert_allclose(hot, 1 / 12, rtol=1e-8)
    drawn = draw(SCORES.expand(100, -1), 2, SlateConfig("plackett_luce", temperature=1e-6), torch.Generator())
    assert (drawn.chosen == torch.tensor([1, 3])).all()


@pytest.mark.parametrize("config", METHODS)
@pytest.mark.parametrize("shift", [0.0, 2.0**24, -(2.0**24)])
def test_large_scores_lose_nothing(config: SlateConfig, shift: float) -> None:
    scores = torch.tensor([[4.0, 2.0, 0.0, -2.0]])
    slates = list(permutations(range(4), 2))
    shifted, expected = of_slates(scores + shift, slates, config), of_slates(scores, slates, config)
    np.testing.assert_allclose(shifted, expected, rtol=1e-7)


def test_the_largest_and_the_smallest_float_are_scores() -> None:
    scores = torch.tensor([[3e38, -3e38, -torch.inf]])
    for config in (GREEDY, EPSILON, PLACKETT_LUCE, SlateConfig("plackett_luce", temperature=1e-6)):
        slate = draw(scores, 3, config, torch.Generator().manual_seed(0))
        assert slate.mask.tolist() == [[True, True, False]]
        assert slate.propensity.isfinite().all()


@pytest.mark.parametrize("config", EXPLORING)
def test_the_same_generator_gives_the_same_slate(config: SlateConfig) -> None:
    scores = torch.zeros(20, 30)
    first, again, other = (draw(scores, 5, config, torch.Generator().manual_seed(seed)).chosen for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("config", METHODS)
def test_a_row_does_not_depend_on_the_rest_of_the_batch(config: SlateConfig) -> None:
    scores = torch.randn(9, 7, generator=torch.Generator().manual_seed(5))
    scores[4, 2:] = -torch.inf
    slate = draw(scores, 4, config, torch.Generator().manual_seed(6))
    for row in range(9):
        at = slice(row, row + 1)
        alone = propensities(scores[at], slate.chosen[at], slate.mask[at], config)
        assert torch.equal(alone, slate.propensity[at])


@pytest.mark.parametrize("config", METHODS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_scores_that_are_no_numbers_are_refused(config: SlateConfig, bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or plus infinity"):
        draw(torch.tensor([[0.0, bad]]), 1, config, torch.Generator())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": -0.1}, "epsilon is -0.1"),
        ({"epsilon": 1.1}, "epsilon is 1.1"),
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": 1e-9}, "use greedy"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": float("nan")}, "temperature is nan"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SlateConfig(**change)


@pytest.mark.parametrize("config", METHODS)
def test_placements_are_the_propensities_of_all_candidates(config: SlateConfig) -> None:
    scores = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    scores[:, 2], scores[0, 3:] = -torch.inf, -torch.inf
    chosen = draw(scores, 4, config, torch.Generator().manual_seed(2)).chosen
    found = placements(scores, chosen, config)  # [K, B, C]
    for place in range(4):
        for article in range(7):
            instead = torch.cat([chosen[:, :place], torch.full((5, 1), article)], 1)[1:]
            shown = torch.ones_like(instead, dtype=torch.bool)
            expected = propensities(scores[1:], instead, shown, config)[:, place]
            np.testing.assert_allclose(found[place, 1:, article], expected, rtol=1e-9, atol=1e-15)
    assert found[:, 0].sum(1).tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0])  # two candidates


def test_placements_of_one_article_that_outshines_all_others_keep_their_digits() -> None:
    sharp = SlateConfig("plackett_luce", temperature=1e-3)
    scores = torch.tensor([[3.0, 1.0, 0.999, 0.0]])
    found = placements(scores, torch.tensor([[0, 1]]), sharp)[1, 0]
    assert found[1] == pytest.approx(1 / (1 + np.exp(-1.0)), rel=1e-3)


ANY = st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e-7, -3.0, 20.0, 3e38, -3e38, -np.inf]) | st.floats(-30, 30, width=32)
"""Few of them, so that many tie."""


@pytest.mark.parametrize("config", [*METHODS, SlateConfig("epsilon", epsilon=1.0), SlateConfig("epsilon", epsilon=0.0)])
@settings(max_examples=150, deadline=None)
@given(
    scores=st.lists(ANY, max_size=25),
    k=st.integers(0, 30),
    seed=st.integers(0, 2**40),
)
def test_one_slate_alone_is_that_of_a_batch(config: SlateConfig, scores: list[float], k: int, seed: int) -> None:
    """For the same luck: what is chosen equals, propensities to 1e-12.

    Next to 3e38 no noise is left, so it ties with itself, and which of the two a batch takes is torch's affair.
    """
    assume(config.method != "plackett_luce" or scores.count(3e38) + scores.count(-3e38) < 2)
    batch = torch.tensor([scores], dtype=torch.float32)
    expected = draw(batch, k, config, torch.Generator().manual_seed(seed))
    mask = expected.mask[0]
    luck = torch.rand(len(scores) + k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).numpy()
    found = draw_one(batch[0].numpy(), k, config, luck)
    assert found.chosen.tolist() == expected.chosen[0][mask].tolist()
    np.testing.assert_allclose(found.propensity, expected.propensity[0][mask], rtol=1e-12, atol=1e-12)


def test_luck_is_the_seeds_own_and_uniform() -> None:
    """Kolmogorov-Smirnov and neighbours' correlation of 20,000 lucks, each from a seed that differs by a digit."""
    luck = np.array([luck_of(b"request %d" % number, 20) for number in range(1_000)])
    assert np.array_equal(luck_of(b"request 7", 20), luck[7])
    assert np.array_equal(luck_of(b"request 7", 5), luck[7, :5])
    assert len(np.unique(luck)) == luck.size
    assert 0.0 <= luck.min() < luck.max() < 1.0
    assert kstest(luck.ravel(), "uniform").pvalue > 1e-4
    for before, after in ((luck[:, :-1], luck[:, 1:]), (luck[:-1], luck[1:])):
        assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 4 / np.sqrt(before.size)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_slate_alone_refuses_what_is_no_number(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or plus infinity"):
        draw_one(np.array([0.0, bad]), 1, GREEDY, np.zeros(3))
