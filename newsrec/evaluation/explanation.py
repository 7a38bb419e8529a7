"""For an article, the earlier reads that drove its score.

A score is a function of the vectors v_1 ... v_n of the reads, s(v_1, ..., v_n); times, dwell and context are held as
they were. Each method says how much read j drove the score of article a::

    integrated_gradients   v_j . integral_0^1 ds/dv_j (t v_1, ..., t v_n) dt        Sundararajan et al. 2017, equation 1
    rollout                n^-alpha v_j . v_a  +  R_j (O x_n) . v_a                 x_n, O: ``newsrec.encoders.scorer``
    pooled                 n^-alpha v_j . v_a
    leave_one_out          s(all reads) - s(all but read j)

Integrated gradients go from reads that say nothing to the reads as they were, by Gauss and Legendre's rule, and are
complete: they add up to the difference between the two scores. That is checked at every call, and more steps are taken
where it fails.

``R`` is the roll-out of attention (Abnar and Zuidema 2020): the product over the blocks of ``(I + A) / 2``, A being the
mean of a block's heads, and of that the row of the last read. It says how much of each read flows into the
transformer's vector and is the same for all articles, so that the transformer's part of this article's score is shared
out by it; what flows from the start token belongs to no read. The pooled path needs no such guess.

``leave_one_out`` asks a policy n times and takes nothing for granted: the reference. Integrated gradients need a
``HistoryScorer`` and explain the score that is served, too. ``rollout`` and ``pooled`` share out the score of clicks,
from which a policy with values departs as it has learnt to.
"""

from collections.abc import Callable
from functools import reduce
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from newsrec.encoders.history import after_last_read, latest_places
from newsrec.encoders.scorer import HistoryScorer
from newsrec.policy import Policy
from newsrec.transitions import Candidates, State

Method = Literal["integrated_gradients", "rollout", "pooled", "leave_one_out"]
METHODS: tuple[str, ...] = get_args(Method)
STEPS = (16, 64, 256)
"""Of the integral: as many as completeness takes. A read without dwell bends the path near its start, where layer
normalisation sees the first of a vector; all others are done with the fewest."""
TOLERANCE = 0.01
"""How far attributions may be from adding up: this share of their sum without signs, and as much of a unit of score."""
ROWS_TOGETHER = 2048
"""Histories that go through a network at once."""


