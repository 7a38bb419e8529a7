"""Why a long-term policy moved an article up or down against its own click model.

A policy with values knows how probable a click on article a is, ``P(a)``, and what a read of it brings now and later,
``w(a)``. Had reads all the worth of an average read of this request, it would order by clicks::

    click value(a)      P(a) m          m = sum_a P(a) w(a) / sum_a P(a)   over the candidates
    long-term value(a)  P(a) w(a)
    difference(a)       P(a) (w(a) - m)

The differences of a request add up to zero: what is the same for all articles, such as the level of values, moves none.
A read that brings more than others has a positive difference, and its article moves up.

Values are learnt, and another training would have learnt others. With policies that were trained alike but for their
seed, every difference is their mean, with Student's interval over them: it says how far training's luck goes, not what
another log would have taught. One policy alone has no interval.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from newsrec.encoders.slate_value import SlateValueScorer
from newsrec.policy import UNSERVABLE
from newsrec.transitions import Candidates, State


class Asked(NamedTuple):
    """One policy, and the request as it sees it: articles numbered by its own catalogue."""

    policy: SlateValueScorer
    state: State
    candidates: Candidates


class Moves(NamedTuple):
    """[B, C] each, NaN or 0 where there is no candidate. Values in the unit of the policy's reward: clicks."""

    click_value: np.ndarray
    long_term_value: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    """Ends of the difference's interval; NaN with one policy."""
    high: np.ndarray
    click_rank: np.ndarray
    """int64, from 1, by the click model of the first policy."""
    policy_rank: np.ndarray
    """int64, from 1, by what the first policy serves."""
    policies: int


@torch.no_grad()
def moves(asked: Sequence[Asked], confidence: float = 0.95) -> Moves:
    """What ``asked`` (trained alike but for their seed; the first is the one explained) say of the same candidates.

    Puts the networks into evaluation mode.
    """
    values = np.stack([_values(*one) for one in asked])  # [policies, 3, B, C]
    click_value, long_term_value, difference = values.mean(0)
    low = high = np.full(difference.shape, np.nan)
    if len(asked) > 1:
        student = stdtrit(len(asked) - 1, (1.0 + confidence) / 2.0)
        away = student * values[:, 2].std(0, ddof=1) / len(asked) ** 0.5  # [B, C]
        low, high = difference - away, difference + away
    policy, state, candidates = asked[0]
    clicks = policy.rank(policy.reader(state), state.context, candidates)
    click_rank, policy_rank = (ranks(scores) for scores in (clicks, policy.scores(state, candidates)))
    return Moves(click_value, long_term_value, difference, low, high, click_rank, policy_rank, len(asked))


def ranks(scores: Tensor) -> np.ndarray:
    """[B, C] int64: the place of each of ``scores`` [B, C] in its row, from 1; 0 where nothing can be served."""
    place = scores.argsort(dim=1, descending=True, stable=True).argsort(1) + 1
    return place.masked_fill(scores == UNSERVABLE, 0).numpy()


def _values(policy: SlateValueScorer, state: State, candidates: Candidates) -> np.ndarray:
    """[3, B, C]: click value, long-term value and difference; NaN where there is no candidate."""
    policy.eval()
    reader = policy.reader(state)
    probability = policy.click_logits(reader, state.context, candidates).sigmoid()  # [B, C], 0 where masked
    added = probability * policy.worth(reader, state.context, candidates)  # [B, C]
    mean = added.sum(1, keepdim=True) / probability.sum(1, keepdim=True).clamp(min=1e-12)  # [B, 1]
    clicks = probability * mean
    found = torch.stack([clicks, added, added - clicks]).double()
    return found.masked_fill(~candidates.mask, torch.nan).numpy()
