"""What tests know of a simulated log that its readers do not."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from newsrec.features import DAY
from newsrec.simulator import draws
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.identity import ids, user_number
from newsrec.simulator.response import CLICK, IMPRESSION, Encounter, Feedback
from newsrec.simulator.world import World


def readers_of(config: SimulationConfig, user_ids: pa.ChunkedArray) -> np.ndarray:
    """[n] number of the reader behind each of ``user_ids``, whatever cookies they cleared (up to 40 times)."""
    reader = np.repeat(np.arange(config.readers), 40)
    clearings = np.tile(np.arange(40), config.readers)
    row = pc.index_in(user_ids, value_set=ids(config.seed, "u", user_number(config.seed, reader, clearings)))
    return reader[row.to_numpy()]


class Lived(NamedTuple):
    """What N readers did over some days."""

    visits: np.ndarray  # [V] int64, moments at which visits began
    visitor: np.ndarray  # [V] int64, whose
    active_days: np.ndarray  # [N] float64
    impressions: np.ndarray  # [N] int64
    clicks: np.ndarray  # [N] int64
    clicked: np.ndarray  # [C] int64, articles of the clicks
    clicked_at: np.ndarray  # [C] int64, moments


def live(config: SimulationConfig, taste: Callable[[Encounter], Tensor]) -> Lived:
    """The days of ``config`` under a policy that knows the truth: of 60 new articles, those with most ``taste``.

    ``taste`` [B, 60] counts in units of a noise (Gumbel) that keeps slates random: they are drawn by Plackett-Luce. No
    features, no log: everybody asks at once, again and again, until their days are over.
    """
    world, end, per_slate = World(config), config.end_time, config.slate_size
    n, number = config.readers, np.arange(60)
    visits, events = [], [Feedback.none()]
    began = np.full(n, -1)
    while len(due := world.due(end)):
        asked = world.requests(due)
        new = asked.visit + (asked.user << 16) != began[due]
        began[due] = asked.visit + (asked.user << 16)
        visits.append((asked.time[new], due[new]))
        newest = np.searchsorted(world.newsroom.published, asked.time, side="right") - 1
        articles = newest[:, None] - number  # [B, 60]
        u = draws.uniform(config.seed, "slates of a test", asked.user[:, None], asked.decision[:, None], number)
        score = taste(world.encounter(due, articles)).numpy() - np.log(-np.log(u))
        chosen = np.argsort(-score, 1)[:, :per_slate]
        events.append(world.respond(due, np.take_along_axis(articles, chosen, 1).astype(np.int32)))
    moment, visitor = (np.concatenate(column) for column in zip(*visits, strict=True))
    feedback = Feedback.joined(events)
    day = np.unique(feedback.reader * 1_000 + (feedback.time - config.start_time) // DAY)
    of_clicks = feedback.take(feedback.kind == CLICK)
    counts = (np.bincount(f.reader, minlength=n) for f in (feedback.take(feedback.kind == IMPRESSION), of_clicks))
    return Lived(
        moment,
        visitor,
        np.bincount(day // 1_000, minlength=n).astype(float),
        *counts,
        of_clicks.article,
        of_clicks.time,
    )
