"""When feedback reaches the site: seconds after it happened, for a share of the slates much later."""

from dataclasses import dataclass

import torch
from torch import Tensor

from newsrec.simulator import luck
from newsrec.simulator.parameters import POSITIVE, PROBABILITY, assumed, refuse_impossible
from newsrec.simulator.response import IMPRESSION, SECOND


@dataclass(frozen=True)
class ArrivalConfig:
    """A phone without connection reports a slate as a whole, late."""

    late_share: float = assumed(0.05, "share of slates whose feedback arrives late; 0: none", PROBABILITY)
    late_minutes: float = assumed(40.0, "median lateness of those", POSITIVE)

    def __post_init__(self) -> None:
        refuse_impossible(self)


def lateness(config: ArrivalConfig, seed: int, user: Tensor, decision: Tensor) -> Tensor:
    """Seconds by which the feedback on each slate is late as a whole, 0 for most: [B] float64."""
    is_late, by = luck.states(seed, ("late", "lateness"), user, decision)  # [B] each
    seconds = (60.0 * config.late_minutes * torch.exp(1.2 * luck.normal(by))).clamp_(max=86_400.0)
    return torch.where(luck.uniform(is_late) < config.late_share, seconds, 0.0)


def arrival_delay(seed: int, slate: Tensor, kind: Tensor, position: Tensor, late_seconds: Tensor) -> Tensor:
    """Microseconds from each event to its arrival, if its slate is ``late_seconds`` [M] late: [M] int64.

    ``slate`` [M] is the state of luck of each one's user and decision, for the purpose "delay".
    """
    call = position.masked_fill(kind == IMPRESSION, 0)  # one call reports all impressions of a slate
    own = torch.exp(0.4 + 0.8 * luck.normal(slate, kind, call))
    return ((own + late_seconds) * SECOND).long()
