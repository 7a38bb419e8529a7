"""Readers who go down the slate until they are satisfied or bored. The equations stand in ``world``."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr, ndtri

from newsrec.events import KINDS
from newsrec.simulator import draws
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

    def chance(self, encounter: Encounter) -> np.ndarray:
        config = self.config
        appeal = config.interest * encounter.match + config.quality * encounter.quality
        appeal += config.clickbait * encounter.clickbait + config.freshness * encounter.freshness
        personal = config.threshold_spread * draws.normal(self.seed, "reading threshold", encounter.reader)
        threshold = config.threshold + personal[:, None] + config.repetition * encounter.repetition
        return np.where(encounter.known, 0.0, ndtr(appeal - threshold))

    def worth(self, encounter: Encounter) -> np.ndarray:
        config = self.config
        more = config.substance_interest * encounter.match + config.substance_quality * encounter.quality
        return ndtr(ndtri(config.substance) + more) * np.exp(-config.disappointment * encounter.disappointment)

    def react(self, encounter: Encounter) -> Reaction:
        config, seed, user, decision = self.config, self.seed, encounter.user, encounter.decision
        present, chance, worth = encounter.present, self.chance(encounter), self.worth(encounter)
        position = np.arange(present.shape[1])
        u = draws.uniform(
            seed, "descent", user[:, None, None], decision[:, None, None], np.arange(3)[:, None], position
        )
        finds = u[:, 0] < chance  # [B, K] crosses the threshold, if examined
        skips = position - np.maximum.accumulate(np.where(finds, position, -1), 1)  # in a row, up to this one
        patient = config.persistence * (1.0 - config.weariness) ** (skips - 1.0)
        goes_on = u[:, 1] < np.where(finds, 1.0 - config.satiation * worth, patient)
        examined = present.copy()
        examined[:, 1:] &= np.logical_and.accumulate(goes_on[:, :-1], 1)
        clicked = examined & finds
        hidden = examined & ~finds & (u[:, 2] < config.hide * (1.0 - chance) ** 2)

        row, at = np.nonzero(clicked)  # [R]
        v = draws.uniform(seed, "stretch", user[row], decision[row], at, np.arange(4)[:, None])  # [4, R]
        value = worth[row, at]
        scale = config.fleeting_seconds + (config.engaged_seconds - config.fleeting_seconds) * value
        whole = np.minimum(encounter.words[row, at] / config.words_per_second, config.dwell_cap_seconds)
        dwell = np.zeros(clicked.shape)
        dwell[row, at] = np.minimum(scale * (-np.log(v[0])) ** (1.0 / config.dwell_shape), whole)
        happened = np.zeros((len(user), len(KINDS), len(position)), bool)  # [B, F, K]
        happened[:, IMPRESSION], happened[:, HIDE] = present, hidden
        happened[:, CLICK] = happened[:, DWELL] = clicked
        for kind, probability, drawn in (
            (LIKE, config.like, v[1]),
            (SHARE, config.share, v[2]),
            (COMMENT, config.comment, v[3]),
        ):
            happened[row, kind, at] = drawn < probability * value**2

        begun = config.glance_seconds * np.cumsum(examined, 1) + np.cumsum(dwell, 1) - dwell  # [B, K]
        end = begun[:, -1] + dwell[:, -1] + 0.8
        moment = np.full(happened.shape, 0.2)
        for kind, share in ((CLICK, 0.0), (LIKE, 0.5), (SHARE, 0.75), (COMMENT, 0.85), (DWELL, 1.0)):
            moment[:, kind] = begun + share * dwell
        moment[:, HIDE], moment[:, LEAVE] = begun + 0.4, end[:, None]

        last = np.maximum(examined.sum(1) - 1, 0)
        at_last = np.arange(len(user)), last
        saw_all = goes_on[at_last] & (last == present.sum(1) - 1)
        exponent = np.where(saw_all, 1.0 / config.haste, np.where(clicked[at_last], 1.0, config.haste))
        left = draws.uniform(seed, "another slate", user, decision) >= expit(encounter.patience) ** exponent
        happened[:, LEAVE, 0] = left
        return Reaction(examined, clicked, worth, dwell.astype(np.float32), happened, moment, left, end)
