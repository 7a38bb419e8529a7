"""Policies that know the truth of a simulated world: what could be won there, and what clicks alone would win.

They see a reader's hidden state, so nothing that learns from a log can be compared with them but as a bound. Both rank
the newest articles by a score for each, best on top:

``greedy_click``
    the chance of a click, what a perfect click model would do;
``greedy_dwell``
    the chance of a click times how long the read lasts, what a perfect model of minutes read would do;
``planner``
    the chance of a click times what the read adds to the log hazard of the next visit, over what leaving the article
    unread does to it. ``returns.learned`` says where a read takes the level and ``returns.log_factor`` what that is
    worth, so one planner serves every family of returns and every sign of the elasticity.

The planner looks one read ahead. Reads of one slate add up to what each adds alone as long as the level moves little,
and what a read takes from later ones (the article is used up, its topic bores) is left out: it is a strong policy with
the true state, not a proof of the optimum. Whoever measures headroom by it has to show that no other policy beats it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from newsrec.features import HOUR
from newsrec.simulator import draws
from newsrec.simulator.response import Encounter
from newsrec.simulator.world import World

Score = Callable[[World, np.ndarray, Encounter], Tensor]
"""World, readers [B] and what C articles are to them -> [B, C]."""
Act = Callable[[World, np.ndarray], np.ndarray]
"""World and readers [B] (each once) -> their slates at their next moment, [B, K] int32 rows of articles, -1 behind."""


@dataclass(frozen=True)
class Ranking:
    """The policy that shows, of the ``config.candidates`` newest articles, those of the highest score; newest first."""

    score: Score
    noise: float = 0.0
    """Factor of Gumbel noise on the scores, by which slates are drawn from a Plackett-Luce law; 0: always the best."""

    def __call__(self, world: World, readers: np.ndarray) -> np.ndarray:
        articles = shelf(world, readers)  # [B, C]
        score = self.score(world, readers, world.encounter(readers, articles)).cpu().numpy()  # [B, C]
        if self.noise:
            asked = world.requests(readers)
            key = asked.user[:, None], asked.decision[:, None], articles + 1
            score = score - self.noise * np.log(-np.log(draws.uniform(world.config.seed, "slate of an oracle", *key)))
        best = np.argsort(np.where(articles >= 0, -score, np.inf), 1, kind="stable")
        return np.take_along_axis(articles, best[:, : world.config.slate_size], 1)


def shelf(world: World, readers: np.ndarray) -> np.ndarray:
    """[B, C] int32: the newest articles that are alive at the next moment of ``readers`` [B], -1 behind the last."""
    published, now = world.newsroom.published, world.requests(readers).time
    oldest = np.searchsorted(published, now - int(world.config.newsroom.shelf_life_hours * HOUR), side="right")
    newest = np.searchsorted(published, now, side="right") - 1
    article = newest[:, None] - np.arange(world.config.candidates)  # [B, C]
    return np.where(article >= oldest[:, None], article, -1).astype(np.int32)


def click_chance(world: World, readers: np.ndarray, faced: Encounter) -> Tensor:
    """[B, C] probability of a click, if examined."""
    return world.response.chance(faced)


def expected_dwell(world: World, readers: np.ndarray, faced: Encounter) -> Tensor:
    """[B, C] seconds that showing each article lets expect, if examined, up to a factor that all share."""
    return world.response.chance(faced) * world.response.dwell(world.response.worth(faced), faced.words)


def hazard_gain(world: World, readers: np.ndarray, faced: Encounter) -> Tensor:
    """[B, C] what showing each article adds to the log hazard of the next visit, if examined."""
    worth = world.response.worth(faced)[..., None]  # [B, C, 1], slates of one
    rows = torch.from_numpy(readers).to(world.on)
    level = world.level[rows, None]  # [B, 1]
    hours = (world.next_time - world.level_at)[rows, None].double() / HOUR  # [B, 1]
    read, unread = (
        world.returns.log_factor(world.returns.learned(level, hours, worth, is_read), torch.zeros_like(level))
        for is_read in (torch.ones_like(worth, dtype=torch.bool), torch.zeros_like(worth, dtype=torch.bool))
    )  # [B, C] each
    return world.response.chance(faced) * (read - unread)


greedy_click, greedy_dwell, planner = Ranking(click_chance), Ranking(expected_dwell), Ranking(hazard_gain)
