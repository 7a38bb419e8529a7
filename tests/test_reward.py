"""Engagement in clicks, and what it is worth later, against numbers worked out by hand."""

import numpy as np
import pytest

from newsrec.events import KINDS
from newsrec.reward import RewardConfig, discount, engagement, open_discount


def feedback(**counts: float) -> np.ndarray:
    return np.array([counts.get(kind, 0.0) for kind in KINDS], np.float32)


@pytest.mark.parametrize(
    ("happened", "clicks"),
    [
        ({}, 0.0),
        ({"impression": 3, "leave": 1}, 0.0),
        ({"click": 2}, 2.0),
        ({"dwell": 90}, 0.3),
        ({"dwell": 300}, 1.0),
        ({"dwell": 4000}, 1.0),
        ({"like": 1, "share": 1, "comment": 1}, 7.0),
        ({"impression": 1, "click": 1, "dwell": 60, "hide": 1}, -1.8),
    ],
)
def test_engagement_by_default(happened: dict[str, float], clicks: float) -> None:
    assert engagement(feedback(**happened), RewardConfig()) == pytest.approx(clicks)


def test_every_weight_counts_for_its_own_kind() -> None:
    config = RewardConfig(1.0, 10.0, 120.0, 100.0, 1000.0, 10_000.0, -100_000.0)
    kinds = ["click", "dwell", "like", "share", "comment", "hide", "impression"]
    batch = np.stack([feedback(**{kind: 180.0 if kind == "dwell" else 2.0}) for kind in kinds])[None]
    worth = engagement(batch, config)
    assert (worth.shape, worth.dtype) == ((1, 7), np.float32)
    assert worth.tolist() == [[2.0, 20.0, 200.0, 2000.0, 20_000.0, -200_000.0, 0.0]]


def test_the_discount_halves_with_the_half_life() -> None:
    worth = discount(np.array([0.0, 72.0, 36.0, 216.0]), RewardConfig())
    assert worth.dtype == np.float32
    np.testing.assert_allclose(worth, [1.0, 0.5, 0.5**0.5, 0.125], rtol=1e-6)
    assert discount(np.array([24.0]), RewardConfig(half_life_hours=24.0)) == 0.5


def test_waiting_twice_is_waiting_once_as_long() -> None:
    config = RewardConfig(half_life_hours=10.0)
    once, twice = discount(np.array([7.0 + 4.0]), config), discount(np.array([7.0, 4.0]), config).prod()
    np.testing.assert_allclose(once, twice, rtol=1e-6)


def test_an_open_wait_is_worth_its_expectation() -> None:
    """After 24 hours of waiting at .1 visits an hour, by a sum over the exponential rest of the wait."""
    config, rest = RewardConfig(half_life_hours=24.0), np.arange(0.005, 2_000.0, 0.01)
    by_sum = (0.1 * np.exp(-0.1 * rest) * discount(24.0 + rest, config) * 0.01).sum()
    assert open_discount(np.array([24.0]), np.array([0.1]), config) == pytest.approx([by_sum], rel=1e-4)
    assert open_discount(np.array([0.0]), np.array([1e9]), config) == pytest.approx([1.0])
    assert open_discount(np.array([0.0]), np.array([0.0]), config) == [0.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"half_life_hours": 0.0}, "half_life_hours is 0.0, expected more than 0"),
        ({"half_life_hours": float("nan")}, "half_life_hours is nan"),
        ({"return_horizon_hours": 0.0}, "return_horizon_hours is 0.0, expected more than 0"),
        ({"dwell_cap_seconds": -1.0}, "dwell_cap_seconds is -1.0, expected 0 or more"),
        ({"dwell_cap_seconds": float("nan")}, "dwell_cap_seconds is nan"),
        ({"share": float("inf")}, "share is inf, expected a finite number"),
        ({"hide": float("nan")}, "hide is nan, expected a finite number"),
    ],
)
def test_impossible_rewards_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RewardConfig(**change)
