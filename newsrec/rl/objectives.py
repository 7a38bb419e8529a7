"""The arithmetic of the learners: pure functions of tensors, each with its formula and source."""

import torch
from torch import Tensor, nn


def slate_cross_entropy(scores: Tensor, clicked: Tensor) -> Tensor:
    """Mean over clicks of ``-log softmax(scores of the slate)[click]``: the conditional logit (McFadden 1974).

    ``scores`` [B, K] are minus infinity where nothing was shown, ``clicked`` [B, K] bool. A slate without a click says
    nothing about which article was better and adds nothing; a batch without any gives 0.
    """
    rows = clicked.any(1)
    log_share = scores[rows].log_softmax(1)  # [clicked slates, K]
    return -log_share[clicked[rows]].sum() / clicked.sum().clamp(min=1)


def shared_negatives_cross_entropy(queries: Tensor, targets: Tensor, keys: Tensor, negatives: Tensor) -> Tensor:
    """Mean over P queries of ``-log softmax`` of the own target against N negatives that all queries share.

    ``queries`` and ``targets`` [P, W] are row by row a position and the article read there, ``keys`` [P] names the
    article of each target, ``negatives`` [N] are the rows of ``targets`` that serve as negatives. A negative that is
    the query's own target is left out. 0 without queries.

    Negatives drawn from the targets stand there as often as they are read, and there is no ``log q`` correction (Yi et
    al. 2019) on purpose: the optimum is then the pointwise mutual information of position and article, taste without
    popularity (Levy & Goldberg 2014).
    """
    own = (queries * targets).sum(1, keepdim=True)  # [P, 1]
    others = queries @ targets[negatives].T  # [P, N]
    others = others.masked_fill(keys[:, None] == keys[negatives], -torch.inf)
    return (torch.cat([own, others], 1).logsumexp(1) - own.squeeze(1)).sum() / max(len(queries), 1)


def click_likelihood(scores: Tensor, clicked: Tensor, mask: Tensor) -> Tensor:
    """Mean over shown articles of the binary cross-entropy of ``sigmoid(score)``: calibrated click probabilities.

    ``scores``, ``clicked`` and ``mask`` [B, K]; what is masked adds nothing.
    """
    loss = nn.functional.binary_cross_entropy_with_logits(
        scores.masked_fill(~mask, 0.0), clicked.float(), reduction="none"
    )
    return (loss * mask).sum() / mask.sum().clamp(min=1)


def hazard_likelihood(log_ratio: Tensor, returned: Tensor, expected: Tensor) -> Tensor:
    """Mean of ``expected exp(f) - returned f``: the censored log-likelihood of a hazard that is exp(f) times habit's.

    ``log_ratio`` f, ``returned`` and ``expected`` [B] as in ``Transitions``. A Poisson regression with habit as its
    offset (Holford 1980; Laird and Olivier 1981): an open window counts for the time that was seen.
    """
    return (expected * log_ratio.exp() - returned * log_ratio).mean() if len(log_ratio) else log_ratio.sum()


def slate_log_probability(scores: Tensor, slate: Tensor, slate_mask: Tensor) -> Tensor:
    """[B, K]: ``log P(article at k | those above it)`` under Plackett-Luce (Luce 1959; Plackett 1975).

    ``scores`` [B, C] are minus infinity where there is no candidate, ``slate`` [B, K] positions in them. 0 where
    ``slate_mask`` is False.
    """
    chosen = scores.gather(1, slate).masked_fill(~slate_mask, -torch.inf)  # [B, K]
    shown = torch.zeros_like(scores).scatter_add_(1, slate, slate_mask.to(scores.dtype)) > 0  # [B, C]
    rest = scores.masked_fill(shown, -torch.inf).logsumexp(1, keepdim=True)  # [B, 1]
    finite = chosen.clamp(min=-1e30)  # logcumsumexp has no gradient where all it sums is nothing
    below = finite.flip(1).logcumsumexp(1).flip(1)  # [B, K], from k on
    log_probability = chosen - torch.logaddexp(below, rest)
    return torch.where(slate_mask, log_probability, 0.0)


def temporal_difference_target(reward: Tensor, discount: Tensor, next_value: Tensor) -> Tensor:
    """[B] ``reward + discount * next_value``, without gradient."""
    return (reward + discount * next_value).detach()


def slate_value(click_probability: Tensor, item_value: Tensor, slate: Tensor, slate_mask: Tensor) -> Tensor:
    """[B] ``sum_k P(click on k) Q(s, k)``: a slate by its articles (SlateQ, Ie et al. 2019).

    ``click_probability`` and ``item_value`` [B, C], ``slate`` [B, K] positions in them.
    """
    worth = (click_probability * item_value).gather(1, slate)
    return (worth * slate_mask).sum(1)


