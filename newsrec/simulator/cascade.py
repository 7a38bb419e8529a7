"""Readers who go down the slate until they are satisfied or bored. The equations stand in ``world``."""

import math
from dataclasses import dataclass

import torch
from scipy.special import ndtri
from torch import Tensor

from newsrec.events import KINDS
from newsrec.simulator import luck
from newsrec.simulator.parameters import BETWEEN, NOT_NEGATIVE, POSITIVE, PROBABILITY, assumed, refuse_impossible
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
class CascadeConfig:
    """Appeal is measured in standard deviations of what a reader sees in a title."""

    threshold: float = assumed(1.85, "median appeal from which a reader reads")
    threshold_spread: float = assumed(0.35, "standard deviation of it between readers", NOT_NEGATIVE)
    interest: float = assumed(0.75, "appeal for each unit of match")
    quality: float = assumed(0.18, "appeal for a standard deviation of quality")
    clickbait: float = assumed(0.5, "appeal from no clickbait to nothing but")
    freshness: float = assumed(0.4, "appeal from stale to new")
    repetition: float = assumed(0.5, "appeal lost for each time that it was examined lately", NOT_NEGATIVE)
    persistence: float = assumed(0.985, "probability to go on after one article that is not read", PROBABILITY)
    weariness: float = assumed(0.01, "share of it that each further one in a row takes; 0: never bored", PROBABILITY)
    satiation: float = assumed(0.4, "probability to stop after a read of worth 1; 0: never satisfied", PROBABILITY)
    haste: float = assumed(1.5, "exponent of patience for the bored; its inverse for those who saw all", POSITIVE)
    substance: float = assumed(0.6, "worth of what there is to read", BETWEEN)
    substance_interest: float = assumed(0.45, "what a unit of match adds to it, in standard deviations")
    substance_quality: float = assumed(0.35, "what a standard deviation of quality adds to it, in standard deviations")
    disappointment: float = assumed(1.8, "rate at which clickbait devours it", NOT_NEGATIVE)
    fleeting_seconds: float = assumed(10.0, "scale of dwell at worth 0", POSITIVE)
    engaged_seconds: float = assumed(80.0, "scale of dwell at worth 1", POSITIVE)
    dwell_shape: float = assumed(1.3, "Weibull shape of dwell", POSITIVE)
    words_per_second: float = assumed(3.5, "reading speed: who has read all stops", POSITIVE)
    dwell_cap_seconds: float = assumed(900.0, "longest dwell", WITHIN_A_SESSION)
    glance_seconds: float = assumed(1.4, "time for each examined position", POSITIVE)
    like: float = assumed(0.15, "probability after a read of worth 1", PROBABILITY)
    share: float = assumed(0.05, "probability after a read of worth 1", PROBABILITY)
    comment: float = assumed(0.035, "probability after a read of worth 1", PROBABILITY)
    hide: float = assumed(0.004, "probability for an examined article without any appeal", PROBABILITY)

    def __post_init__(self) -> None:
        refuse_impossible(self)


