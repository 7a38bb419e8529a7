"""Lateness of feedback: shared within a call and within a slate."""

import numpy as np
import pytest

from newsrec.simulator.arrival import ArrivalConfig, arrival_delay, lateness
from newsrec.simulator.response import CLICK, IMPRESSION, Feedback
from tests.simulator.encounters import agree

B = 50_000


def delays(config: ArrivalConfig) -> np.ndarray:
    """[3, B] seconds: two impressions and a click of each slate."""
    user, position = np.repeat(np.arange(B), 3), np.tile([0, 1, 0], B)
    kind, zero = np.tile([IMPRESSION, IMPRESSION, CLICK], B), np.zeros(3 * B, np.int64)
    events = Feedback.none()._replace(user=user, decision=zero, kind=kind, position=position)
    late = lateness(config, 0, np.arange(B), zero[:B])
    return arrival_delay(0, events, late[user]).reshape(B, 3).T / 1e6


def test_delays_are_shared_within_a_call_and_lateness_within_a_slate() -> None:
    first, second, click = delays(ArrivalConfig(late_share=0.2, late_minutes=60.0))
    assert (first == second).all()
    assert (first != click).all()
    late = first > 100
    assert (late == (click > 100)).mean() > 0.999  # late together or not at all
    agree(late, 0.2)
    assert np.median(first[late]) / 60 == pytest.approx(60, rel=0.05)
    assert first.min() > 0
    assert first.max() <= 86_400 + 60


def test_nobody_is_late_where_the_share_is_zero() -> None:
    assert delays(ArrivalConfig(late_share=0.0)).max() < 100


@pytest.mark.parametrize(("field", "value"), [("late_share", -0.1), ("late_minutes", 0.0)])
def test_impossible_arrival_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        ArrivalConfig(**{field: value})
