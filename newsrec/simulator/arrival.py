"""When feedback reaches the site: seconds after it happened, for a share of the slates much later."""

from dataclasses import dataclass

import numpy as np

from newsrec.simulator import draws
from newsrec.simulator.parameters import POSITIVE, PROBABILITY, assumed, refuse_impossible
from newsrec.simulator.response import IMPRESSION, SECOND, Feedback


@dataclass(frozen=True)
class ArrivalConfig:
    """A phone without connection reports a slate as a whole, late."""

    late_share: float = assumed(0.05, "share of slates whose feedback arrives late; 0: none", PROBABILITY)
    late_minutes: float = assumed(40.0, "median lateness of those", POSITIVE)

    def __post_init__(self) -> None:
        refuse_impossible(self)


def lateness(config: ArrivalConfig, seed: int, user: np.ndarray, decision: np.ndarray) -> np.ndarray:
    """Seconds by which the feedback on each slate is late as a whole, 0 for most: [B] float64."""
    late = draws.uniform(seed, "late", user, decision) < config.late_share
    seconds = np.zeros(len(user))
    spread = np.exp(1.2 * draws.normal(seed, "lateness", user[late], decision[late]))
    seconds[late] = np.minimum(60.0 * config.late_minutes * spread, 86_400.0)
    return seconds


def arrival_delay(seed: int, events: Feedback, late_seconds: np.ndarray) -> np.ndarray:
    """Microseconds from each event to its arrival, if its slate is ``late_seconds`` [M] late: [M] int64."""
    call = np.where(events.kind == IMPRESSION, 0, events.position)  # one call reports all impressions of a slate
    own = np.exp(0.4 + 0.8 * draws.normal(seed, "delay", events.user, events.decision, events.kind, call))
    return ((own + late_seconds) * SECOND).astype(np.int64)
