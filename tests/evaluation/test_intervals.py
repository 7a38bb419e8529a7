"""Intervals cover the truth as often as they say, which needs the reader as the unit."""

import numpy as np
import pytest
from scipy.stats import binom

from newsrec.evaluation.intervals import clustered_difference, clustered_mean, clustered_means, paired_difference

RUNS = 400


def clustered_sample(generator: np.random.Generator, readers: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Clicks of readers who differ in taste and in how often they come, keener readers more often; and who clicked."""
    taste = generator.beta(1.0, 3.0, readers)
    visits = 1 + generator.poisson(12.0 * taste)
    reader = np.repeat(np.arange(readers), visits)
    return (generator.random(len(reader)) < taste[reader]).astype(float), reader


def truth() -> float:
    """E[visits * taste] / E[visits] of ``clustered_sample``: taste has mean 1/4 and second moment 1/10."""
    return (1 / 4 + 12 / 10) / (1 + 12 / 4)


def covered(independent_decisions: bool) -> int:
    generator, hits = np.random.default_rng(11), 0
    for _ in range(RUNS):
        clicks, reader = clustered_sample(generator)
        clusters = np.arange(len(reader)) if independent_decisions else reader
        _, low, high = clustered_mean(clicks, clusters, generator, draws=400)
        hits += low <= truth() <= high
    return hits


def test_95_percent_intervals_cover_the_truth_in_95_percent_of_400_samples():
    hits = covered(independent_decisions=False)
    assert binom.cdf(hits, RUNS, 0.95) > 0.005
    assert binom.sf(hits - 1, RUNS, 0.95) > 0.005


def test_taking_decisions_as_independent_would_fail_that_test():
    assert binom.cdf(covered(independent_decisions=True), RUNS, 0.95) < 1e-6


def test_a_reader_with_many_decisions_weighs_as_much_as_they_do():
    values, reader = np.array([1.0, 1.0, 1.0, 0.0]), np.array([7, 7, 7, 3])
    mean, low, high = clustered_mean(values, reader, np.random.default_rng(0))
    assert (mean, low, high) == (0.75, 0.0, 1.0)  # a resample holds reader 3 twice, both, or reader 7 twice


def test_the_bootstrap_agrees_with_the_linearised_ratio_on_many_readers():
    generator = np.random.default_rng(5)
    clicks, reader = clustered_sample(generator, readers=3000)
    sums, counts = np.bincount(reader, clicks), np.bincount(reader)
    ratio = sums.sum() / counts.sum()
    error = np.sqrt(((sums - ratio * counts) ** 2).sum()) / counts.sum()
    mean, low, high = clustered_mean(clicks, reader, generator, confidence=0.9, draws=4000)
    assert mean == pytest.approx(ratio)
    assert (low, high) == pytest.approx((ratio - 1.645 * error, ratio + 1.645 * error), abs=0.1 * error)


def test_a_paired_difference_sees_what_two_intervals_do_not():
    generator = np.random.default_rng(2)
    reader = np.repeat(np.arange(50), 4)
    mood = generator.normal(0.0, 1.0, 50)[reader]
    b = mood + generator.normal(0.0, 0.01, 200)
    a = b + 0.05
    assert clustered_mean(a, reader, generator).low < clustered_mean(b, reader, generator).mean
    assert paired_difference(a, b, reader, generator) == pytest.approx((0.05, 0.05, 0.05))


def test_a_reader_of_both_groups_is_drawn_with_both_parts():
    generator = np.random.default_rng(5)
    clicks, reader = clustered_sample(generator, readers=3000)
    first = generator.random(len(reader)) < 0.6
    sides = np.stack([np.where(first, clicks, np.nan), np.where(first, np.nan, clicks)], 1)
    ratios, parts = [], []
    for group in (first, ~first):
        sums, counts = np.bincount(reader, clicks * group), np.bincount(reader, group)
        ratios.append(sums.sum() / counts.sum())
        parts.append((sums - ratios[-1] * counts) / counts.sum())
    error = np.sqrt(((parts[0] - parts[1]) ** 2).sum())
    assert error < 0.85 * np.sqrt((parts[0] ** 2 + parts[1] ** 2).sum())  # what two separate draws would give
    mean, low, high = clustered_difference(sides, reader, generator, confidence=0.9, draws=4000)
    assert mean == pytest.approx(ratios[0] - ratios[1])
    assert (low, high) == pytest.approx((mean - 1.645 * error, mean + 1.645 * error), abs=0.1 * error)


def test_a_group_of_one_reader_has_no_interval_and_an_empty_one_no_difference():
    sides = np.array([[1.0, np.nan], [0.0, np.nan], [np.nan, 0.25]])
    mean, *ends = clustered_difference(sides, np.array([0, 1, 2]), np.random.default_rng(0))
    assert mean == 0.25
    assert np.isnan(ends).all()
    assert np.isnan(clustered_difference(sides[:2], np.array([0, 1]), np.random.default_rng(0))).all()
    assert np.isnan(clustered_difference(sides[:0], np.zeros(0, int), np.random.default_rng(0))).all()


def test_undefined_values_are_left_out_and_one_reader_gives_no_interval():
    values = np.array([[1.0, np.nan, np.nan], [0.0, 4.0, np.nan], [0.5, np.nan, np.nan]])
    all_defined, one_reader, none = clustered_means(values, np.array([0, 1, 2]), np.random.default_rng(0))
    assert all_defined.mean == 0.5
    assert all_defined.low < 0.5 < all_defined.high
    assert one_reader.mean == 4.0
    assert np.isnan(one_reader[1:]).all()
    assert np.isnan(none).all()


def test_the_generator_alone_decides():
    clicks, reader = clustered_sample(np.random.default_rng(0))
    first, second = (clustered_mean(clicks, reader, np.random.default_rng(3)) for _ in range(2))
    assert first == second
    assert first != clustered_mean(clicks, reader, np.random.default_rng(4))
