"""What gymnasium asks of an environment, for tests of any."""

import warnings

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import SyncVectorEnv, VectorEnv

SCORES_HAVE_NO_BOUNDS = ("A Box action space m", "For Box action spaces, we recommend")
"""What the checker remarks about actions that are scores."""


def accepted(env: gymnasium.Env) -> None:
    """gymnasium's own checker finds nothing but that scores have no bounds."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    remarks = [str(w.message).removeprefix("\x1b[33mWARN: ").removesuffix("\x1b[0m") for w in found]
    assert [remark for remark in remarks if not remark.startswith(SCORES_HAVE_NO_BOUNDS)] == []


def equal_to_singles(vector: VectorEnv, singles: list[gymnasium.Env], steps: int) -> int:
    """Observation, reward, end and info are those of ``singles`` in gymnasium's own vector, in value and in type.

    Actions are random; the first reset has a seed, a later one none. Returns how many episodes ended.
    """
    reference = SyncVectorEnv([lambda env=env: env for env in singles])  # type: ignore[misc]
    assert vector.observation_space == reference.observation_space
    assert vector.action_space == reference.action_space
    assert vector.metadata["autoreset_mode"] == reference.metadata["autoreset_mode"]
    ends = 0
    rng = np.random.default_rng(0)
    for seed in (11, None):
        ours, theirs = vector.reset(seed=seed), reference.reset(seed=seed)
        assert data_equivalence(ours, theirs, exact=True)
        assert ours[0] in vector.observation_space
        for _ in range(steps):
            actions = rng.normal(size=vector.action_space.shape).astype(np.float32)
            ours, theirs = vector.step(actions), reference.step(actions)
            assert data_equivalence(ours, theirs, exact=True)
            assert ours[0] in vector.observation_space
            ends += int((ours[2] | ours[3]).sum())
    return ends