def read_attributions(
    policy: Policy, state: State, candidates: Candidates, at: Tensor, method: Method = "integrated_gradients"
) -> Tensor:
    """[B, H]: how much each read drove the score of candidate ``at`` [B]; 0 behind the last read.

    Puts a network into evaluation mode. Raises ValueError for an unknown method and for a policy that it cannot
    explain, ArithmeticError where integrated gradients do not add up.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, expected one of {', '.join(METHODS)}")
    if isinstance(policy, torch.nn.Module):
        policy.eval()
    if method == "leave_one_out":
        found = _leave_one_out(policy, state, candidates, at)
    elif isinstance(policy, HistoryScorer):
        known = _BY_METHOD[method](policy, policy.known(state), select(candidates, at))
        places = latest_places(state.history_mask, policy.latest_reads)
        found = torch.zeros(state.history_mask.shape).scatter(1, places, known)
    else:
        name = type(policy).__name__
        raise ValueError(f"{name} has no network over reads that {method} could look into; expected leave_one_out")
    return found.masked_fill(~state.history_mask, 0.0)


def select(candidates: Candidates, at: Tensor) -> Candidates:
    """[B, 1]: of each row the candidate ``at`` [B]."""
    rows = torch.arange(len(at))
    return Candidates(*(column[rows, at][:, None] for column in candidates))


def only(state: State, kept: Tensor) -> State:
    """``state`` as if nothing but the reads ``kept`` [B, H] had been read. The context stays as it was."""
    kept = kept & state.history_mask
    order = (~kept).to(torch.int8).argsort(dim=1, stable=True)  # [B, H] kept reads first, oldest before newest
    mask = kept.gather(1, order)
    age = state.history_age_hours.gather(1, order)
    newest = age.masked_fill(~mask, torch.inf).amin(1, keepdim=True).nan_to_num(posinf=0.0)  # [B, 1]
    content = state.history_content.gather(1, order[..., None].expand_as(state.history_content))
    return State(
        state.history_index.gather(1, order) * mask,
        content * mask[..., None],
        (age - newest) * mask,
        state.history_dwell_seconds.gather(1, order) * mask,
        mask,
        state.context,
    )


def _integrated_gradients(policy: HistoryScorer, state: State, article: Candidates) -> Tensor:
    """[B, H]. Raises ArithmeticError."""
    found = torch.zeros(state.history_mask.shape)
    rows = state.history_mask.any(1).nonzero().squeeze(1)  # those that do not add up yet
    gap = torch.zeros(0)
    for steps in STEPS:
        if not len(rows):
            return found
        told, offered = State(*(column[rows] for column in state)), Candidates(*(column[rows] for column in article))
        found[rows], gap = _path_integral(policy, told, offered, steps)
        rows = rows[gap.abs() > TOLERANCE * (1.0 + found[rows].abs().sum(1))]
    if len(rows):
        worst = f"{len(rows)} of {len(found)} are off by up to {gap.abs().max():.3g} after {STEPS[-1]} steps"
        raise ArithmeticError(f"integrated gradients do not add up: {worst}; leave_one_out needs no such sum")
    return found


def _path_integral(policy: HistoryScorer, state: State, article: Candidates, steps: int) -> tuple[Tensor, Tensor]:
    """[B, H] by a rule of ``steps`` points, and [B] how far each row is from adding up."""

    def score(reads: Tensor) -> Tensor:
        """[S * B] of S * B histories [S * B, H, W]."""
        times = len(reads) // len(state.context)
        told = State(*(column.repeat(times, *[1] * (column.ndim - 1)) for column in state))
        offered = Candidates(*(column.repeat(times, *[1] * (column.ndim - 1)) for column in article))
        reader = after_last_read(policy.outputs(reads, told), told.history_mask)  # [S * B, W]
        return policy.served(reader, told.context, offered).squeeze(1)

    with torch.no_grad():
        reads = policy.article(state.history_index, state.history_content)  # [B, H, W]
        difference = score(reads) - score(torch.zeros_like(reads))  # [B]
    points, weights = (torch.from_numpy(side).float() / 2 for side in np.polynomial.legendre.leggauss(steps))  # [-1, 1]
    slope, together = torch.zeros_like(reads), max(1, ROWS_TOGETHER // len(reads))
    for point, weight in zip((points + 0.5).split(together), weights.split(together), strict=True):
        scaled = (point[:, None, None, None] * reads).flatten(0, 1).requires_grad_()  # [S * B, H, W]
        (gradient,) = torch.autograd.grad(score(scaled).sum(), scaled)
        slope += (weight @ gradient.unflatten(0, (len(point), -1)).flatten(1)).view_as(reads)
    found = (reads * slope).sum(-1)  # [B, H]
    return found, found.sum(1) - difference


@torch.no_grad()
def _pooled(policy: HistoryScorer, state: State, article: Candidates) -> Tensor:
    """[B, H]."""
    reads = policy.article(state.history_index, state.history_content)  # [B, H, W]
    offered = policy.article(article.article_index, article.content)  # [B, 1, W]
    share = state.history_mask.sum(1, keepdim=True).clamp(min=1).pow(-policy.alpha)  # [B, 1]
    return (reads @ offered.transpose(1, 2)).squeeze(-1) * share


@torch.no_grad()
def _rollout(policy: HistoryScorer, state: State, article: Candidates) -> Tensor:
    """[B, H]."""
    noticed = policy.noticed(policy.article(state.history_index, state.history_content), state)  # [B, H, W]
    attention = policy.history.attention(noticed, state.history_age_hours)  # blocks of [B, heads, H + 1, H + 1]
    steps = [(block.mean(1) + torch.eye(block.shape[-1])) / 2 for block in attention]  # of [B, H + 1, H + 1]
    flow = after_last_read(reduce(lambda below, above: above @ below, steps), state.history_mask)  # [B, H + 1]
    outputs = policy.history(noticed, state.history_age_hours, state.history_mask)  # [B, H + 1, W]
    part = policy.output(after_last_read(outputs, state.history_mask))  # [B, W] of the reader's vector
    offered = policy.article(article.article_index, article.content).squeeze(1)  # [B, W]
    return _pooled(policy, state, article) + flow[:, 1:] * (part * offered).sum(1, keepdim=True)


@torch.no_grad()
def _leave_one_out(policy: Policy, state: State, candidates: Candidates, at: Tensor) -> Tensor:
    """[B, H]."""
    rows, places = torch.arange(len(at)), torch.arange(state.history_mask.shape[1])
    served = policy.scores(state, candidates)[rows, at]  # [B]
    without = [policy.scores(only(state, places != place), candidates)[rows, at] for place in places]
    return served[:, None] - torch.stack(without, 1)


_BY_METHOD: dict[str, Callable[[HistoryScorer, State, Candidates], Tensor]] = {
    "integrated_gradients": _integrated_gradients,
    "rollout": _rollout,
    "pooled": _pooled,
}
