"""Readers to split into arms: those of a simulated newsroom, each with a past and 28 days that did happen.

An experiment of a benchmark draws readers from these with replacement, so its truth is known exactly: it is that of the
population. Whoever came in the first four weeks is assigned at their end, those who never came back among them.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from newsrec.evaluation.abtest.assigned import first_requests
from newsrec.evaluation.abtest.cuped import adjust
from newsrec.evaluation.abtest.outcomes import Outcomes, outcomes
from newsrec.features import DAY
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import simulate

SEED = 51
DAYS, EARLY = 28, 7


class Drawn(NamedTuple):
    """Readers of one experiment."""

    days: np.ndarray  # [N] float64, active days
    before: np.ndarray  # [N, 2] float64
    early: np.ndarray  # [N, P] float64, surrogates


class Population:
    """R readers with whole windows."""

    def __init__(self, rows: Outcomes) -> None:
        self.days = rows.active.sum(1).astype(float)
        self.before = rows.before
        self.early = rows.early(EARLY)

    def __len__(self) -> int:
        return len(self.days)

    @cached_property
    def mean(self) -> float:
        """Active days."""
        return float(self.days.mean())

    @cached_property
    def rho_squared(self) -> float:
        """Of the active days and the past."""
        return 1.0 - adjust(self.days, self.before, np.zeros(len(self), np.int64)).variance_left

    def draw(self, readers: int, generator: np.random.Generator, weight: np.ndarray | None = None) -> Drawn:
        """``readers`` of them with replacement; ``weight`` [R] makes some likelier."""
        if weight is None:
            rows = generator.integers(len(self), size=readers)
        else:
            rows = generator.choice(len(self), readers, p=weight / weight.sum())
        return Drawn(self.days[rows], self.before[rows], self.early[rows])


def population(readers: int) -> Population:
    """Of a newsroom with ``readers``, random slates of three, and nobody who is a program or clears cookies."""
    people = PopulationConfig(bots=0.0, cookie_clearers=0.0)
    config = SimulationConfig(
        readers=readers, days=2 * DAYS, seed=SEED, slate_size=3, candidates=9, articles_per_day=12, population=people
    )
    log, start = simulate(config), config.start_time + DAYS * DAY
    known = first_requests(log, config.start_time, start)
    known = known._replace(time=np.full(len(known.arm), start))
    return Population(outcomes(log, known, DAYS, DAYS, end=config.end_time))


def lifted(days: np.ndarray, gain: float, mean: float, generator: np.random.Generator) -> np.ndarray:
    """Active days [N] of readers whose quiet days become active ones so often that the mean rises by ``gain`` of it."""
    quiet = DAYS - days
    return days + generator.binomial(quiet.astype(np.int64), gain * mean / (DAYS - mean))
