"""Adjusted p-values by hand, and how many discoveries are false."""

import numpy as np
import pytest

from newsrec.evaluation.abtest.false_discovery import adjusted


def test_by_hand_in_any_order_and_without_what_was_not_tested() -> None:
    found = adjusted(np.array([0.04, 0.01, np.nan, 0.03, 0.5]))
    assert found == pytest.approx([0.16 / 3, 0.04, np.nan, 0.16 / 3, 0.5], nan_ok=True)
    price = 1 + 1 / 2 + 1 / 3 + 1 / 4
    under_any = adjusted(np.array([0.04, 0.01, np.nan, 0.03, 0.5]), any_dependence=True)
    assert under_any == pytest.approx([0.16 / 3 * price, 0.04 * price, np.nan, 0.16 / 3 * price, 1.0], nan_ok=True)
    assert len(adjusted(np.array([]))) == 0


def test_of_the_discoveries_one_in_ten_is_false_as_asked() -> None:
    generator, shares = np.random.default_rng(0), []
    for _ in range(2000):
        p = generator.random(20)
        p[:5] = p[:5] ** 12  # five true effects
        found = adjusted(p) <= 0.1
        shares.append(found[5:].sum() / max(found.sum(), 1))
    assert 0.065 < np.mean(shares) < 0.085  # alpha times the share of true nulls, 15 of 20


def test_without_it_most_discoveries_among_nulls_would_be_made() -> None:
    p = np.random.default_rng(1).random((2000, 20))
    assert np.mean((p <= 0.05).any(1)) > 0.6
    assert np.mean([(adjusted(row) <= 0.05).any() for row in p]) < 0.065
