"""What a site knows of the readers of a simulated world, whom it offers which articles, and how it scores them."""

from typing import Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from newsrec import transitions
from newsrec.catalogue import Catalogue
from newsrec.features import DAY, HOUR
from newsrec.policy import Policy
from newsrec.simulator.live_features import LiveFeatures
from newsrec.simulator.reading_list import ReadingList
from newsrec.simulator.response import Feedback
from newsrec.simulator.shortlist import Shortlist
from newsrec.simulator.world import World
from newsrec.transitions import Candidates, Readers, State

LONGEST_SPAN_DAYS, READER_DAYS_TOGETHER = 7, 50_000
"""Most days, and days times readers, that go by at once where readers do not influence each other."""


class Recommender(Protocol):
    """Feedback is announced when it happens (``expect``) and known from its arrival on."""

    span: int
    """Microseconds, days or a part of one, within which readers do not influence each other."""

    def offer(self, readers: np.ndarray, user: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, Tensor | None]:
        """Candidates [B, C] (articles, -1 behind the end) and scores [B, C] for ``readers`` [B] at ``now`` [B].

        ``user`` [B] is who each of them is to the site.

        No scores: all alike.
        """

    def expect(self, feedback: Feedback) -> None:
        """What readers did with one slate each."""

    def next_span(self) -> None:
        """No request comes from the present span any more."""


class Uniform:
    """Equal scores: all that is known of readers is what they read.

    In a longer span fewer rounds are left to those who ask most often; what was decided in one has to fit into memory.
    """

    def __init__(self, world: World, articles: pa.Table) -> None:
        self.span = max(1, min(LONGEST_SPAN_DAYS, READER_DAYS_TOGETHER // len(world.number))) * DAY
        self._shortlist, self._reads = Shortlist(world, articles, None), ReadingList(world.user.cpu().numpy())

    def offer(self, readers: np.ndarray, user: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, None]:
        return self._shortlist.candidates(self._reads.at(readers, user, now), now), None

    def expect(self, feedback: Feedback) -> None:
        self._reads.expect(feedback)

    def next_span(self) -> None:
        pass


class Informed:
    """The scores of ``policy`` from the features that a live site would have; popularity is counted at full hours.

    Without ``trained_on``, the catalogue of the policy's artefact, every article is new to it.
    """

    span = HOUR
    features: type[LiveFeatures] = LiveFeatures

    def __init__(self, world: World, articles: pa.Table, policy: Policy, trained_on: Catalogue | None) -> None:
        self._policy, self._together = policy, world.config.batch_size
        self._shortlist = Shortlist(world, articles, trained_on)
        self._offset, hour = world.population.utc_offset.cpu().numpy(), world.config.start_time // HOUR
        self._features = self.features(world.user.cpu().numpy(), self._offset, world.newsroom.key, hour)

    def offer(self, readers: np.ndarray, user: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, Tensor]:
        known = self._features.at(readers, user, now)
        candidates = self._shortlist.candidates(self._shortlist.read(known), now)
        scores = torch.empty(candidates.shape)
        for part in np.array_split(np.arange(len(readers)), -(-len(readers) // self._together)):
            scores[part] = self._scores(readers[part], known.take(part), candidates[part], now[part])
        return candidates, scores

    def expect(self, feedback: Feedback) -> None:
        self._features.expect(feedback)

    def next_span(self) -> None:
        self._features.next_hour()

    def _scores(self, readers: np.ndarray, known: Readers, candidates: np.ndarray, now: np.ndarray) -> Tensor:
        with torch.inference_mode():
            return self._policy.scores(*self._seen(readers, known, candidates, now))

    def _seen(
        self, readers: np.ndarray, known: Readers, candidates: np.ndarray, now: np.ndarray
    ) -> tuple[State, Candidates]:
        """What a policy is given."""
        offset, rows = self._offset[readers], self._shortlist.rows(candidates)
        as_of, catalogue = np.full(candidates.shape, self._features.hour * HOUR), self._shortlist.catalogue
        return (
            transitions.state(known, now, offset, catalogue),
            transitions.candidates(rows, known, self._features.counts[candidates], as_of, now, catalogue),
        )
