"""Three weeks of one simulated newsroom: uniform slates to learn from, an incumbent's log, policies that are played.

Each week has readers of its own, and the articles of its own days. Week zero shows uniform slates; all policies are
trained on it and on nothing else. In week one the incumbent writes a log with its propensities. In week two every
policy is played to the same readers with the same luck, in a world of its own; what it earns there is the truth.

All policies act by Plackett-Luce. Each one's temperature, found on the last decisions of week zero, makes its first
place as undecided as a uniform draw from a given share s of the candidates. With scores that are normal between
candidates, policies with nothing in common, of shares s and t, have weights with a mean square of (s t)^-2 at each
place: (s t)^-2K for a slate of K, by which the effective readers of the log are fewer than its readers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from scipy.optimize import brentq
from torch import Tensor

from benchmarks.off_policy.beside import Host, click_chances
from newsrec import dataset
from newsrec.catalogue import Catalogue
from newsrec.decisions import Decisions
from newsrec.encoders.text import embed_articles
from newsrec.events import EventLog
from newsrec.policy import Policy, mask_scores
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.response import Feedback
from newsrec.simulator.rollout import RANDOM, Actor, play, spans_of
from newsrec.simulator.shocks import ShockConfig
from newsrec.simulator.world import World
from newsrec.slate import SlateConfig
from newsrec.training import RunConfig, train
from newsrec.transitions import Candidates, State

WEEKS = "2024-03-04", "2024-03-11", "2024-03-18"
PLACES, CANDIDATES = 3, 30
DRAWN = SlateConfig("plackett_luce")
APART = 1_000_000
"""Between the numbers of the readers of two weeks."""
LAST = 1_000
"""Decisions on which temperatures are found."""


@dataclass(frozen=True)
class Contender:
    """A policy of the registry and how it is trained on week zero."""

    name: str
    policy: str
    training: dict[str, Any]
    model: dict[str, Any]
    seed: int = 0


class Component(NamedTuple):
    """A trained policy at its temperature."""

    policy: Policy
    temperature: float

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        """[B, C] float32 for a Plackett-Luce of temperature 1."""
        return self.policy.scores(state, candidates) / self.temperature


class Mixed:
    """Draws for each slate which of ``components`` makes it, by the probabilities ``shares``; one is drawn always."""

    def __init__(self, components: Sequence[Component], shares: Sequence[float], seed: int = 0) -> None:
        self.config, self.components, self.shares = None, components, torch.tensor(shares)
        self.generator = torch.Generator().manual_seed(seed)

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        rows = len(candidates.mask)
        drawn = torch.multinomial(self.shares, rows, replacement=True, generator=self.generator)  # [B]
        found = mask_scores(torch.zeros(candidates.mask.shape), candidates)
        for index in drawn.unique().tolist():
            at = (drawn == index).nonzero()[:, 0]
            of = State(*(column[at] for column in state)), Candidates(*(column[at] for column in candidates))
            found[at] = self.components[index].scores(*of)
        return found


class Newsroom:
    """Of one seed; worlds of its weeks have ``readers`` each."""

    def __init__(self, seed: int) -> None:
        self.config = SimulationConfig(
            days=7, slate_size=PLACES, candidates=CANDIDATES, seed=seed, shocks=ShockConfig(per_month=0.0)
        )
        self.newsroom = World(replace(self.config, readers=1, days=7 * len(WEEKS), start=WEEKS[0])).newsroom
        self.articles = embed_articles(self.newsroom.table)

    def world(self, week: int, readers: int) -> World:
        config = replace(self.config, readers=readers, start=WEEKS[week])
        return World(config, number=np.arange(readers) + week * APART, newsroom=self.newsroom)

    def log(self, week: int, readers: int, actor: Actor = RANDOM) -> EventLog:
        """What ``actor`` does in ``week``."""
        days = zip(*play(self.world(week, readers), self.articles, actor), strict=True)
        return EventLog(self.articles, *(pa.concat_tables(tables) for tables in days))

    def played(
        self, readers: int, guests: int, policies: Sequence[Policy], parts: Sequence[Component] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Expected clicks and slates of readers of week two, as guests [P, 2, guests] and as hosts [Q, 2, readers].

        The first of P ``policies`` serves ``readers``, the hosts; each policy serves twins of the first ``guests`` of
        them (``beside``). ``parts`` are Q policies, of whose slates is told what they would earn from the hosts.
        """
        number = np.concatenate([np.arange(readers), np.tile(np.arange(guests), len(policies) - 1)]) + 2 * APART
        config = replace(self.config, readers=len(number), start=WEEKS[2])
        world = Watched(config, number=number, newsroom=self.newsroom)
        host = Host(world, self.articles, policies, readers, parts)
        for _ in spans_of(world, host, DRAWN):
            pass
        kept = np.concatenate([np.arange(guests), np.arange(readers, len(number))])
        slates = np.broadcast_to(world.earned[1, :readers], host.looked.shape)
        earned = world.earned[:, kept].reshape(2, len(policies), guests)
        return earned.swapaxes(0, 1), np.stack([host.looked, slates], 1)


class Watched(World):
    """Sums the clicks that are expected of each slate when it is shown: the truth without the luck of clicks."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.earned = np.zeros((2, len(self.number)))
        """[2, N]: expected clicks, and slates."""

    def respond(self, readers: np.ndarray, slate: np.ndarray) -> Feedback:
        chance = click_chances(self, readers, slate)[:, np.arange(slate.shape[1]), np.arange(slate.shape[1])]  # [B, K]
        self.earned[:, readers] += np.stack([chance.sum(1), np.ones(len(readers))])
        return super().respond(readers, slate)


def unknown(decisions: Decisions) -> Decisions:
    """``decisions`` as policies see them in worlds: every article is new to them."""
    return replace(decisions, catalogue=Catalogue(decisions.catalogue.articles, 0))


def trained(contenders: Sequence[Contender], log: EventLog, undecided: Sequence[float]) -> list[Component]:
    """Each of ``contenders``, of the first decisions of ``log``, as undecided as the shares say."""
    decisions, found = dataset.from_log(log), []
    tail = unknown(decisions).batch(np.arange(len(decisions))[-LAST:])
    for contender, share in zip(contenders, undecided, strict=True):
        run = RunConfig(contender.policy, contender.model, contender.seed)
        run = replace(run, training=replace(run.training, **contender.training))
        policy: Any = train(decisions, run, lambda line: None).policy
        policy.eval()
        with torch.inference_mode():
            scores = policy.scores(tail.state, tail.candidates).double()
        found.append(Component(policy, temperature(scores, share)))
    return found


def temperature(scores: Tensor, share: float) -> float:
    """At which the softmax of ``scores`` [B, C] has the mean entropy of a uniform draw from ``share`` of each row."""
    scores = scores - scores.amax(1, keepdim=True)
    most = scores.isfinite().sum(1).double().log()  # [B]

    def above(log_temperature: float) -> float:
        chance = (scores / np.exp(log_temperature)).softmax(1)  # [B, C]
        return float((torch.special.entr(chance).sum(1) - most).mean() - np.log(share))

    spread = float(scores[scores.isfinite()].std())
    return float(np.exp(brentq(above, np.log(spread) - 7.0, np.log(spread) + 7.0, xtol=1e-4)))