class Cascade:
    """What comes before an article in the slate decides whether it is looked at."""

    def __init__(self, config: CascadeConfig, seed: int) -> None:
        self.config, self.seed = config, seed

    def chance(self, encounter: Encounter) -> Tensor:
        config = self.config
        appeal = config.interest * encounter.match + config.quality * encounter.quality
        appeal += config.clickbait * encounter.clickbait + config.freshness * encounter.freshness
        (state,) = luck.states(self.seed, ("reading threshold",), encounter.reader)  # [B]
        personal = config.threshold_spread * luck.normal(state)
        threshold = config.threshold + personal[:, None] + config.repetition * encounter.repetition.double()
        return torch.special.ndtr(appeal - threshold).masked_fill_(encounter.known, 0.0)

    def worth(self, encounter: Encounter) -> Tensor:
        config = self.config
        more = config.substance_interest * encounter.match + config.substance_quality * encounter.quality
        substance = torch.special.ndtr(float(ndtri(config.substance)) + more)
        return substance * torch.exp(-config.disappointment * encounter.disappointment)

    def dwell(self, worth: Tensor, words: Tensor) -> Tensor:
        median = math.log(2.0) ** (1.0 / self.config.dwell_shape)
        return torch.minimum(median * self._scale(worth), words / self.config.words_per_second)

    def _scale(self, worth: Tensor) -> Tensor:
        """[...] seconds of the law of dwell, at ``worth`` [...]."""
        config = self.config
        return config.fleeting_seconds + (config.engaged_seconds - config.fleeting_seconds) * worth

    def react(self, encounter: Encounter) -> Reaction:
        config, present = self.config, encounter.present
        chance, worth = self.chance(encounter), self.worth(encounter)
        position = luck.numbers(present.shape[1], present.device)
        purposes = "descent", "stretch", "another slate"
        descent, stretch, another = luck.states(self.seed, purposes, encounter.user, encounter.decision)  # [B] each
        u = luck.uniform(descent[:, None, None], luck.numbers(3, present.device)[:, None], position)  # [B, 3, K]
        finds = u[:, 0] < chance  # [B, K] crosses the threshold, if examined
        skips = position - torch.where(finds, position, -1).cummax(1).values  # in a row, up to this one
        patient = config.persistence * (1.0 - config.weariness) ** (skips.double() - 1.0)
        goes_on = u[:, 1] < torch.where(finds, 1.0 - config.satiation * worth, patient)
        examined = present.clone()
        examined[:, 1:] &= goes_on[:, :-1].cumprod(1).bool()
        clicked = examined & finds
        hidden = examined & ~finds & (u[:, 2] < config.hide * (1.0 - chance) ** 2)

        row, at = clicked.nonzero(as_tuple=True)  # [R]
        v = luck.uniform(stretch[row], at, luck.numbers(4, at.device)[:, None])  # [4, R]
        value = worth[row, at]
        whole = (encounter.words[row, at] / config.words_per_second).clamp_(max=config.dwell_cap_seconds)
        dwell = torch.zeros_like(worth)
        dwell[row, at] = torch.minimum(self._scale(value) * (-torch.log(v[0])) ** (1.0 / config.dwell_shape), whole)
        happened = torch.zeros((len(present), len(KINDS), len(position)), dtype=torch.bool, device=present.device)
        happened[:, IMPRESSION], happened[:, HIDE] = present, hidden  # [B, F, K]
        happened[:, CLICK] = happened[:, DWELL] = clicked
        for kind, probability, drawn in (
            (LIKE, config.like, v[1]),
            (SHARE, config.share, v[2]),
            (COMMENT, config.comment, v[3]),
        ):
            happened[row, kind, at] = drawn < probability * value**2

        begun = config.glance_seconds * examined.cumsum(1).double() + dwell.cumsum(1) - dwell  # [B, K]
        end = begun[:, -1] + dwell[:, -1] + 0.8
        moment = torch.full(happened.shape, 0.2, dtype=torch.float64, device=present.device)
        for kind, share in ((CLICK, 0.0), (LIKE, 0.5), (SHARE, 0.75), (COMMENT, 0.85), (DWELL, 1.0)):
            moment[:, kind] = begun + share * dwell
        moment[:, HIDE], moment[:, LEAVE] = begun + 0.4, end[:, None]

        last = (examined.sum(1) - 1).clamp_(min=0)
        at_last = torch.arange(len(present), device=present.device), last
        saw_all = goes_on[at_last] & (last == present.sum(1) - 1)
        exponent = torch.full_like(end, config.haste).masked_fill_(clicked[at_last], 1.0)
        exponent.masked_fill_(saw_all, 1.0 / config.haste)
        left = luck.uniform(another) >= torch.sigmoid(encounter.patience) ** exponent
        happened[:, LEAVE, 0] = left
        return Reaction(examined, clicked, worth, dwell.float(), happened, moment, left, end)
