"""Scores by one vector of the reader, and the step that teaches them from slates::

    score(u, a) = u . v_a + w . d(a) + f n_ua
    loss = -log softmax(scores of the slate)[click]

v is content plus identity, d demand, n how often the reader was shown the article of late. What makes u of the reads is
the policy's own.
"""

from typing import Any

import torch
from torch import Tensor, nn

from newsrec.encoders.article import ArticleEncoder, Demand, Fatigue, forget
from newsrec.encoders.forms import Forms, one
from newsrec.policy import mask_scores
from newsrec.rl.objectives import slate_cross_entropy
from newsrec.transitions import Candidates, State, Transitions, clicked, shown


class TasteScorer(nn.Module):
    """The score above with vectors of ``width`` numbers; ``articles`` of them have an identity."""

    def __init__(self, width: int, articles: int) -> None:
        super().__init__()
        self.articles = articles
        self.article = ArticleEncoder(articles, width)
        self.demand, self.fatigue = Demand(), Fatigue()

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        """[B, C] float32."""
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        affinity = (offered @ self.reader(state)[..., None]).squeeze(-1)  # [B, C]
        return mask_scores(affinity + self.demand(candidates) + self.fatigue(candidates), candidates)

    def reader(self, state: State) -> Tensor:
        """[B, W]: u."""
        raise NotImplementedError

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """As ``newsrec.encoders.forms.Formed``."""
        return one(reader, self.demand.weight, self.fatigue.weight)

    def combined(self, values: Tensor) -> Tensor:
        """[...] from the ``values`` [..., 1] of the forms."""
        return values[..., 0]


class SlateLearner:
    """Clicked against shown, by AdamW; ``generator`` forgets identities.

    ``policy`` has ``articles``, and in its config ``forget_rate``, ``learning_rate`` and ``weight_decay``.
    """

    def __init__(self, policy: Any, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        config = policy.config
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            policy.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def update(self, batch: Transitions) -> dict[str, float]:
        rate, articles = self.policy.config.forget_rate, self.policy.articles
        state, candidates = forget(batch.state, shown(batch), rate, articles, self.generator)
        loss = slate_cross_entropy(self.policy.scores(state, candidates), clicked(batch))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item()}
