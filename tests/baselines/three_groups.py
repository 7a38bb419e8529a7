"""A log in which clicks, reading times and returns each speak for another group of articles.

Bait is clicked most and left at once. Essays are clicked half as often and read for minutes. Columns are clicked as
often as essays and read for less than a minute, but who reads one comes back before habit says so. Articles of a group
share a direction of their content; those of the log are known, those of the question are new.
"""

from typing import Any

import numpy as np
import torch

from newsrec.encoders.scorer import NetworkConfig
from newsrec.events import KINDS
from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import Candidates, State, Transitions
from tests.baselines.batches import batch

BAIT, ESSAY, COLUMN = range(3)
CLICK = np.array([0.4, 0.2, 0.2])
SECONDS = np.array([5.0, 180.0, 40.0])
RATIO = np.array([0.7, 1.0, 2.0])
"""[group]: what a read does to the hazard of the next visit."""
WINDOW = 0.5
"""Visits that habit lets expect within the horizon."""
ARTICLES = 30
SMALL = NetworkConfig(width=64, layers=1, heads=1, dropout=0.0)


def content(per_group: int = ARTICLES // 3, seed: int = 0) -> torch.Tensor:
    """[3 * per_group, E]: group by group."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.eye(3, EMBEDDING_DIM), per_group, 0)
    return torch.from_numpy(group + rng.normal(size=group.shape) / 100).float()


def log(rows: int = 3000, seed: int = 0) -> Transitions:
    """One decision a reader of whom nothing is known: slates of one article of each group, in any order."""
    rng = np.random.default_rng(seed)
    group = rng.permuted(np.tile(np.arange(3), (rows, 1)), axis=1)  # [B, K]
    article = 1 + group * (ARTICLES // 3) + rng.integers(0, ARTICLES // 3, group.shape)
    click = rng.random(group.shape) < CLICK[group]
    seconds = click * SECONDS[group] * rng.gamma(4.0, 0.25, group.shape)
    ratio = np.where(click, RATIO[group], 1.0).prod(1)
    vectors = torch.cat([torch.zeros(1, EMBEDDING_DIM), content()])
    made = batch([[]] * rows, article.tolist(), [0] * rows, vectors)
    feedback = torch.zeros(rows, 3, len(KINDS))
    feedback[..., KINDS.index("click")] = torch.from_numpy(click).float()
    feedback[..., KINDS.index("dwell")] = torch.from_numpy(seconds).float()
    wait = rng.exponential(1.0 / ratio)  # in visits that habit lets expect meanwhile
    return made._replace(
        feedback=feedback,
        returned=torch.from_numpy(wait < WINDOW).float(),
        expected=torch.from_numpy(np.minimum(wait, WINDOW)).float(),
    )


def question(seed: int = 7) -> tuple[State, Candidates]:
    """A reader of whom nothing is known, and two new articles of each group, group by group."""
    made = batch([[]], [[0] * 6], [0], torch.zeros(1, EMBEDDING_DIM))
    return made.state, made.candidates._replace(content=content(2, seed)[None])


def learnt(learner: Any, steps: int = 200, rows: int = 96) -> Any:
    """The policy after ``steps`` batches of the log, on which nothing is random any more."""
    everything, generator = log(), torch.Generator().manual_seed(0)
    for _ in range(steps):
        learner.update(_take(everything, torch.randint(len(everything.reward), (rows,), generator=generator)))
    return learner.policy.eval()


def ranking(policy: Any) -> list[int]:
    """The groups, best first, by the mean score of their new articles."""
    with torch.inference_mode():
        scores = policy.scores(*question())[0].reshape(3, 2).mean(1)
    return scores.argsort(descending=True).tolist()


def _take(transitions: Transitions, rows: torch.Tensor) -> Transitions:
    """``rows`` of ``transitions``, which have no successors."""
    state, candidates, *columns = transitions[:-2]
    return Transitions(
        State(*(column[rows] for column in state)),
        Candidates(*(column[rows] for column in candidates)),
        *(column[rows] for column in columns),
    )
