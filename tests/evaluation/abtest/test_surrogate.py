"""The surrogate index: by hand, covering where the first days carry the effect, and failing where they do not."""

import numpy as np
import pytest

from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.surrogate import effect_on, fit

READERS, OLD = 400, 300


def test_the_regression_and_its_white_errors_by_hand() -> None:
    """y = 1 + 2 x + e with e = 1, -1, -1, 1 at x = 0, 0, 1, 1, five times: slope variance sum of (x - mean)^2 e^2."""
    x, y = np.tile([0.0, 0.0, 1.0, 1.0], 5), np.tile([2.0, 0.0, 2.0, 4.0], 5)
    found = fit(x[:, None], y)
    assert found.coefficient == pytest.approx([1.0, 2.0])
    assert found.covariance[1, 1] == pytest.approx(20 * 0.25 / 5.0**2 * 20 / 18)
    assert found.explained == pytest.approx(1 - 20 / (20 * 2.0))
    treated, control = np.array([[1.0], [0.0], [1.0]]), np.array([[0.0], [1.0], [0.0]])
    effect = effect_on(found, treated, control)
    assert effect.difference == pytest.approx(2 * (2 / 3 - 1 / 3))
    assert effect.error**2 == pytest.approx(2 * (4 * 1 / 3) / 3 + found.covariance[1, 1] / 9)


def test_too_few_old_readers_and_surrogates_that_say_nothing() -> None:
    with pytest.raises(InvalidConfig, match="found 19 old readers for 2 coefficients, expected 20 or more"):
        fit(np.arange(19.0)[:, None], np.arange(19.0))
    flat = fit(np.ones((40, 1)), np.arange(40.0))
    assert flat(np.ones((2, 1))) == pytest.approx([19.5, 19.5])


def lives(generator: np.random.Generator, n: int, early_gain: float, late_gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Past and first week's active days [n, 2], and 28 days' [n]; later weeks follow the first one, as habits do."""
    past = generator.gamma(2.0, 1.0, n)
    early = np.clip(past + early_gain + generator.normal(0.0, 1.0, n), 0.0, None)
    late = 1.0 + 1.8 * early + 0.5 * past + late_gain + generator.normal(0.0, 2.0, n)
    return np.stack([past, early], 1), early + late


def coverage(early_gain: float, late_gain: float, tests: int = 600) -> float:
    """How often the 95 % interval holds the true effect on the 28 days."""
    truth_generator = np.random.default_rng(9)
    truth = [lives(truth_generator, 200_000, g, h)[1].mean() for g, h in ((early_gain, late_gain), (0.0, 0.0))]
    generator, hits = np.random.default_rng(1), 0
    for _ in range(tests):
        index = fit(*lives(generator, OLD, 0.0, 0.0))
        treated = lives(generator, READERS, early_gain, late_gain)[0]
        found = effect_on(index, treated, lives(generator, READERS, 0.0, 0.0)[0])
        hits += found.low <= truth[0] - truth[1] <= found.high
    return hits / tests


def test_it_covers_where_the_first_days_carry_the_effect_and_not_where_they_miss_part_of_it() -> None:
    assert 0.925 < coverage(early_gain=1.0, late_gain=0.0) < 0.975
    assert coverage(early_gain=1.0, late_gain=2.0) < 0.3


def test_the_uncertainty_of_the_regression_is_needed() -> None:
    generator = np.random.default_rng(0)
    index = fit(*lives(generator, 40, 0.0, 0.0))
    treated, control = (lives(generator, 4000, gain, 0.0)[0] for gain in (1.0, 0.0))
    drawn = effect_on(index._replace(covariance=np.zeros((3, 3))), treated, control)
    assert effect_on(index, treated, control).error > 1.5 * drawn.error
