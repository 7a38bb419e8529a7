"""Whole stories: by hand, and on a chain of three moods whose values dynamic programming knows."""

from typing import NamedTuple

import numpy as np
import pytest

from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.off_policy.sequential import (
    Steps,
    Stories,
    fitted_q,
    story_weights,
    weighted_doubly_robust,
)
from newsrec.evaluation.off_policy.uncertainty import bootstrap
from newsrec.evaluation.resampling import resample

GAMMA = 0.9
CLICK = np.array([[0.2, 0.6], [0.1, 0.5], [0.05, 0.3]])  # [S, A]: bait is clicked
WORSE = np.array([[0.1, 0.6], [0.1, 0.6], [0.1, 0.6]])  # [S, A]: probability to sink by one mood; the last mood leaves
BEHAVIOUR = np.array([[0.5, 0.5], [0.4, 0.6], [0.3, 0.7]])
TARGET = np.array([[0.8, 0.2], [0.8, 0.2], [0.8, 0.2]])

BY_HAND = Stories(
    reader=np.arange(2),
    reward=np.array([[1.0, 0.0], [0.0, 1.0]]),
    behaviour=np.full((2, 2), 0.5),
    target=np.array([[0.25, 0.5], [0.5, 1.0]]),  # ratios 1/2, 1 and 1, 2
    discount=np.array([[0.5, 9.0], [1.0, 9.0]]),
    q=np.array([[0.5, 0.2], [0.4, 0.5]]),
    v=np.array([[0.6, 0.3], [0.3, 0.4]]),
    seen=np.ones((2, 2), bool),
    cut=np.zeros(2, bool),
)


def values(horizon: int) -> np.ndarray:
    """[T + 1, S]: the value of TARGET from each mood with 0 ... T steps to go; after the last mood comes nothing."""
    found = [np.zeros(4)]
    for _ in range(horizon):
        stay, sink = found[-1][:3, None], found[-1][1:, None]
        q = CLICK + GAMMA * (WORSE * sink + (1 - WORSE) * stay)
        found.append(np.append((TARGET * q).sum(1), 0.0))
    return np.array(found)[:, :3]


class Moods(NamedTuple):
    """n readers over T steps; mood 3 has left."""

    state: np.ndarray  # [n, T + 1]
    action: np.ndarray  # [n, T]
    reward: np.ndarray  # [n, T]


def moods(n: int, steps: int, seed: int) -> Moods:
    generator = np.random.default_rng(seed)
    state, action, reward = np.zeros((n, steps + 1), int), np.zeros((n, steps), int), np.zeros((n, steps))
    for t in range(steps):
        s, there = np.minimum(state[:, t], 2), state[:, t] < 3
        a = action[:, t] = generator.random(n) < BEHAVIOUR[s, 1]
        reward[:, t] = there * (generator.random(n) < CLICK[s, a.astype(int)])
        state[:, t + 1] = state[:, t] + there * (generator.random(n) < WORSE[s, a.astype(int)])
    return Moods(state, action, reward)


def stories(story: Moods, believed: float = 1.0) -> Stories:
    """With the true q and v of the steps that are left, times ``believed``."""
    n, steps = story.action.shape
    s, seen = np.minimum(story.state, 2), story.state[:, :-1] < 3
    value, q, v = values(steps), np.zeros((n, steps)), np.zeros((n, steps))
    for t in range(steps):
        left = np.append(value[steps - t - 1], 0.0)
        own = CLICK + GAMMA * (WORSE * left[1:, None] + (1 - WORSE) * left[:3, None])
        q[:, t], v[:, t] = own[s[:, t], story.action[:, t]], value[steps - t][s[:, t]]
    at = s[:, :-1], story.action
    return Stories(
        np.arange(n), story.reward, BEHAVIOUR[at], TARGET[at], np.full((n, steps), GAMMA), believed * q,
        believed * v, seen, np.zeros(n, bool),
    )  # fmt: skip


def test_weighted_doubly_robust_by_hand() -> None:
    assert story_weights(BY_HAND) == pytest.approx(np.array([[0.5, 0.5], [1.0, 2.0]]))
    corrections = (0.5 * 0.5 - 0.4) / 1.5 + (-0.5 * 0.5 * 0.2 + 2 * 0.5) / 2.5
    predictions = (0.6 + 0.3) / 2 + (0.5 * 0.5 * 0.3 + 0.4) / 1.5
    assert weighted_doubly_robust(BY_HAND).value == pytest.approx(corrections + predictions)


def test_a_story_that_ended_earns_nothing_and_keeps_its_weight() -> None:
    """The first reader leaves after the first step: what stands behind is nonsense."""
    seen = np.array([[True, False], [True, True]])
    broken = {
        name: np.where(seen, getattr(BY_HAND, name), np.nan) for name in ("reward", "behaviour", "target", "q", "v")
    }
    corrections = (0.5 * 0.5 - 0.4) / 1.5 + (2 * 0.5) / 2.5
    predictions = (0.6 + 0.3) / 2 + 0.4 / 1.5
    left = BY_HAND._replace(seen=seen, **broken)
    assert weighted_doubly_robust(left).value == pytest.approx(corrections + predictions)


@pytest.mark.parametrize("believed", [1.0, 0.0, 1.5])
def test_the_truth_is_in_the_interval_whatever_the_model_says(believed: float) -> None:
    terms = weighted_doubly_robust(stories(moods(20_000, 5, seed=1), believed))
    _, low, high = bootstrap({"wdr": terms}, np.random.default_rng(0), confidence=0.99, draws=400)["wdr"]
    assert low <= values(5)[5, 0] <= high
    assert high - low < 0.2


