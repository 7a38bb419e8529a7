"""Programs that fetch slates and follow links, whatever they say. The equations stand in ``world``."""

from dataclasses import dataclass

import numpy as np

from newsrec.events import KINDS
from newsrec.simulator import draws
from newsrec.simulator.parameters import POSITIVE, PROBABILITY, Range, assumed, refuse_impossible
from newsrec.simulator.response import CLICK, DWELL, IMPRESSION, Encounter, Reaction

SECONDS_A_CLICK = 0.05


@dataclass(frozen=True)
class BotConfig:
    """What bots do; how many there are is a matter of the population."""

    slates: float = assumed(3.0, "mean slates of a visit", Range("1 or more", lambda x: 1 <= x < np.inf))
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
        config, user, decision = self.config, encounter.user, encounter.decision
        position = np.arange(encounter.present.shape[1])
        keys = user[:, None, None], decision[:, None, None], np.arange(3)[:, None], position
        u = draws.uniform(self.seed, "bot", *keys)  # [B, 3, K]
        clicked = encounter.present & (u[:, 0] < config.click)
        happened = np.zeros((len(user), len(KINDS), len(position)), bool)  # [B, F, K]
        happened[:, IMPRESSION], happened[:, CLICK] = encounter.present, clicked
        happened[:, DWELL] = clicked & (u[:, 1] < config.dwell)
        dwell = np.where(happened[:, DWELL], -config.dwell_seconds * np.log(u[:, 2]), 0.0)
        begun = SECONDS_A_CLICK * np.cumsum(clicked, 1) + np.cumsum(dwell, 1) - dwell  # [B, K]
        moment = np.full(happened.shape, 0.02)
        moment[:, CLICK], moment[:, DWELL] = begun, begun + dwell
        left = draws.uniform(self.seed, "bot leaves", user, decision) < 1.0 / config.slates
        end = begun[:, -1] + dwell[:, -1] + SECONDS_A_CLICK
        worth = np.zeros(clicked.shape)
        return Reaction(encounter.present, clicked, worth, dwell.astype(np.float32), happened, moment, left, end)
