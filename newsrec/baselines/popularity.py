"""Decayed popularity: what readers click just now, the same list for everyone. The incumbent to beat.

A weighted sum of clicks of the last hour and day (exponentially decayed, counted up to the request), click rate, dwell
and freshness::

    score(a) = w . d(a),   w fitted so that clicked articles outscore those shown beside them

The weights start where a careful editor would put them, so the policy ranks sensibly before it has seen a click.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from newsrec.encoders.article import Demand
from newsrec.encoders.forms import Forms, one
from newsrec.policy import mask_scores
from newsrec.rl.objectives import slate_cross_entropy
from newsrec.transitions import Candidates, State, Transitions, clicked, shown


@dataclass(frozen=True)
class Config:
    """Six weights to fit."""

    learning_rate: float = 0.02

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, expected more than 0")


class PopularityPolicy(nn.Module):
    """A linear model of demand; ``articles`` is ignored, since no article has a parameter of its own."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__()
        self.config = config
        self.demand = Demand()

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        """[B, C] float32."""
        return mask_scores(self.demand(candidates), candidates)

    def reader(self, state: State) -> Tensor:
        """[B, 0]: nothing is known of a reader."""
        return state.context[:, :0]

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """Demand alone, as ``newsrec.encoders.forms.Formed``."""
        return one(reader, self.demand.weight, reader.new_zeros(()))

    def combined(self, values: Tensor) -> Tensor:
        """[...] from the ``values`` [..., 1] of the forms."""
        return values[..., 0]


class PopularityLearner:
    """Fits the weights by Adam; nothing is random, so ``generator`` is ignored."""

    def __init__(self, policy: PopularityPolicy, generator: torch.Generator) -> None:
        self.policy = policy
        self.optimizer = torch.optim.Adam(policy.parameters(), policy.config.learning_rate)

    def update(self, batch: Transitions) -> dict[str, float]:
        loss = slate_cross_entropy(self.policy.scores(batch.state, shown(batch)), clicked(batch))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item()}