def test_what_the_policy_that_acted_earned_is_not_the_truth() -> None:
    log = stories(moods(20_000, 5, seed=1))
    earned = (log.reward * GAMMA ** np.arange(5)).sum(1)
    assert abs(earned.mean() - values(5)[5, 0]) > 10 * earned.std() / 20_000**0.5


def test_a_right_model_narrows_the_interval_where_clicks_are_not_all_the_noise() -> None:
    """Each step earns its probability of a click."""
    story = moods(5_000, 5, seed=1)
    story = story._replace(reward=CLICK[np.minimum(story.state[:, :-1], 2), story.action])
    estimates = {name: weighted_doubly_robust(stories(story, of)) for name, of in (("right", 1.0), ("none", 0.0))}
    found = bootstrap(estimates, np.random.default_rng(0), draws=200)
    assert found["right"].high - found["right"].low < 0.8 * (found["none"].high - found["none"].low)


def test_stories_that_the_logs_end_cuts_are_counted_and_refused() -> None:
    with pytest.raises(InvalidLog, match="cuts 1 of 2 stories before their horizon"):
        weighted_doubly_robust(BY_HAND._replace(cut=np.array([False, True])))
    with pytest.raises(InvalidLog, match="1 missing"):
        weighted_doubly_robust(BY_HAND._replace(behaviour=np.array([[np.nan, 0.5], [0.5, 0.5]])))
    with pytest.raises(InvalidLog, match="discount: 1 of 4"):
        weighted_doubly_robust(BY_HAND._replace(discount=np.array([[np.nan, 0.5], [0.5, 0.5]])))


def one_hot(state: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """[m, 6]: the mood times the probabilities of both actions."""
    found = np.zeros((len(state), 3, 2))
    found[np.arange(len(state)), state] = probability
    return found.reshape(-1, 6)


def steps(n: int, seed: int) -> Steps:
    story = moods(n, 60, seed)
    reader, t = np.nonzero(story.state[:, :-1] < 3)
    s, a, after = story.state[reader, t], story.action[reader, t], story.state[reader, t + 1]
    following = one_hot(np.minimum(after, 2), TARGET[np.minimum(after, 2)])
    following[after == 3] = np.nan  # nothing comes, and nothing is read
    start = one_hot(np.zeros(n, int), np.tile(TARGET[0], (n, 1)))
    discount = np.where(after < 3, GAMMA, 0.0)
    return Steps(reader, one_hot(s, np.eye(2)[a]), story.reward[reader, t], discount, following, start)


def test_fitted_q_finds_the_truth_with_features_that_hold_it() -> None:
    found = resample(fitted_q(steps(3_000, seed=2), iterations=150), 3_000, np.random.default_rng(0), draws=100)
    (low,), (high,) = found.band(0.99)
    assert low <= values(400)[-1, 0] <= high
    assert high - low < 0.25


def test_fitted_q_looks_as_far_ahead_as_it_iterates() -> None:
    log = steps(4_000, seed=3)
    everyone = np.ones(4_000)
    clicked = log.reward[(log.features[:, 0] == 1)].mean(), log.reward[(log.features[:, 1] == 1)].mean()
    assert fitted_q(log, iterations=1)(everyone)[0] == pytest.approx(0.8 * clicked[0] + 0.2 * clicked[1], abs=1e-6)
    ahead = [fitted_q(log, iterations=t)(everyone)[0] for t in (2, 5, 20)]
    assert ahead == pytest.approx(values(20)[[2, 5, 20], 0], rel=0.1)
    assert ahead == sorted(ahead)


def test_fitted_q_is_wrong_with_features_that_do_not_hold_it() -> None:
    """One number for every mood and action."""
    log = steps(3_000, seed=2)
    blind = log._replace(
        features=np.ones((len(log.reader), 1)), next_features=np.ones((len(log.reader), 1)),
        start_features=np.ones((3_000, 1)),
    )  # fmt: skip
    found = resample(fitted_q(blind, iterations=150), 3_000, np.random.default_rng(0), draws=50)
    (low,), (high,) = found.band(0.99)
    assert not low <= values(400)[-1, 0] <= high


def test_a_reader_with_a_weight_of_two_counts_as_two_readers() -> None:
    log = steps(200, seed=4)
    weight = np.where(np.arange(200) < 100, 2.0, 1.0)
    again = log.reader < 100
    copied = [np.concatenate([field, field[again]]) for field in log[1:-1]]
    reader = np.concatenate([log.reader, log.reader[again] + 200])
    more = Steps(reader, *copied, np.concatenate([log.start_features, log.start_features[:100]]))
    expected = fitted_q(more, 50)(np.ones(300))
    assert fitted_q(log, 50)(weight) == pytest.approx(expected)
    assert abs(fitted_q(log, 50)(np.ones(200)) - expected) > 1e-4


def test_fitted_q_that_diverges_is_refused() -> None:
    """Tsitsiklis and Van Roy 1996: the next state's feature is twice this one's."""
    m = np.ones((4, 1))
    log = Steps(np.arange(4), m, np.ones(4), np.full(4, 0.9), 2.0 * m, m)
    with pytest.raises(ValueError, match="diverges"):
        fitted_q(log, iterations=10)
    assert fitted_q(log._replace(next_features=m), iterations=400)(np.ones(4))[0] == pytest.approx(10.0, rel=1e-3)
    with pytest.raises(InvalidLog, match="next_features: 1 of 4"):
        fitted_q(log._replace(next_features=np.array([[1.0], [np.nan], [1.0], [1.0]])), iterations=10)
    with pytest.raises(ValueError, match="0 iterations"):
        fitted_q(log, iterations=0)
    with pytest.raises(ValueError, match="up to number 9 of 4"):
        fitted_q(log._replace(reader=np.array([0, 1, 2, 9])), iterations=10)
