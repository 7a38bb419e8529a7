"""When readers come back: a proportional hazard. The equations stand in ``newsrec.simulator.world``."""

from dataclasses import dataclass

import numpy as np

from newsrec.features import HOUR
from newsrec.simulator.parameters import BETWEEN, POSITIVE, SHARE, assumed, refuse_impossible
from newsrec.simulator.readers import WEEK_HOURS, Population, habit_table

LONGEST_GAP_HOURS = 100_000.0
"""A longer absence is cut here: no log is as long."""


@dataclass(frozen=True)
class ReturnConfig:
    """How what was read moves the next visit."""

    elasticity: float = assumed(1.5, "0: satisfaction does not matter; negative: the satisfied stay away")
    neutral: float = assumed(0.5, "satisfaction of a new reader and of one who has forgotten", BETWEEN)
    leak_hours: float = assumed(240.0, "time in which half of what differs from neutral is forgotten", POSITIVE)
    read_weight: float = assumed(0.12, "weight of one read in satisfaction", SHARE)
    empty_weight: float = assumed(0.03, "weight of a slate without a read", SHARE)
    empty_value: float = assumed(0.35, "satisfaction that such a slate draws to", BETWEEN)

    def __post_init__(self) -> None:
        refuse_impossible(self)


def satisfied(
    config: ReturnConfig, before: np.ndarray, elapsed_hours: np.ndarray, worth: np.ndarray, clicked: np.ndarray
) -> np.ndarray:
    """Satisfaction [B] after a slate: ``before`` it leaked for ``elapsed_hours``, then the reads of [B, K] count."""
    leaked = config.neutral + (before - config.neutral) * np.exp2(-elapsed_hours / config.leak_hours)
    reads = clicked.sum(1)
    value = np.where(reads > 0, (worth * clicked).sum(1) / np.maximum(reads, 1), config.empty_value)
    weight = np.where(reads > 0, 1.0 - (1.0 - config.read_weight) ** reads, config.empty_weight)
    return leaked + weight * (value - leaked)


class Returns:
    """The law of the next visit for one population."""

    def __init__(self, config: ReturnConfig, population: Population) -> None:
        self.config, self.population = config, population
        table = habit_table()
        self._hours = np.arange(table.size + 1.0)  # the weeks of all kinds of rhythm, one behind the other
        self._habit = np.concatenate([[0.0], np.cumsum(table)])  # the integral of habit up to each; a week adds 168

    def hazard(self, readers: np.ndarray, satisfaction: np.ndarray) -> np.ndarray:
        """[B] visits an hour, averaged over the hours of the week."""
        return self.population.visits_per_hour[readers] * (satisfaction / self.config.neutral) ** self.config.elasticity

    def next_visit(self, readers: np.ndarray, start: np.ndarray, habit_hours: np.ndarray) -> np.ndarray:
        """[B] int64, microseconds: when the integral of each reader's habit from ``start`` reaches ``habit_hours``.

        Habit is 1 on average, so this is ``habit_hours`` later but for the time of the day.
        """
        week = self.population.habit[readers] * float(WEEK_HOURS)
        clock = self.population.rhythm_clock(readers, start)
        target = np.interp(week + clock, self._hours, self._habit) - week + habit_hours
        weeks, rest = np.divmod(target, WEEK_HOURS)
        hours = weeks * WEEK_HOURS + np.interp(week + rest, self._habit, self._hours) - week - clock
        return start + (np.minimum(hours, LONGEST_GAP_HOURS) * HOUR).astype(np.int64)
