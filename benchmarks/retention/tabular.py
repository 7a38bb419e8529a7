"""Value learners in a newsroom so small that value iteration knows its best slates: two moods, four articles.

Bait is clicked most and leaves readers fed up; who counts clicks alone wins less than 60 % of the optimum there.
"""

from typing import Any

import numpy as np
import torch

from benchmarks.results import Bar, Part
from benchmarks.retention.size import Size
from newsrec.encoders.scorer import NetworkConfig
from newsrec.registry import REGISTRY
from newsrec.training import seeded
from tests.rl import two_moods

NEAR = 0.99
"""Share of the optimum."""
ARTICLES = 4
NETWORK = NetworkConfig(width=16, layers=1, heads=1, dropout=0.0)
SHARED: dict[str, Any] = {
    "network": NETWORK,
    "click_weight": two_moods.CLICK_WEIGHT,
    "return_weight": two_moods.RETURN_WEIGHT,
    "continuation": 1.0,
    "learning_rate": 0.01,
    "value_learning_rate": 0.003,
    "target_rate": 0.05,
    "forget_rate": 0.0,
}
LEARNERS: dict[str, dict[str, Any]] = {"dqn": {}, "cql": {}, "iql": {}, "actor_critic": {"stay": 0.05}}


def share(name: str, seed: int, steps: int) -> float:
    """What the slates of the learner ``name`` are worth after ``steps`` batches, as a share of the optimum."""
    entry, generator = REGISTRY[name], seeded(seed)
    policy = entry.policy(entry.config(**SHARED | LEARNERS[name]), ARTICLES)
    learner = entry.learner(policy, generator)
    return float(two_moods.value(two_moods.learned(learner, steps, two_moods.log(seed=seed))))


def measured(size: Size) -> Part:
    torch.set_num_threads(1)
    shares = {name: [share(name, seed, size.tabular_steps) for seed in size.tabular_seeds] for name in LEARNERS}
    return Part({"tabular": shares}, judged(shares))


def judged(shares: dict[str, list[float]]) -> list[Bar]:
    """The worst seed counts; the interval is from there to the best."""
    return [
        Bar(f"value of {name} in the small newsroom, worst of {len(found)} seeds, as a share of the optimum",
            float(np.min(found)), (min(found), max(found)), f"{NEAR:g} or more", min(found) >= NEAR)
        for name, found in shares.items()
    ]  # fmt: skip


def protocol(size: Size) -> str:
    return (
        f"{size.tabular_steps} batches of 128 from a log of 20,000 uniform slates of two, another log and other first "
        f"weights for each seed; the optimum by value iteration. Ranges are of seeds."
    )
