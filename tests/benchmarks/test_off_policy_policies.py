"""Trained policies judged from another one's log: what is known of slates holds, and only a good estimator passes."""

from itertools import permutations

import numpy as np
import pytest
import torch

from benchmarks.off_policy import counterfactual, policies
from benchmarks.off_policy.agreement import agreement, contrast
from benchmarks.off_policy.counterfactual import Seen
from benchmarks.off_policy.newsroom import DRAWN, Component, Contender, Mixed, Newsroom, temperature, trained, unknown
from newsrec import dataset, slate
from newsrec.evaluation.off_policy import slate as estimators
from newsrec.simulator.rollout import Actor


def of_probabilities(articles: int, places: int, policies_: int = 2) -> tuple[Seen, np.ndarray]:
    """All slates of ``places``, once each, of two contexts; click chances [n, C, K]."""
    generator = np.random.default_rng(0)
    every = np.array(list(permutations(range(articles), places)))
    context = np.repeat([0, 1], len(every))
    first = generator.dirichlet(np.full(articles, 2.0), (policies_, 2))[:, context]  # [P, n, C]
    chance = generator.uniform(0.1, 0.6, (2, articles, places))[context]
    chosen = np.tile(every, (2, 1))
    log = Seen(np.arange(len(chosen)), chosen, np.zeros(chosen.shape), np.ones(chosen.shape), first)
    return log, chance


def test_what_a_policy_would_do_is_what_slates_say() -> None:
    log, chance = of_probabilities(articles=5, places=3)
    scores = torch.from_numpy(np.log(log.first[0]))
    every = torch.ones(log.chosen.shape, dtype=torch.bool)
    found = counterfactual.under(log.first[0], log, chance)
    expected = slate.propensities(scores, torch.from_numpy(log.chosen), every, DRAWN).numpy()
    assert found.target == pytest.approx(expected)


def test_marginals_and_model_are_sums_over_all_slates() -> None:
    log, chance = of_probabilities(articles=5, places=3)
    found = counterfactual.under(log.first[0], log, chance)
    assert found.to_go[:, 0] == pytest.approx((log.first[0] * chance.sum(2)).sum(1))
    whole, half = found.target.prod(1), len(log.chosen) // 2
    clicks = chance[np.arange(len(whole))[:, None], log.chosen, np.arange(3)].sum(1)
    for context in (slice(0, half), slice(half, None)):
        assert whole[context].sum() == pytest.approx(1.0)
        assert found.model[context] == pytest.approx((whole * clicks)[context].sum())
        same = log.chosen[context, None] == log.chosen[None, context]  # [S, S, K]
        assert found.marginal[context] == pytest.approx((whole[context][:, None, None] * same).sum(0))


def test_q_and_v_leave_the_estimate_where_it_is() -> None:
    """The log holds every slate with its behaviour's probability as its share: DR equals IPS whatever is predicted."""
    log, chance = of_probabilities(articles=4, places=3)
    behaviour, target = (counterfactual.under(first, log, chance) for first in log.first)
    mixture = counterfactual.mixed([behaviour, target], (0.3, 0.7))
    log = log._replace(behaviour=behaviour.target)
    share = behaviour.target.prod(1) / 2.0  # of each slate in the log
    for policy in (target, mixture):
        taken = counterfactual.slate_log(log, policy, behaviour, chance)
        terms = estimators.cascade_doubly_robust(taken).parts[0].above
        assert (share * terms).sum() == pytest.approx(0.0, abs=1e-12)  # nothing was clicked
        wrong = taken._replace(v=taken.v + 0.1)
        assert abs((share * estimators.cascade_doubly_robust(wrong).parts[0].above).sum()) > 0.1


def test_a_mixture_of_slates_has_the_mean_probability_of_each() -> None:
    log, chance = of_probabilities(articles=4, places=3)
    parts = [counterfactual.under(first, log, chance) for first in log.first]
    found = counterfactual.mixed(parts, (0.25, 0.75))
    whole = [part.target.prod(1) for part in parts]
    assert found.target.prod(1) == pytest.approx(0.25 * whole[0] + 0.75 * whole[1])
    assert found.marginal == pytest.approx(0.25 * parts[0].marginal + 0.75 * parts[1].marginal)
    alone = counterfactual.mixed(parts, (1.0, 0.0))
    assert all(np.allclose(of, part) for of, part in zip(alone, parts[0], strict=True))


