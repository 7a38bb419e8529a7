"""Programs that fetch slates and follow links, whatever they say. The equations stand in ``world``."""

import math
from dataclasses import dataclass

import torch

from newsrec.events import KINDS
from newsrec.simulator import luck
from newsrec.simulator.parameters import POSITIVE, PROBABILITY, Range, assumed, refuse_impossible
from newsrec.simulator.response import CLICK, DWELL, IMPRESSION, Encounter, Reaction

SECONDS_A_CLICK = 0.05


@dataclass(frozen=True)
class BotConfig:
    """What bots do; how many there are is a matter of the population."""

    slates: float = assumed(3.0, "mean slates of a visit", Range("1 or more", lambda x: 1 <= x < math.inf))
    click: float = assumed(0.15, "probability to follow a link, each alike", PROBABILITY)
    dwell: float = assumed(0.3, "share of the clicks that report a dwell at all", PROBABILITY)
    dwell_seconds: float = assumed(0.5, "mean of those dwells", POSITIVE)

    def __post_init__(self) -> None:
        refuse_impossible(self)


class Bots:
    """No examination, no content, no satisfaction."""

    def __init__(self, config: BotConfig, seed: int) -> None:
        self.config, self.seed = config, seed

    def react(self, encounter: Encounter) -> Reaction:
        config, present = self.config, encounter.present
        position, three = luck.numbers(present.shape[1], present.device), luck.numbers(3, present.device)
        state, leaves = luck.states(self.seed, ("bot", "bot leaves"), encounter.user, encounter.decision)  # [B] each
        u = luck.uniform(state[:, None, None], three[:, None], position)  # [B, 3, K]
        clicked = present & (u[:, 0] < config.click)
        happened = torch.zeros((len(present), len(KINDS), len(position)), dtype=torch.bool, device=present.device)
        happened[:, IMPRESSION], happened[:, CLICK] = present, clicked  # [B, F, K]
        happened[:, DWELL] = clicked & (u[:, 1] < config.dwell)
        dwell = torch.where(happened[:, DWELL], -config.dwell_seconds * torch.log(u[:, 2]), 0.0)
        begun = SECONDS_A_CLICK * clicked.cumsum(1).double() + dwell.cumsum(1) - dwell  # [B, K]
        moment = torch.full(happened.shape, 0.02, dtype=torch.float64, device=present.device)
        moment[:, CLICK], moment[:, DWELL] = begun, begun + dwell
        left = luck.uniform(leaves) < 1.0 / config.slates
        end = begun[:, -1] + dwell[:, -1] + SECONDS_A_CLICK
        return Reaction(present, clicked, torch.zeros_like(begun), dwell.float(), happened, moment, left, end)
