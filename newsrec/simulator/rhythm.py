"""Time as readers live it: the hours of their own week, some of which bring more visits than others."""

import numpy as np

from newsrec.features import HOUR
from newsrec.simulator.readers import WEEK_HOURS, Population, habit_table

LONGEST_GAP_HOURS = 100_000.0
"""A longer absence is cut here: no log is as long."""


class Rhythm:
    """The habits of one population, integrated over time. Habit is 1 on average over a reader's week."""

    def __init__(self, population: Population) -> None:
        self.population = population
        table = habit_table()
        self._hours = np.arange(table.size + 1.0)  # the weeks of all kinds of rhythm, one behind the other
        self._habit = np.concatenate([[0.0], np.cumsum(table)])  # the integral of habit up to each; a week adds 168

    def after(self, readers: np.ndarray, start: np.ndarray, habit_hours: np.ndarray) -> np.ndarray:
        """[B] int64, microseconds: when the integral of each reader's habit from ``start`` reaches ``habit_hours``."""
        week = self.population.habit[readers] * float(WEEK_HOURS)
        clock = self.population.rhythm_clock(readers, start)
        target = np.interp(week + clock, self._hours, self._habit) - week + habit_hours
        weeks, rest = np.divmod(target, WEEK_HOURS)
        hours = weeks * WEEK_HOURS + np.interp(week + rest, self._habit, self._hours) - week - clock
        return start + (np.minimum(hours, LONGEST_GAP_HOURS) * HOUR).astype(np.int64)
