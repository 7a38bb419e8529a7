"""Readers who weigh each article by itself, more seldom further down. The equations stand in ``world``."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from newsrec.events import KINDS
from newsrec.simulator import luck
from newsrec.simulator.parameters import NOT_NEGATIVE, POSITIVE, PROBABILITY, assumed, refuse_impossible
from newsrec.simulator.response import (
    CLICK,
    COMMENT,
    DWELL,
    HIDE,
    IMPRESSION,
    LEAVE,
    LIKE,
    SHARE,
    WITHIN_A_SESSION,
    Encounter,
    Reaction,
)


@dataclass(frozen=True)
class UtilityConfig:
    """Coefficients of the response: logits where nothing else is said."""

    base: float = assumed(-3.2, "of a click")
    interest: float = assumed(1.5, "of a click, for each unit of match")
    quality: float = assumed(0.35, "of a click, for a standard deviation of quality")
    clickbait: float = assumed(0.9, "of a click, from no clickbait to nothing but")
    freshness: float = assumed(0.8, "of a click, from stale to new")
    repetition: float = assumed(1.0, "taken off for each time that it was examined lately", NOT_NEGATIVE)
    position_bias: float = assumed(0.35, "exponent of the position in the probability of examination", NOT_NEGATIVE)
    worth_base: float = assumed(0.5, "of worth")
    worth_interest: float = assumed(0.8, "of worth, for each unit of match")
    worth_quality: float = assumed(0.6, "of worth, for a standard deviation of quality")
    worth_clickbait: float = assumed(3.5, "of worth, taken off from no clickbait to nothing but")
    dwell_seconds: float = assumed(28.0, "median dwell on an article of 500 words and worth 0.5", POSITIVE)
    dwell_worth: float = assumed(2.0, "what worth adds to the log of dwell, from worth 0 to worth 1")
    dwell_spread: float = assumed(0.7, "standard deviation of the log of dwell", NOT_NEGATIVE)
    dwell_cap_seconds: float = assumed(900.0, "longest dwell", WITHIN_A_SESSION)
    scan_seconds: float = assumed(1.2, "time for each examined position", POSITIVE)
    like: float = assumed(0.06, "probability after a read of worth 1", PROBABILITY)
    share: float = assumed(0.02, "probability after a read of worth 1", PROBABILITY)
    comment: float = assumed(0.015, "probability after a read of worth 1", PROBABILITY)
    hide: float = assumed(0.01, "probability for an examined article of worth 0 that is not read", PROBABILITY)
    patience_click: float = assumed(0.8, "of asking for another slate, where something was read")

    def __post_init__(self) -> None:
        refuse_impossible(self)


class Utility:
    """Each examined article is clicked by its own utility, whatever else is in the slate."""

    def __init__(self, config: UtilityConfig, seed: int) -> None:
        self.config, self.seed = config, seed

    def chance(self, encounter: Encounter) -> Tensor:
        config = self.config
        logit = config.base + config.interest * encounter.match + config.quality * encounter.quality
        logit += config.clickbait * encounter.clickbait + config.freshness * encounter.freshness
        logit -= config.repetition * encounter.repetition.double()
        return torch.sigmoid(logit).masked_fill_(encounter.known, 0.0)

    def worth(self, encounter: Encounter) -> Tensor:
        config = self.config
        content = config.worth_base + config.worth_interest * encounter.match + config.worth_quality * encounter.quality
        return torch.sigmoid(content - config.worth_clickbait * encounter.disappointment)

    def dwell(self, worth: Tensor, words: Tensor) -> Tensor:
        return torch.exp(self._log_dwell(worth, words))

    def _log_dwell(self, worth: Tensor, words: Tensor) -> Tensor:
        config = self.config
        level = math.log(config.dwell_seconds) + config.dwell_worth * (worth - 0.5)
        return level + 0.3 * torch.log(words / 500.0)

    def react(self, encounter: Encounter) -> Reaction:
        config, present, worth = self.config, encounter.present, self.worth(encounter)
        position = luck.numbers(present.shape[1], present.device)
        look, read, stays = luck.states(self.seed, ("look", "read", "stay"), encounter.user, encounter.decision)  # [B]
        u = luck.uniform(look[:, None, None], luck.numbers(3, present.device)[:, None], position)  # [B, 3, K]
        examined = present & (u[:, 0] < (position.double() + 1.0) ** -config.position_bias)  # [B, K]
        clicked = examined & (u[:, 1] < self.chance(encounter))
        hidden = examined & ~clicked & (u[:, 2] < config.hide * (1.0 - worth) ** 2)

        row, at = clicked.nonzero(as_tuple=True)  # [R]
        v = luck.uniform(read[row], at, luck.numbers(4, at.device)[:, None])  # [4, R]
        value = worth[row, at]
        level = self._log_dwell(value, encounter.words[row, at])
        seconds = torch.exp(level + config.dwell_spread * torch.special.ndtri(v[0]))
        reading = torch.zeros_like(worth)
        reading[row, at] = seconds.clamp_(max=config.dwell_cap_seconds)
        happened = torch.zeros((len(present), len(KINDS), len(position)), dtype=torch.bool, device=present.device)
        happened[:, IMPRESSION], happened[:, HIDE] = present, hidden  # [B, F, K]
        happened[:, CLICK] = happened[:, DWELL] = clicked
        for kind, probability, drawn in (
            (LIKE, config.like, v[1]),
            (SHARE, config.share, v[2]),
            (COMMENT, config.comment, v[3]),
        ):
            happened[row, kind, at] = drawn < probability * value

        reached = config.scan_seconds * examined.cumsum(1).double() + reading.cumsum(1) - reading  # [B, K]
        end = reached[:, -1] + reading[:, -1] + 1.0
        stay = torch.sigmoid(encounter.patience + config.patience_click * clicked.any(1).double())
        left = luck.uniform(stays) >= stay
        happened[:, LEAVE, 0] = left
        moment = torch.full(happened.shape, 0.3, dtype=torch.float64, device=present.device)
        for kind, share in ((CLICK, 0.0), (DWELL, 1.0), (LIKE, 0.6), (SHARE, 0.7), (COMMENT, 0.9)):
            moment[:, kind] = reached + share * reading
        moment[:, HIDE], moment[:, LEAVE] = reached + 0.5, end[:, None]
        return Reaction(examined, clicked, worth, reading.float(), happened, moment, left, end)
