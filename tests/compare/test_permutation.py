"""Logs in which what followed a decision is that of another one."""

import numpy as np
import pytest

from newsrec import dataset
from newsrec.compare.permutation import FOLLOWED, exchanged, permuted
from newsrec.decisions import Decisions
from newsrec.events import KINDS
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return dataset.from_log(simulate(SimulationConfig(readers=60, days=4, articles_per_day=20, seed=3)))


def told(found: Decisions) -> np.ndarray:
    """[N, ...]: what followed each decision, reads summed over the slate."""
    clicks = np.add.reduceat(found.feedback[:, KINDS.index("click")], found.slate.offsets[:-1])
    return np.column_stack([*(getattr(found, name).astype(float) for name in FOLLOWED), clicks])


def test_everything_that_followed_a_decision_goes_to_the_same_other_one(decisions: Decisions) -> None:
    found = permuted(decisions, "outcomes", np.random.default_rng(0))
    before, after = told(decisions), told(found)
    moved = (before != after).any(1)
    assert moved.mean() > 0.5
    order = np.lexsort(before.T)
    np.testing.assert_array_equal(before[order], after[np.lexsort(after.T)])  # each row is still there, once
    assert abs(np.corrcoef(before[:, -1], after[:, -1])[0, 1]) < 0.15


def test_reads_stay_with_their_slate_where_rewards_alone_are_exchanged(decisions: Decisions) -> None:
    found = permuted(decisions, "rewards", np.random.default_rng(0))
    np.testing.assert_array_equal(found.feedback, decisions.feedback)
    assert (found.reward != decisions.reward).any()
    assert sorted(found.retention) == sorted(decisions.retention)


def test_what_can_be_seen_beforehand_stays(decisions: Decisions) -> None:
    found = permuted(decisions, "outcomes", np.random.default_rng(0))
    for name in ("time", "user", "next_row", "propensity", "count_row"):
        np.testing.assert_array_equal(getattr(found, name), getattr(decisions, name))
    assert found.slate is decisions.slate
    assert found.readers is decisions.readers


def test_slates_of_one_length_exchange_among_themselves() -> None:
    length = np.array([3, 2, 3, 1, 2, 3])
    sources = np.array([exchanged(length, np.random.default_rng(seed)) for seed in range(40)])
    assert (length[sources] == length).all()
    assert (np.sort(sources, 1) == np.arange(6)).all()
    assert len(np.unique(sources, axis=0)) == 12  # 3! orders of three, 2! of two