def test_click_chances_are_those_of_the_other_half_and_right_where_the_model_is() -> None:
    generator, n, articles = np.random.default_rng(0), 20_000, 6
    first = generator.dirichlet(np.ones(articles), (2, n))
    chosen = generator.permuted(np.tile(np.arange(articles), (n, 1)), axis=1)[:, :2]
    score = 0.6 * np.log(first[0].clip(counterfactual.LEAST)) + 0.5
    true = 1.0 / (1.0 + np.exp(-(score[:, :, None] - np.array([0.0, 1.0]))))  # [n, C, K]
    clicked = generator.random((n, 2)) < true[np.arange(n)[:, None], chosen, [0, 1]]
    log = Seen(np.arange(n), chosen, clicked.astype(float), np.ones((n, 2)), first)
    assert np.abs(counterfactual.click_chances(log) - true).mean() < 0.02
    other = clicked.astype(float)
    other[1::2] = 1.0 - other[1::2]
    changed = counterfactual.click_chances(log._replace(reward=other))
    assert changed[1::2] == pytest.approx(counterfactual.click_chances(log)[1::2])
    assert np.abs(changed[::2] - true[::2]).mean() > 0.1


def test_temperature_makes_the_first_place_as_undecided_as_asked() -> None:
    scores = torch.randn(200, 30, generator=torch.Generator().manual_seed(0)).double() * 4.0
    chance = (scores / temperature(scores, 0.5)).softmax(1)
    assert torch.special.entr(chance).sum(1).mean() == pytest.approx(np.log(15.0), abs=1e-3)


def test_agreement_by_hand() -> None:
    truth = np.array([-0.02, 0.0, 0.02, 0.04])
    perfect = agreement(truth, truth)
    assert perfect == pytest.approx((1.0, 1.0, 0.0, 0.0))
    swapped = agreement(np.array([-0.02, 0.0, 0.04, 0.02]), truth)
    assert swapped == pytest.approx((1.0 - 8.0 / 20.0, 0.8, 0.5, 0.0))
    refused = agreement(np.array([-0.02, 0.0, 0.02, np.nan]), truth)
    assert refused == pytest.approx((1.0 - 16.0 / 20.0, np.corrcoef([1, 2.5, 4, 2.5], [1, 2, 3, 4])[0, 1], 0.5, 0.25))
    assert agreement(np.array([0.0, 0.0, 0.03, 0.03]), truth).lost == pytest.approx(0.25)  # either of two
    assert agreement(truth, truth - 1.0).lost == 1.0  # nobody gains


@pytest.mark.parametrize("constant", [0.0, 0.01, np.nan])
def test_a_constant_meets_no_bar_of_agreement(constant: float) -> None:
    found = agreement(np.full(4, constant), np.array([-0.02, 0.0, 0.02, 0.04]))
    assert policies.met(found._asdict()) == (False, False, False)


def test_contrast_is_the_difference_of_rates_with_the_error_of_paired_readers() -> None:
    generator = np.random.default_rng(0)
    values = []
    for _ in range(400):
        slates = generator.integers(1, 9, 60).astype(float)
        luck = generator.normal(0.4, 0.3, 60)
        one, other = ((luck + generator.normal(gain, 0.1, 60)) * slates for gain in (0.05, 0.0))
        values.append(contrast(np.stack([one, slates]), np.stack([other, slates])))
    value, error = np.array(values).T
    assert value.mean() == pytest.approx(0.05, abs=0.003)
    assert error.mean() == pytest.approx(value.std(), rel=0.1)


@pytest.fixture(scope="module")
def incumbent() -> tuple[Newsroom, list[Component]]:
    room = Newsroom(3)
    factors = Contender("factors", "matrix_factorization", {"epochs": 1}, {})
    return room, trained([policies.INCUMBENT, factors], room.log(0, 120), [0.8, 0.5])


@pytest.mark.slow
def test_the_incumbent_is_seen_as_it_acted(incumbent: tuple[Newsroom, list[Component]]) -> None:
    """Its weights in its own log are 1: worlds and estimators see one policy."""
    room, components = incumbent
    log = dataset.from_log(room.log(1, 40, Actor(Mixed(components[:1], (1.0,)), DRAWN)))
    found = counterfactual.seen(unknown(log), components)
    chance = counterfactual.click_chances(found)
    own, other = (counterfactual.under(first, found, chance) for first in found.first)
    assert own.target == pytest.approx(found.behaviour, rel=1e-4)
    assert np.abs(other.target / found.behaviour - 1.0).mean() > 0.1


