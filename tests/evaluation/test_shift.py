"""The interval of a shift: by hand, against a test of another library, and what it covers."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from newsrec.evaluation.shift import shift


def test_the_interval_by_hand():
    """Of 3 and 5 values, 1 of 56 orders has no pair that rises and 1 has one: 1/56 is below 2.5 %, 2/56 is not."""
    a, b = np.array([1.0, 7.0, 2.0]), np.array([4.0, 5.0, 9.0, 3.0, 30.0])
    differences = sorted(x - y for x in a for y in b)
    assert shift(a, b) == (differences[7], differences[0], differences[-1]) == (-3.0, -29.0, 4.0)
    wider = shift(a, b, 0.9)  # 2/56 is below 5 %, 4/56 (two pairs rise in two orders) is not
    assert wider[1:] == (differences[1], differences[-2]) == (-28.0, 3.0)


def test_how_wild_a_wild_value_is_makes_no_difference():
    usual = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
    assert shift(usual[:5], np.append(usual, 3.0)).high == shift(usual[:5], np.append(usual, 300.0)).high < 0.3


@pytest.mark.parametrize(
    ("n", "m", "enough"), [(1, 39, 1), (2, 8, 1), (3, 5, 1), (4, 4, 1), (1, 38, 0), (2, 7, 0), (3, 4, 0)]
)
def test_few_values_have_no_interval(n, m, enough):
    a, b = np.arange(n) + 100.0, np.arange(m) + 0.0
    for found in (shift(a, b), shift(b, a)):
        assert np.isfinite(found.mean)
        assert np.isfinite(found[1:]).all() == bool(enough)


def test_a_chance_that_is_just_small_enough_counts():
    """Complete separation of 3 and 3 has one chance in 20, which is 5 % but for rounding."""
    assert shift(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]), 0.9)[1:] == (-5.0, -1.0)


def test_an_empty_side_has_no_shift():
    assert np.isnan(shift(np.array([]), np.array([1.0]))).all()
    assert np.isnan(shift(np.array([1.0]), np.array([]))).all()


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_shift_lies_outside_where_the_exact_test_refuses_it(confidence):
    generator = np.random.default_rng(1)
    for n, m in combinations(range(2, 9), 2):
        a, b, asked = generator.normal(size=n) - 1.0, generator.normal(size=m), generator.normal() - 1.0
        found = shift(a, b, confidence)
        for alternative, outside in (("less", found.high < asked), ("greater", found.low > asked)):
            p = mannwhitneyu(a - asked, b, alternative=alternative, method="exact").pvalue
            assert outside == (p <= (1 - confidence) / 2)


def test_samples_of_one_distribution_differ_as_seldom_as_promised():
    """Of 4 and 4 values by chance 1 order in 70 is complete separation, however heavy the tail of the distribution."""
    generator = np.random.default_rng(2)
    days = np.exp(2.0 * generator.normal(size=(4000, 8)))
    outside = np.mean([shift(row[:4], row[4:]).high < 0 for row in days])
    assert outside == pytest.approx(1 / 70, abs=4 * np.sqrt(1 / 70 / 4000))
