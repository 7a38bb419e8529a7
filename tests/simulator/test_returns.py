"""What holds for every family of returns: the hazard of a visit is the one that is stated, and elasticity its sign."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import kstest

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


def absence(level: float) -> Absence:
    """Everybody left at some time of the week, hours after their level was ``level``."""
    readers = np.arange(N)
    start = MONDAY + np.random.default_rng(0).integers(0, 7 * DAY, N)
    return Absence(readers, readers, np.zeros(N, np.int64), np.full(N, level), start - 3 * HOUR, start)


def integrated(family: ReturnFamily, population: Population, away: Absence, visit: np.ndarray) -> np.ndarray:
    """[N] the hazard from ``start`` to ``visit``, added up in steps of a thousandth of each gap."""
    share = (np.arange(1_000) + 0.5) / 1_000
    moment = away.start[:, None] + ((visit - away.start)[:, None] * share).astype(np.int64)  # [N, 1000]
    row = np.broadcast_to(away.reader[:, None], moment.shape)
    habit = habit_table()[
        population.habit[row], population.rhythm_clock(row.ravel(), moment.ravel()).astype(int).reshape(row.shape)
    ]
    factor = np.exp(family.log_factor(away.level[:, None], (moment - away.since[:, None]) / HOUR))
    return (visit - away.start) / HOUR * population.visits_per_hour[away.reader] * (habit * factor).mean(1)


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
        hours, read = np.zeros(1), np.array([[True]])
        good, bad = (family.learned(np.full(1, family.rest), hours, np.array([[w]]), read)[0] for w in (0.95, 0.05))
        assert good > bad
        sooner = np.sign(family.next_visit(absence(bad)) - family.next_visit(absence(good)))
        if elasticity == 0:
            assert not sooner.any()
        else:
            assert (sooner * elasticity >= 0).mean() > 0.75


@pytest.mark.parametrize("name", FAMILIES)
def test_rest_is_where_everything_is_forgotten_and_nothing_is_added(name: str) -> None:
    family = FAMILIES[name](2.0, Rhythm(POPULATION))
    assert family.log_factor(np.array([family.rest]), np.zeros(1))[0] == 0
    after = family.learned(np.array([0.9]), np.array([1e6]), np.zeros((1, 1)), np.array([[True]]))
    again = family.learned(np.array([family.rest]), np.zeros(1), np.zeros((1, 1)), np.array([[True]]))
    assert after == pytest.approx(again)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_reader_comes_when_they_come_whoever_else_is_away(name: str) -> None:
    family, away = FAMILIES[name](1.5, Rhythm(POPULATION)), absence(0.8)
    rows = np.random.default_rng(1).permutation(N)[:40]
    some = family.next_visit(Absence(*(column[rows] for column in away)))
    assert (some == family.next_visit(away)[rows]).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_who_never_comes_is_away_for_longer_than_any_log(name: str) -> None:
    rare = POPULATION._replace(visits_per_hour=np.full(N, 1e-30))
    visit = FAMILIES[name](1.5, Rhythm(rare)).next_visit(absence(0.8))
    assert (visit - absence(0.8).start >= LONGEST_GAP_HOURS * HOUR).all()