def expectile_loss(difference: Tensor, tau: float) -> Tensor:
    """Mean of ``|tau - 1(u < 0)| u^2`` for ``difference`` u [...]: its minimum is the tau-expectile (IQL, eq. 5)."""
    return ((tau - (difference < 0).float()).abs() * difference.square()).mean()


def conservative_penalty(values: Tensor, mask: Tensor, taken: Tensor, taken_mask: Tensor) -> Tensor:
    """Mean of ``logsumexp_a Q(s, a) - Q(s, logged)`` over the logged actions (CQL, Kumar et al. 2020, eq. 4).

    ``values`` and ``mask`` [B, C], ``taken`` and ``taken_mask`` [B, K] positions of the logged actions. Never below 0.
    """
    rows = mask.any(1)
    everything = values.masked_fill(~mask, -torch.inf)[rows].logsumexp(1, keepdim=True)  # [rows, 1]
    gap = everything - values.gather(1, taken)[rows]
    return (gap * taken_mask[rows]).sum() / taken_mask.sum().clamp(min=1)


def top_k_correction(probability: Tensor, k: Tensor) -> Tensor:
    """[...] ``k (1 - p)^(k - 1)``: who is sure to be among the k gets no more weight (Chen et al. 2019)."""
    return k * (1.0 - probability) ** (k - 1.0)


def capped_weight(log_target: Tensor, log_logged: Tensor, cap: float) -> Tensor:
    """[...] ``min(pi / beta, cap)`` without gradient: importance weights with bounded variance (Ionides 2008)."""
    return (log_target - log_logged).exp().clamp(max=cap).detach()


def advantage_weight(advantage: Tensor, temperature: float, cap: float) -> Tensor:
    """[...] ``min(exp(advantage / temperature), cap)`` without gradient (AWR, Peng et al. 2019; IQL, eq. 7)."""
    return (advantage / temperature).exp().clamp(max=cap).detach()


def distillation_loss(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Mean over rows of ``T^2 KL(softmax(teacher / T) || softmax(student / T))`` (Hinton et al. 2015).

    Scores and ``mask`` [B, C]; rows without a candidate add nothing.
    """
    rows = mask.any(1)
    ours, theirs = (
        (scores.masked_fill(~mask, -torch.inf)[rows] / temperature).log_softmax(1) for scores in (student, teacher)
    )
    kept = mask[rows]
    difference = torch.where(kept, theirs.exp() * (theirs.masked_fill(~kept, 0.0) - ours.masked_fill(~kept, 0.0)), 0.0)
    return temperature**2 * difference.sum() / rows.sum().clamp(min=1)


def long_term_reward(reward: Tensor, retention: Tensor, click_weight: float, return_weight: float) -> Tensor:
    """[B] ``click_weight reward + return_weight retention``: what a decision brought now, and of the next visit.

    Arguments [B] as in ``Transitions``; ``click_weight`` in clicks a click, ``return_weight`` in clicks a visit that
    habit did not predict. Habit alone adds nothing, so frequent readers are not rewarded for being frequent.
    """
    return click_weight * reward + return_weight * retention


def best_slate(added: Tensor, mask: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The slate with the largest sum of ``added`` [B, C] in ``places`` [B]: positions [B, K] and their mask [B, K].

    Where articles are clicked independently, the best slate is the K largest (SlateQ, Ie et al. 2019, top-K). Nothing
    that ``mask`` [B, C] leaves out is chosen.
    """
    most = min(int(places.max()) if len(places) else 0, added.shape[1])
    chosen = added.masked_fill(~mask, -torch.inf).topk(most, 1).indices  # [B, K]
    return chosen, torch.arange(most) < torch.minimum(places, mask.sum(1))[:, None]


def pairwise_likelihood(
    scores: Tensor, clicked: Tensor, mask: Tensor, negatives: int, generator: torch.Generator
) -> Tensor:
    """Mean over clicks and ``negatives`` of the same row, drawn with replacement, of ``-log sigmoid(clicked - other)``.

    ``scores``, ``clicked`` and ``mask`` [B, K]; what was not clicked is a negative where ``mask`` holds it (BPR, Rendle
    et al. 2009). Rows with nothing else add nothing; 0 without pairs.
    """
    other = mask & ~clicked  # [B, K]
    row, place = (clicked & other.any(1, keepdim=True)).nonzero(as_tuple=True)  # [P] each
    if not len(row):
        return scores.masked_fill(~mask, 0.0).sum() * 0.0
    drawn = torch.multinomial(other[row].float(), negatives, replacement=True, generator=generator)  # [P, N]
    return -nn.functional.logsigmoid(scores[row, place][:, None] - scores[row[:, None], drawn]).mean()
