"""Readers whose satisfaction scales how often they come: a proportional hazard. The equations stand in ``world``."""

from dataclasses import dataclass

import torch
from torch import Tensor

from newsrec.simulator import luck
from newsrec.simulator.parameters import BETWEEN, POSITIVE, SHARE, assumed, refuse_impossible
from newsrec.simulator.returns import Absence
from newsrec.simulator.rhythm import Rhythm


@dataclass(frozen=True)
class HazardConfig:
    """How what was read moves satisfaction."""

    neutral: float = assumed(0.5, "satisfaction of a new reader and of one who has forgotten", BETWEEN)
    leak_hours: float = assumed(240.0, "time in which half of what differs from neutral is forgotten", POSITIVE)
    read_weight: float = assumed(0.12, "weight of one read in satisfaction; 0: none", SHARE)
    empty_weight: float = assumed(0.03, "weight of a slate without a read; 0: none", SHARE)
    empty_value: float = assumed(0.35, "satisfaction that such a slate draws to", BETWEEN)

    def __post_init__(self) -> None:
        refuse_impossible(self)


class Hazard:
    """The level is satisfaction, in (0, 1)."""

    def __init__(self, config: HazardConfig, elasticity: float, rhythm: Rhythm, seed: int) -> None:
        self.config, self.elasticity, self.rhythm, self.seed = config, elasticity, rhythm, seed
        self.rest = config.neutral

    def learned(self, level: Tensor, hours: Tensor, worth: Tensor, read: Tensor) -> Tensor:
        config = self.config
        leaked = config.neutral + (level - config.neutral) * torch.exp2(-hours / config.leak_hours)
        reads = read.sum(-1)
        some = reads > 0
        value = torch.where(some, (worth * read).sum(-1) / reads.clamp(min=1), config.empty_value)
        weight = torch.where(some, 1.0 - (1.0 - config.read_weight) ** reads.double(), config.empty_weight)
        return leaked + weight * (value - leaked)

    def log_factor(self, level: Tensor, hours: Tensor) -> Tensor:
        """The same at all ``hours``: satisfaction stays as it was when the reader left."""
        return self.elasticity * torch.log(level / self.config.neutral)

    def next_visit(self, absence: Absence) -> Tensor:
        (state,) = luck.states(self.seed, ("return",), absence.user, absence.visit)  # [B]
        exponential = -torch.log(luck.uniform(state))
        hazard = self.rhythm.population.visits_per_hour[absence.reader]
        hazard = hazard * torch.exp(self.log_factor(absence.level, torch.zeros_like(absence.level)))
        return self.rhythm.after(absence.reader, absence.start, exponential / hazard)
