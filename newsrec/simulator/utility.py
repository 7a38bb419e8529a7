"""Readers who weigh each article by itself, more seldom further down. The equations stand in ``world``."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtri

from newsrec.simulator import draws
from newsrec.simulator.parameters import NOT_NEGATIVE, POSITIVE, PROBABILITY, assumed, refuse_impossible
from newsrec.simulator.response import WITHIN_A_SESSION, Encounter, Reaction


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

    def chance(self, encounter: Encounter) -> np.ndarray:
        config = self.config
        logit = config.base + config.interest * encounter.match + config.quality * encounter.quality
        logit += config.clickbait * encounter.clickbait + config.freshness * encounter.freshness
        return np.where(encounter.known, 0.0, expit(logit - config.repetition * encounter.repetition))

    def worth(self, encounter: Encounter) -> np.ndarray:
        config = self.config
        content = config.worth_base + config.worth_interest * encounter.match + config.worth_quality * encounter.quality
        return expit(content - config.worth_clickbait * encounter.disappointment)

    def react(self, encounter: Encounter) -> Reaction:
        config, seed, user, decision = self.config, self.seed, encounter.user, encounter.decision
        position, worth = np.arange(encounter.present.shape[1]), self.worth(encounter)
        u = draws.uniform(seed, "look", user[:, None, None], decision[:, None, None], np.arange(3)[:, None], position)
        examined = encounter.present & (u[:, 0] < (position + 1.0) ** -config.position_bias)  # [B, K]
        clicked = examined & (u[:, 1] < self.chance(encounter))
        hidden = examined & ~clicked & (u[:, 2] < config.hide * (1.0 - worth) ** 2)

        row, at = np.nonzero(clicked)  # [R]
        v = draws.uniform(seed, "read", user[row], decision[row], at, np.arange(4)[:, None])  # [4, R]
        value = worth[row, at]
        level = np.log(config.dwell_seconds) + config.dwell_worth * (value - 0.5)
        level += 0.3 * np.log(encounter.words[row, at] / 500.0)
        reading = np.zeros(clicked.shape)
        reading[row, at] = np.minimum(np.exp(level + config.dwell_spread * ndtri(v[0])), config.dwell_cap_seconds)
        acted = np.zeros((3, *clicked.shape), bool)  # like share comment
        acted[:, row, at] = v[1:] < np.array([[config.like], [config.share], [config.comment]]) * value

        reached = config.scan_seconds * np.cumsum(examined, 1) + np.cumsum(reading, 1) - reading  # [B, K]
        end = reached[:, -1] + reading[:, -1] + 1.0
        stay = expit(encounter.patience + config.patience_click * clicked.any(1))
        left = draws.uniform(seed, "stay", user, decision) >= stay
        of_read = [reached + share * reading for share in (0.0, 1.0, 0.6, 0.7, 0.9)]  # click dwell like share comment
        last = np.broadcast_to(end[:, None], clicked.shape)
        leave = left[:, None] & (position == 0)
        return Reaction(
            examined,
            clicked,
            worth,
            reading.astype(np.float32),
            np.stack([encounter.present, clicked, clicked, *acted, hidden, leave], 1),
            np.stack([np.full(clicked.shape, 0.3), *of_read, reached + 0.5, last], 1),
            left,
            end,
        )
