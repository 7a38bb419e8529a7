"""A simulated newsroom in which one release follows another at half time."""

from functools import cache

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from newsrec.events import EventLog, microseconds
from newsrec.features import DAY
from newsrec.policy import mask_scores
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import Actor, simulate
from newsrec.slate import SlateConfig
from newsrec.transitions import POPULARITY_FEATURES, Candidates, State

DAYS = 8
HALF = DAYS // 2


class Changing:
    """Everything alike until ``hour``; from then on the least popular articles, or with ``worse`` False the same."""

    config = None

    def __init__(self, hour: int, worse: bool) -> None:
        self.hour, self.worse, self.second = hour, worse, False

    def progress(self, hours: int, total: int) -> None:
        self.second = hours >= self.hour

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        clicks = candidates.popularity[..., POPULARITY_FEATURES.index("log_clicks_day")]
        return mask_scores(-clicks if self.second and self.worse else torch.zeros_like(clicks), candidates)


def world(seed: int) -> SimulationConfig:
    population = PopulationConfig(visits_per_day=0.8)
    return SimulationConfig(
        readers=400, days=DAYS, articles_per_day=60, candidates=60, slate_size=8, seed=seed, population=population
    )


@cache
def two_releases(seed: int, worse: bool) -> EventLog:
    """``first`` served the first HALF of DAYS, ``second`` the others."""
    config = world(seed)
    policy = Changing(HALF * 24, worse)
    log = simulate(config, Actor(policy, SlateConfig("plackett_luce", temperature=0.05), "changing"), policy.progress)
    second = microseconds(log.recommendations["time"]) >= config.start_time + HALF * DAY
    at = log.recommendations.schema.get_field_index("policy_version")
    versions = pa.array(np.where(second, "second", "first"))
    return log._replace(recommendations=log.recommendations.set_column(at, "policy_version", versions))
