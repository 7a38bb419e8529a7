"""The split of readers: exact where it is small, chi-square's where it is large, and refused where it cannot be."""

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.sample_ratio import sample_ratio

HALVES = {"a": 0.5, "b": 0.5}


def test_exact_by_hand() -> None:
    """Of five readers all in one arm: two of 32 splits are as far. Of three arms with two readers: three of nine."""
    assert sample_ratio({"a": 5, "b": 0}, HALVES).p_value == pytest.approx(2 / 32)
    three = sample_ratio({"a": 2, "b": 0, "c": 0}, {"a": 1.0, "b": 1.0, "c": 1.0})
    assert (three.p_value, three.exact) == (pytest.approx(3 / 9), True)
    assert sample_ratio({"a": 3, "b": 3}, HALVES).p_value == pytest.approx(1.0)


def test_exact_with_unequal_shares_is_the_sum_over_splits_as_far() -> None:
    found = sample_ratio({"a": 18, "b": 12}, {"a": 0.8, "b": 0.2})
    n = np.arange(31)
    assert found.p_value == pytest.approx(binom.pmf(n[abs(n - 24) >= 6], 30, 0.8).sum())


def test_large_counts_are_chi_squares() -> None:
    found = sample_ratio({"a": 501_000, "b": 499_000}, HALVES)
    assert not found.exact
    assert found.p_value == pytest.approx(chisquare([501_000, 499_000]).pvalue)
    assert not found.mismatch
    assert sample_ratio({"a": 502_000, "b": 498_000}, HALVES).mismatch


def test_exact_and_chi_square_agree_where_they_meet() -> None:
    exact = sample_ratio({"a": 50_400, "b": 49_600}, HALVES)
    assert exact.exact
    assert exact.p_value == pytest.approx(chisquare([50_400, 49_600]).pvalue, rel=0.02)


def test_an_honest_split_is_called_wrong_once_in_a_thousand() -> None:
    generator = np.random.default_rng(0)
    counts = generator.binomial(400, 0.5, 3000)
    wrong = {int(n): sample_ratio({"a": int(n), "b": 400 - int(n)}, HALVES).mismatch for n in np.unique(counts)}
    assert np.mean([wrong[int(n)] for n in counts]) < 0.003


def test_an_arm_without_a_share_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="found readers in the arms c, which have no share"):
        sample_ratio({"a": 1, "b": 1, "c": 2}, HALVES)
    assert sample_ratio({}, HALVES).p_value == 1.0
