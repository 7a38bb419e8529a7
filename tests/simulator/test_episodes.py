"""Seeds, autoreset and refusals, the same for every environment made of episodes; shown on the smallest."""

from typing import Any

import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import data_equivalence

from newsrec.policy import UNSERVABLE
from newsrec.simulator.episodes import shown
from newsrec.simulator.kale import KaleConfig, KaleEnv, KaleVectorEnv

CONFIG = KaleConfig(documents=4, slate_size=2, steps=2)
SCORES = np.array([0.5, -1.0, 2.0, 0.0], np.float32)


def test_the_slate_is_the_highest_scores_in_order() -> None:
    env = KaleEnv(CONFIG)
    env.reset(seed=0)
    info = env.step(SCORES)[4]
    assert info["slate"].tolist() == [2, 0]


def test_ties_go_to_the_first_candidates_and_masked_ones_are_never_shown() -> None:
    scores = np.array([[1.0, 1.0, 1.0, 1.0], [9.0, np.nan, UNSERVABLE, 0.0]])
    mask = np.array([[True] * 4, [False, False, False, True]])
    slate, there = shown(np.arange(2), scores, mask, 3)
    assert slate.tolist() == [[0, 1, 2], [3, 0, 0]]
    assert there.tolist() == [[True, True, True], [True, False, False]]


def test_a_seed_repeats_an_episode_and_all_that_follow() -> None:
    env = KaleEnv(CONFIG)

    def three(seed: int) -> list[Any]:
        return [env.reset(seed=seed), env.step(SCORES), env.step(SCORES), env.reset(), env.step(SCORES), env.reset()]

    assert data_equivalence(three(1), three(1), exact=True)
    once = three(1)
    assert len({tuple(result[0].tolist()) for result in (once[0], once[3], once[5])}) == 3
    assert not data_equivalence(once[0], three(2)[0])


def test_the_step_after_the_last_begins_a_new_episode() -> None:
    """Two environments of two steps; one is looked at alone."""
    env, single = KaleVectorEnv(2, CONFIG), KaleEnv(CONFIG)
    env.reset(seed=7)
    single.reset(seed=8)
    actions = np.stack([SCORES, SCORES])
    single.step(SCORES)
    last, *_ = single.step(SCORES)
    env.step(actions)
    observation, _, terminated, truncated, infos = env.step(actions)
    assert terminated.tolist() == [True, True]
    assert not truncated.any()
    assert observation[1].tolist() == last.tolist()
    observation, reward, terminated, truncated, infos = env.step(np.full_like(actions, np.nan))
    assert observation[1].tolist() == single.reset()[0].tolist()
    assert reward.tolist() == [0.0, 0.0]
    assert not (terminated | truncated).any()
    assert infos == {}
    assert env.step(actions)[4]["_slate"].tolist() == [True, True]


def test_sub_environments_may_have_seeds_of_their_own() -> None:
    env = KaleVectorEnv(3, CONFIG)
    apart = env.reset(seed=[4, 9, 4])[0]
    assert apart[0].tolist() == apart[2].tolist() != apart[1].tolist()
    assert apart[1].tolist() == KaleEnv(CONFIG).reset(seed=9)[0].tolist()


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (np.zeros(3), r"has shape \(3,\), expected scores of shape \(4,\)"),
        (2, r"has shape \(\), expected scores of shape \(4,\)"),
        ("the first two", "is 'the first two', expected scores of shape"),
        (None, r"has shape \(\), expected|is None, expected"),
        (np.array([0, np.nan, 0, 0]), "environment 0: the score of candidate 1 is nan, expected a finite number"),
        (np.array([0, 0, 0, np.inf]), "environment 0: the score of candidate 3 is inf, expected a finite number"),
    ],
)
def test_bad_actions_are_refused(action: Any, expected: str) -> None:
    env = KaleEnv(CONFIG)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=expected):
        env.step(action)
    env.step(SCORES)  # nothing has happened


def test_a_bad_action_is_refused_with_the_number_of_its_environment() -> None:
    env = KaleVectorEnv(3, CONFIG)
    env.reset(seed=0)
    actions = np.zeros((3, 4), np.float32)
    actions[2, 1] = np.nan
    with pytest.raises(InvalidAction, match="environment 2: the score of candidate 1 is nan"):
        env.step(actions)


def test_a_step_without_an_episode_is_refused() -> None:
    env = KaleEnv(CONFIG)
    with pytest.raises(ResetNeeded, match="expected reset"):
        env.step(SCORES)
    env.reset()
    env.step(SCORES)
    env.step(SCORES)
    with pytest.raises(ResetNeeded, match="expected reset"):
        env.step(SCORES)
    with pytest.raises(ResetNeeded, match="expected reset"):
        KaleVectorEnv(2, CONFIG).step(np.zeros((2, 4)))


def test_options_and_wrong_numbers_of_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found options \['reader'\], expected none"):
        KaleEnv(CONFIG).reset(options={"reader": 3})
    with pytest.raises(ValueError, match="found 2 seeds, expected one for each of 3"):
        KaleVectorEnv(3, CONFIG).reset(seed=[1, 2])
