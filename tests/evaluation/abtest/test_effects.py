"""Effects worked out by hand, and intervals that cover."""

import numpy as np
import pytest

from newsrec.evaluation.abtest.delta import difference_of_ratios, ratio_of
from newsrec.evaluation.abtest.effects import Estimate, difference_of_means, effect, mean_of


def test_welch_by_hand() -> None:
    """Means 4 and 2, variances of the means 4/3 and 1/3, degrees of freedom (5/3)^2 / (8/9 + 1/18) = 50/17."""
    found = difference_of_means(np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    quantile = 3.21843  # Student's 97.5 % with 2.941 degrees
    assert found.difference == 2.0
    assert found.error == pytest.approx((5 / 3) ** 0.5)
    assert found.high - 2.0 == pytest.approx(quantile * found.error, rel=1e-3)
    assert found.lift == pytest.approx(1.0)
    assert found.p_value == pytest.approx(0.2207, abs=2e-3)


def test_the_ends_of_a_lift_are_where_the_test_just_rejects() -> None:
    treated, control, shared = Estimate(12.0, 0.9, 10_000), Estimate(10.0, 0.4, 10_000), 0.2
    found = effect(treated, control, covariance=shared)
    for end in (found.lift_low, found.lift_high):
        r = end + 1.0
        away = abs(12.0 - r * 10.0) / (0.9 - 2 * r * shared + r * r * 0.4) ** 0.5
        assert away == pytest.approx(1.96, abs=1e-3)
    assert found.error == pytest.approx((0.9 + 0.4 - 0.4) ** 0.5)


def test_a_lift_excludes_zero_exactly_when_its_difference_does() -> None:
    generator, told = np.random.default_rng(1), set()
    for _ in range(200):
        found = difference_of_means(generator.exponential(1.4, 40), generator.exponential(1.0, 30))
        assert (found.lift_low > 0.0 or found.lift_high < 0.0) == found.told == (found.p_value < 0.05)
        told.add(found.told)
    assert told == {True, False}


def test_what_cannot_be_told_is_no_number() -> None:
    alone = difference_of_means(np.array([1.0]), np.array([2.0, 3.0]))
    assert alone.difference == -1.5
    assert np.isnan([alone.low, alone.high, alone.p_value, alone.lift]).all()
    assert not alone.told
    same = difference_of_means(np.ones(3), np.ones(3))
    assert (same.difference, same.p_value, same.told) == (0.0, 1.0, False)
    sure = difference_of_means(np.full(3, 2.0), np.ones(3))
    assert (sure.p_value, sure.told, sure.lift) == (0.0, True, 1.0)
    assert np.isnan(difference_of_means(np.array([1.0, 2.0]), np.zeros(2)).lift)
    unsure = effect(Estimate(1.0, 1.0, 99), Estimate(0.1, 1.0, 99))
    assert (unsure.lift_low, unsure.lift_high) == (-np.inf, np.inf)


def test_a_ratio_by_hand() -> None:
    """Ratio 6/12; a - b/2 is 0, 1, -1; mean of b is 4."""
    found = ratio_of(np.array([1.0, 3.0, 2.0]), np.array([2.0, 4.0, 6.0]))
    assert found == (0.5, pytest.approx(1.0 / 3 / 16), 3)
    assert np.isnan(ratio_of(np.zeros(2), np.zeros(2)).value)


def arm(generator: np.random.Generator, readers: int) -> tuple[np.ndarray, np.ndarray]:
    """Clicks and impressions: who sees more clicks less often."""
    shown = 1 + generator.poisson(generator.gamma(0.7, 20.0, readers))
    return generator.binomial(shown, 0.3 / (1.0 + shown / 20.0)).astype(float), shown.astype(float)


def test_intervals_of_ratios_hold_where_impressions_as_units_do_not() -> None:
    generator, hits, naive = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        (a, b), (c, d) = arm(generator, 300), arm(generator, 300)
        found = difference_of_ratios((a, b), (c, d))
        hits += found.low <= 0.0 <= found.high
        p, q = a.sum() / b.sum(), c.sum() / d.sum()
        naive += abs(p - q) <= 1.96 * (p * (1 - p) / b.sum() + q * (1 - q) / d.sum()) ** 0.5
    assert 0.93 < hits / 1000 < 0.97
    assert naive / 1000 < 0.9


def test_empty_arms_have_no_mean() -> None:
    assert np.isnan(mean_of(np.array([])).value)
