"""Effects that wear off, effects that last, and slopes by hand."""

import numpy as np
import pytest

from newsrec.evaluation.abtest.novelty import novelty

DAYS = 28


def readers(generator: np.random.Generator, n: int, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Active days [2n, DAYS] of readers who differ, the treated with ``gain`` [DAYS] more; and who is treated."""
    rate = np.clip(generator.beta(1.0, 4.0, 2 * n)[:, None] + np.zeros(DAYS), 0.0, 0.8)
    rate[:n] += gain
    active = generator.random((2 * n, DAYS)) < rate
    active[:, 0] = True
    return active, np.arange(2 * n) < n


def test_the_slope_by_hand() -> None:
    """One of two treated is active on the last day alone: the slope of k = 26 among 27 days, halved, against none."""
    active = np.zeros((4, DAYS), bool)
    active[0, -1] = True
    found = novelty(active, np.array([True, True, False, False]))
    k = np.arange(27) - 13
    assert found.slope.difference == pytest.approx(7 * 13 / (k @ k) / 2)
    assert (found.first_week.difference, found.last_week.difference) == (0.0, pytest.approx(0.5 / 7))
    assert found.by_day.tolist() == [0.0] * 26 + [0.5]
    assert not found.fades


def test_what_fades_is_told_from_what_lasts_and_from_what_grows() -> None:
    generator = np.random.default_rng(0)
    weeks = np.arange(DAYS) / 7.0
    fading = novelty(*readers(generator, 4000, 0.12 * np.exp(-weeks)))
    assert fading.fades
    assert fading.last_week.difference < 0.4 * fading.first_week.difference
    assert not novelty(*readers(generator, 4000, np.full(DAYS, 0.06))).fades
    growing = novelty(*readers(generator, 4000, 0.03 * (1.0 + weeks)))
    assert growing.slope.low > 0.0
    assert not growing.fades


def test_slopes_of_days_that_resemble_one_another_cover() -> None:
    """Readers whose rate drifts: days as units would be told far too often."""
    generator, hits = np.random.default_rng(1), 0
    k = np.linspace(-1.0, 1.0, DAYS)
    for _ in range(400):
        rate = np.clip(0.3 + generator.normal(0.0, 0.15, (200, 1)) * k, 0.0, 1.0)
        found = novelty(generator.random((200, DAYS)) < rate, np.arange(200) < 100).slope
        hits += found.low <= 0.0 <= found.high
    assert 0.92 < hits / 400 < 0.98


def test_windows_of_two_weeks_are_too_short() -> None:
    with pytest.raises(ValueError, match="windows have 14 days, expected 15 or more"):
        novelty(np.ones((4, 14), bool), np.array([True, True, False, False]))
