"""Log-rank, Greenwood and curves by hand, and that arms that return alike are told apart as seldom as promised."""

import numpy as np
import pytest

from newsrec.evaluation.abtest.return_time import log_rank, return_time, returned
from newsrec.evaluation.survival import Gaps


def gaps(hours: list[float] | np.ndarray, ended: list[bool] | np.ndarray) -> Gaps:
    return Gaps.of(np.arange(len(hours)), np.array(hours, float), np.array(ended, bool))


def test_log_rank_by_hand() -> None:
    """Returns at 1 (treated; two of four away), 2 (control; one of three), 3 (both; one of two)."""
    found = log_rank(gaps([1, 3], [True, True]), gaps([2, 3], [True, True]))
    assert found.early == pytest.approx(2 - (1 / 2 + 1 / 3 + 1))
    variance = 1 / 4 + 2 / 9 + 2 * (1 / 4) * 0 / 1
    assert found.p_value == pytest.approx(_chi(found.early**2 / variance))
    back = log_rank(gaps([2, 3], [True, True]), gaps([1, 3], [True, True]))
    assert back.early == pytest.approx(-found.early)
    assert np.isnan(log_rank(gaps([5], [False]), gaps([6], [False])).p_value)


def _chi(square: float) -> float:
    from math import erfc

    return erfc((square / 2) ** 0.5)


def test_greenwood_by_hand() -> None:
    """Four readers: one back after a day, one lost from sight, one back after two days, one away."""
    found = returned(gaps([24, 30, 48, 900], [True, False, True, False]), days=7)
    assert found.value == pytest.approx(1 - 3 / 4 * 1 / 2)
    assert found.variance == pytest.approx((3 / 8) ** 2 * (1 / (4 * 3) + 1 / (2 * 1)))
    assert found.readers == 4


def drawn(generator: np.random.Generator, readers: int, mean_hours: float) -> Gaps:
    """Exponential gaps of readers who differ, seen for one to fourteen days."""
    hours = generator.exponential(mean_hours * generator.gamma(2.0, 0.5, readers))
    seen = generator.uniform(24.0, 336.0, readers)
    return gaps(np.minimum(hours, seen), hours <= seen)


def test_arms_that_return_alike_and_arms_that_do_not() -> None:
    generator, told = np.random.default_rng(0), np.zeros(2)
    for _ in range(600):
        found = return_time(drawn(generator, 150, 60.0), drawn(generator, 200, 60.0))
        told += found.log_rank.p_value < 0.05, found.within.p_value < 0.05
    assert (told / 600 > 0.03).all()
    assert (told / 600 < 0.075).all()
    quick, slow = drawn(generator, 1500, 45.0), drawn(generator, 1500, 60.0)
    sooner = return_time(quick, slow)
    assert sooner.log_rank.p_value < 0.01
    assert sooner.log_rank.early > 0.0
    assert sooner.within.difference == returned(quick, 7).value - returned(slow, 7).value > 0.0
    assert sooner.treated_away[6] == pytest.approx(1.0 - returned(quick, 7).value)
