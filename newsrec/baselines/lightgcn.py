"""LightGCN: identities that spread along who read what, without weights on the way (He et al. 2020, eq. 3 and 4).

Readers and articles are the two sides of a graph; a layer takes the neighbours' vectors, normed by both degrees. Two
layers lead from articles to articles, through every reader of both::

    E = mean over k <= layers of S^k E_0,    S = D^-1/2 Z' D_u^-1 Z D^-1/2    Z who read what, D and D_u degrees

    score(u, a) = n_u^-1/2 sum_{j read by u} d_j^-1/2 E_j . E_a  +  content, demand and fatigue
                                                                    (``newsrec.encoders.collaborative``)

Differs from the paper:

1. There is no table of readers: a reader starts as nothing and is what spreads to them from their reads, by the same
   rule. One of ``layers`` here is two of the paper's, and the reader at a request is one more.
2. A reader at the moment of a click is a node (``newsrec.encoders.co_reading``), since batches name no readers. The
   first pass counts the graph and trains on unspread identities, the next ones on those that it spread.
3. The mean over layers is taken once, on the side of the articles.
4. Pairs stand in one slate and are as many as in ``newsrec.baselines.bpr``; the paper draws one from the catalogue.
5. Identities are forgotten at random in training, so that new articles are ranked by content and demand.
6. ``gain`` scales the inner product, which norming makes small.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from newsrec.encoders.article import forget
from newsrec.encoders.co_reading import CoReading
from newsrec.encoders.collaborative import CollaborativeScorer, check
from newsrec.rl.objectives import pairwise_likelihood
from newsrec.transitions import Transitions, clicked, shown

if TYPE_CHECKING:
    from scipy.sparse import csr_array

START = 0.1
"""Standard deviation of the first identities (paper: 0.1)."""
DENSE = 0.05
"""Share of pairs that are joined from which on a dense product is the faster one."""


@dataclass(frozen=True)
class Config:
    """Sizes and the step."""

    width: int = 64
    """Numbers in a vector (paper: 64)."""
    layers: int = 1
    """Steps from articles to articles (paper: 3 steps between the sides)."""
    gain: float = 8.0
    """Of the inner product."""
    alpha: float = 0.5
    """Of the pooled content of the reads: 0 sums it, 1 takes its mean."""
    negatives: int = 4
    """Articles of the slate that each click is compared with (paper: 1)."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW)."""

    def __post_init__(self) -> None:
        positive = ("gain", "learning_rate")
        check(self, shares=("forget_rate",), positive=positive, least=("width", "layers", "negatives"))


class SpreadIdentities(nn.Module):
    """E of each of ``articles`` articles, a ``Memory``; the graph itself is needed for training alone."""

    def __init__(self, articles: int, width: int) -> None:
        super().__init__()
        self.identity = nn.Embedding(articles + 1, width, padding_idx=0)
        nn.init.normal_(self.identity.weight, std=START)
        with torch.no_grad():
            self.identity.weight[0] = 0.0
        self.register_buffer("spread", self.identity.weight.detach().clone())
        self.register_buffer("norm", torch.ones(articles + 1, 1))
        self.spread: Tensor
        self.norm: Tensor

    def article(self, index: Tensor) -> Tensor:
        return self.spread[index]

    def reader(self, index: Tensor, mask: Tensor) -> Tensor:
        reads = (self.norm * self.spread)[index].sum(1)  # [B, W]
        return reads * mask.sum(1, keepdim=True).clamp(min=1) ** -0.5

    def affinity(self, reader: Tensor, index: Tensor) -> Tensor:
        return (self.spread[index] @ reader[..., None]).squeeze(-1)


class LightGcnPolicy(CollaborativeScorer):
    """Spread identities beside content; ``articles`` of them have one."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(SpreadIdentities(articles, config.width), config.alpha, config.gain)
        self.config, self.articles = config, articles


class LightGcnLearner:
    """Clicked against passed by, in pairs that ``generator`` draws, by AdamW; the graph is counted meanwhile."""

    def __init__(self, policy: LightGcnPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        config = policy.config
        self.read = CoReading(policy.articles, weight=1.0)
        self.graph: Tensor | None = None
        self.optimizer = torch.optim.AdamW(policy.parameters(), config.learning_rate, weight_decay=config.weight_decay)

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.policy.config
        self.read.add(batch)
        state, candidates = forget(batch.state, shown(batch), config.forget_rate, policy.articles, self.generator)
        memory = policy.memory
        assert isinstance(memory, SpreadIdentities)
        memory.spread = self.spread_out()
        scores = policy.scores(state, candidates)
        memory.spread = memory.spread.detach().clone()
        loss = pairwise_likelihood(scores, clicked(batch), batch.slate_mask, config.negatives, self.generator)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item()}

    def end_pass(self) -> None:
        """Spread what was learnt along the graph that was counted, from now on along that of this pass."""
        self.join(self.read.take())
        self.settle()

    def settle(self) -> None:
        """From now on rank by what was learnt, spread along the graph."""
        memory = self.policy.memory
        assert isinstance(memory, SpreadIdentities)
        memory.spread = self.spread_out().detach().clone()

    def join(self, gram: "csr_array") -> None:
        """Take the graph of ``gram`` [articles + 1, articles + 1], rows of weight 1 (``CoReading``), from now on."""
        memory = self.policy.memory
        assert isinstance(memory, SpreadIdentities)
        degree = np.maximum(gram.sum(1), 1.0)  # [N]
        joined = gram.tocoo()
        joined.data = (joined.data * (degree[joined.row] * degree[joined.col]) ** -0.5).astype(np.float32)
        if joined.nnz > DENSE * joined.shape[0] ** 2:
            self.graph = torch.from_numpy(joined.toarray())
        else:
            pairs = torch.from_numpy(np.stack([joined.row, joined.col]).astype(np.int64))
            data = torch.from_numpy(joined.data)
            self.graph = torch.sparse_coo_tensor(pairs, data, joined.shape, check_invariants=True).coalesce()
        memory.norm = torch.from_numpy((degree**-0.5).astype(np.float32))[:, None]

    def spread_out(self) -> Tensor:
        """[articles + 1, W]: E."""
        memory = self.policy.memory
        assert isinstance(memory, SpreadIdentities)
        layer = total = memory.identity.weight.index_fill(0, torch.tensor([0]), 0.0)  # unknown articles have none
        if self.graph is None:
            return total
        for _ in range(self.policy.config.layers):
            layer = self.graph @ layer
            total = total + layer
        return total / (self.policy.config.layers + 1)
