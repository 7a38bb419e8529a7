"""Feedback to an engagement reward, and elapsed time to a discount.

The reward of a slate is what readers did with it, in clicks: ``r = sum_k sum_kind weight[kind] * feedback[k, kind]``.
The discount follows the clock and not the number of slates: a next slate after h hours counts
``0.5 ** (h / half_life)``, so a policy after which readers come back
sooner is worth more (Zou et al. 2019; Cai et al. 2023).
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

import numpy as np

from newsrec.events import KINDS


@dataclass(frozen=True)
class RewardConfig:
    """Weights in clicks for each kind of feedback, and the half-life of what comes later."""

    click: float = 1.0
    dwell_minute: float = 0.2
    """For each minute of dwell, counted up to ``dwell_cap_seconds``."""
    dwell_cap_seconds: float = 300.0
    like: float = 2.0
    share: float = 3.0
    comment: float = 2.0
    hide: float = -3.0
    half_life_hours: float = 72.0
    return_horizon_hours: float = 168.0
    """How long after a visit the next one is waited for (``newsrec.habit``)."""
    retention: Literal["signs", "outcome"] = "signs"
    """What a slate is credited with: what readers' signs say of the next visit (``newsrec.surrogate``), or, at the end
    of a visit, whether it came."""

    def __post_init__(self) -> None:
        if self.retention not in get_args(get_type_hints(RewardConfig)["retention"]):
            raise ValueError(f"retention is {self.retention!r}, expected signs or outcome")
        for name, value in vars(self).items():
            if name != "retention" and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number")
        for name in ("half_life_hours", "return_horizon_hours"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if self.dwell_cap_seconds < 0:
            raise ValueError(f"dwell_cap_seconds is {self.dwell_cap_seconds}, expected 0 or more")


def engagement(feedback: np.ndarray, config: RewardConfig) -> np.ndarray:
    """[...] float32, in clicks, of ``feedback`` [..., kinds]: counts by kind, dwell in seconds."""
    weights = np.array([getattr(config, kind, 0.0) for kind in KINDS], np.float32)
    dwell = KINDS.index("dwell")
    minutes = np.minimum(feedback[..., dwell], config.dwell_cap_seconds) / 60.0
    return (feedback @ weights + minutes * config.dwell_minute).astype(np.float32)


def discount(hours: np.ndarray, config: RewardConfig) -> np.ndarray:
    """[...] float32 in (0, 1]: what a reward ``hours`` later is worth now."""
    return np.exp2(-np.asarray(hours) / config.half_life_hours).astype(np.float32)


def open_discount(hours: np.ndarray, rate: np.ndarray, config: RewardConfig) -> np.ndarray:
    """[...] float32: the expected ``discount`` of a next visit that has not come for ``hours``, at ``rate`` an hour.

    The rest of the wait is exponential: ``E 2 ** (-rest / half_life) = rate / (rate + ln 2 / half_life)``.
    """
    return (discount(hours, config) * rate / (rate + math.log(2.0) / config.half_life_hours)).astype(np.float32)
