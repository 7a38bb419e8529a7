"""From scores to a slate, with the exact probability of every choice.

The only place that explores. The simulator, the predictor and off-policy evaluation call the same two functions, so a
logged propensity and an evaluated one can never disagree. A slate is drawn without replacement from the top; the
propensity of a position is the probability of its article *given the ones above it*.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class SlateConfig:
    """How scores become a slate."""

    method: Literal["greedy", "epsilon", "plackett_luce"] = "greedy"
    epsilon: float = 0.1
    """Method epsilon: at each position, the probability of a uniform draw from what is left."""
    temperature: float = 1.0
    """Method plackett_luce: scores are divided by it; towards 0 the slate becomes greedy."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.epsilon <= 1.0:
            raise ValueError(f"epsilon is {self.epsilon}, expected a probability in [0, 1]")
        if not 1e-6 <= self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}, expected 1e-6 or more (below that, use greedy)")


class Slate(NamedTuple):
    """B slates of up to K articles, best position first."""

    chosen: Tensor
    """[B, K] int64, positions in the candidates; 0 where ``mask`` is False."""
    propensity: Tensor
    """[B, K] float64, probability of each article given those above it; 1 where ``mask`` is False."""
    mask: Tensor
    """[B, K] bool, False beyond the last candidate."""


def draw(scores: Tensor, k: int, config: SlateConfig, generator: torch.Generator | None = None) -> Slate:
    """Slates of ``k`` from ``scores`` [B, C], minus infinity where there is no candidate.

    ``generator`` is required by the methods that explore. Raises ValueError for scores that are NaN or plus infinity.
    """
    if not (scores < torch.inf).all():
        raise ValueError("scores hold NaN or plus infinity, expected finite numbers or minus infinity")
    scores, k = scores.double(), min(k, scores.shape[1])
    if config.method == "plackett_luce":  # Gumbel top-k draws without replacement (Kool et al. 2019)
        noise = -torch.empty_like(scores).exponential_(generator=generator).log()
        chosen = _ranking(scores / config.temperature + noise)[:, :k]  # [B, K]
    elif config.method == "epsilon":
        chosen = _epsilon_draw(scores, k, config.epsilon, generator)  # [B, K]
    else:
        chosen = _ranking(scores)[:, :k]  # [B, K]
    mask = torch.arange(k, device=scores.device) < scores.isfinite().sum(1, keepdim=True)  # [B, K]
    chosen = chosen.masked_fill(~mask, 0)
    return Slate(chosen, propensities(scores, chosen, mask, config), mask)


def propensities(scores: Tensor, chosen: Tensor, mask: Tensor, config: SlateConfig) -> Tensor:
    """[B, K] float64: the probability that ``config`` puts each article where ``chosen`` has it, given those above it.

    ``chosen`` and ``mask`` as in ``Slate``, for any slate, drawn by this policy or by another; 0 for an article that is
    no candidate here or stands further up already.
    """
    left = scores.double()  # [B, C]
    result = torch.ones_like(chosen, dtype=torch.float64)
    for position in range(chosen.shape[1]):
        pick = chosen[:, position : position + 1]  # [B, 1]
        possible = left.gather(1, pick).isfinite()  # [B, 1]
        if config.method == "plackett_luce":
            p = (left / config.temperature).softmax(1).gather(1, pick)  # [B, 1]
        else:
            epsilon = config.epsilon if config.method == "epsilon" else 0.0
            remaining = left.isfinite().sum(1, keepdim=True).clamp(min=1).double()  # [B, 1]
            p = (1.0 - epsilon) * (_best(left) == pick).double() + epsilon / remaining  # [B, 1]
        shown = mask[:, position : position + 1]  # [B, 1]
        result[:, position] = torch.where(shown, torch.where(possible, p, 0.0), 1.0).squeeze(1)
        left = left.scatter(1, pick, torch.where(shown, -torch.inf, left.gather(1, pick)))
    return result


def _epsilon_draw(scores: Tensor, k: int, epsilon: float, generator: torch.Generator | None) -> Tensor:
    """[B, K] int64: at each position the best that is left, or with probability epsilon any that is left."""
    left = scores
    chosen = torch.empty(len(scores), k, dtype=torch.int64, device=scores.device)
    for position in range(k):
        uniform = torch.empty_like(scores).uniform_(generator=generator).masked_fill(~left.isfinite(), -1.0)
        explore = torch.empty_like(scores[:, :1]).uniform_(generator=generator) < epsilon  # [B, 1]
        pick = torch.where(explore, uniform.argmax(1, keepdim=True), _best(left))  # [B, 1]
        chosen[:, position] = pick.squeeze(1)
        left = left.scatter(1, pick, -torch.inf)
    return chosen


def _ranking(scores: Tensor) -> Tensor:
    """[B, C] int64, best first; ties in the order of the candidates."""
    return scores.sort(dim=1, descending=True, stable=True).indices


def _best(scores: Tensor) -> Tensor:
    """[B, 1] int64, the head of ``_ranking``: of equal scores the first."""
    return scores.argmax(1, keepdim=True)
