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
ACTOR = {"actor_learning_rate": 0.05}
"""Starts at nothing and has to follow values that move: with the steps of the click model, 400 batches do not do."""
LEARNERS: dict[str, dict[str, Any]] = {"dqn": {}, "cql": {}, "iql": ACTOR, "actor_critic": ACTOR | {"stay": 0.5}}
"""An actor that is held less (``stay``) is sure of the best article before it has learnt the order of the others."""


def share(name: str, seed: int, steps: int) -> float:
    """What the slates of the learner ``name`` are worth after ``steps`` batches, as a share of the optimum."""
    entry, generator = REGISTRY[name], seeded(seed)
    policy = entry.policy(entry.config(**SHARED | LEARNERS[name]), ARTICLES)
    learner = entry.learner(policy, generator)
    return float(two_moods.value(two_moods.learned(learner, steps, two_moods.log(seed=seed), fading=True)))


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
        f"{size.tabular_steps} batches of 128, with steps that fade to nothing, from a log of 20,000 uniform slates of "
        f"two, another log and other first weights for each seed; the optimum by value iteration. Ranges are of seeds."
    )
