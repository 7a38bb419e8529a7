"""A newsroom small enough for value iteration: two moods of a reader, four articles, slates of two.

A reader is fed up or curious, which shows in what they read last. Articles of a slate are clicked independently of each
other; a click makes it more or less likely that the reader comes back curious, and a curious one comes sooner (their
discount is larger, and habit did not expect them). Bait is clicked most and leaves readers fed up.
"""

from itertools import permutations
from typing import Any

import numpy as np
import torch

from newsrec.events import KINDS
from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import Transitions
from tests.baselines.batches import batch, credited

BAIT, STORY, BRIEF, ESSAY = 0, 1, 2, 3
CLICK = np.array([[0.7, 0.3, 0.4, 0.05], [0.7, 0.4, 0.4, 0.5]])
"""[mood, article], fed up first."""
CURIOUS = np.array([0.3, 0.5])
"""[mood]: probability of coming back curious when nothing is read."""
SHIFT = np.array([-0.3, 0.4, 0.0, 0.1])
"""[article]: what a click adds to it."""
DISCOUNT, RETURNED, EXPECTED = np.array([0.5, 0.9]), np.array([0.2, 0.8]), 0.5
"""[next mood]: worth of the next visit, probability that it falls into the horizon; visits that habit expects."""
CLICK_WEIGHT, RETURN_WEIGHT = 1.0, 2.0
SLATES = np.array(list(permutations(range(4), 2)))


def optimum() -> np.ndarray:
    """[mood]: the value of showing the best slates from now on, by value iteration."""
    later = np.zeros(2)
    for _ in range(500):
        later = np.array([max(_backup(mood, slate, later) for slate in SLATES) for mood in range(2)])
    return later


def value(slates: np.ndarray) -> float:
    """The true value of always showing ``slates`` [mood, 2], as a share of the optimum, moods alike."""
    later = np.zeros(2)
    for _ in range(500):
        later = np.array([_backup(mood, slates[mood], later) for mood in range(2)])
    return later.mean() / optimum().mean()


def worth(later: np.ndarray) -> np.ndarray:
    """[article]: what a read adds to a slate, where moods are worth ``later`` [mood]; the same in both of them."""
    by_next = RETURN_WEIGHT * (RETURNED - EXPECTED) + DISCOUNT * later
    return CLICK_WEIGHT + SHIFT * (by_next[1] - by_next[0])


def _backup(mood: int, slate: np.ndarray, later: np.ndarray) -> float:
    click = CLICK[mood, slate]
    curious = CURIOUS[mood] + (click * SHIFT[slate]).sum()  # linear in the clicks: expectation of the mix
    by_next = RETURN_WEIGHT * (RETURNED - EXPECTED) + DISCOUNT * later  # [next mood]
    return CLICK_WEIGHT * click.sum() + (1 - curious) * by_next[0] + curious * by_next[1]


def log(rows: int = 20_000, seed: int = 0) -> Transitions:
    """Decisions of a uniformly random policy."""
    rng = np.random.default_rng(seed)
    mood = rng.integers(0, 2, rows)
    slate = SLATES[rng.integers(0, len(SLATES), rows)]  # [B, 2]
    click = rng.random((rows, 2)) < CLICK[mood[:, None], slate]
    next_mood = (rng.random(rows) < CURIOUS[mood] + (click * SHIFT[slate]).sum(1)).astype(int)
    feedback = torch.zeros(rows, 2, len(KINDS))
    feedback[..., KINDS.index("click")] = torch.from_numpy(click).float()
    now, following = _readers(mood), _readers(next_mood)
    return credited(
        now._replace(
            slate=torch.from_numpy(slate),
            slate_mask=torch.ones(rows, 2).bool(),
            feedback=feedback,
            reward=torch.from_numpy(click.sum(1)).float(),
            discount=torch.from_numpy(DISCOUNT[next_mood]).float(),
            visit_end=torch.ones(rows).bool(),
            returned=torch.from_numpy(rng.random(rows) < RETURNED[next_mood]).float(),
            expected=torch.full((rows,), EXPECTED),
            log_propensity=torch.tensor([1 / 4, 1 / 3]).log().expand(rows, 2),
            next_state=following.state,
            next_candidates=following.candidates,
        )
    )


def _readers(mood: np.ndarray) -> Transitions:
    """Who is fed up has read bait, who is curious a story; all four articles are candidates."""
    content = torch.zeros(5, EMBEDDING_DIM)
    content[torch.arange(1, 5), torch.arange(4)] = 1.0
    last = np.where(mood, STORY, BAIT) + 1
    return batch(last[:, None].tolist(), [[1, 2, 3, 4]] * len(mood), [0] * len(mood), content)


def one_of_each() -> Transitions:
    """Two readers, the fed up one first."""
    return _readers(np.arange(2))


def learned(learner: Any, steps: int, everything: Transitions, rows: int = 128, fading: bool = False) -> np.ndarray:
    """[mood, 2]: the slates of a policy after ``steps`` batches of a log; of each mood the two best scores.

    With ``fading`` the learner's steps fade to nothing, so that what the last batches happened to hold decides nothing.
    """
    generator = torch.Generator().manual_seed(0)
    groups = [(group, group["lr"]) for group in learner.optimizer.param_groups]
    for step in range(steps):
        for group, rate in groups:
            group["lr"] = rate * (1.0 - step / steps) if fading else rate
        learner.update(take(everything, torch.randint(len(everything.reward), (rows,), generator=generator)))
    readers = one_of_each()
    with torch.inference_mode():
        return learner.policy.eval().scores(readers.state, readers.candidates).topk(2, 1).indices.numpy()


def take(transitions: Transitions, rows: torch.Tensor) -> Transitions:
    """``rows`` of ``transitions``, successors included."""
    return Transitions(
        *(x[rows] if isinstance(x, torch.Tensor) else type(x)(*(y[rows] for y in x)) for x in transitions)
    )
