"""Readers side by side against the same readers one at a time."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction

from newsrec.events import EventLog
from newsrec.simulator.environment import ReaderEnv, policy_input
from newsrec.simulator.rollout import simulate
from newsrec.simulator.vector_environment import ReaderVectorEnv
from tests.simulator.gymnasium_contract import equal_to_singles
from tests.simulator.test_environment import CONFIG as LONG

CONFIG = replace(LONG, days=2, candidates=30, readers=25)


@pytest.fixture(scope="module")
def log() -> EventLog:
    return simulate(CONFIG)


def test_the_vector_is_equal_to_single_ones(log: EventLog) -> None:
    """Step by step, through resets, in everything that is returned; several readers meet twice at a time."""
    vector = gymnasium.make_vec(
        "newsrec.simulator.environment:newsrec/Reader-v0", num_envs=12, config=CONFIG, crowd=log
    )
    assert isinstance(vector, ReaderVectorEnv)
    assert equal_to_singles(vector, [ReaderEnv(CONFIG, log) for _ in range(12)], steps=25) > 20


def test_sub_environments_with_the_same_reader_do_not_meet(log: EventLog) -> None:
    """Three with one seed: two get the same slates and stay alike, the third gets others."""
    env = ReaderVectorEnv(3, CONFIG, log)
    observation, info = env.reset(seed=[9, 9, 9])
    assert len(set(info["reader"].tolist())) == 1
    upside_down = np.stack([np.arange(30.0), np.arange(30.0), -np.arange(30.0)])
    for _ in range(3):
        observation, reward, _, _, info = env.step(upside_down)
        assert reward[0] == reward[1]
        for values in observation.values():
            np.testing.assert_array_equal(values[0], values[1])
    assert info["slate"][0].tolist() == info["slate"][1].tolist() != info["slate"][2].tolist()
    assert info["time"][0] != info["time"][2]


def test_all_readers_make_one_batch_for_a_policy(log: EventLog) -> None:
    env = ReaderVectorEnv(4, CONFIG, log)
    observation, _ = env.reset(seed=0)
    state, candidates = policy_input(observation)
    assert state.history_content.shape == (4, 50, 64)
    assert candidates.mask.shape == (4, 30)
    assert candidates.popularity[candidates.mask][:, 2].std() > 0  # the others have clicked


def test_a_bad_action_is_refused_with_the_number_of_its_environment(log: EventLog) -> None:
    env = ReaderVectorEnv(4, CONFIG, log)
    env.reset(seed=0)
    actions = np.zeros((4, 30), np.float32)
    actions[3, 0] = np.nan
    with pytest.raises(InvalidAction, match="environment 3: the score of candidate 0 is nan"):
        env.step(actions)
    with pytest.raises(InvalidAction, match=r"has shape \(30,\), expected scores of shape \(4, 30\)"):
        env.step(actions[0])
