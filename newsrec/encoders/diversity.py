"""Maximal marginal relevance (Carbonell and Goldstein 1998) as a score, so that whoever sorts by it gets the slate.

From the top, each place takes the article with the largest marginal score: its own, less what it repeats of those above
it::

    marginal(a) = score(a) - diversity * max over b above a of max(cos(content_a, content_b), 0)

The articles above only become more, so a marginal score never rises, and the scores at which articles are taken never
rise down the slate: sorting by them gives the order back. Articles that are opposites repeat nothing of each other
(cosines below 0 count as 0), or the second place could score higher than the first.
"""

import torch
from torch import Tensor


def marginal_relevance(scores: Tensor, content: Tensor, diversity: float, depth: int) -> Tensor:
    """[B, C]: the marginal score at which each article is taken; behind the first ``depth`` places, that after them.

    ``scores`` [B, C] are minus infinity where there is no candidate, ``content`` [B, C, E] of any length. Articles that
    tie are taken together, also at the last place: nothing but the order of the candidates could tell them apart.
    """
    direction = torch.nn.functional.normalize(content, dim=2)  # [B, C, E]
    marginal, left = scores.clone(), scores.isfinite()  # [B, C]
    closest = torch.zeros_like(scores)  # [B, C], likeness to the most similar article above
    place, level = 0, scores.new_full((len(scores), 1), torch.inf)
    while True:
        best, pick = marginal.masked_fill(~left, -torch.inf).max(1, keepdim=True)  # [B, 1] each
        taking = best.isfinite() & ((place < depth) | (best == level))  # [B, 1]
        if not taking.any():
            return marginal
        left = left.scatter(1, pick, left.gather(1, pick) & ~taking)
        taken = direction.gather(1, pick[..., None].expand(-1, -1, direction.shape[2]))  # [B, 1, E]
        alike = (direction * taken).sum(2)  # [B, C]
        closest = torch.where(taking, torch.maximum(closest, alike), closest)
        falling = left & taking & (marginal < best)  # [B, C]
        marginal = torch.where(falling, scores - diversity * closest, marginal)
        place, level = place + 1, torch.where(taking, best, level)
