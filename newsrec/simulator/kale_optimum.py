"""What the best policy for chocolate and kale earns, between two bounds, and that policy.

Backward induction over the steps on a grid of exposures, rounded down for a lower bound and up for an upper one. This
is sound because a reader of higher exposure can only be worth more: the mean engagement with a document rises with
satisfaction, the next exposure rises with this one, and clicks do not depend on it. With ``g_i`` the grid, from minus
to plus infinity, and ``p_ij`` the probability that exposure moves from ``g_i`` to between ``g_j`` and ``g_j+1``::

    low_t(g_i)  = max_slate sum_d P(d | slate) (mean engagement(g_i, d) + sum_j p_ij(d) low_t+1(g_j))
    high_t(g_i) = the same with high_t+1(g_j+1)

and low(g_i) <= value(x) <= high(g_i+1) for x in between. Who acts at x as ``low`` does at the grid point below earns at
least ``low``. Probability further than 8 standard deviations away, 1e-15, is moved to there. A given policy is bounded
in the same way, with what it does in place of the maximum.
"""

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.special import logit, ndtr

from newsrec.simulator.kale import KaleConfig

SPACING = 0.2
"""Of the grid, in standard deviations of the innovation."""
TAIL = 8.0
LARGEST = 20_000
"""Slates that a plan chooses from."""


class Bounds(NamedTuple):
    """The expected sum of rewards of an episode lies between them."""

    low: float
    high: float


class Plan(NamedTuple):
    """An optimal policy up to the width of its bounds."""

    config: KaleConfig
    bounds: Bounds
    grid: np.ndarray
    """[G] exposures, rising, from minus to plus infinity."""
    slates: np.ndarray
    """[A, K] all slates, as documents."""
    best: np.ndarray
    """[steps, G - 1] int64, row of ``slates`` to show at a step for exposures from one grid point to the next."""

    def scores(self, observation: np.ndarray) -> np.ndarray:
        """[B, C] float32, the actions at ``observation`` [B, 2]; where no step is left, those of the last."""
        satisfaction, left = observation.astype(float).T
        step = np.minimum(np.round((1.0 - left) * self.config.steps), self.config.steps - 1).astype(np.int64)
        cell = np.searchsorted(self.grid, logit(satisfaction) / self.config.sensitivity, side="right") - 1
        scores = np.zeros((len(observation), self.config.documents), np.float32)
        np.put_along_axis(scores, self.slates[self.best[step, cell]], 1.0, 1)
        return scores


def optimum(config: KaleConfig) -> Plan:
    """The best policy and what it earns."""
    model = _Model(config)
    best = np.zeros((config.steps, len(model.grid)), np.int64)
    low = high = np.zeros(len(model.grid))
    for step in range(config.steps - 1, -1, -1):
        values = model.lower(low) @ model.choice.T  # [G, A]
        best[step], low = values.argmax(1), values.max(1)
        high = (model.upper(high) @ model.choice.T).max(1)
    return Plan(config, model.at_start(low, high), model.grid, model.slates, best[:, :-1])


def earned(config: KaleConfig, clicked: np.ndarray) -> Bounds:
    """What a policy earns that pays no heed to the state: ``clicked`` [C] is how often each document is the one."""
    model = _Model(config)
    low = high = np.zeros(len(model.grid))
    for _ in range(config.steps):
        low, high = model.lower(low) @ clicked, model.upper(high) @ clicked
    return model.at_start(low, high)


def always(config: KaleConfig, slate: np.ndarray) -> Bounds:
    """What it earns to show the documents ``slate`` [K] at every step."""
    return earned(config, np.bincount(slate, config.click_chance(slate), config.documents))


def random(config: KaleConfig) -> Bounds:
    """What uniformly drawn slates earn."""
    return earned(config, _Model(config).choice.mean(0))


class _Model:
    """The reader on a grid."""

    def __init__(self, config: KaleConfig) -> None:
        if (slates := comb(config.documents, config.slate_size)) > LARGEST:
            raise ValueError(f"there are {slates} slates, expected at most {LARGEST}; use fewer documents")
        self.config = config
        reach = 1.0 / (1.0 - config.memory) + TAIL * config.innovation
        count = 2 * int(np.ceil(reach / (SPACING * config.innovation))) + 1
        self.grid = np.concatenate([[-np.inf], np.linspace(-reach, reach, count), [np.inf]])  # [G]
        self.slates = np.array(list(combinations(range(config.documents), config.slate_size)))  # [A, K]
        self.choice = np.zeros((len(self.slates), config.documents))  # [A, C]
        np.put_along_axis(self.choice, self.slates, config.click_chance(self.slates), 1)
        level = config.satisfaction(self.grid)[:, None] * config.log_engagement
        self._reward = np.exp(level + config.spread**2 / 2)  # [G, C], mean of a log-normal
        self._moves = [self._move(2.0 * (kaleness - 0.5)) for kaleness in config.kaleness]

    def lower(self, value: np.ndarray) -> np.ndarray:
        """[G, C]: engagement with each document, and ``value`` [G] after it, its exposure rounded down."""
        return self._after(value[:-1], value)

    def upper(self, value: np.ndarray) -> np.ndarray:
        """``lower`` rounded up."""
        return self._after(value[1:], value)

    def at_start(self, low: np.ndarray, high: np.ndarray) -> Bounds:
        """The mean over the first exposures."""
        first = self.config.first_exposure
        inside = np.minimum(self.grid[1:], first) - np.maximum(self.grid[:-1], -first)
        weight = np.maximum(inside, 0.0) / (2.0 * first)  # [G - 1], of each cell
        return Bounds(float(weight @ low[:-1]), float(weight @ high[1:]))

    def _after(self, of_cell: np.ndarray, value: np.ndarray) -> np.ndarray:
        inner = np.stack([move @ of_cell for move in self._moves], 1)  # [G - 2, C]
        ends = np.broadcast_to(value[[0, -1], None], (2, inner.shape[1]))  # infinite exposure stays
        return self._reward + np.concatenate([ends[:1], inner, ends[1:]])

    def _move(self, shift: float) -> csr_array:
        """[G - 2, G - 1]: from each finite grid point, the probability of each cell."""
        config, finite = self.config, self.grid[1:-1]
        mean = config.memory * finite + shift  # [G - 2]
        width = int(np.ceil(2.0 * TAIL / SPACING)) + 2
        first = np.searchsorted(self.grid, mean - TAIL * config.innovation, side="right") - 1  # [G - 2], cell
        cell = first[:, None] + np.arange(width)  # [G - 2, W]
        upper_edge = self.grid[np.minimum(cell + 1, len(self.grid) - 1)]
        below = ndtr((upper_edge - mean[:, None]) / config.innovation)  # [G - 2, W]
        below[:, -1] = 1.0
        mass = np.diff(below, axis=1, prepend=0.0)
        row = np.broadcast_to(np.arange(len(finite))[:, None], cell.shape)
        cell = np.minimum(cell, len(self.grid) - 2)
        return csr_array((mass.ravel(), (row.ravel(), cell.ravel())), shape=(len(finite), len(self.grid) - 1))
