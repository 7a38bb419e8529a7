"""A weight of n is a reader who stands n times in the sample."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from newsrec.evaluation import weighted
from newsrec.evaluation.resampling import resample
from newsrec.evaluation.weighted import Rows, Trials

AT = np.arange(4.0)
ROWS = Rows(np.array([0, 0, 1, 2, 2, 2]), np.array([3.0, 1.0, 0.0, 2.0, 2.5, 1.0]))
TRIALS = Trials(ROWS.reader, np.array([0, 1, 0, 1, 9, 1]), np.array([True, False, False, True, True, True]))


def test_by_hand() -> None:
    ones = np.ones(3)
    assert weighted.mean(ROWS)(ones) == pytest.approx([9.5 / 6])
    assert weighted.quantile(ROWS, 0.5)(ones) == 1.0  # 0 1 1 2 2.5 3: half of them do not exceed 1
    assert weighted.quantile(ROWS, 0.51)(ones) == 2.0
    assert weighted.quantile(ROWS, 1.0)(ones) == 3.0
    assert weighted.shares_at_most(ROWS, AT)(ones) == pytest.approx([1 / 6, 3 / 6, 4 / 6, 1])
    assert weighted.shares(ROWS, AT)(ones) == pytest.approx([1 / 6, 2 / 6, 2 / 6, 1 / 6])
    assert weighted.rates(TRIALS, AT[:3])(ones) == pytest.approx([1 / 2, 2 / 3, np.nan], nan_ok=True)


@pytest.mark.parametrize(
    "statistic",
    [
        weighted.mean,
        partial(weighted.quantile, q=0.3),
        partial(weighted.shares_at_most, at=AT),
        partial(weighted.shares, at=AT),
    ],
)
def test_a_weight_is_a_number_of_copies(statistic: Callable) -> None:
    weight = np.array([0, 3, 2])
    copies = np.repeat(np.arange(6), weight[ROWS.reader])
    repeated = Rows(ROWS.reader[copies], ROWS.value[copies])
    assert statistic(ROWS)(weight.astype(float)) == pytest.approx(statistic(repeated)(np.ones(3)))


def test_a_weight_of_a_trial_is_a_number_of_copies() -> None:
    weight = np.array([1, 2, 3])
    copies = np.repeat(np.arange(6), weight[TRIALS.reader])
    repeated = Trials(*(column[copies] for column in TRIALS))
    assert weighted.rates(TRIALS, AT[:2])(weight * 1.0) == pytest.approx(weighted.rates(repeated, AT[:2])(np.ones(3)))


def test_a_band_has_the_spread_of_the_resampled_means() -> None:
    """The mean of 200 readers with one normal value each: an interval of 1.97 standard errors to either side."""
    value = np.random.default_rng(0).normal(size=200)
    found = resample(weighted.mean(Rows(np.arange(200), value)), 200, np.random.default_rng(1), 4000)
    (low,), (high,) = found.band(0.95)
    error = value.std(ddof=1) / np.sqrt(200)
    assert (low, high) == pytest.approx((value.mean() - 1.97 * error, value.mean() + 1.97 * error), abs=0.1 * error)


def test_one_reader_has_no_band() -> None:
    low, high = resample(weighted.mean(Rows(np.zeros(3, int), np.arange(3.0))), 1, np.random.default_rng(0), 50).band(
        0.9
    )
    assert np.isnan([low, high]).all()


def test_a_share_of_all_reaches_as_far_as_the_rule_of_three() -> None:
    """With 30 readers who all came back, a share below .884 would show all 30 in less than 2.5 % of samples."""
    (low,), (high,) = resample(
        weighted.mean(Rows(np.arange(30), np.ones(30))), 30, np.random.default_rng(0), 50
    ).share_band(0.95)
    assert (low**30, high) == pytest.approx((0.025, 1.0))
