"""BPR: what was clicked scores higher than what was not, pair by pair (Rendle, Freudenthaler, Gantner &
Schmidt-Thieme 2009, "BPR: Bayesian personalized ranking from implicit feedback", section 4)::

    loss = mean over clicks of  -log sigmoid(score(u, clicked) - score(u, passed by)),   a few passed by for each click

    score(u, a) = n_u^-alpha sum_{j read by u} p_j . q_a + b_a  +  content, demand and fatigue
                                                                   (``newsrec.encoders.collaborative``)

Differs from the paper:

1. There is no table of readers: a reader is the pooled p of what they read (FISM, Kabbur, Ning & Karypis 2013), so a
   new reader needs one read and no retraining.
2. Who was passed by stood in the same slate, instead of anywhere in the catalogue: exposure is known here.
3. Identities are forgotten at random in training, so that new articles are ranked by content and demand.
4. AdamW with decoupled decay instead of stochastic gradient descent with one for each kind of factor.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from newsrec.encoders.article import IDENTITY_SCALE, forget
from newsrec.encoders.collaborative import CollaborativeScorer, check
from newsrec.encoders.history import after_last_read, pool
from newsrec.rl.objectives import pairwise_likelihood
from newsrec.transitions import Transitions, clicked, shown


@dataclass(frozen=True)
class Config:
    """Sizes and the step."""

    width: int = 64
    """Numbers in a factor."""
    alpha: float = 0.5
    """Of the pooled reads: 0 sums them, 1 takes their mean."""
    negatives: int = 4
    """Articles of the slate that each click is compared with (paper: 1)."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW)."""

    def __post_init__(self) -> None:
        check(self, shares=("forget_rate",), positive=("learning_rate",), least=("width", "negatives"))


class PairedFactors(nn.Module):
    """p, q and b of each of ``articles`` articles: a ``Memory`` whose M is width + 1."""

    def __init__(self, articles: int, width: int, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.read = nn.Embedding(articles + 1, width, padding_idx=0)
        self.identity = nn.Embedding(articles + 1, width + 1, padding_idx=0)
        for table in (self.read, self.identity):
            nn.init.normal_(table.weight, std=10 * IDENTITY_SCALE)
            with torch.no_grad():
                table.weight[0] = 0.0
        with torch.no_grad():
            self.identity.weight[:, -1] = 0.0

    def article(self, index: Tensor) -> Tensor:
        return self.identity(index)

    def reader(self, index: Tensor, mask: Tensor) -> Tensor:
        taste = after_last_read(pool(self.read(index), self.alpha), mask)  # [B, W]
        return torch.cat([taste, torch.ones(len(taste), 1)], 1)

    def affinity(self, reader: Tensor, index: Tensor) -> Tensor:
        return (self.identity(index) @ reader[..., None]).squeeze(-1)


class BprPolicy(CollaborativeScorer):
    """Factors beside content; ``articles`` of them have some."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(PairedFactors(articles, config.width, config.alpha), config.alpha, 1.0)
        self.config, self.articles = config, articles


class BprLearner:
    """Clicked against passed by, in pairs that ``generator`` draws, by AdamW."""

    def __init__(self, policy: BprPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        config = policy.config
        self.optimizer = torch.optim.AdamW(policy.parameters(), config.learning_rate, weight_decay=config.weight_decay)

    def update(self, batch: Transitions) -> dict[str, float]:
        config, articles = self.policy.config, self.policy.articles
        state, candidates = forget(batch.state, shown(batch), config.forget_rate, articles, self.generator)
        scores = self.policy.scores(state, candidates)
        loss = pairwise_likelihood(scores, clicked(batch), batch.slate_mask, config.negatives, self.generator)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item()}
