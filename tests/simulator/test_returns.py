"""What holds for every family of returns: the hazard of a visit is the one that is stated, and elasticity its sign."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from newsrec.features import DAY, HOUR
from newsrec.simulator.hazard import Hazard, HazardConfig
from newsrec.simulator.readers import Population, PopulationConfig, habit_table, settle
from newsrec.simulator.returns import Absence, ReturnFamily
from newsrec.simulator.rhythm import LONGEST_GAP_HOURS, Rhythm
from newsrec.simulator.self_exciting import SelfExciting, SelfExcitingConfig

MONDAY = 19_786 * DAY  # 4 March 2024
N = 3_000
POPULATION = settle(PopulationConfig(visits_per_day=1.0, bots=0.0), np.arange(N), 5)
FAST = SelfExcitingConfig(half_life_hours=12.0, peak=4.0)
"""Fades so fast that much of it is gone before most returns."""
FAMILIES: dict[str, Callable[[float, Rhythm], ReturnFamily]] = {
    "hazard": lambda elasticity, rhythm: Hazard(HazardConfig(), elasticity, rhythm, 0),
    "self_exciting": lambda elasticity, rhythm: SelfExciting(FAST, elasticity, rhythm, 0),
}


def number(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def absence(level: float) -> Absence:
    """Everybody left at some time of the week, hours after their level was ``level``."""
    readers = torch.arange(N)
    start = MONDAY + torch.from_numpy(np.random.default_rng(0).integers(0, 7 * DAY, N))
    return Absence(readers, readers, torch.zeros_like(readers), number(N * [level]), start - 3 * HOUR, start)


def integrated(family: ReturnFamily, population: Population, away: Absence, visit: Tensor) -> np.ndarray:
    """[N] the hazard from ``start`` to ``visit``, added up in steps of a thousandth of each gap."""
    share = (torch.arange(1_000).double() + 0.5) / 1_000
    moment = away.start[:, None] + ((visit - away.start)[:, None] * share).long()  # [N, 1000]
    row = away.reader[:, None].expand(moment.shape)
    habit = torch.from_numpy(habit_table())[population.habit[row], population.rhythm_clock(row, moment).long()]
    factor = family.log_factor(away.level[:, None], (moment - away.since[:, None]).double() / HOUR).exp()
    hours = (visit - away.start).double() / HOUR
    return (hours * population.visits_per_hour[away.reader] * (habit * factor).mean(1)).numpy()


@pytest.mark.parametrize("elasticity", [-2.0, -1.0, 0.0, 1.5, 3.0])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_hazard_of_a_visit_is_the_stated_one(name: str, elasticity: float) -> None:
    """Integrated up to the visit it is an exponential number with mean 1 (time rescaling; Brown et al. 2002)."""
    family, away = FAMILIES[name](elasticity, Rhythm(POPULATION)), absence(0.8)
    visit = family.next_visit(away)
    assert (visit > away.start).all()
    assert kstest(integrated(family, POPULATION, away, visit), "expon").pvalue > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
def test_elasticity_decides_who_comes_sooner(name: str) -> None:
    """The reader whose last read was a good one, against oneself after a disappointing one."""
    for elasticity in (2.0, 0.0, -2.0):
        family = FAMILIES[name](elasticity, Rhythm(POPULATION))
        hours, read = number([0.0]), torch.tensor([[True]])
        good, bad = (family.learned(number([family.rest]), hours, number([[w]]), read).item() for w in (0.95, 0.05))
        assert good > bad
        sooner = np.sign((family.next_visit(absence(bad)) - family.next_visit(absence(good))).numpy())
        if elasticity == 0:
            assert not sooner.any()
        else:
            assert (sooner * elasticity >= 0).mean() > 0.75


@pytest.mark.parametrize("name", FAMILIES)
def test_rest_is_where_everything_is_forgotten_and_nothing_is_added(name: str) -> None:
    family = FAMILIES[name](2.0, Rhythm(POPULATION))
    zero, read = number([0.0]), torch.tensor([[True]])
    assert family.log_factor(number([family.rest]), zero).item() == 0
    after = family.learned(number([0.9]), number([1e6]), zero[:, None], read)
    again = family.learned(number([family.rest]), zero, zero[:, None], read)
    assert after.item() == pytest.approx(again.item())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_reader_comes_when_they_come_whoever_else_is_away(name: str) -> None:
    family, away = FAMILIES[name](1.5, Rhythm(POPULATION)), absence(0.8)
    rows = np.random.default_rng(1).permutation(N)[:40]
    some = family.next_visit(Absence(*(column[rows] for column in away)))
    assert (some == family.next_visit(away)[rows]).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_who_never_comes_is_away_for_longer_than_any_log(name: str) -> None:
    rare = POPULATION._replace(visits_per_hour=number(N * [1e-30]))
    visit = FAMILIES[name](1.5, Rhythm(rare)).next_visit(absence(0.8))
    assert (visit - absence(0.8).start >= LONGEST_GAP_HOURS * HOUR).all()
