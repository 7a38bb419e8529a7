"""EASE: a linear item-item model with a closed form. What was read speaks for or against every article.

The weights predict each article of a row from the others of that row; without a penalty on the own article they would
be the identity. One inverse solves it (Steck 2019, "Embarrassingly shallow autoencoders for sparse data", eq. 8)::

    B = argmin ||Z - Z B||^2 + ||Lambda^1/2 B||^2  with  diag(B) = 0
    P = (G + Lambda)^-1,    B_ja = -P_ja / P_aa,    Lambda = penalty + dropout / (1 - dropout) diag(G)

    score(u, a) = strength sum_{j read by u} B_ja  +  content, demand and fatigue (``newsrec.encoders.collaborative``)

Differs from the paper:

1. A reader at the moment of a click is a row (``newsrec.encoders.co_reading``), since batches name no readers, and a
   row of n articles weighs ``n ** -reader_weight``: who reads all day is not all that counts.
2. Lambda grows with an article's reads, as if reads were dropped at random (Steck 2020, "Autoencoders that don't
   overfit towards the identity", EDLAE).
3. Each read keeps its ``neighbours`` strongest weights alone: an artefact grows with the catalogue, not its square.
4. Articles that are newer than training have no weights; content and demand rank them, and stand beside the weights of
   the others.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from newsrec.encoders.co_reading import CoReading
from newsrec.encoders.collaborative import ColdStep, CollaborativeScorer, check
from newsrec.transitions import Transitions

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class Config:
    """The weights, and the step of what ranks new articles."""

    penalty: float = 20.0
    """Added to the diagonal of G (paper: 200 to 1,000, with rows of weight 1)."""
    dropout: float = 0.3
    """Share of reads that the penalty stands for (EDLAE: 0 to 0.8)."""
    reader_weight: float = 0.5
    """0: rows weigh the same (paper); 1: a row of many reads weighs no more than one of few."""
    neighbours: int = 200
    """Weights that are kept for each read, the strongest."""
    strength: float = 8.0
    """Of the weights beside content and demand."""
    alpha: float = 0.5
    """Of the pooled content of the reads: 0 sums it, 1 takes its mean."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW)."""

    def __post_init__(self) -> None:
        check(self, shares=("dropout",), positive=("penalty", "learning_rate"), least=("neighbours",))


class ItemWeights(nn.Module):
    """B, the strongest ``neighbours`` of each of ``articles`` rows; a ``Memory`` whose M is articles + 1."""

    def __init__(self, articles: int, neighbours: int) -> None:
        super().__init__()
        kept = min(neighbours, articles + 1)
        self.register_buffer("target", torch.zeros(articles + 1, kept, dtype=torch.int32))
        self.register_buffer("weight", torch.zeros(articles + 1, kept))
        self.target: Tensor
        self.weight: Tensor

    def article(self, index: Tensor) -> Tensor:
        """[..., articles + 1]: 1 at the article itself."""
        found = nn.functional.one_hot(index, len(self.target)).float()
        return found * (index > 0)[..., None]

    def reader(self, index: Tensor, mask: Tensor) -> Tensor:
        """[B, articles + 1]: what the reads say of every article."""
        if index.numel() > len(self.target):  # every weight once, instead of once for each of its readers
            rows = torch.zeros(len(self.target), len(self.target)).scatter_(1, self.target.long(), self.weight)
            read = torch.zeros(len(index), len(self.target)).scatter_add_(1, index, torch.ones(index.shape))
            return read @ rows
        said = self.weight[index].flatten(1)  # [B, H * kept]
        about = self.target[index].long().flatten(1)  # [B, H * kept]
        return torch.zeros(len(index), len(self.target)).scatter_add_(1, about, said)

    def affinity(self, reader: Tensor, index: Tensor) -> Tensor:
        return reader.gather(1, index) * (index > 0)

    def keep(self, weights: Tensor) -> None:
        """Take over the strongest of ``weights`` [articles + 1, articles + 1], read by row."""
        strongest = weights.abs().topk(self.target.shape[1], 1).indices
        self.target.copy_(strongest)
        self.weight.copy_(weights.gather(1, strongest))


class EasePolicy(CollaborativeScorer):
    """Item-item weights beside content; ``articles`` of them have a row."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(ItemWeights(articles, config.neighbours), config.alpha, config.strength)
        self.config, self.articles = config, articles

    def solve(self, gram: "csr_array") -> None:
        """Weights from ``gram`` [articles + 1, articles + 1]."""
        assert isinstance(self.memory, ItemWeights)
        self.memory.keep(item_weights(gram, self.config.penalty, self.config.dropout))


class EaseLearner:
    """Sums G up over the batches of a pass and solves at its end; nothing is random, so ``generator`` is ignored."""

    def __init__(self, policy: EasePolicy, generator: torch.Generator) -> None:
        self.policy = policy
        self.cold = ColdStep(policy, policy.config.learning_rate, policy.config.weight_decay)
        self.read = CoReading(policy.articles, policy.config.reader_weight)

    def update(self, batch: Transitions) -> dict[str, float]:
        self.read.add(batch)
        return self.cold.update(batch)

    def end_pass(self) -> None:
        """The weights of all that was read in the pass."""
        self.policy.solve(self.read.take())


def item_weights(gram: "csr_array", penalty: float, dropout: float) -> Tensor:
    """B [N, N] float32 from ``gram`` [N, N]; articles that nobody read have zeros.

    One matrix of N x N float32 is inverted in place: 10,000 articles take 0.4 GB twice.
    """
    matrix = torch.from_numpy(np.asarray(gram.todense(), dtype=np.float32))
    count = matrix.diagonal().clone()  # [N]
    matrix.diagonal().add_(penalty + dropout / (1.0 - dropout) * count)
    matrix = torch.cholesky_inverse(torch.linalg.cholesky(matrix, out=matrix), out=matrix)
    own = matrix.diagonal().clone()  # [N]
    matrix.div_(-own)
    matrix.diagonal().zero_()
    return matrix.mul_(count > 0)
