"""Intervals of estimates: the reader is the unit, ratios are ratios of sums, Bernstein holds without normality."""

import numpy as np
import pytest
from scipy.stats import binom

from newsrec.evaluation.intervals import clustered_mean
from newsrec.evaluation.off_policy.terms import Ratio, Terms, mean
from newsrec.evaluation.off_policy.uncertainty import (
    bootstrap,
    empirical_bernstein,
    normal_intervals,
    standard_errors,
)


def rows(seed: int, readers: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Readers with unlike numbers of rows, values that they share, and weights."""
    generator = np.random.default_rng(seed)
    reader = np.repeat(np.arange(readers), 1 + generator.poisson(3.0, readers))
    value = generator.normal(size=readers)[reader] + 0.3 * generator.normal(size=len(reader))
    return reader, value, generator.gamma(1.0, 1.0, len(reader))


def test_the_interval_of_a_mean_is_that_of_the_other_intervals() -> None:
    reader, value, _ = rows(0)
    ours = bootstrap({"mean": mean(reader, value)}, np.random.default_rng(1), draws=4000)["mean"]
    theirs = clustered_mean(value, reader, np.random.default_rng(2), draws=4000)
    assert ours.mean == pytest.approx(theirs.mean)
    assert ours[1:] == pytest.approx(theirs[1:], abs=0.02)


def test_the_bootstrap_and_the_standard_error_agree_on_a_ratio() -> None:
    reader, value, weight = rows(0)
    terms = Terms(reader, (Ratio(weight * value, weight), Ratio(value)))
    _, low, high = bootstrap({"ratio": terms}, np.random.default_rng(1), draws=4000)["ratio"]
    (value_,), (half,) = normal_intervals([terms])
    assert value_ == pytest.approx((weight * value).sum() / weight.sum() + value.mean())
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)


def test_the_standard_error_is_that_of_readers_not_of_rows() -> None:
    """Each row four times over: nothing new is known."""
    reader, value, _ = rows(0)
    once, four = mean(reader, value), mean(np.tile(reader, 4), np.tile(value, 4))
    assert standard_errors([four])[1] == pytest.approx(standard_errors([once])[1])
    apart = mean(np.arange(len(value)), value)
    assert standard_errors([apart])[1] < 0.7 * standard_errors([once])[1]


def test_a_difference_on_the_same_rows_is_surer_than_its_sides() -> None:
    reader, value, _ = rows(0)
    one, other = mean(reader, value), mean(reader, value + 0.1)
    _, errors = standard_errors([other.minus(one), one])
    assert other.minus(one).value == pytest.approx(0.1)
    assert errors[0] < 1e-9 < errors[1]
    with pytest.raises(ValueError, match="different rows"):
        one.minus(mean(reader + 1, value))


def test_all_estimates_of_a_call_are_of_the_same_resamples() -> None:
    reader, value, _ = rows(0)
    twin = Terms(reader.copy(), (Ratio(value.copy()),))  # not the same arrays
    fewer = mean(reader[reader > 50], value[reader > 50])
    found = bootstrap({"one": mean(reader, value), "other": twin, "fewer": fewer}, np.random.default_rng(1), draws=300)
    assert found["one"] == pytest.approx(found["other"])
    assert found["fewer"].mean == pytest.approx(value[reader > 50].mean())


def test_readers_may_have_names() -> None:
    found = bootstrap({"m": mean(np.array(["b", "a", "b"]), np.array([1.0, 0.0, 1.0]))}, np.random.default_rng(0))["m"]
    assert (found.mean, found.low, found.high) == (pytest.approx(2 / 3), 0.0, 1.0)


def test_one_reader_has_no_interval() -> None:
    one = mean(np.zeros(3), np.array([1.0, 0.0, 1.0]))
    found = bootstrap({"m": one}, np.random.default_rng(0))["m"]
    assert found.mean == pytest.approx(2 / 3)
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(empirical_bernstein(one, 1.0).low)
    assert np.isnan(standard_errors([one])[1]).all()


def test_bernstein_by_hand() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0])
    found = empirical_bernstein(mean(np.arange(4), values), span=2.0, confidence=0.9)
    doubt = np.log(40.0)
    away = (2 * (1 / 3) * doubt / 4) ** 0.5 + 7 * 2 * doubt / 9
    assert found == pytest.approx((0.5, 0.5 - away, 0.5 + away))
    with pytest.raises(ValueError, match="range over 1"):
        empirical_bernstein(mean(np.arange(4), values), span=0.5)


def test_bernstein_covers_where_the_bootstrap_does_not() -> None:
    """A weight of 100 that one reader in 100 has: of 60 readers, half the logs show none."""
    generator, runs, hits = np.random.default_rng(5), 300, {"bernstein": 0, "bootstrap": 0}
    for _ in range(runs):
        terms = mean(np.arange(60), 100.0 * (generator.random(60) < 0.01))
        for name, (_, low, high) in (
            ("bernstein", empirical_bernstein(terms, span=100.0)),
            ("bootstrap", bootstrap({"m": terms}, generator, draws=100)["m"]),
        ):
            hits[name] += low <= 1.0 <= high
    assert binom.cdf(hits["bernstein"], runs, 0.95) > 0.005
    assert hits["bootstrap"] < 0.6 * runs
