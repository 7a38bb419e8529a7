"""A newsroom that an incumbent serves, and guests in it: readers who are served by another policy and change nothing.

What readers share is the popularity of articles. Here it is counted over the incumbent's readers alone, as in an
experiment with so small a share of the readers that it does not matter what they read. A guest is the twin of one of
the incumbent's readers: the same person with the same luck, who differs in the policy and in what follows.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from newsrec.policy import Policy
from newsrec.simulator.live_features import LiveFeatures
from newsrec.simulator.recommenders import Informed
from newsrec.simulator.response import Feedback
from newsrec.simulator.world import World
from newsrec.transitions import Readers


class Host(Informed):
    """The readers before row ``hosts`` of ``world`` are the first policy's, equal parts of those behind the others'."""

    def __init__(self, world: World, articles: pa.Table, policies: Sequence[Policy], hosts: int) -> None:
        class Features(LiveFeatures):
            def counted(self, feedback: Feedback) -> Feedback:
                return feedback.take(feedback.reader < hosts)

        self.features = Features
        super().__init__(world, articles, policies[0], None)
        self._policies, guests = policies, len(world.number) - hosts
        behind = np.arange(guests) * (len(policies) - 1) // max(guests, 1) + 1
        self._by = np.concatenate([np.zeros(hosts, np.int64), behind])
        """[N]: whose each reader is."""

    def _scores(self, readers: np.ndarray, known: Readers, candidates: np.ndarray, now: np.ndarray) -> Tensor:
        scores = torch.empty(candidates.shape)
        for number in np.unique(self._by[readers]):
            part = np.flatnonzero(self._by[readers] == number)
            self._policy = self._policies[number]
            scores[part] = super()._scores(readers[part], known.take(part), candidates[part], now[part])
        return scores
