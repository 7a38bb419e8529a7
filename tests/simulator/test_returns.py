"""The law of return, against the habit integrated by hand."""

import numpy as np
import pytest
from scipy.stats import kstest

from newsrec.features import DAY, HOUR
from newsrec.simulator import draws
from newsrec.simulator.readers import PopulationConfig, habit_table, settle
from newsrec.simulator.returns import LONGEST_GAP_HOURS, ReturnConfig, Returns, satisfied

MONDAY = 19_786 * DAY  # 4 March 2024
N = 40


@pytest.fixture(scope="module")
def returns() -> Returns:
    return Returns(ReturnConfig(elasticity=2.0), settle(PopulationConfig(), N, 5))


def test_habit_between_two_visits_adds_up_to_what_was_drawn(returns: Returns) -> None:
    """Summed minute by minute over the reader's own clock, for gaps from minutes to weeks."""
    readers = np.arange(N)
    start = MONDAY + (draws.uniform(0, "start", readers) * 7 * DAY).astype(np.int64)
    wait = np.geomspace(0.05, 400, N)
    visit = returns.next_visit(readers, start, wait)
    table, minute = habit_table(), HOUR // 60
    for n in readers:
        moments = np.arange(start[n] + minute // 2, visit[n], minute)
        clock = returns.population.rhythm_clock(np.full(len(moments), n), moments)
        total = table[returns.population.habit[n], clock.astype(int)].sum() / 60
        assert total == pytest.approx(wait[n], abs=0.05)


def test_gaps_of_many_visits_are_exponential_in_the_reader_s_own_hours(returns: Returns) -> None:
    """Over a whole number of weeks habit is 1 on average, so gaps of weeks grow by 168 hours for each 168 waited."""
    readers, start = np.arange(N), np.full(N, MONDAY)
    short = returns.next_visit(readers, start, np.full(N, 30.0))
    assert (returns.next_visit(readers, start, np.full(N, 30.0 + 2 * 168)) - short) == pytest.approx(14 * DAY, abs=2)
    wait = -np.log(draws.uniform(1, "return", np.arange(4_000)))
    gaps = returns.next_visit(np.zeros(4_000, int), np.full(4_000, MONDAY), wait * 10_000) - MONDAY
    assert kstest(gaps / HOUR / 10_000, "expon").pvalue > 1e-3


def test_hazard_is_satisfaction_to_the_power_of_the_elasticity(returns: Returns) -> None:
    base = returns.population.visits_per_hour[:3]
    assert returns.hazard(np.arange(3), np.array([0.5, 0.25, 1.0])) == pytest.approx(base * [1.0, 0.25, 4.0])
    indifferent = Returns(ReturnConfig(elasticity=0.0), returns.population)
    assert (indifferent.hazard(np.arange(3), np.array([0.1, 0.5, 0.9])) == base).all()
    contrary = Returns(ReturnConfig(elasticity=-1.0), returns.population)
    assert contrary.hazard(np.arange(1), np.array([0.25])) == pytest.approx(base[:1] * 2)


def test_an_absence_beyond_any_log_is_cut(returns: Returns) -> None:
    visit = returns.next_visit(np.array([0]), np.array([MONDAY]), np.array([1e30]))
    assert visit[0] == MONDAY + LONGEST_GAP_HOURS * HOUR


def test_satisfaction_leaks_then_learns() -> None:
    config = ReturnConfig(neutral=0.5, leak_hours=100.0, read_weight=0.1, empty_weight=0.2, empty_value=0.4)
    before, elapsed = np.array([0.9, 0.9, 0.5]), np.array([0.0, 100.0, 0.0])
    worth = np.array([[0.2, 0.4, 0.99], [1.0, 1.0, 1.0], [0.5, 0.5, 0.5]])
    clicked = np.array([[True, True, False], [True, False, False], [False, False, False]])
    expected = [
        0.9 + (1 - 0.9**2) * (0.3 - 0.9),  # two reads worth 0.3 on average
        0.7 + 0.1 * (1.0 - 0.7),  # half of 0.4 was forgotten first
        0.5 + 0.2 * (0.4 - 0.5),  # nothing read
    ]
    assert satisfied(config, before, elapsed, worth, clicked) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("field", "value"), [("neutral", 0.0), ("leak_hours", 0.0), ("read_weight", 1.0), ("empty_value", 1.0)]
)
def test_impossible_returns_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        ReturnConfig(**{field: value})
