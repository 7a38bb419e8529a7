"""Readers who look at some places less than at others: weights of articles, over all places where they may stand.

Position-based model: what article a earns at place k is ``e_k f(x, a)``, whatever stands around it. With the
probability p_k(a | x) that the policy that acted puts a at place k, and pi_k(a | x) of the policy in question (Li,
Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen 2018, section 4.4)::

    W(x, a) = sum_k e_k pi_k(a | x) / sum_k e_k p_k(a | x)
    value   = sum over rows and places of W r  /  mean over rows of  sum_k e_k W / sum_k e_k

The weight does not multiply over places, so slates of ten are no harder than single choices; and an article that was
shown anywhere tells of all places, so a policy that always begins with one article of a hundred weighs what uniform
slates of ten showed of it by 10, not by 100. The price is the assumption: readers who stop at what satisfies them, or
who choose among the articles of a slate, break it, and then more rows make the estimate surer of a wrong number.

*What acted is read off the log.* Of K logged propensities, each given the articles above, follows how likely each
shown article was at the first place if slates are drawn by Plackett-Luce, and what is left for the rest together::

    first_k = p(a_k | above) prod_j<k (1 - p(a_j | above)),        the rest: prod_j (1 - p(a_j | above)), in equal parts

That is exact for uniform slates, and for Plackett-Luce but for the equal parts. Of epsilon-greedy slates the weights
are off by some percent: the mean weight (``diagnostics``) says whether they are of use.

*The places.* e_k is what a uniformly drawn article would be clicked at place k, estimated by IPS with p_k, made to
fall from the top (isotonic regression) and scaled to 1 there.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from newsrec import slate as slates
from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy import checks
from newsrec.evaluation.off_policy.logged import Acting
from newsrec.evaluation.off_policy.terms import Ratio, Terms, mean
from newsrec.events import KINDS
from newsrec.slate import SlateConfig

_DECISIONS_AT_ONCE = 512
_SURE = 1.0 - 1e-9
"""From here on a logged propensity says that nothing else could have been shown."""


class Placed(NamedTuple):
    """n slates of up to K articles, and where the articles shown in them stand by chance: ``chances`` makes it."""

    reader: np.ndarray
    """[n]"""
    shown: np.ndarray
    """[n, K] bool."""
    behaviour: np.ndarray
    """[n, K, K] float64: the probability of the article shown at place k (axis 1) at place j (axis 2)."""
    target: np.ndarray
    """[n, K, K] float64: the same of the policy in question."""
    candidates: np.ndarray
    """[n] how many there were."""
    unsupported: np.ndarray
    """[n] the mass that the policy in question puts on what could not be logged."""
    articles: np.ndarray
    """[A] float64: by row of the catalogue, the logarithm of the probability that no slate of the policy in question
    holds the article."""


def chances(decisions: Decisions, rows: np.ndarray, acting: Acting, draws: int = 12, seed: int = 0) -> Placed:
    """Where ``acting`` would have put what was shown in ``rows`` [n].

    ``draws`` slates a decision are drawn to count out what may stand above; the same ``seed`` gives the same numbers.
    Raises InvalidLog where a shown article has no propensity or a row stands twice.
    """
    rows = np.asarray(rows, np.int64)
    checks.requests(rows)
    slot, shown = decisions.slate.padded(rows)  # [n, K]
    logged = np.where(shown, decisions.propensity[slot], 1.0).astype(np.float64)
    checks.logged_propensities(logged, shown)
    generator = torch.Generator().manual_seed(seed)
    n, k = shown.shape
    behaviour, target = np.ones((n, k, k)), np.ones((n, k, k))
    count, mass = np.zeros(n, np.int64), np.zeros(n)
    never = np.zeros(len(decisions.catalogue.ids))  # log of the probability that no slate holds the article
    for start in range(0, n, _DECISIONS_AT_ONCE):
        part = slice(start, start + _DECISIONS_AT_ONCE)
        batch = decisions.batch(rows[part])
        chosen, real = batch.slate, torch.from_numpy(shown[part])[:, : batch.slate.shape[1]]
        there, width = batch.candidates.mask, chosen.shape[1]
        with torch.no_grad():
            scores = acting.scores(batch.state, batch.candidates)
        own = _at_places(scores, real, acting.slates, generator, draws)  # [B, C, K]
        acted = _logged(torch.from_numpy(logged[part])[:, :width], chosen, real, there, generator, draws)
        index = chosen[..., None].expand(-1, -1, width)  # [B, K, K]
        behaviour[part, :width, :width], target[part, :width, :width] = acted.gather(1, index), own.gather(1, index)
        count[part] = there.sum(1).numpy()
        length = real.sum(1).clamp(min=1)
        mass[part] = (torch.where(acted.sum(2) > 0.0, 0.0, own.sum(2)).sum(1) / length).numpy()
        at, listed = decisions.candidate.padded(rows[part])
        held = own.sum(2).clamp(max=1.0 - 1e-12).numpy()[:, : at.shape[1]]
        np.add.at(never, decisions.candidate.values[at[listed]], np.log1p(-held[listed]))
    return Placed(decisions.user[rows], shown, behaviour, target, count, mass, never)


def examination(placed: Placed, clicked: np.ndarray) -> np.ndarray:
    """[K] e: how much is clicked at each place, 1 at the top and never more below.

    ``clicked`` [n, K]; without any click all places are alike.
    """
    places = np.arange(placed.shown.shape[1])
    own = placed.behaviour[:, places, places]  # [n, K]
    weight = np.where(placed.shown, 1.0 / (own * placed.candidates[:, None]), 0.0)
    below = weight.sum(0)
    rate = np.divide((weight * clicked).sum(0), below, out=np.zeros(len(places)), where=below > 0)
    counted = np.divide(below**2, (weight**2).sum(0), out=np.full(len(places), 1e-9), where=below > 0)
    fallen = isotonic_regression(rate, weights=counted, increasing=False).x
    if not fallen[0] > 0.0:
        return np.ones(len(places))
    return np.maximum(fallen / fallen[0], 1e-3)


def weights(placed: Placed, examined: np.ndarray) -> np.ndarray:
    """[n, K] W of the article at each place, 0 where nothing is shown. ``examined`` [K] is e."""
    reach = examined * placed.shown[:, None, :]  # [n, 1, K]: places that the slate has
    above, below = (placed.target * reach).sum(2), (placed.behaviour * reach).sum(2)
    return np.divide(above, below, out=np.zeros(above.shape), where=placed.shown & (below > 0.0))


def slate_weights(placed: Placed, weight: np.ndarray, examined: np.ndarray) -> np.ndarray:
    """[n] sum_k e_k W / sum_k e_k over the places of a slate: 1 in expectation."""
    reach = examined * placed.shown
    total = reach.sum(1)
    return np.divide((reach * weight).sum(1), total, out=np.ones(len(total)), where=total > 0.0)


def value(placed: Placed, weight: np.ndarray, examined: np.ndarray, reward: np.ndarray) -> Terms:
    """The policy's mean total reward of a slate, ``reward`` [n, K]; consistent where readers are as above."""
    found = (weight * np.where(placed.shown, reward, 0.0)).sum(1)
    return Terms(placed.reader, (Ratio(found, slate_weights(placed, weight, examined)),))


