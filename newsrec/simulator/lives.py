"""The days of readers under a policy that knows the truth: no features, no log, only what became of them.

Nobody influences anybody else here, so all readers ask at once, again and again, until their days are over. Two
policies in worlds of one configuration share readers, articles and luck: their differences by reader are paired.
"""

from typing import NamedTuple

import numpy as np

from newsrec.features import DAY
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.oracle import Act
from newsrec.simulator.response import CLICK, IMPRESSION
from newsrec.simulator.world import World


class Lives(NamedTuple):
    """What N readers did within the days of a configuration, all [N] float64."""

    active_days: np.ndarray  # days (UTC) on which they asked for a slate
    slates: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray


def live(config: SimulationConfig, act: Act) -> Lives:
    """The lives of the readers of ``config`` if ``act`` chooses their slates."""
    world, n = World(config), config.readers
    active = np.zeros((n, config.days), bool)
    slates, impressions, clicks = np.zeros((3, n))
    while len(due := np.flatnonzero(world.next_time < config.end_time)):
        active[due, (world.next_time[due] - config.start_time) // DAY] = True
        feedback = world.respond(due, act(world, due))
        slates[due] += 1
        impressions += np.bincount(feedback.reader[feedback.kind == IMPRESSION], minlength=n)
        clicks += np.bincount(feedback.reader[feedback.kind == CLICK], minlength=n)
    return Lives(active.sum(1).astype(float), slates, impressions, clicks)
