"""CUPED: its arithmetic, that it leaves the effect alone, and that it cuts the variance by rho squared."""

import numpy as np
import pytest

from newsrec.evaluation.abtest.cuped import adjust


def test_by_hand() -> None:
    """Within arms x is -1, 1 and y is -2, 2 and 0, 2 less its mean 1: theta (2 + 2 + 1 + 1) / 4."""
    found = adjust(np.array([1.0, 5.0, 0.0, 2.0]), np.array([[0.0], [2.0], [10.0], [12.0]]), np.array([0, 0, 1, 1]))
    assert found.theta == pytest.approx([1.5])
    assert found.values == pytest.approx([1 + 9, 5 + 6, 0 - 6, 2 - 9])
    assert found.variance_left == pytest.approx(1.0 / 10.0)  # residuals -.5 .5 .5 -.5 of 4 + 4 + 1 + 1


def test_the_past_that_explains_nothing_or_everything() -> None:
    y, arm = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 0, 1])
    nothing = adjust(y, np.zeros((4, 2)), arm)
    assert nothing.values == pytest.approx(y)
    assert nothing.variance_left == pytest.approx(1.0)
    assert adjust(y, np.stack([y, y], 1), arm).variance_left == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(adjust(np.ones(4), y[:, None], arm).variance_left)


def test_the_effect_stays_and_the_variance_falls_by_rho_squared() -> None:
    generator, rho, found = np.random.default_rng(3), 0.8, []
    for _ in range(1500):
        before = generator.normal(0.0, 1.0, 200)
        arm = (generator.random(200) < 0.5).astype(int)
        after = rho * before + (1 - rho**2) ** 0.5 * generator.normal(0.0, 1.0, 200) + 0.3 * arm
        adjusted = adjust(after, before[:, None], arm).values
        found.append([v[arm == 1].mean() - v[arm == 0].mean() for v in (after, adjusted)])
    (raw, less), means = np.var(found, axis=0), np.mean(found, axis=0)
    assert less / raw == pytest.approx(1.0 - rho**2, rel=0.1)
    assert means == pytest.approx([0.3, 0.3], abs=0.015)
