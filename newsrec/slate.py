"""From scores to a slate, with the exact probability of every choice.

The only place that explores. The simulator, the predictor and off-policy evaluation share its rules (the predictor by
``draw_one``, for one request at a time), so a logged propensity and an evaluated one can never disagree. A slate is
drawn without replacement from the top; the propensity of a position is the probability of its article *given the ones
above it*.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

_LEAST_LUCK = 2.0**-60
"""What a luck of 0 counts as: no noise is infinite."""
_LEAST_ODDS = 1e-200
"""Below, odds against the best article have lost their digits: what is left is compared anew."""


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


def luck_of(seed: bytes, count: int) -> np.ndarray:
    """[count] float64, independent and uniform in [0, 1), the same for the same ``seed``.

    53 bits each of what the hash function SHAKE-128 makes of the seed: no generator has a state to be set up.
    """
    bits = np.frombuffer(hashlib.shake_128(seed).digest(8 * count), "<u8")
    return (bits >> np.uint64(11)) * 2.0**-53


class Drawn(NamedTuple):
    """One slate of K articles, best position first."""

    chosen: np.ndarray
    """[K] int64, positions in the candidates."""
    propensity: np.ndarray
    """[K] float64, probability of each article given those above it."""


def draw_one(scores: np.ndarray, k: int, config: SlateConfig, luck: np.ndarray) -> Drawn:
    """``draw`` for one request, from ``scores`` [C] and without what lies behind the last candidate.

    The same ``luck`` [C + k] gives the same slate and the same propensities up to rounding, in a fraction of the time:
    a server draws one at a time. Raises ValueError as ``draw``.
    """
    if not scores.max(initial=-np.inf) < np.inf:
        raise ValueError("scores hold NaN or plus infinity, expected finite numbers or minus infinity")
    scores, count = scores.astype(np.float64), len(scores)
    left = count if scores.min(initial=np.inf) > -np.inf else int((scores > -np.inf).sum())
    ranking = (-scores).argsort(kind="stable")  # [C], best first; ties in the order of the candidates
    places = min(k, left)
    if config.method == "greedy":
        return Drawn(ranking[:places], np.ones(places))
    if config.method == "plackett_luce":
        noise = -np.log(-np.log(np.maximum(luck[:count], _LEAST_LUCK)))  # [C]
        keys = scores / config.temperature + noise  # [C]
        chosen = np.argsort(-keys, kind="stable")[:places]
        return Drawn(chosen, _plackett_luce_of_one(scores / config.temperature, chosen))
    explores = (luck[count : count + places] < config.epsilon).tolist()
    chosen, best = ranking[:places], np.ones(places)
    if True in explores:
        chosen, best = _epsilon_draw_of_one(ranking[:left], luck[:count], explores)
    return Drawn(chosen, (1.0 - config.epsilon) * best + config.epsilon / np.arange(left, left - places, -1))


def _epsilon_draw_of_one(ranking: np.ndarray, luck: np.ndarray, explores: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """What is chosen for each of K places, of which some are to be explored, and 1 where it is the best left. [K] each

    ``ranking`` [n] are the candidates that there are, best first; ``luck`` [C] is everybody's.
    """
    possible = np.sort(ranking)
    luckiest = possible[(-luck[possible]).argsort(kind="stable")]  # ties in the order of the candidates
    by_score, by_luck = iter(ranking.tolist()), iter(luckiest.tolist())
    chosen: list[int] = []
    was_best = []
    best, lucky = next(by_score), next(by_luck)
    for exploring in explores:
        while best in chosen:
            best = next(by_score)
        while exploring and lucky in chosen:
            lucky = next(by_luck)
        pick = lucky if exploring else best
        chosen.append(pick)
        was_best.append(float(pick == best))
    return np.array(chosen), np.array(was_best)


def _plackett_luce_of_one(logits: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """[K] float64: ``_plackett_luce`` of ``logits`` [C], nothing of ``chosen`` [K] twice or beyond the candidates."""
    if not len(chosen):
        return np.ones(0)
    logits = logits - logits.max()
    own = logits[chosen]  # [K]
    unshown = logits.copy()
    unshown[chosen] = -np.inf
    last = unshown.max()
    if last > -np.inf:
        last += np.log(np.exp(unshown - last).sum())
    behind = np.logaddexp.accumulate(np.concatenate([[last], own[::-1]]))[1:][::-1]  # [K], each with what is behind it
    return np.exp(own - behind)


def uniform(count: Tensor, k: int, luck: Tensor) -> Slate:
    """``draw`` by method plackett_luce from the first ``count`` [B] of C candidates, all with the same score.

    ``luck`` [B, C] as there: the same luck gives the same slates.
    """
    candidates, position = luck.shape[1], torch.arange(min(k, luck.shape[1]), device=luck.device)
    if (count < candidates).any():
        luck = luck.masked_fill(torch.arange(candidates, device=luck.device) >= count[:, None], -1.0)  # [B, C]
    mask = position < count[:, None]  # [B, K]
    chosen = luck.topk(len(position)).indices  # [B, K]
    propensity = 1.0 / (count[:, None] - position).clamp(min=1).double()  # [B, K]
    return Slate(chosen.masked_fill(~mask, 0), torch.where(mask, propensity, 1.0), mask)


def propensities(scores: Tensor, chosen: Tensor, mask: Tensor, config: SlateConfig) -> Tensor:
    """[B, K] float64: the probability that ``config`` puts each article where ``chosen`` has it, given those above it.

    ``chosen`` and ``mask`` as in ``Slate``, for any slate, drawn by this policy or by another; 0 for an article that is
    no candidate here or stands further up already.
    """
    if config.method == "plackett_luce":
        return _plackett_luce(scores.double() / config.temperature, chosen, mask)
    return _epsilon_greedy(scores.double(), chosen, mask, config.epsilon if config.method == "epsilon" else 0.0)


def placements(scores: Tensor, chosen: Tensor, config: SlateConfig) -> Tensor:
    """[K, B, C] float64: the probability that ``config`` puts each candidate at a place, given what stands above it.

    ``chosen`` [B, K] as in ``Slate``, without a mask: once nothing is left, all of a row is 0.
    """
    left = scores.double() / (config.temperature if config.method == "plackett_luce" else 1.0)  # [B, C]
    epsilon = config.epsilon if config.method == "epsilon" else 0.0
    found = torch.zeros(chosen.shape[1], *left.shape, dtype=torch.float64, device=left.device)
    weight = _odds(left)
    for place, taken in enumerate(chosen.split(1, 1)):  # [B, 1]
        if config.method == "plackett_luce":
            total = weight.sum(1, keepdim=True)
            if (total < _LEAST_ODDS).any():
                weight = _odds(left)
                total = weight.sum(1, keepdim=True)
            torch.div(weight, total.clamp(min=_LEAST_ODDS), out=found[place])
            weight.scatter_(1, taken, 0.0)
        else:
            possible = left.isfinite()
            torch.div(possible.double() * epsilon, possible.sum(1, keepdim=True).clamp(min=1), out=found[place])
            best = left.argmax(1, keepdim=True)  # of equal ones the first, as in ``_ranking``
            found[place].scatter_add_(1, best, possible.any(1, keepdim=True).double() * (1.0 - epsilon))
        left = left.scatter(1, taken, -torch.inf)
    return found


def _odds(left: Tensor) -> Tensor:
    """[B, C] exp of logits, the largest of a row as 1; 0 for minus infinity."""
    most = left.amax(1, keepdim=True)
    return (left - torch.where(most.isfinite(), most, 0.0)).exp()


def _epsilon_greedy(scores: Tensor, chosen: Tensor, mask: Tensor, epsilon: float) -> Tensor:
    """``propensities``: the best that is left is the one before which all that rank higher have been taken."""
    own = scores.gather(1, chosen)  # [B, K]
    possible = own.isfinite() & ~_again(chosen, mask)
    taken = possible & mask  # [B, K]
    remaining = scores.isfinite().sum(1, keepdim=True) - taken.cumsum(1) + taken.long()  # [B, K]
    index, pick, value = torch.arange(scores.shape[1], device=scores.device), chosen[..., None], own[..., None]
    ahead = (scores[:, None] > value) | ((scores[:, None] == value) & (index < pick))  # [B, K, C] rank higher
    taken_ahead = ahead.gather(2, chosen[:, None].expand(-1, chosen.shape[1], -1)) & taken[:, None] & _above(chosen)
    best = ahead.sum(2) == taken_ahead.sum(2)  # [B, K]
    p = (1.0 - epsilon) * best.double() + epsilon / remaining.clamp(min=1).double()
    return torch.where(mask, torch.where(possible, p, 0.0), 1.0)


def _above(chosen: Tensor) -> Tensor:
    """[K, K] bool: which positions stand above each one."""
    positions = chosen.shape[1]
    return torch.ones(positions, positions, dtype=torch.bool, device=chosen.device).tril(-1)


def _again(chosen: Tensor, mask: Tensor) -> Tensor:
    """[B, K] bool: what was shown further up already."""
    return ((chosen[:, :, None] == chosen[:, None]) & mask[:, None] & _above(chosen)).any(2)


def _plackett_luce(logits: Tensor, chosen: Tensor, mask: Tensor) -> Tensor:
    """``propensities`` summed from the bottom: who competes for a position is the one there and all that are behind."""
    batch, count = logits.shape
    logits = logits.log_softmax(1)  # [B, C], NaN in rows without candidates
    own = logits.gather(1, chosen).masked_fill(_again(chosen, mask) | ~mask, -torch.inf)  # [B, K]
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
    left, lucky = scores.clone(), luck.masked_fill(~scores.isfinite(), -1.0)  # [B, C] each
    chosen = torch.empty(explore.shape, dtype=torch.int64, device=scores.device)
    for position in range(explore.shape[1]):
        explores = explore[:, position : position + 1]  # [B, 1]
        pick = torch.where(explores, lucky, left).argmax(1, keepdim=True)  # [B, 1], of equal ones the first
        chosen[:, position] = pick[:, 0]
        left.scatter_(1, pick, -torch.inf)
        lucky.scatter_(1, pick, -1.0)
    return chosen


def _ranking(scores: Tensor) -> Tensor:
    """[B, C] int64, best first; ties in the order of the candidates."""
    return scores.sort(dim=1, descending=True, stable=True).indices
