"""Who reads: interests, rhythm of life, patience and place of each reader. Fixed for a world, hidden from policies."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from newsrec.features import DAY, HOUR
from newsrec.simulator import draws
from newsrec.simulator.articles import TOPIC_NAMES
from newsrec.simulator.parameters import BETWEEN, NOT_NEGATIVE, POSITIVE, PROBABILITY, assumed, refuse_impossible

CPU = torch.device("cpu")
WEEK_HOURS = 168
PLACES = (("en-US", -300), ("en-US", -480), ("en-GB", 0), ("en-GB", 0), ("en-ZA", 120), ("en-IN", 330))
"""Locale and minutes east of UTC; each is as likely as the others."""
DEVICES = ("phone", "desktop", "tablet")
DEVICE_SHARE = np.array([0.62, 0.30, 0.08])
HABITS = (  # (hours of the day with a peak, weight of a day at the weekend)
    ((7.0,), 0.9),
    ((8.0, 18.0), 0.6),
    ((12.5,), 0.7),
    ((20.5,), 1.2),
    ((10.0, 15.0, 21.0), 1.3),
)
"""Kinds of rhythm; each is as likely as the others, and each reader's is shifted by a time of their own."""
NO_HABIT = len(HABITS)


@dataclass(frozen=True)
class PopulationConfig:
    """How readers differ."""

    interest_spread: float = assumed(1.0, "standard deviation of a reader's interest in a topic", NOT_NEGATIVE)
    topic_appeal_spread: float = assumed(
        0.3, "standard deviation of what all readers share of their interest in a topic", NOT_NEGATIVE
    )
    visits_per_day: float = assumed(0.22, "median over readers, where what they read does not matter", POSITIVE)
    activity_spread: float = assumed(1.1, "standard deviation of the log of visits a day between readers", NOT_NEGATIVE)
    patience: float = assumed(0.4, "median probability to ask for another slate after one without a read", BETWEEN)
    patience_spread: float = assumed(0.6, "standard deviation of its logit between readers", NOT_NEGATIVE)
    cookie_clearers: float = assumed(0.08, "share of readers who clear their cookies now and then", PROBABILITY)
    cookie_clearing: float = assumed(0.15, "probability that one of them has done so before a visit", PROBABILITY)
    bots: float = assumed(0.002, "share of readers that are programs; 0: none", PROBABILITY)
    bot_visits_per_day: float = assumed(6.0, "visits of each of those, at any hour", POSITIVE)
    rhythm_shift_hours: float = assumed(
        1.0, "standard deviation of a reader's shift against their kind of rhythm", NOT_NEGATIVE
    )

    def __post_init__(self) -> None:
        refuse_impossible(self)


class Population(NamedTuple):
    """N readers; T topics."""

    interests: Tensor  # [N, T] float32, those that last
    visits_per_hour: Tensor  # [N] float64, at neutral satisfaction
    habit: Tensor  # [N] int64, row of HABITS, NO_HABIT for a bot
    shift: Tensor  # [N] int64, microseconds that the reader's rhythm runs late
    patience: Tensor  # [N] float64, logit
    place: Tensor  # [N] int64, row of PLACES
    utc_offset: Tensor  # [N] int64, minutes
    device: Tensor  # [N] int64, the one that the reader mostly uses, row of DEVICES
    clearing: Tensor  # [N] float32, probability of cleared cookies before a visit
    bot: Tensor  # [N] bool

    def rhythm_clock(self, readers: Tensor, time: Tensor) -> Tensor:
        """Hours into the reader's own week (Monday midnight is 0), shifted by their rhythm: [B] float64 in [0, 168)."""
        local = time + self.utc_offset[readers] * 60_000_000 - self.shift[readers] + 3 * DAY  # 1970 began on a Thursday
        return (local % (7 * DAY)).double() / HOUR


def settle(config: PopulationConfig, n: np.ndarray, seed: int, device: torch.device = CPU) -> Population:
    """The readers with the numbers ``n`` [N], on ``device``. A reader's traits depend on nobody else."""
    topic = np.arange(len(TOPIC_NAMES))
    appeal = config.topic_appeal_spread * draws.normal(seed, "topic appeal", topic)  # [T]
    own = config.interest_spread * draws.normal(seed, "interests", n[:, None], topic)  # [N, T]
    activity = np.exp(config.activity_spread * draws.normal(seed, "activity", n))
    patience = np.log(config.patience / (1.0 - config.patience))
    place = _pick(draws.uniform(seed, "place", n), np.ones(len(PLACES)))
    shift = config.rhythm_shift_hours * HOUR * draws.normal(seed, "rhythm shift", n)
    bot = draws.uniform(seed, "bot", n) < config.bots
    clears = draws.uniform(seed, "clears cookies", n) < config.cookie_clearers
    columns = {
        "interests": (appeal + own).astype(np.float32),
        "visits_per_hour": np.where(bot, config.bot_visits_per_day, config.visits_per_day * activity) / 24.0,
        "habit": np.where(bot, NO_HABIT, _pick(draws.uniform(seed, "habit", n), np.ones(len(HABITS)))),
        "shift": shift.astype(np.int64),
        "patience": patience + config.patience_spread * draws.normal(seed, "patience", n),
        "place": place,
        "utc_offset": np.array([minutes for _, minutes in PLACES])[place],
        "device": _pick(draws.uniform(seed, "device", n), DEVICE_SHARE),
        "clearing": np.where(clears & ~bot, config.cookie_clearing, 0.0).astype(np.float32),
        "bot": bot,
    }
    return Population(**{name: torch.from_numpy(column).to(device) for name, column in columns.items()})


def habit_table() -> np.ndarray:
    """[habits + 1, 168] float64: relative rate of visits in each hour of a week, mean 1, never 0; NO_HABIT is even."""
    hour = np.arange(WEEK_HOURS) % 24 + 0.5
    weekend = np.arange(WEEK_HOURS) >= 5 * 24
    rows = []
    for peaks, weight in HABITS:
        away = np.abs((hour[:, None] - np.array(peaks) + 12.0) % 24.0 - 12.0)  # [168, peaks]
        row = (0.08 + np.exp(-0.5 * (away / 1.6) ** 2).sum(1)) * np.where(weekend, weight, 1.0)
        rows.append(row / row.mean())
    return np.stack([*rows, np.ones(WEEK_HOURS)])


def _pick(u: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Categories drawn in proportion to ``weights`` from uniform numbers. int64"""
    return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], u)
