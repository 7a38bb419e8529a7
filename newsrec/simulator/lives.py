"""The days of readers under a policy: no log, only what became of them.

Two policies in worlds of one configuration share readers, articles and luck: their differences by reader are paired.
Days are counted from the first of the configuration, when all readers are assigned; who never came is a row of zeros.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from newsrec.encoders.text import embed_articles
from newsrec.features import DAY
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.oracle import Act
from newsrec.simulator.response import CLICK, DWELL, HIDE, IMPRESSION, Feedback
from newsrec.simulator.rollout import Actor, spans
from newsrec.simulator.world import World

WEEK = 7 * DAY


class Lives(NamedTuple):
    """What N readers did within the days of a configuration, all [N] float64 but the last."""

    active_days: np.ndarray  # days (UTC) on which they asked for a slate
    visits: np.ndarray
    week_visits: np.ndarray  # those of them that began a week or more before the end
    week_returns: np.ndarray  # those of week_visits behind which the next visit began within a week
    slates: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray
    dwell_minutes: np.ndarray
    hides: np.ndarray
    shown: np.ndarray  # [A] int64, how often each article of the newsroom was shown


def live(config: SimulationConfig, act: Act, device: torch.device | str = "cpu") -> Lives:
    """The lives of the readers of ``config``, on ``device``, if ``act``, which knows the truth, chooses their slates.

    Nobody influences anybody else here, so all readers ask at once, again and again, until their days are over.
    """
    world = World(config, device=device)
    tally = _Tally(world)
    while len(due := world.due(config.end_time)):
        asked = world.requests(due)
        tally.add(due, asked.time, (asked.user, asked.visit), world.respond(due, act(world, due)))
    return tally.lives()


def live_under(
    config: SimulationConfig,
    actor: Actor,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | str = "cpu",
) -> Lives:
    """The lives of the readers of ``config`` if ``actor``, which knows what a site knows, chooses their slates.

    ``progress`` is called with the days done and their number. The readers live on ``device``.
    """
    world = World(config, device=device)
    tally = _Tally(world)
    for moment, made in spans(world, embed_articles(world.newsroom.table), actor):
        for decision, feedback in made:
            tally.add(decision.reader, decision.time, (decision.user, decision.visit), feedback)
        if progress and moment % DAY == 0:
            progress((moment - config.start_time) // DAY, config.days)
    return tally.lives()


class _Tally:
    """Counts what the readers of ``world`` do."""

    def __init__(self, world: World) -> None:
        self._config, n = world.config, len(world.number)
        self._active = np.zeros((n, self._config.days), bool)
        self._visits, self._week_visits, self._week_returns, self._slates = np.zeros((4, n))
        self._counts = {kind: np.zeros(n) for kind in (IMPRESSION, CLICK, DWELL, HIDE)}
        self._shown = np.zeros(len(world.newsroom.published), np.int64)
        self._visit = np.full((2, n), -1)  # user and number of each reader's latest visit
        self._began = np.full(n, -WEEK)  # when it did

    def add(
        self, readers: np.ndarray, time: np.ndarray, visit: tuple[np.ndarray, np.ndarray], feedback: Feedback
    ) -> None:
        """What ``readers`` [B], each once, did with a slate at ``time`` [B]; ``visit`` says which one it belongs to."""
        config = self._config
        self._active[readers, (time - config.start_time) // DAY] = True
        self._slates[readers] += 1
        begins = (self._visit[:, readers] != np.stack(visit)).any(0)
        new, at = readers[begins], time[begins]
        self._week_returns[new] += (at - self._began[new] <= WEEK) & (self._began[new] <= config.end_time - WEEK)
        self._week_visits[new] += at <= config.end_time - WEEK
        self._visits[new] += 1
        self._visit[:, readers], self._began[new] = np.stack(visit), at
        for kind in self._counts:
            of_kind = feedback.take(feedback.kind == kind)
            amount = np.nan_to_num(of_kind.dwell_seconds) / 60.0 if kind == DWELL else None
            self._counts[kind] += np.bincount(of_kind.reader, amount, len(self._active))
            if kind == IMPRESSION:
                self._shown += np.bincount(of_kind.article, minlength=len(self._shown))

    def lives(self) -> Lives:
        return Lives(
            self._active.sum(1).astype(float),
            self._visits,
            self._week_visits,
            self._week_returns,
            self._slates,
            self._counts[IMPRESSION],
            self._counts[CLICK],
            self._counts[DWELL],
            self._counts[HIDE],
            self._shown,
        )
