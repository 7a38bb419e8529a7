"""The two protocols that everything else speaks: a policy scores candidates, a learner improves it from a batch."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from newsrec.transitions import Candidates, State, Transitions

UNSERVABLE = -torch.inf
"""The score of a masked candidate: no slate ever holds it."""


@runtime_checkable
class Policy(Protocol):
    """A scorer of candidates. Popularity, factors, attention, Q-values and actor logits are all scorers.

    Every policy scores articles that did not exist when it was trained: their ``article_index`` is 0, and content,
    age and popularity must carry them. Scores do not depend on the order of the candidates.
    """

    config: Any

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        """[B, C] float32, higher is better, minus infinity where ``candidates.mask`` is False."""
        ...


class Learner(Protocol):
    """Improves ``policy`` in place."""

    policy: Policy

    def update(self, batch: Transitions) -> dict[str, float]:
        """One step on ``batch``; returns the losses by name."""
        ...


@runtime_checkable
class PassLearner(Protocol):
    """A learner that sums up over the batches of a pass and solves at its end."""

    def end_pass(self) -> None:
        """Called after the last batch of each pass over the log."""
        ...


def mask_scores(scores: Tensor, candidates: Candidates) -> Tensor:
    """``scores`` [B, C] with minus infinity where there is no candidate."""
    return scores.masked_fill(~candidates.mask, UNSERVABLE)
