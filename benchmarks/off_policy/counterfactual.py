"""What the estimators need of policies that draw slates by Plackett-Luce: n decisions, C candidates, K places.

A policy is its probability of each candidate at the first place, p [n, C]; what it does below follows. With the chance
c_k(a) that an article is clicked at place k, whatever else is shown, and pi_k(a) = p(a) / (1 - p of those above)::

    v_k = sum_a pi_k(a) sum_j>=k c_j(a)                      as if all places below were drawn as k is
    q_k = c_k(a_k) + v_k - sum_a pi_k(a) c_k(a)              so that v_k is the mean of q_k over pi_k, exactly

The chance is a logistic regression of the log's clicks on the place and on all that the policies in question think of
the article, log p. Each half of the readers is predicted from the other half.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.special import expit

from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy.slate import SlateLog
from newsrec.events import KINDS

if TYPE_CHECKING:
    from benchmarks.off_policy.newsroom import Component

ROWS_AT_ONCE, STEPS, RIDGE = 1_024, 12, 1.0
LEAST = 1e-6
"""Probabilities count as this much in the regression."""


class Seen(NamedTuple):
    """The decisions of a log, all with K articles shown, and what P policies would do first."""

    reader: np.ndarray  # [n]
    chosen: np.ndarray  # [n, K] int64, places in the candidates
    reward: np.ndarray  # [n, K] float64, clicks
    behaviour: np.ndarray  # [n, K] float64, logged propensities
    first: np.ndarray  # [P, n, C] float64, 0 for padding


class Under(NamedTuple):
    """What one policy would do at the decisions of a log."""

    target: np.ndarray  # [n, K] its probability of what was shown, given what stands above
    marginal: np.ndarray  # [n, K] the same, whatever stands above
    clicks: np.ndarray  # [n, K] sum_a pi_k(a) c_k(a)
    to_go: np.ndarray  # [n, K] v_k
    model: np.ndarray  # [n] predicted clicks of its slates


def seen(decisions: Decisions, components: "Sequence[Component]") -> Seen:
    """All of ``decisions`` as ``components`` would see them in a world."""
    rows = np.arange(len(decisions))
    slot, shown = decisions.slate.padded(rows)
    if not shown.all():
        raise ValueError(f"{(~shown).any(1).sum()} slates are short, expected {shown.shape[1]} articles in each")
    first: list[list[np.ndarray]] = [[] for _ in components]
    wide = int(np.diff(decisions.candidate.offsets).max())
    for part in np.array_split(rows, -(-len(rows) // ROWS_AT_ONCE)):
        batch = decisions.batch(part)
        for found, component in zip(first, components, strict=True):
            with torch.inference_mode():
                chance = component.scores(batch.state, batch.candidates).double().softmax(1).numpy()
            found.append(np.pad(chance, [(0, 0), (0, wide - chance.shape[1])]))
    clicked = decisions.feedback[slot, KINDS.index("click")] > 0
    return Seen(
        decisions.user,
        decisions.slate.values[slot],
        clicked.astype(np.float64),
        decisions.propensity[slot].astype(np.float64),
        np.stack([np.concatenate(found) for found in first]),
    )


def click_chances(log: Seen) -> np.ndarray:
    """[n, C, K]: c_k(a)."""
    thought = np.log(log.first.clip(min=LEAST)).transpose(1, 2, 0)  # [n, C, P]
    mean, spread = thought.mean((0, 1)), thought.std((0, 1))
    thought = (thought - mean) / np.maximum(spread, LEAST)
    n, k = log.chosen.shape
    rows = np.arange(n)
    shown = thought[rows[:, None], log.chosen]  # [n, K, P]
    place = np.broadcast_to(np.eye(k), (n, k, k))
    design = np.concatenate([shown, place], 2)  # [n, K, P + K]
    half, found = np.unique(log.reader, return_inverse=True)[1] % 2, np.empty((n, thought.shape[1], k))
    for fold in (0, 1):
        train, own = half != fold, half == fold
        weight = logistic(design[train].reshape(-1, design.shape[2]), log.reward[train].ravel())
        found[own] = expit((thought[own] @ weight[:-k])[..., None] + weight[-k:])
    return found


def logistic(design: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """[D] weights of a logistic regression of ``happened`` [m] on ``design`` [m, D], by Newton's method."""
    weight = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = expit(design @ weight)
        gradient = design.T @ (happened - chance) - RIDGE * weight
        curvature = (design * (chance * (1.0 - chance))[:, None]).T @ design + RIDGE * np.eye(len(weight))
        weight += np.linalg.solve(curvature, gradient)
    return weight


