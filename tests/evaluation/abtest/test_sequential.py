"""Confidence sequences by hand, and that they hold on every day together where plain intervals do not."""

import numpy as np
import pytest

from newsrec.evaluation.abtest.cuped import adjust
from newsrec.evaluation.abtest.effects import difference_of_means
from newsrec.evaluation.abtest.sequential import LEAST_READERS, always_valid, boundary, look_daily, mixing

DAYS = 28


def test_the_boundary_by_hand_is_tightest_near_where_it_is_tuned() -> None:
    x = 5.991465 + np.log(6.991465)
    assert mixing(0.05) == pytest.approx(x, rel=1e-6)
    assert boundary(1000, 1000, 0.05) == pytest.approx(((1 + 1 / x) * (np.log(1 + x) + 5.991465)) ** 0.5)
    assert boundary(1000, 1000, 0.05) == pytest.approx(3.035, abs=1e-3)
    readers = np.geomspace(10, 100_000, 200)
    width = boundary(readers, 1000, 0.05)
    others = [boundary(1000, tuned, 0.05) for tuned in np.geomspace(100, 10_000, 50)]
    assert min(others) > 0.99 * boundary(1000, 1000, 0.05)
    assert width.min() > 1.96
    assert (boundary(readers, 1000, 0.01) > width).all()


def test_the_p_value_is_below_alpha_exactly_where_the_interval_excludes_zero() -> None:
    generator = np.random.default_rng(2)
    readers = np.arange(1, 40) * 50.0
    z = generator.normal(0.0, 2.5, (200, 39))
    p = always_valid(z, readers, 800, 0.05)
    excluded = np.maximum.accumulate(abs(z) > boundary(readers, 800, 0.05), axis=1)
    assert ((p < 0.05) == excluded).all()
    assert excluded.any()
    assert not excluded.all()
    assert (np.diff(p, axis=1) <= 0.0).all()


def experiments(generator: np.random.Generator, tests: int, per_day: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """z of the arms' difference after each of DAYS [tests, DAYS] and readers [DAYS]: skewed, nothing between arms."""
    values = generator.gamma(0.5, 4.0, (tests, DAYS * per_day, 2))
    n = np.arange(1, DAYS * per_day + 1)
    mean = np.cumsum(values, 1) / n[:, None]
    square = np.cumsum(values**2, 1) / n[:, None] - mean**2
    at = np.arange(1, DAYS + 1) * per_day - 1
    z = (mean[..., 0] - mean[..., 1])[:, at] / (square.sum(-1)[:, at] / at) ** 0.5
    return z, 2 * (at + 1)


def test_looking_daily_at_nothing_finds_something_in_28_of_100_plain_tests_and_in_5_at_most_of_sequences() -> None:
    z, readers = experiments(np.random.default_rng(0), 2000)
    plain = np.mean((abs(z) > 1.96).any(1))
    sequence = np.mean((abs(z) > boundary(readers, readers[-1], 0.05)).any(1))
    assert 0.24 < plain < 0.32
    assert 0.0 < sequence < 0.05


def test_looks_are_the_plain_difference_and_error_with_the_wider_reach() -> None:
    generator = np.random.default_rng(1)
    day = np.repeat([3, 4, 9], 150)
    treated, before = generator.random(450) < 0.5, generator.normal(0.0, 1.0, (450, 1))
    values = generator.normal(1.0, 1.0, 450) + 2 * before[:, 0] + treated
    found = look_daily(values, treated, day, tuned_for=450)
    assert found.day.tolist() == [3, 4, 9]
    assert found.readers.tolist() == [150, 300, 450]
    assert np.isnan([found.difference[0], found.low[0], found.high[0]]).all()  # fewer than 100 in an arm
    assert found.p_value[0] == 1.0
    for look, n in ((1, 300), (2, 450)):
        plain = difference_of_means(values[:n][treated[:n]], values[:n][~treated[:n]])
        assert found.difference[look] == pytest.approx(plain.difference)
        reach = boundary(n, 450, 0.05) * plain.error
        assert (found.low[look], found.high[look]) == pytest.approx(
            (plain.difference - reach, plain.difference + reach)
        )
    cut = look_daily(values, treated, day, 450, covariates=before)
    assert (cut.high - cut.low)[-1] < 0.6 * (found.high - found.low)[-1]
    y = adjust(values, before, treated.astype(int)).values
    assert cut.difference[-1] == pytest.approx(y[treated].mean() - y[~treated].mean())
    assert cut.told


def test_a_sequence_never_takes_back_what_it_told() -> None:
    """The p-value stays at its lowest, and a test that was stopped stays stopped."""
    n = 4 * LEAST_READERS
    day = np.repeat([0, 1], n)
    treated = np.tile([True, False], n)
    generator = np.random.default_rng(0)
    values = generator.normal(0.0, 0.1, 2 * n)
    values[:n][treated[:n]] += 1.0
    values[n:][treated[n:]] -= 1.0
    found = look_daily(values, treated, day, tuned_for=n)
    assert found.low[0] > 0.0
    assert found.low[1] < 0.0 < found.high[1]
    assert found.told
    assert found.p_value[1] == found.p_value[0] < 0.001
