"""Hours in which one topic is all that counts, such as an election night. The equations stand in ``world``."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from newsrec.features import DAY, HOUR
from newsrec.simulator import draws
from newsrec.simulator.parameters import NOT_NEGATIVE, POSITIVE, assumed, refuse_impossible


@dataclass(frozen=True)
class ShockConfig:
    """How often and how much. What a shock adds is for one of strength 1, the median."""

    per_month: float = assumed(2.0, "shocks in 30 days, at most one starts on a day; 0: none", NOT_NEGATIVE)
    hours: float = assumed(10.0, "length of a shock", POSITIVE)
    strength_spread: float = assumed(0.5, "standard deviation of the log of strength between shocks", NOT_NEGATIVE)
    supply: float = assumed(1.0, "further articles, for each that the newsroom publishes anyway", NOT_NEGATIVE)
    demand: float = assumed(0.8, "further visits, for each that there would be anyway", NOT_NEGATIVE)
    interest: float = assumed(1.0, "what everybody's interest in the topic gains")

    def __post_init__(self) -> None:
        refuse_impossible(self)


class Shocks(NamedTuple):
    """S shocks in order of time."""

    topic: np.ndarray  # [S] int64
    start: np.ndarray  # [S] int64, microseconds
    end: np.ndarray  # [S] int64, microseconds
    supply: np.ndarray  # [S] further articles for each
    demand: np.ndarray  # [S] further visits for each
    interest: np.ndarray  # [S] added to everybody's interest in the topic

    def lasting(self, now: np.ndarray) -> np.ndarray:
        """[..., S] bool: which shocks last at ``now`` [...]."""
        return (self.start <= now[..., None]) & (now[..., None] < self.end)

    def demand_steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Moments [E] at which demand changes, and its factor [E + 1] before the first and behind each."""
        moments = np.unique(np.concatenate([self.start, self.end]))
        return moments, np.append(1.0, 1.0 + self.lasting(moments) @ self.demand)


class TopicGains:
    """What ``shocks`` add to everybody's interests in T = ``topics`` topics, on ``device``."""

    def __init__(self, shocks: Shocks, topics: int, device: torch.device) -> None:
        columns = shocks.topic, shocks.start, shocks.end, shocks.interest
        self._topic, self._start, self._end, self._interest = (torch.from_numpy(x).to(device) for x in columns)
        self._topics = topics

    def __len__(self) -> int:
        """S"""
        return len(self._topic)

    def at(self, now: Tensor) -> Tensor:
        """[B, T] float64, at ``now`` [B]."""
        lasting = (self._start <= now[:, None]) & (now[:, None] < self._end)  # [B, S]
        gains = torch.zeros((len(now), self._topics), dtype=torch.float64, device=now.device)
        return gains.index_add_(1, self._topic, lasting * self._interest)


_NONE, _NOTHING = np.zeros(0, np.int64), np.zeros(0)
NO_SHOCKS = Shocks(_NONE, _NONE, _NONE, _NOTHING, _NOTHING, _NOTHING)


def strike(config: ShockConfig, topics: int, start: int, days: int, seed: int) -> Shocks:
    """The shocks that start within ``days`` from ``start`` on; more days leave the earlier ones as they are."""
    day = np.arange(days)
    day = day[draws.uniform(seed, "shock", day) < -np.expm1(-config.per_month / 30.0)]
    begin = start + day * DAY + (draws.uniform(seed, "shock's start", day) * DAY).astype(np.int64)
    strength = np.exp(config.strength_spread * draws.normal(seed, "shock's strength", day))
    return Shocks(
        topic=(draws.bits(seed, "shock's topic", day) % np.uint64(topics)).astype(np.int64),
        start=begin,
        end=begin + int(config.hours * HOUR),
        supply=config.supply * strength,
        demand=config.demand * strength,
        interest=config.interest * strength,
    )
