"""Readers whom a good read draws back for some days: a self-exciting process. The equations stand in ``world``."""

from dataclasses import dataclass

import torch
from torch import Tensor

from newsrec.features import HOUR
from newsrec.simulator import luck
from newsrec.simulator.parameters import NOT_NEGATIVE, POSITIVE, SHARE, assumed, refuse_impossible
from newsrec.simulator.returns import Absence
from newsrec.simulator.rhythm import LONGEST_GAP_HOURS, Rhythm


@dataclass(frozen=True)
class SelfExcitingConfig:
    """How a read excites."""

    threshold: float = assumed(0.65, "worth from which a read satisfies", SHARE)
    jump: float = assumed(0.15, "excitement after one read of worth 1; 0: none", SHARE)
    half_life_hours: float = assumed(96.0, "time in which half of the excitement is gone", POSITIVE)
    peak: float = assumed(1.8, "what full excitement adds to the hazard, as a multiple; 0: nothing", NOT_NEGATIVE)

    def __post_init__(self) -> None:
        refuse_impossible(self)


class SelfExciting:
    """The level is excitement, in [0, 1)."""

    def __init__(self, config: SelfExcitingConfig, elasticity: float, rhythm: Rhythm, seed: int) -> None:
        self.config, self.elasticity, self.rhythm, self.seed = config, elasticity, rhythm, seed
        self.rest = 0.0

    def learned(self, level: Tensor, hours: Tensor, worth: Tensor, read: Tensor) -> Tensor:
        pleasure = (worth - self.config.threshold).clamp_(min=0.0) / (1.0 - self.config.threshold)
        calm = 1.0 - level * torch.exp2(-hours / self.config.half_life_hours)
        return 1.0 - calm * (1.0 - self.config.jump * pleasure * read).prod(-1)

    def log_factor(self, level: Tensor, hours: Tensor) -> Tensor:
        excitement = level * torch.exp2(-hours / self.config.half_life_hours)
        return self.elasticity * torch.log1p(self.config.peak * excitement)

    def next_visit(self, absence: Absence) -> Tensor:
        """By thinning (Ogata 1981): proposals from a hazard that bounds the true one until then, most are accepted.

        The factor moves monotonically towards 1, so the larger of 1 and its present value bounds it from now on.
        """
        visit, turn = absence.start.clone(), 0
        away = torch.arange(len(visit), device=visit.device)
        (state,) = luck.states(self.seed, ("return",), absence.user, absence.visit)  # [B]
        two = luck.numbers(2, away.device)[:, None]  # [2, 1]
        while len(away):
            reader, _, _, level, since, start = (column[away] for column in absence)
            bound = self._factor(level, visit[away] - since).clamp_(min=1.0)
            u = luck.uniform(state[away], torch.full_like(two, turn), two)  # [2, B]
            rate = self.rhythm.population.visits_per_hour[reader] * bound
            visit[away] = proposed = self.rhythm.after(reader, visit[away], -torch.log(u[0]) / rate)
            comes = u[1] * bound < self._factor(level, proposed - since)
            away = away[~comes & (proposed - start < LONGEST_GAP_HOURS * HOUR)]
            turn += 1
        return visit

    def _factor(self, level: Tensor, microseconds: Tensor) -> Tensor:
        return torch.exp(self.log_factor(level, microseconds.double() / HOUR))
