"""A world and a policy to a log: the recommender's side of a simulation.

Time goes by full hours, because article counts change at full hours only. Within an hour readers do not influence each
other, so all that are due decide together, then those that are due again, until the hour is over. The policy sees what
a live one would see: features as they had arrived by the moment of the request.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from newsrec import slate as slates
from newsrec import transitions
from newsrec.catalogue import Catalogue
from newsrec.encoders.text import embed_articles
from newsrec.events import EventLog
from newsrec.features import HOUR
from newsrec.policy import Policy
from newsrec.simulator import draws
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.live_features import LiveFeatures
from newsrec.simulator.recorder import Decision, Recorder
from newsrec.simulator.shortlist import Shortlist
from newsrec.simulator.world import World
from newsrec.slate import SlateConfig
from newsrec.transitions import Readers

UNIFORM = SlateConfig("plackett_luce")
"""With equal scores: every slate as likely as any other."""


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
    config: SimulationConfig, actor: Actor = RANDOM, progress: Callable[[int, int], None] | None = None
) -> EventLog:
    """The valid event log of ``config.days`` in which ``actor`` chose the slates; articles carry embeddings.

    ``progress`` is called with the hours done and their number.
    """
    world = World(config)
    recommender = _Recommender(world, actor)
    recorder = Recorder(world, actor.name)
    first, last = config.start_time // HOUR, config.end_time // HOUR
    for hour in range(first, last):
        end, turn = (hour + 1) * HOUR, 0
        due = np.flatnonzero(world.next_time < end)
        while len(due):
            decision = recommender.decide(due, turn)
            feedback = world.respond(due, decision.slate)
            recommender.features.expect(feedback)
            recorder.record(decision, feedback)
            due, turn = due[world.next_time[due] < end], turn + 1
        recommender.features.next_hour()
        if progress:
            progress(hour + 1 - first, last - first)
    return recorder.log(recommender.shortlist.articles)


class _Recommender:
    """Candidates, features, scores and slates for the readers of ``world``."""

    def __init__(self, world: World, actor: Actor) -> None:
        self.world, self.actor = world, actor
        self.shortlist = Shortlist(world, embed_articles(world.newsroom.table), actor.trained_on)
        hour = world.config.start_time // HOUR
        self.features = LiveFeatures(world.user, world.population.utc_offset, world.newsroom.key, hour)

    def decide(self, readers: np.ndarray, turn: int) -> Decision:
        """The slates of ``readers`` [B] at their next moment, the ``turn``-th of each within this hour."""
        world, config = self.world, self.world.config
        now = world.next_time[readers]
        known = self.features.at(readers, world.user[readers], now)
        candidates = self.shortlist.candidates(known, now)  # [B, C]
        scores = torch.zeros(candidates.shape).masked_fill(torch.from_numpy(candidates < 0), -torch.inf)
        if self.actor.policy is not None:
            for part in np.array_split(np.arange(len(readers)), -(-len(readers) // config.batch_size)):
                scores[part] = self._scores(self.actor.policy, readers[part], known.take(part), candidates[part])
        number = draws.bits(config.seed, "slate", np.array([self.features.hour]), np.array([turn]))[0]
        generator = torch.Generator().manual_seed(int(number >> np.uint64(1)))
        drawn = slates.draw(scores, config.slate_size, self.actor.slate, generator)
        chosen = np.take_along_axis(candidates, drawn.chosen.numpy(), 1)  # [B, K]
        return Decision(
            reader=readers,
            user=world.user[readers],
            number=world.decision[readers],
            visit=world.visit[readers],
            time=now,
            device=world.device(readers),
            candidates=candidates,
            slate=np.where(drawn.mask.numpy(), chosen, -1),
            propensities=drawn.propensity.numpy(),
        )

    def _scores(self, policy: Policy, readers: np.ndarray, known: Readers, candidates: np.ndarray) -> torch.Tensor:
        now, offset = self.world.next_time[readers], self.world.population.utc_offset[readers]
        rows, catalogue = self.shortlist.rows(candidates), self.shortlist.catalogue
        as_of = np.full(candidates.shape, self.features.hour * HOUR)
        with torch.inference_mode():
            return policy.scores(
                transitions.state(known, now, offset, catalogue),
                transitions.candidates(rows, self.features.counts[candidates], as_of, now, catalogue),
            )
