"""Visits, the habit of readers and what followed a visit: by hand, and on processes whose law is known."""

from math import log

import numpy as np
import pytest

from newsrec import habit
from newsrec.features import DAY, HOUR
from newsrec.habit import GAP, Habit, Visits

MONDAY = 4 * DAY
EVEN = Habit(np.ones(168), shape=2.0, hours=48.0)
NIGHT = np.where(np.arange(168) % 24 < 8, 0.0, 1.5)
"""Nobody comes from midnight to eight."""


def visits_of(*moments: tuple[int, float], offset: int = 0) -> Visits:
    """Decisions as (user, hours after Monday midnight)."""
    user, hours = np.array(moments).T
    time = MONDAY + (hours * HOUR).astype(np.int64)
    return habit.visits(user.astype(np.int64), time, np.full(len(user), offset))


def test_a_silence_ends_a_visit() -> None:
    found = visits_of((1, 0.0), (0, 0.1), (1, 0.5), (1, 1.01), (0, 5.0), offset=60)
    assert found.reader.tolist() == [0, 0, 1, 1]
    assert ((found.start - MONDAY) / HOUR).tolist() == [0.1, 5.0, 0.0, 1.01]
    assert ((found.end - MONDAY) / HOUR).tolist() == [0.1, 5.0, 0.5, 1.01]
    assert found.of_decision.tolist() == [2, 0, 2, 3, 1]
    assert found.offset.tolist() == [HOUR] * 4


def test_the_clock_stands_still_at_night_and_counts_whole_weeks() -> None:
    clock = Habit(NIGHT, 1.0, 1.0).clock
    assert clock(np.array(MONDAY)) == 0.0
    assert clock(np.array([MONDAY + 8 * HOUR, MONDAY + 9 * HOUR])).tolist() == [0.0, 1.5]
    assert clock(np.array(MONDAY + 7 * DAY + 20 * HOUR)) == pytest.approx(168.0 + 18.0)


def test_windows_by_hand() -> None:
    """Two visits a day apart of one reader, one of another, in a log that is cut after 30 hours; horizon two days."""
    seen = habit.windows(EVEN, visits_of((0, 0.0), (0, 24.0), (1, 20.0)), MONDAY + 30 * HOUR, 48.0)
    assert seen.returned.tolist() == [1.0, 0.0, 0.0]
    # prior 2 in 48 hours; one visit more in 24 hours; prior again; a visit begins half an hour after the last at best
    assert seen.expected.tolist() == pytest.approx([2 * log(71.5 / 48), 3 * log(77.5 / 72), 2 * log(57.5 / 48)])
    assert seen.rate.tolist() == pytest.approx([2 / 71.5, 3 / 77.5, 2 / 57.5])


def test_the_horizon_cuts_a_window_before_a_late_return() -> None:
    seen = habit.windows(EVEN, visits_of((0, 0.0), (0, 24.0)), MONDAY + 100 * HOUR, 10.0)
    assert seen.returned.tolist() == [0.0, 0.0]
    assert seen.expected[0] == pytest.approx(2 * log(57.5 / 48))


def test_a_night_is_no_absence() -> None:
    """A reader who left at eleven in the evening was expected for one hour of habit up to nine in the morning."""
    sleepy = Habit(NIGHT, 1.0, 24.0)
    seen = habit.windows(sleepy, visits_of((0, 23.0), (0, 33.0)), MONDAY + 40 * HOUR, 48.0)
    assert seen.expected[0] == pytest.approx(log(1 + (0.5 * 1.5 + 1.0 * 1.5) / 24))


def readers_who_come(rng: np.random.Generator, n: int, days: int, curve: np.ndarray, shape: float) -> Visits:
    """Poisson visits at gamma rates, .5 a day on average, by the curve; silent for the gap after each."""
    rate = rng.gamma(shape, 0.5 / 24 / shape, n)
    user, time = [], []
    for reader in range(n):
        hours = np.flatnonzero(
            rng.random(days * 24 * 4) < rate[reader] / 4 * np.tile(curve, -(-days // 7)).repeat(4)[: days * 96]
        )
        user += [reader] * len(hours)
        time += [MONDAY + int((h + 0.5) * HOUR / 4) for h in hours]
    return habit.visits(np.array(user), np.array(time), np.zeros(len(user), np.int64))


@pytest.fixture(scope="module")
def crowd() -> tuple[Visits, int]:
    return readers_who_come(np.random.default_rng(1), 3_000, 21, NIGHT, 1.5), MONDAY + 21 * DAY


def test_fit_finds_the_hours_and_the_spread_of_readers(crowd: tuple[Visits, int]) -> None:
    found = habit.fit(*crowd)
    assert found.curve.mean() == pytest.approx(1.0)
    night = np.arange(168) % 24 < 8
    assert found.curve[night].max() < 0.15
    assert found.curve[~night].mean() == pytest.approx(1.5, abs=0.1)
    # those who never came are not in the log, which lifts the mean a little and narrows the spread
    assert 24 * found.shape / found.hours == pytest.approx(0.5, rel=0.1)
    assert 1.1 < found.shape < 2.4


@pytest.mark.parametrize("horizon", [12.0, 48.0, 400.0])
def test_the_residual_is_zero_under_habit_alone_whatever_cuts_the_window(
    crowd: tuple[Visits, int], horizon: float
) -> None:
    seen = habit.windows(habit.fit(*crowd), *crowd, horizon)
    residual = seen.returned - seen.expected
    error = residual.std() / np.sqrt(len(residual))
    assert abs(residual.mean()) < 0.01 + 3 * error
    assert abs(seen.returned.mean() - 1) > 0.02 or horizon == 400.0  # leaving open windows out would say 1


def test_readers_who_are_alike_get_a_narrow_prior() -> None:
    alike = readers_who_come(np.random.default_rng(2), 1_000, 14, np.ones(168), 1e6)
    assert habit.fit(alike, MONDAY + 14 * DAY).shape > 8


def test_a_log_of_one_visit_has_a_finite_habit() -> None:
    one = visits_of((0, 0.0))
    seen = habit.windows(habit.fit(one, int(one.end[0])), one, int(one.end[0]), 48.0)
    assert np.isfinite(seen.rate).all()
    assert seen.expected.tolist() == [0.0]
    assert GAP == HOUR // 2
