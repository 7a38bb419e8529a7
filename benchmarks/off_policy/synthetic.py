"""Small worlds in which the value of a policy is a sum, not an estimate.

``Choices``: M contexts, A actions, clicks of known probability. ``Slates``: M contexts, all ordered slates of K out of
C articles enumerated, three kinds of readers. Both policies are soft (Plackett-Luce), so that support holds.
"""

from itertools import permutations
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.slate import SlateLog

Readers = Literal["independent", "cascade", "interacting"]


class Choices(NamedTuple):
    """One action for each of M contexts, drawn with equal probability."""

    features: np.ndarray  # [M, D]
    behaviour: np.ndarray  # [M, A]
    target: np.ndarray  # [M, A]
    click: np.ndarray  # [M, A] probability

    @property
    def truth(self) -> float:
        return float((self.target * self.click).sum(1).mean())

    @property
    def largest_weight(self) -> float:
        return float((self.target / self.behaviour).max())

    @property
    def efficiency_bound(self) -> float:
        """The least variance, times n, of a regular estimator from n independent decisions (Hahn 1998; Dudik 2014)::

        Var(v(x)) + E[sum_a pi(a | x)^2 / p(a | x) Var(r | x, a)]
        """
        noise = (self.target**2 / self.behaviour * self.click * (1.0 - self.click)).sum(1).mean()
        return float((self.target * self.click).sum(1).var() + noise)


def choices(seed: int, contexts: int = 500, actions: int = 10, features: int = 5) -> Choices:
    """Logistic clicks of 10 to 40 %; the policy in question prefers what is clicked, the one that acted less so."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(contexts, features))
    taste, other = generator.normal(size=(2, features, actions)) / features**0.5
    score = x @ taste + generator.normal(size=actions) * 0.5
    return Choices(x, softmax(0.5 * score + 0.5 * x @ other, 1), softmax(1.0 * score, 1), expit(0.8 * score - 1.2))


def draw_choices(
    world: Choices, n: int, generator: np.random.Generator, decisions_a_reader: int = 1
) -> tuple[ContextualLog, np.ndarray, np.ndarray]:
    """A log of ``n`` decisions without predictions; the contexts [n] and actions [n]. A reader keeps their context."""
    reader = np.arange(n) // decisions_a_reader
    context = generator.integers(len(world.features), size=reader[-1] + 1)[reader]
    action = (generator.random((n, 1)) > np.cumsum(world.behaviour[context], 1)[:, :-1]).sum(1)
    reward = (generator.random(n) < world.click[context, action]).astype(float)
    behaviour, target = world.behaviour[context, action], world.target[context, action]
    return ContextualLog(reader, reward, behaviour, target, request=np.arange(n)), context, action


def with_predictions(log: ContextualLog, world: Choices, context: np.ndarray, action: np.ndarray) -> ContextualLog:
    """``log`` with the q and v of linear regressions by action, each half of the readers predicted from the other."""
    x = np.column_stack([np.ones(len(world.features)), world.features])  # [M, 1 + D]
    half, q, v = log.reader % 2, np.empty(len(log.reward)), np.empty(len(log.reward))
    for fold in (0, 1):
        predicted = np.empty(world.click.shape)  # [M, A]
        for a in range(predicted.shape[1]):
            rows = (half != fold) & (action == a)
            design = x[context[rows]]
            gram = design.T @ design + np.eye(x.shape[1])
            predicted[:, a] = x @ np.linalg.solve(gram, design.T @ log.reward[rows])
        own = half == fold
        q[own] = predicted[context[own], action[own]]
        v[own] = (world.target * predicted).sum(1)[context[own]]
    return log._replace(q=q, v=v)


class Slates(NamedTuple):
    """All S ordered slates of K for each of M contexts, drawn with equal probability."""

    slates: np.ndarray  # [S, K] articles
    behaviour: np.ndarray  # [M, S, K] given those above
    target: np.ndarray  # [M, S, K]
    marginal_behaviour: np.ndarray  # [M, S, K] whatever is above
    marginal_target: np.ndarray  # [M, S, K]
    click: np.ndarray  # [M, S, K] probability

    @property
    def truth(self) -> float:
        return float((self.target.prod(2) * self.click.sum(2)).sum(1).mean())


def slates(readers: Readers, seed: int, contexts: int = 20, articles: int = 5, k: int = 3) -> Slates:
    """Clicks of each article by itself, less after good ones above (cascade), less also for good ones below."""
    generator = np.random.default_rng(seed)
    every = np.array(list(permutations(range(articles), k)))  # [S, K]
    appeal = expit(generator.normal(size=(contexts, articles)))  # [M, C]
    shown = appeal[:, every]  # [M, S, K]
    above = np.cumsum(shown, 2) - shown
    below = shown.sum(2, keepdims=True) - above - shown
    rivals = {"independent": 0.0 * above, "cascade": above, "interacting": above + 2.0 * below}[readers]
    click = 0.7 * shown * np.exp(-1.2 * rivals)
    behaviour = _plackett_luce(generator.normal(size=(contexts, articles)) * 0.4, every)
    target = _plackett_luce(2.5 * appeal, every)
    return Slates(every, behaviour, target, _marginal(behaviour, every), _marginal(target, every), click)


def draw_slates(world: Slates, n: int, generator: np.random.Generator) -> SlateLog:
    """A log of ``n`` readers with one slate each; its predictions, of the readers who answer to all places above, are
    0.8 of the truth."""
    context = generator.integers(len(world.click), size=n)
    chance = np.cumsum(world.behaviour.prod(2), 1)[context]  # [n, S]
    slate = (generator.random((n, 1)) > chance[:, :-1]).sum(1)
    picked = context, slate
    reward = (generator.random((n, world.slates.shape[1])) < world.click[picked]).astype(float)
    q, v = _predictions(world)
    return SlateLog(
        np.arange(n), reward, world.behaviour[picked], world.target[picked], np.ones(reward.shape, bool),
        world.marginal_behaviour[picked], world.marginal_target[picked], 0.8 * q[picked], 0.8 * v[picked], np.arange(n),
    )  # fmt: skip


def _plackett_luce(logits: np.ndarray, every: np.ndarray) -> np.ndarray:
    """[M, S, K]: the probability of each article given the ones above it."""
    strength = np.exp(logits)
    shown = strength[:, every]  # [M, S, K]
    gone = np.cumsum(shown, 2) - shown
    return shown / (strength.sum(1)[:, None, None] - gone)


def _marginal(given: np.ndarray, every: np.ndarray) -> np.ndarray:
    """[M, S, K]: the probability of each article at its place, summed over slates that have it there."""
    same = (every[:, None] == every).astype(float)  # [S, S, K]
    return np.einsum("ms,stk->mtk", given.prod(2), same)


def _predictions(world: Slates) -> tuple[np.ndarray, np.ndarray]:
    """q and v [M, S, K]: the sum of clicks from k down, the policy in question choosing what stands below k."""
    probability, k = world.target.prod(2), world.slates.shape[1]  # [M, S]
    to_go = world.click[:, :, ::-1].cumsum(2)[:, :, ::-1]  # [M, S, K]
    q, v = np.empty(to_go.shape), np.empty(to_go.shape)
    for place in range(k):
        for into, length in ((q, place + 1), (v, place)):
            alike = (world.slates[:, None, :length] == world.slates[:, :length]).all(2).astype(float)  # [S, S]
            total = probability @ alike
            into[:, :, place] = ((probability * to_go[:, :, place]) @ alike) / total
    return q, v