@pytest.mark.slow
def test_weeks_have_readers_of_their_own_and_the_truth_is_what_is_clicked(
    incumbent: tuple[Newsroom, list[Component]],
) -> None:
    room, components = incumbent
    (earned,), (looked,) = room.played(60, 60, components[:1], components[:1])
    drawn = looked[0] - earned[0]  # all slates that could be, less the one that was
    assert abs(drawn.sum()) < 4.0 * np.square(drawn).sum() ** 0.5
    log = room.log(2, 60, Actor(Mixed(components[:1], (1.0,)), DRAWN))
    clicks = np.isin(log.feedback["kind"].to_numpy(zero_copy_only=False), ["click"]).sum()
    assert earned[1].sum() == log.recommendations.num_rows
    assert clicks == pytest.approx(earned[0].sum(), abs=4 * earned[0].sum() ** 0.5)
    readers = [set(room.log(week, 60).recommendations["user_id"].to_pylist()) for week in (0, 1)]
    assert not readers[0] & readers[1]


@pytest.mark.slow
def test_guests_are_twins_who_change_nothing_for_those_of_the_incumbent(
    incumbent: tuple[Newsroom, list[Component]],
) -> None:
    room, (acting, other) = incumbent
    (alone,), _ = room.played(60, 60, [acting])
    (hosts, twins, guests), (own, seen) = room.played(60, 60, [acting, acting, other], [acting, other])
    assert hosts == pytest.approx(alone)
    assert twins == pytest.approx(alone)
    assert guests == pytest.approx(room.played(60, 60, [acting, other])[0][1])
    assert guests != pytest.approx(alone)
    (handed_over,), _ = room.played(60, 60, [other])
    assert guests != pytest.approx(handed_over)  # there, popularity is what they clicked themselves
    assert np.array_equal(own[1], hosts[1])
    assert np.array_equal(seen[1], hosts[1])
    assert own[0] != pytest.approx(seen[0])


@pytest.mark.slow
def test_a_mixture_acts_as_each_of_its_parts_for_its_share(incumbent: tuple[Newsroom, list[Component]]) -> None:
    room, components = incumbent
    batch = unknown(dataset.from_log(room.log(1, 100))).batch(np.arange(400))
    parts = [component.scores(batch.state, batch.candidates) for component in components]
    found = Mixed(components, (0.25, 0.75)).scores(batch.state, batch.candidates)
    of_first, of_second = (torch.isclose(found, part, atol=1e-5).all(1) for part in parts)
    assert (of_first ^ of_second).all()
    assert of_first.double().mean() == pytest.approx(0.25, abs=0.08)


def test_mixtures_are_fifteen_of_two_policies_each() -> None:
    names = [of.name for of in policies.judged(15)]
    assert len(names) == len(set(names)) == 30
    assert all(sum(of.shares) == 1.0 and len(set(of.parts)) == len(of.parts) for of in policies.judged(15))


def test_a_bar_is_met_where_each_newsroom_meets_it() -> None:
    def room(explained: float, of_constant: float = -0.1) -> dict[str, dict[str, float]]:
        good = {"explained": explained, "spearman": 0.95, "lost": 0.0, "refused": 0.1}
        return {policies.DEFAULT: good, policies.CONSTANT: {**good, "explained": of_constant, "spearman": 0, "lost": 1}}

    bars = policies.bars_of("there", [room(0.85), room(0.95)])
    assert [bar.met for bar in bars] == [True] * 5
    assert bars[0].value == pytest.approx(0.9)
    assert bars[0].interval == (0.85, 0.95)
    bars = policies.bars_of("there", [room(0.75), room(0.95, of_constant=0.9)])
    assert [bar.met for bar in bars] == [False, True, True, True, False]
    assert bars[-1].value == 1.0


def test_the_mean_over_newsrooms_of_what_all_of_them_tell() -> None:
    rooms = [{"DM": {"bias": 0.1, "covered": None}}, {"DM": {"bias": 0.3, "covered": 0.5}}]
    assert policies.mean_of(rooms) == {"DM": {"bias": pytest.approx(0.2), "covered": None}}
