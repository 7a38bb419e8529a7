"""Excitement, and the hazard that follows from it."""

import numpy as np
import pytest
import torch

from newsrec.simulator.readers import PopulationConfig, settle
from newsrec.simulator.rhythm import Rhythm
from newsrec.simulator.self_exciting import SelfExciting, SelfExcitingConfig

CONFIG = SelfExcitingConfig(threshold=0.5, jump=0.4, half_life_hours=10.0, peak=3.0)


def self_exciting(elasticity: float = 1.0) -> SelfExciting:
    return SelfExciting(CONFIG, elasticity, Rhythm(settle(PopulationConfig(), np.arange(1), 0)), 0)


def test_excitement_fades_then_jumps() -> None:
    before, elapsed = torch.tensor([0.0, 0.8, 0.8, 0.8]).double(), torch.tensor([5.0, 10.0, 20.0, 0.0]).double()
    worth = torch.tensor([[1.0, 0.75], [1.0, 0.75], [0.9, 0.9], [0.4, 0.1]]).double()
    read = torch.tensor([[True, True], [True, False], [False, False], [True, True]])
    expected = [
        1 - 0.6 * 0.8,  # 0.4, then 0.4 * 0.5 of what is missing
        0.4 + 0.4 * 0.6,  # half of it had faded
        0.2,  # nothing read
        0.8,  # nothing read that was worth it
    ]
    assert self_exciting().learned(before, elapsed, worth, read).tolist() == pytest.approx(expected)


def test_the_hazard_follows_excitement_while_it_fades() -> None:
    level, hours = torch.tensor([0.5, 0.5, 0.5, 0.0]).double(), torch.tensor([0.0, 10.0, 1e6, 0.0]).double()
    factor = torch.tensor([2.5, 1.75, 1.0, 1.0])
    for elasticity in (1.0, 0.0, -1.0, 2.0):
        found = self_exciting(elasticity).log_factor(level, hours).exp()
        assert found.tolist() == pytest.approx((factor**elasticity).tolist())


@pytest.mark.parametrize(
    ("field", "value"), [("threshold", 1.0), ("jump", -0.1), ("half_life_hours", 0.0), ("peak", -1.0)]
)
def test_impossible_excitement_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        SelfExcitingConfig(**{field: value})