def as_logged(placed: Placed, reward: np.ndarray) -> Terms:
    """The same of the policy that acted: the plain mean. Nothing is assumed."""
    return mean(placed.reader, np.where(placed.shown, reward, 0.0).sum(1))


def rewards(decisions: Decisions, rows: np.ndarray, kind: str) -> np.ndarray:
    """[n, K] float64: what the log holds of ``kind`` for each shown article, seconds of a dwell."""
    slot, shown = decisions.slate.padded(np.asarray(rows, np.int64))
    return np.where(shown, decisions.feedback[slot, KINDS.index(kind)], 0.0).astype(np.float64)


def _at_places(scores: Tensor, real: Tensor, config: SlateConfig, generator: torch.Generator, draws: int) -> Tensor:
    """[B, C, K] float64: the probability of each candidate at each place of slates as long as ``real`` [B, K] says.

    The mean, over drawn slates, of its probability given what they hold above.
    """
    k = real.shape[1]
    draws = 1 if config.method == "greedy" else draws
    found = torch.zeros(k, *scores.shape, dtype=torch.float64)
    for _ in range(draws):
        above = slates.draw(scores, k, config, generator).chosen  # [B, K], fewer where there are fewer candidates
        found[: above.shape[1]] += slates.placements(scores, above, config)
    return found.permute(1, 2, 0) * (real[:, None, :] / draws)


def _logged(p: Tensor, chosen: Tensor, real: Tensor, there: Tensor, generator: torch.Generator, draws: int) -> Tensor:
    """[B, C, K] float64: the same of the policy that acted, from its propensities ``p`` [B, K] alone."""
    k, count = p.shape[1], there.sum(1, keepdim=True)  # [B, 1]
    left = (count - torch.arange(k)).clamp(min=1)
    found = (there.double() / count.clamp(min=1))[..., None] * real[:, None, :]  # every slate alike
    skewed = (((p * left - 1.0).abs() > 1e-5) & real).any(1)
    if skewed.any():
        scores = _first_choices(p, chosen, real, there)[skewed]
        found[skewed] = _at_places(scores, real[skewed], SlateConfig("plackett_luce"), generator, draws)
    # what was shown is at least as likely as the slate down to it, whatever the readings above make of it
    least = torch.where(real, p, 1.0).cumprod(1)
    index = chosen[..., None].expand(-1, -1, k)
    own = found.gather(1, index)  # [B, K, K]
    diagonal = torch.diag_embed(torch.where(real, least, 0.0))
    return found.scatter(1, torch.where(real[..., None], index, chosen[:, :1, None]), _kept(own, diagonal, real))


def _kept(own: Tensor, least: Tensor, real: Tensor) -> Tensor:
    """``own`` and at least ``least`` [B, K, K]; where nothing is shown, what the top place has, to be written again."""
    raised = torch.maximum(own, least)
    return torch.where(real[..., None], raised, raised[:, :1])


def _first_choices(p: Tensor, chosen: Tensor, real: Tensor, there: Tensor) -> Tensor:
    """[B, C] float64: log probabilities of each candidate at the first place, minus infinity where there is none."""
    p = torch.where(real, p, 0.0)
    stays = torch.where(p >= _SURE, -torch.inf, torch.log1p(-p))  # [B, K]
    before = torch.cat([torch.zeros_like(stays[:, :1]), stays.cumsum(1)], 1)  # [B, K + 1]
    unshown = (there.sum(1) - real.sum(1)).clamp(min=1).double().log()
    rest = (before[:, -1] - unshown)[:, None].expand(there.shape)
    found = torch.cat([torch.where(there, rest, -torch.inf), torch.zeros(len(p), 1).double()], 1)
    own = torch.where(real, p.log() + before[:, :-1], 0.0)
    return found.scatter(1, torch.where(real, chosen, there.shape[1]), own)[:, :-1]
