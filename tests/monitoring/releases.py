"""A simulated newsroom in which one release follows another at half time."""

from functools import cache
from itertools import count

import numpy as np
import pyarrow as pa
from torch import Tensor

from newsrec.events import EventLog, microseconds
from newsrec.features import DAY
from newsrec.policy import mask_scores
from newsrec.simulator.articles import TOPIC_NAMES
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import Actor, simulate
from newsrec.simulator.shocks import ShockConfig, strike
from newsrec.slate import SlateConfig
from newsrec.transitions import Candidates, State

DAYS = 8
HALF = DAYS // 2
NO_NEWS = ShockConfig(per_month=0.0)
BIG_NEWS = ShockConfig(per_month=4.0, hours=24.0, strength_spread=0.0, interest=2.0)


class Changing:
    """The newest articles first; at half time the oldest, or with ``worse`` False the same."""

    config = None

    def __init__(self, worse: bool) -> None:
        self.worse, self.second = worse, False

    def progress(self, done: int, total: int) -> None:
        self.second = 2 * done >= total

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        days = candidates.age_hours / 24.0
        return mask_scores(days if self.second and self.worse else -days, candidates)


def world(seed: int, shocks: ShockConfig = NO_NEWS) -> SimulationConfig:
    population = PopulationConfig(visits_per_day=0.8)
    return SimulationConfig(
        readers=300,
        days=DAYS,
        articles_per_day=60,
        candidates=120,
        slate_size=8,
        seed=seed,
        population=population,
        shocks=shocks,
    )


def two_releases(seed: int, worse: bool, shocks: ShockConfig = NO_NEWS) -> EventLog:
    """``first`` served the first HALF of DAYS, ``second`` the others; the same log whenever it is asked for again."""
    return _simulated(seed, worse, shocks)


@cache  # which takes arguments by name for others than the same by place
def _simulated(seed: int, worse: bool, shocks: ShockConfig) -> EventLog:
    config = world(seed, shocks)
    policy = Changing(worse)
    log = simulate(config, Actor(policy, SlateConfig("plackett_luce", temperature=0.1), "changing"), policy.progress)
    second = microseconds(log.recommendations["time"]) >= config.start_time + HALF * DAY
    at = log.recommendations.schema.get_field_index("policy_version")
    versions = pa.array(np.where(second, "second", "first"))
    return log._replace(recommendations=log.recommendations.set_column(at, "policy_version", versions))


def with_news_under_the_first() -> int:
    """The first seed of a world in which BIG_NEWS breaks once, in time to be over when the second release serves."""
    for seed in count():
        config = world(seed)
        news = strike(BIG_NEWS, len(TOPIC_NAMES), config.start_time, DAYS, seed)
        days = (news.start - config.start_time) / DAY, (news.end - config.start_time) / DAY
        if len(news.start) == 1 and days[0] > 1 and days[1] < HALF - 0.5:
            return seed
