"""Time as readers live it: the hours of their own week, some of which bring more visits than others."""

import numpy as np

from newsrec.features import HOUR
from newsrec.simulator.readers import WEEK_HOURS, Population, habit_table
from newsrec.simulator.shocks import NO_SHOCKS, Shocks

LONGEST_GAP_HOURS = 100_000.0
"""A longer absence is cut here: no log is as long."""


class Rhythm:
    """The habits of one population, integrated over time; 1 on average over a reader's week, more during shocks."""

    def __init__(self, population: Population, shocks: Shocks = NO_SHOCKS) -> None:
        self.population = population
        table = habit_table()
        self._hours = np.arange(table.size + 1.0)  # the weeks of all kinds of rhythm, one behind the other
        self._habit = np.concatenate([[0.0], np.cumsum(table)])  # the integral of habit up to each; a week adds 168
        self._moments, self._factor = shocks.demand_steps()  # [E], [E + 1]

    def after(self, readers: np.ndarray, start: np.ndarray, habit_hours: np.ndarray) -> np.ndarray:
        """[B] int64, microseconds: when the integral of each reader's habit from ``start`` reaches ``habit_hours``."""
        moment = self._undisturbed(readers, start, habit_hours)
        first, last = (np.searchsorted(self._moments, t, side="right") for t in (start, moment))
        row = np.flatnonzero((first < last) | (self._factor[first] > 1.0))
        if len(row):
            moment[row] = self._through_shocks(readers[row], start[row], habit_hours[row])
        return moment

    def _undisturbed(self, readers: np.ndarray, start: np.ndarray, habit_hours: np.ndarray) -> np.ndarray:
        week = self.population.habit[readers] * float(WEEK_HOURS)
        clock = self.population.rhythm_clock(readers, start)
        target = np.interp(week + clock, self._hours, self._habit) - week + habit_hours
        weeks, rest = np.divmod(target, WEEK_HOURS)
        hours = weeks * WEEK_HOURS + np.interp(week + rest, self._habit, self._hours) - week - clock
        return start + (np.minimum(hours, LONGEST_GAP_HOURS) * HOUR).astype(np.int64)

    def _through_shocks(self, readers: np.ndarray, start: np.ndarray, habit_hours: np.ndarray) -> np.ndarray:
        edge = np.maximum(self._moments, start[:, None])  # [B, E]
        passed = np.diff(self._elapsed(readers[:, None], start[:, None], edge), axis=1, prepend=0.0)  # [B, E]
        total = np.cumsum(passed * self._factor[:-1], 1)  # [B, E] up to each edge
        number = (total <= habit_hours[:, None]).sum(1, keepdims=True)  # [B, 1] edges behind which the end lies
        from_, spent = (
            np.concatenate([x, y], 1) for x, y in ((start[:, None], edge), (np.zeros((len(start), 1)), total))
        )
        left = habit_hours - np.take_along_axis(spent, number, 1)[:, 0]
        begin = np.take_along_axis(from_, number, 1)[:, 0]
        return self._undisturbed(readers, begin, left / self._factor[number[:, 0]])

    def _elapsed(self, readers: np.ndarray, start: np.ndarray, moment: np.ndarray) -> np.ndarray:
        """The integral of undisturbed habit from ``start`` to ``moment``, all broadcast."""
        week = self.population.habit[readers] * float(WEEK_HOURS)
        first, last = (self.population.rhythm_clock(readers, t) for t in (start, moment))
        weeks = np.round(((moment - start) / HOUR + first - last) / WEEK_HOURS)
        gone, to_go = (np.interp(week + clock, self._hours, self._habit) for clock in (first, last))
        return weeks * WEEK_HOURS + to_go - gone
