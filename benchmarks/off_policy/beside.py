"""A newsroom that an incumbent serves, and guests in it: readers who are served by another policy and change nothing.

What readers share is the popularity of articles. Here it is counted over the incumbent's readers alone, as in an
experiment with so small a share of the readers that it does not matter what they read. A guest is the twin of one of
the incumbent's readers: the same person with the same luck, who differs in the policy and in what follows.

So guests have other states than the incumbent's readers: who was shown the best articles yesterday has others left
today. Onlookers do without that: of each of their slates is told what it would earn where it is not shown, at the
moments of the incumbent's readers.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from benchmarks.off_policy.counterfactual import marginals
from newsrec.policy import Policy
from newsrec.simulator.live_features import LiveFeatures
from newsrec.simulator.recommenders import Informed
from newsrec.simulator.response import Feedback
from newsrec.simulator.world import World
from newsrec.transitions import Readers


class Host(Informed):
    """The readers before row ``hosts`` of ``world`` are the first policy's, equal parts of those behind the others'.

    ``onlookers`` are policies that draw by Plackett-Luce at temperature 1.
    """

    def __init__(
        self, world: World, articles: pa.Table, policies: Sequence[Policy], hosts: int, onlookers: Sequence[Policy]
    ) -> None:
        class Features(LiveFeatures):
            def counted(self, feedback: Feedback) -> Feedback:
                return feedback.take(feedback.reader < hosts)

        self.features = Features
        super().__init__(world, articles, policies[0], None)
        self._world, self._policies, self._onlookers = world, policies, onlookers
        guests = len(world.number) - hosts
        behind = np.arange(guests) * (len(policies) - 1) // max(guests, 1) + 1
        self._by = np.concatenate([np.zeros(hosts, np.int64), behind])
        """[N]: whose each reader is."""
        self.looked = np.zeros((len(onlookers), hosts))
        """[Q, hosts]: clicks that are expected of the slates of each onlooker."""

    def _scores(self, readers: np.ndarray, known: Readers, candidates: np.ndarray, now: np.ndarray) -> Tensor:
        scores = torch.empty(candidates.shape)
        for number in np.unique(self._by[readers]):
            part = np.flatnonzero(self._by[readers] == number)
            seen = self._seen(readers[part], known.take(part), candidates[part], now[part])
            with torch.inference_mode():
                scores[part] = self._policies[number].scores(*seen)
                if number == 0 and self._onlookers:
                    first = [onlooker.scores(*seen).double().softmax(1).numpy() for onlooker in self._onlookers]
                    self._look(readers[part], candidates[part], np.stack(first))
        return scores

    def _look(self, readers: np.ndarray, candidates: np.ndarray, first: np.ndarray) -> None:
        """Add what slates that begin with the probabilities ``first`` [Q, B, C] would earn of ``readers`` [B]."""
        chance = click_chances(self._world, readers, candidates)  # [B, C, K]
        for looked, of_one in zip(self.looked, first, strict=True):
            looked[readers] += (marginals(of_one, chance.shape[2]) * chance).sum((1, 2))


def click_chances(world: World, readers: np.ndarray, articles: np.ndarray) -> np.ndarray:
    """[B, A, K] of ``articles`` [B, A], -1 for none, for ``readers`` [B] now: that each is clicked at each place."""
    faced, place = world.encounter(readers, articles), torch.arange(world.config.slate_size, dtype=torch.float64)
    seen = (place + 1.0) ** -world.config.utility.position_bias  # [K]
    chance = world.response.chance(faced)[..., None] * seen  # [B, A, K]
    bot = world.population.bot[torch.from_numpy(readers)]
    chance = torch.where(bot[:, None, None], world.config.bots.click, chance) * faced.present[..., None]
    return chance.numpy()
