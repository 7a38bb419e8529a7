"""Time as readers live it: the hours of their own week, some of which bring more visits than others."""

import numpy as np
import torch
from torch import Tensor

from newsrec.features import HOUR
from newsrec.simulator.readers import WEEK_HOURS, Population, habit_table
from newsrec.simulator.shocks import NO_SHOCKS, Shocks

LONGEST_GAP_HOURS = 100_000.0
"""A longer absence is cut here: no log is as long."""


class Rhythm:
    """The habits of one population, integrated over time; 1 on average over a reader's week, more during shocks."""

    def __init__(self, population: Population, shocks: Shocks = NO_SHOCKS) -> None:
        self.population, device = population, population.habit.device
        table = habit_table()
        hours = np.arange(table.size + 1.0)  # the weeks of all kinds of rhythm, one behind the other
        habit = np.concatenate([[0.0], np.cumsum(table)])  # the integral of habit up to each; a week adds 168
        self._habit_of_hour, self._hour_of_habit = _Line(hours, habit, device), _Line(habit, hours, device)
        moments, factor = shocks.demand_steps()
        self._moments, self._factor = (torch.from_numpy(x).to(device) for x in (moments, factor))  # [E], [E + 1]

    def after(self, readers: Tensor, start: Tensor, habit_hours: Tensor) -> Tensor:
        """[B] int64, microseconds: when the integral of each reader's habit from ``start`` reaches ``habit_hours``."""
        moment = self._undisturbed(readers, start, habit_hours)
        if not len(self._moments):
            return moment
        first, last = (torch.searchsorted(self._moments, t, right=True) for t in (start, moment))
        row = ((first < last) | (self._factor[first] > 1.0)).nonzero()[:, 0]
        if len(row):
            moment[row] = self._through_shocks(readers[row], start[row], habit_hours[row])
        return moment

    def _undisturbed(self, readers: Tensor, start: Tensor, habit_hours: Tensor) -> Tensor:
        week = self.population.habit[readers].double() * WEEK_HOURS
        clock = self.population.rhythm_clock(readers, start)
        target = self._habit_of_hour.at(week + clock) - week + habit_hours
        weeks = torch.floor(target / WEEK_HOURS)
        hours = weeks * WEEK_HOURS + self._hour_of_habit.at(week + target - weeks * WEEK_HOURS) - week - clock
        return start + (hours.clamp_(max=LONGEST_GAP_HOURS) * HOUR).long()

    def _through_shocks(self, readers: Tensor, start: Tensor, habit_hours: Tensor) -> Tensor:
        edge = torch.maximum(self._moments, start[:, None])  # [B, E]
        passed = self._elapsed(readers[:, None], start[:, None], edge)  # [B, E]
        passed = passed.diff(dim=1, prepend=torch.zeros_like(passed[:, :1]))
        total = (passed * self._factor[:-1]).cumsum(1)  # [B, E] up to each edge
        number = (total <= habit_hours[:, None]).sum(1, keepdim=True)  # [B, 1] edges behind which the end lies
        from_ = torch.cat([start[:, None], edge], 1)
        spent = torch.cat([torch.zeros_like(total[:, :1]), total], 1)
        left = habit_hours - spent.gather(1, number)[:, 0]
        return self._undisturbed(readers, from_.gather(1, number)[:, 0], left / self._factor[number[:, 0]])

    def _elapsed(self, readers: Tensor, start: Tensor, moment: Tensor) -> Tensor:
        """The integral of undisturbed habit from ``start`` to ``moment``, all broadcast."""
        week = self.population.habit[readers].double() * WEEK_HOURS
        first, last = (self.population.rhythm_clock(readers, t) for t in (start, moment))
        weeks = torch.round(((moment - start).double() / HOUR + first - last) / WEEK_HOURS)
        gone, to_go = (self._habit_of_hour.at(week + clock) for clock in (first, last))
        return weeks * WEEK_HOURS + to_go - gone


class _Line:
    """A line through the points (``x`` [P], rising; ``y`` [P]), straight between them."""

    def __init__(self, x: np.ndarray, y: np.ndarray, device: torch.device) -> None:
        slope = np.append(np.diff(y) / np.diff(x), 0.0)
        self._x, self._y, self._slope = (torch.from_numpy(values).to(device) for values in (x, y, slope))

    def at(self, x: Tensor) -> Tensor:
        """[...] its height at each ``x`` [...], which lie between its ends."""
        point = torch.searchsorted(self._x, x, right=True).sub_(1)
        return self._slope[point] * (x - self._x[point]) + self._y[point]
