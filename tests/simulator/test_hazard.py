"""Satisfaction, and the hazard that follows from it."""

import numpy as np
import pytest
import torch

from newsrec.simulator.hazard import Hazard, HazardConfig
from newsrec.simulator.readers import PopulationConfig, settle
from newsrec.simulator.rhythm import Rhythm


def hazard(elasticity: float = 1.0, config: HazardConfig | None = None) -> Hazard:
    return Hazard(config or HazardConfig(), elasticity, Rhythm(settle(PopulationConfig(), np.arange(1), 0)), 0)


def test_satisfaction_leaks_then_learns() -> None:
    config = HazardConfig(neutral=0.5, leak_hours=100.0, read_weight=0.1, empty_weight=0.2, empty_value=0.4)
    before, elapsed = (
        torch.tensor([0.9, 0.9, 0.5], dtype=torch.float64),
        torch.tensor([0.0, 100.0, 0.0], dtype=torch.float64),
    )
    worth = torch.tensor([[0.2, 0.4, 0.99], [1.0, 1.0, 1.0], [0.5, 0.5, 0.5]], dtype=torch.float64)
    clicked = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    expected = [
        0.9 + (1 - 0.9**2) * (0.3 - 0.9),  # two reads worth 0.3 on average
        0.7 + 0.1 * (1.0 - 0.7),  # half of 0.4 was forgotten first
        0.5 + 0.2 * (0.4 - 0.5),  # nothing read
    ]
    assert hazard(config=config).learned(before, elapsed, worth, clicked).tolist() == pytest.approx(expected)


def test_the_hazard_is_satisfaction_to_the_power_of_the_elasticity() -> None:
    satisfaction, hours = torch.tensor([0.5, 0.25, 1.0]).double(), torch.tensor([0.0, 5.0, 500.0]).double()
    assert hazard(2.0).log_factor(satisfaction, hours).exp().tolist() == pytest.approx([1.0, 0.25, 4.0])
    assert (hazard(0.0).log_factor(satisfaction, hours) == 0).all()
    assert hazard(-1.0).log_factor(satisfaction, hours).exp().tolist() == pytest.approx([1.0, 2.0, 0.5])


@pytest.mark.parametrize(
    ("field", "value"), [("neutral", 0.0), ("leak_hours", 0.0), ("read_weight", 1.0), ("empty_value", 1.0)]
)
def test_impossible_hazard_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        HazardConfig(**{field: value})
