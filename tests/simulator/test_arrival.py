"""Lateness of feedback: shared within a call and within a slate."""

import numpy as np
import pytest
import torch

from newsrec.simulator import luck
from newsrec.simulator.arrival import ArrivalConfig, arrival_delay, lateness
from newsrec.simulator.response import CLICK, IMPRESSION
from tests.simulator.encounters import agree

B = 50_000


def delays(config: ArrivalConfig) -> np.ndarray:
    """[3, B] seconds: two impressions and a click of each slate."""
    user, zero = torch.arange(B), torch.zeros(B, dtype=torch.int64)
    (state,) = luck.states(0, ("delay",), user, zero)
    late = lateness(config, 0, user, zero)
    calls = ((IMPRESSION, 0), (IMPRESSION, 1), (CLICK, 0))
    return np.stack([arrival_delay(0, state, zero + kind, zero + at, late).numpy() for kind, at in calls]) / 1e6


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