def under(first: np.ndarray, log: Seen, chance: np.ndarray) -> Under:
    """Of the policy with the probabilities ``first`` [n, C]; ``chance`` as of ``click_chances``."""
    parts = np.array_split(np.arange(len(first)), -(-len(first) // ROWS_AT_ONCE))
    found = [_under(first[part], log.chosen[part], chance[part]) for part in parts]
    return Under(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _under(first: np.ndarray, chosen: np.ndarray, chance: np.ndarray) -> Under:
    rows, left = np.arange(len(first)), first.copy()
    below = chance[:, :, ::-1].cumsum(2)[:, :, ::-1]  # [m, C, K]
    target, clicks, to_go = np.empty((3, *chosen.shape))
    for k in range(chosen.shape[1]):
        given = left / left.sum(1, keepdims=True)  # [m, C]
        target[:, k] = np.minimum(given[rows, chosen[:, k]], 1.0)
        clicks[:, k], to_go[:, k] = (given * chance[:, :, k]).sum(1), (given * below[:, :, k]).sum(1)
        left[rows, chosen[:, k]] = 0.0
    places = marginals(first, chosen.shape[1])  # [m, C, K]
    marginal = np.take_along_axis(places, chosen[:, None], 1)[:, 0]  # [m, K]
    return Under(target, marginal, clicks, to_go, (places * chance).sum((1, 2)))


def marginals(first: np.ndarray, places: int) -> np.ndarray:
    """[m, C, K]: the probability of each candidate at each of up to three places, whatever stands above; exact."""
    if not 1 <= places <= 3:
        raise ValueError(f"places is {places}, expected 1 to 3: more have too many pairs above them")
    found = [first]
    if places > 1:
        above = first / (1.0 - first).clip(min=LEAST**2)  # [m, C] one stands above, over what is left
        found.append(first * (above.sum(1, keepdims=True) - above))
    if places > 2:
        left = 1.0 - first[:, :, None] - first[:, None]  # [m, C, C] behind the pair b, c
        pair = above[:, :, None] * first[:, None] / left.clip(min=LEAST)
        pair *= ~np.eye(first.shape[1], dtype=bool)
        found.append(first * (pair.sum((1, 2))[:, None] - pair.sum(1) - pair.sum(2)))
    return np.stack(found, 2).clip(0.0, 1.0)  # of an article that is all but certain, differences of large numbers


def mixed(parts: Sequence[Under], shares: Sequence[float]) -> Under:
    """Of the policy that draws for each slate which of ``parts`` makes it: what stands above tells which it was."""
    weight = np.broadcast_to(np.array(shares)[:, None], (len(parts), len(parts[0].model)))  # [M, n]
    columns: list[list[np.ndarray]] = [[], [], []]
    for k in range(parts[0].target.shape[1]):
        weight = weight / weight.sum(0)
        for column, name in zip(columns, ("target", "clicks", "to_go"), strict=True):
            column.append(sum(w * getattr(part, name)[:, k] for w, part in zip(weight, parts, strict=True)))
        weight = weight * np.stack([part.target[:, k] for part in parts])
    target, clicks, to_go = (np.stack(column, 1) for column in columns)
    target = np.minimum(target, 1.0)  # a sum of shares of 1, rounded
    marginal, model = (
        sum(share * getattr(part, name) for share, part in zip(shares, parts, strict=True))
        for name in ("marginal", "model")
    )
    return Under(target, marginal, clicks, to_go, model)


def slate_log(log: Seen, policy: Under, incumbent: Under, chance: np.ndarray) -> SlateLog:
    """The log as the estimators take it to judge ``policy``."""
    rows = np.arange(len(log.reader))
    own = chance[rows[:, None], log.chosen, np.arange(log.chosen.shape[1])]  # [n, K]
    return SlateLog(
        log.reader,
        log.reward,
        log.behaviour,
        policy.target,
        np.ones(log.chosen.shape, bool),
        incumbent.marginal,
        policy.marginal,
        own + policy.to_go - policy.clicks,
        policy.to_go,
        rows,
    )
