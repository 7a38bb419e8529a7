"""The reader's own hours, against habit integrated by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from newsrec.features import DAY, HOUR
from newsrec.simulator import draws
from newsrec.simulator.readers import PopulationConfig, habit_table, settle
from newsrec.simulator.rhythm import LONGEST_GAP_HOURS, Rhythm

MONDAY = 19_786 * DAY  # 4 March 2024
N = 40


def after(rhythm: Rhythm, *columns: np.ndarray) -> np.ndarray:
    return rhythm.after(*(torch.from_numpy(column) for column in columns)).numpy()


@pytest.fixture(scope="module")
def rhythm() -> Rhythm:
    return Rhythm(settle(PopulationConfig(), np.arange(N), 5))


def test_habit_between_two_visits_adds_up_to_what_was_asked(rhythm: Rhythm) -> None:
    """Summed minute by minute over the reader's own clock, for gaps from minutes to weeks."""
    readers = np.arange(N)
    start = MONDAY + (draws.uniform(0, "start", readers) * 7 * DAY).astype(np.int64)
    wait = np.geomspace(0.05, 400, N)
    visit = after(rhythm, readers, start, wait)
    table, minute = habit_table(), HOUR // 60
    for n in readers:
        moments = np.arange(start[n] + minute // 2, visit[n], minute)
        clock = rhythm.population.rhythm_clock(torch.full((len(moments),), n), torch.from_numpy(moments)).numpy()
        total = table[rhythm.population.habit[n], clock.astype(int)].sum() / 60
        assert total == pytest.approx(wait[n], abs=0.05)


def test_gaps_of_many_visits_are_exponential_in_the_reader_s_own_hours(rhythm: Rhythm) -> None:
    """Over a whole number of weeks habit is 1 on average, so gaps of weeks grow by 168 hours for each 168 waited."""
    readers, start = np.arange(N), np.full(N, MONDAY)
    short = after(rhythm, readers, start, np.full(N, 30.0))
    assert (after(rhythm, readers, start, np.full(N, 30.0 + 2 * 168)) - short) == pytest.approx(14 * DAY, abs=2)
    wait = -np.log(draws.uniform(1, "return", np.arange(4_000)))
    gaps = after(rhythm, np.zeros(4_000, int), np.full(4_000, MONDAY), wait * 10_000) - MONDAY
    assert kstest(gaps / HOUR / 10_000, "expon").pvalue > 1e-3


def test_an_absence_beyond_any_log_is_cut(rhythm: Rhythm) -> None:
    visit = after(rhythm, np.array([0]), np.array([MONDAY]), np.array([1e30]))
    assert visit[0] == MONDAY + LONGEST_GAP_HOURS * HOUR
