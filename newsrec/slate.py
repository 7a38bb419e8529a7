"""From scores to a slate, with the exact probability of every choice.

The only place that explores. The simulator, the predictor and off-policy evaluation call the same two functions, so a
logged propensity and an evaluated one can never disagree. A slate is drawn without replacement from the top; the
propensity of a position is the probability of its article *given the ones above it*.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

_LEAST_LUCK = 2.0**-60
"""What a luck of 0 counts as: no noise is infinite."""


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


def draw(
    scores: Tensor, k: int, config: SlateConfig, generator: torch.Generator | None = None, luck: Tensor | None = None
) -> Slate:
    """Slates of ``k`` from ``scores`` [B, C], minus infinity where there is no candidate.

    Methods that explore need ``generator``, or ``luck`` [B, C + k], uniform numbers in (0, 1), where each row's slate
    shall depend on that row alone. Raises ValueError for scores that are NaN or plus infinity.
    """
    if not (scores < torch.inf).all():
        raise ValueError("scores hold NaN or plus infinity, expected finite numbers or minus infinity")
    scores, (batch, count) = scores.double(), scores.shape
    if luck is None and config.method != "greedy":
        luck = torch.rand(batch, count + k, dtype=torch.float64, generator=generator, device=scores.device)
    k = min(k, count)
    if luck is None or config.method == "greedy":
        chosen = _ranking(scores)[:, :k]  # [B, K]
    elif config.method == "plackett_luce":  # Gumbel top-k draws without replacement (Kool et al. 2019)
        noise = -(-luck[:, :count].clamp(min=_LEAST_LUCK).log()).log()  # [B, C]
        chosen = (scores / config.temperature + noise).topk(k).indices  # [B, K]
    else:
        chosen = _epsilon_draw(scores, luck[:, :count], luck[:, count : count + k] < config.epsilon)  # [B, K]
    mask = torch.arange(k, device=scores.device) < scores.isfinite().sum(1, keepdim=True)  # [B, K]
    chosen = chosen.masked_fill(~mask, 0)
    return Slate(chosen, propensities(scores, chosen, mask, config), mask)


def uniform(count: Tensor, k: int, luck: Tensor) -> Slate:
    """``draw`` by method plackett_luce from the first ``count`` [B] of C candidates, all with the same score.

    ``luck`` [B, C] as there: the same luck gives the same slates.
    """
    candidates, position = luck.shape[1], torch.arange(min(k, luck.shape[1]), device=luck.device)
    there = torch.arange(candidates, device=luck.device) < count[:, None]  # [B, C]
    mask = position < count[:, None]  # [B, K]
    chosen = luck.masked_fill(~there, -1.0).topk(len(position)).indices  # [B, K]
    propensity = 1.0 / (count[:, None] - position).clamp(min=1).double()  # [B, K]
    return Slate(chosen.masked_fill(~mask, 0), torch.where(mask, propensity, 1.0), mask)


def propensities(scores: Tensor, chosen: Tensor, mask: Tensor, config: SlateConfig) -> Tensor:
    """[B, K] float64: the probability that ``config`` puts each article where ``chosen`` has it, given those above it.

    ``chosen`` and ``mask`` as in ``Slate``, for any slate, drawn by this policy or by another; 0 for an article that is
    no candidate here or stands further up already.
    """
    if config.method == "plackett_luce":
        return _plackett_luce(scores.double() / config.temperature, chosen, mask)
    epsilon = config.epsilon if config.method == "epsilon" else 0.0
    left = scores.double()  # [B, C]
    result = torch.ones_like(chosen, dtype=torch.float64)
    for position in range(chosen.shape[1]):
        pick = chosen[:, position : position + 1]  # [B, 1]
        possible = left.gather(1, pick).isfinite()  # [B, 1]
        remaining = left.isfinite().sum(1, keepdim=True).clamp(min=1).double()  # [B, 1]
        p = (1.0 - epsilon) * (_best(left) == pick).double() + epsilon / remaining  # [B, 1]
        shown = mask[:, position : position + 1]  # [B, 1]
        result[:, position] = torch.where(shown, torch.where(possible, p, 0.0), 1.0).squeeze(1)
        left = left.scatter(1, pick, torch.where(shown, -torch.inf, left.gather(1, pick)))
    return result


def _plackett_luce(logits: Tensor, chosen: Tensor, mask: Tensor) -> Tensor:
    """``propensities`` summed from the bottom: who competes for a position is the one there and all that are behind."""
    batch, count = logits.shape
    logits = logits.log_softmax(1)  # [B, C], NaN in rows without candidates
    above = torch.ones(chosen.shape[1], chosen.shape[1], dtype=torch.bool, device=logits.device).tril(-1)  # [K, K]
    again = ((chosen[:, :, None] == chosen[:, None]) & mask[:, None] & above).any(2)  # [B, K]
    own = logits.gather(1, chosen).masked_fill(again | ~mask, -torch.inf)  # [B, K]
    shown = torch.zeros(batch, count + 1, dtype=torch.bool, device=logits.device)
    shown = shown.scatter(1, chosen.masked_fill(~mask, count), True)[:, :count]  # [B, C]
    unshown = logits.masked_fill(shown, -torch.inf).logsumexp(1, keepdim=True)  # [B, 1]
    behind = torch.cat([unshown, own.flip(1)], 1).logcumsumexp(1)[:, 1:].flip(1)  # [B, K], each with what is behind it
    possible = torch.where(own.isfinite(), (own - behind).exp(), 0.0)
    return torch.where(mask, possible, 1.0)


def _epsilon_draw(scores: Tensor, luck: Tensor, explore: Tensor) -> Tensor:
    """[B, K] int64: at each position the best that is left, or where ``explore`` [B, K] the luckiest that is left.

    ``luck`` [B, C] ranks at random, and what has been taken says nothing about the order of the rest.
    """
    left = scores
    chosen = torch.empty(explore.shape, dtype=torch.int64, device=scores.device)
    for position in range(explore.shape[1]):
        luckiest = luck.masked_fill(~left.isfinite(), -1.0).argmax(1, keepdim=True)  # [B, 1]
        pick = torch.where(explore[:, position : position + 1], luckiest, _best(left))  # [B, 1]
        chosen[:, position] = pick.squeeze(1)
        left = left.scatter(1, pick, -torch.inf)
    return chosen


def _ranking(scores: Tensor) -> Tensor:
    """[B, C] int64, best first; ties in the order of the candidates."""
    return scores.sort(dim=1, descending=True, stable=True).indices


def _best(scores: Tensor) -> Tensor:
    """[B, 1] int64, the head of ``_ranking``: of equal scores the first."""
    return scores.argmax(1, keepdim=True)
