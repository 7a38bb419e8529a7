"""Traits and clocks of readers."""

import numpy as np
import pytest
import torch

from newsrec.features import DAY, HOUR
from newsrec.simulator.readers import HABITS, NO_HABIT, Population, PopulationConfig, habit_table, settle

MONDAY = 19_786 * DAY  # 4 March 2024


def test_a_reader_is_the_same_in_a_larger_population() -> None:
    few, many = settle(PopulationConfig(), np.arange(50), 7), settle(PopulationConfig(), np.arange(500), 7)
    for name, small, large in zip(Population._fields, few, many, strict=True):
        assert (small == large[:50]).all(), name


def test_spreads_and_medians_are_the_configured_ones() -> None:
    n = 20_000
    config = PopulationConfig(
        interest_spread=0.8,
        topic_appeal_spread=0.0,
        visits_per_day=0.5,
        activity_spread=0.9,
        cookie_clearers=0.2,
        cookie_clearing=0.3,
        bots=0.0,
    )
    population = Population(*(column.numpy() for column in settle(config, np.arange(n), 0)))
    assert population.interests.std() == pytest.approx(0.8, rel=0.01)
    rate = population.visits_per_hour * 24
    assert np.median(rate) == pytest.approx(0.5, rel=0.04)
    assert np.log(rate).std() == pytest.approx(0.9, rel=0.02)
    assert np.unique(population.clearing).tolist() == [0.0, np.float32(0.3)]
    assert (population.clearing > 0).mean() == pytest.approx(0.2, abs=0.012)
    assert np.bincount(population.habit) / n == pytest.approx(np.full(len(HABITS), 1 / len(HABITS)), abs=0.015)


def test_the_reader_s_clock_is_local_and_shifted() -> None:
    population = settle(PopulationConfig(bots=0.0), np.arange(3), 0)._replace(
        utc_offset=torch.tensor([0, -300, 330]), shift=torch.tensor([0, 0, 2 * HOUR])
    )
    hours = population.rhythm_clock(torch.arange(3), torch.full((3,), MONDAY + HOUR // 2))
    assert hours.tolist() == [0.5, 168 - 4.5, 4.0]  # Monday 00:30; Sunday 19:30; Monday 06:00, two hours late


def test_habits_average_one_and_never_vanish() -> None:
    table = habit_table()
    assert table.shape == (len(HABITS) + 1, 168)
    assert table.mean(1) == pytest.approx(np.ones(len(HABITS) + 1))
    assert (table[NO_HABIT] == 1).all()
    assert table.min() > 0
    early, commuter = table[0].reshape(7, 24), table[1].reshape(7, 24)
    assert set(early.argmax(1)) <= {6, 7}
    assert (commuter[:5, 8] > 5 * commuter[:5, 3]).all()
    assert commuter[5].sum() == pytest.approx(0.6 * commuter[0].sum())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("visits_per_day", 0.0),
        ("patience", 1.0),
        ("interest_spread", -0.1),
        ("activity_spread", -1.0),
        ("cookie_clearers", 1.5),
    ],
)
def test_impossible_population_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        PopulationConfig(**{field: value})
