"""A world and a policy to a log: the recommender's side of a simulation.

A policy sees what a live one would see: features as they had arrived by the moment of the request. What readers share
is the popularity of articles, which changes at full hours only. So time goes by full hours, in which all readers that
are due decide together, then those that are due again, until the hour is over. Where every slate is as likely as any
other readers share nothing, and time goes by some days. Slates are drawn by user and decision, so that it does not
matter who is decided for at the same time.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from newsrec import slate as slates
from newsrec.catalogue import Catalogue
from newsrec.encoders.text import embed_articles
from newsrec.events import SCHEMAS, EventLog
from newsrec.features import DAY
from newsrec.policy import Policy
from newsrec.simulator import draws
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.recommenders import Informed, Recommender, Uniform
from newsrec.simulator.recorder import Decision, Recorder
from newsrec.simulator.response import Feedback
from newsrec.simulator.world import World
from newsrec.slate import SlateConfig

UNIFORM = SlateConfig("plackett_luce")
"""With equal scores: every slate as likely as any other."""

READERS_TOGETHER = 1_024
"""Most readers that are decided for at once: what there is to one of them has to fit into the processor's cache."""


class Actor(NamedTuple):
    """The policy that writes a log."""

    policy: Policy | None = None
    """None: every score is equal."""
    slate: SlateConfig = UNIFORM
    name: str = "random"
    trained_on: Catalogue | None = None
    """The catalogue of the policy's artefact; without it every article is new to the policy."""


RANDOM = Actor()


def simulate(
    config: SimulationConfig,
    actor: Actor = RANDOM,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | str = "cpu",
) -> EventLog:
    """The valid event log of ``config.days`` in which ``actor`` chose the slates; articles carry embeddings.

    ``progress`` is called with the days done and their number. The readers live on ``device``.
    """
    world, days = World(config, device=device), []
    articles = embed_articles(world.newsroom.table)
    for day in play(world, articles, actor):
        days.append(day)
        if progress:
            progress(len(days), config.days)
    recommendations, feedback = (pa.concat_tables(tables) for tables in zip(*days, strict=True))
    return EventLog(articles, recommendations, feedback)


def play(world: World, articles: pa.Table, actor: Actor = RANDOM) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Day by day, the recommendations made and the feedback arrived on it, both in order of time.

    ``articles`` are those of the world's newsroom, with embeddings where a policy acts.
    """
    names = "recommendations", "feedback"
    for day in coded_days(world, articles, actor):
        recommendations, feedback = (table.cast(SCHEMAS[name]) for name, table in zip(names, day, strict=True))
        yield recommendations, feedback


def coded_days(world: World, articles: pa.Table, actor: Actor = RANDOM) -> Iterator[tuple[pa.Table, pa.Table]]:
    """``play`` with the schemas of ``recorder.CODED_SCHEMAS``, which is faster to make and to write."""
    recorder, midnight = Recorder(world, actor.name), world.config.start_time
    for moment, made in spans(world, articles, actor):
        for decision, feedback in made:
            recorder.record(decision, feedback)
        while midnight + DAY <= moment:
            midnight += DAY
            yield recorder.until(midnight)


def spans(world: World, articles: pa.Table, actor: Actor) -> Iterator[tuple[int, list[tuple[Decision, Feedback]]]]:
    """Span by span (``Recommender.span``), its end in microseconds and what was decided and done in it.

    A span without a decision is among them. ``articles`` as in ``play``.
    """
    recommender: Recommender = Uniform(world, articles)
    if actor.policy is not None:
        recommender = Informed(world, articles, actor.policy, actor.trained_on)
    yield from spans_of(world, recommender, actor.slate)


def spans_of(
    world: World, recommender: Recommender, slate: SlateConfig
) -> Iterator[tuple[int, list[tuple[Decision, Feedback]]]]:
    """``spans`` in which ``recommender`` offers, and ``slate`` draws."""
    end = world.config.end_time
    for begin in range(world.config.start_time, end, recommender.span):
        moment = min(begin + recommender.span, end)
        made, due = [], world.due(moment)
        while len(due):
            for readers in np.array_split(due, -(-len(due) // READERS_TOGETHER)):
                decision = _decide(world, recommender, slate, readers)
                feedback = world.respond(readers, decision.slate)
                recommender.expect(feedback)
                made.append((decision, feedback))
            due = world.due(moment, due)
        recommender.next_span()
        yield moment, made


def _decide(world: World, recommender: Recommender, slate: SlateConfig, readers: np.ndarray) -> Decision:
    """The slates of ``readers`` [B] at their next moment."""
    config, (user, number, visit, now) = world.config, world.requests(readers)
    candidates, scores = recommender.offer(readers, user, now)  # [B, C]
    size, explores = config.slate_size, 0 if scores is None else config.slate_size
    each = np.arange(config.candidates + explores)
    luck = torch.from_numpy(draws.uniform(config.seed, "slate", user[:, None], number[:, None], each))  # [B, C + ...]
    if scores is None:
        drawn = slates.uniform(torch.from_numpy((candidates >= 0).sum(1)), size, luck)
    else:
        drawn = slates.draw(scores, size, slate, luck=luck)
    chosen = np.take_along_axis(candidates, drawn.chosen.numpy(), 1)  # [B, K]
    return Decision(
        reader=readers,
        user=user,
        number=number,
        visit=visit,
        time=now,
        candidates=candidates,
        slate=np.where(drawn.mask.numpy(), chosen, -1),
        propensities=drawn.propensity.numpy(),
    )
