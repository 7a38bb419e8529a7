"""Candidates one reader at a time, as they are meant, against those of all at once."""

import numpy as np

from newsrec.features import HOUR
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.shortlist import Shortlist
from newsrec.simulator.world import World

CONFIG = SimulationConfig(readers=1, days=3, articles_per_day=30, candidates=40)


def test_the_newest_articles_that_are_alive_and_unread_in_order() -> None:
    """Also where a read stands twice or is older than the candidates."""
    world, rng = World(CONFIG), np.random.default_rng(0)
    newsroom, shelf_life = world.newsroom, int(CONFIG.newsroom.shelf_life_hours * HOUR)
    now = np.sort(rng.integers(CONFIG.start_time, CONFIG.end_time, 200))
    read = rng.integers(0, np.searchsorted(newsroom.published, now)[:, None], (200, 50)).astype(np.int32)
    read[rng.random(read.shape) < 0.5] = -1
    read[:, 1::7] = read[:, :-1:7]
    read[::3] = -1
    found = Shortlist(world, newsroom.table, None).candidates(read, now)
    assert found.dtype == np.int32
    for row, moment in enumerate(now):
        newest = np.flatnonzero(newsroom.published <= moment)[::-1][: CONFIG.candidates]
        alive = newest[newsroom.published[newest] > moment - shelf_life]
        unread = [article for article in alive if article not in read[row]]
        assert found[row].tolist() == unread + [-1] * (CONFIG.candidates - len(unread))
