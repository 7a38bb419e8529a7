"""Implicit ALS: factors of what was read against everything that was not, solved in turns.

Who has read an article prefers it for sure, who has not prefers something else with little confidence (Hu, Koren &
Volinsky 2008, "Collaborative filtering for implicit feedback datasets", eq. 3)::

    min  sum_{u, a} c_ua (p_ua - x_u . y_a)^2 + penalty (sum_u |x_u|^2 + sum_a |y_a|^2)
    p = 1 and c = 1 + confidence where u has read a, p = 0 and c = 1 elsewhere

    score(u, a) = strength x_u . y_a  +  content, demand and fatigue (``newsrec.encoders.collaborative``)

Differs from the paper:

1. There is no table of readers: x_u is solved from what was read whenever it is asked for (``encoders.fold_in``),
   so a reader's next read counts at their next request and a new reader is no special case.
2. A reader at the moment of a click is a row (``newsrec.encoders.co_reading``), since batches name no readers.
3. One pass of training is one turn: readers from articles, then articles from readers.
4. A few preconditioned conjugate gradient steps instead of an inverse for each row (Takacs, Pilaszy & Tikk 2011).
5. Reads have one confidence; the paper's grows with how often.
6. Articles that are newer than training have no factors; content and demand rank them, and stand beside the factors of
   the others.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from newsrec.encoders.co_reading import rows, stacked
from newsrec.encoders.collaborative import ColdStep, CollaborativeScorer, check
from newsrec.encoders.fold_in import Factorization, coordinates, fold_in, solved
from newsrec.transitions import Transitions

if TYPE_CHECKING:
    from scipy.sparse import csr_array

START = 0.1
"""Standard deviation of the first factors."""


@dataclass(frozen=True)
class Config:
    """Factors, and the step of what ranks new articles."""

    width: int = 64
    """Numbers in a factor (paper: 50 to 200)."""
    confidence: float = 10.0
    """In a read, above that in its absence (paper's alpha: 40)."""
    penalty: float = 10.0
    """Of squared factors."""
    steps: int = 8
    """Of conjugate gradients for a reader at a request; training starts where it was and takes ``training_steps``."""
    training_steps: int = 2
    strength: float = 8.0
    """Of the factors beside content and demand."""
    alpha: float = 0.5
    """Of the pooled content of the reads: 0 sums it, 1 takes its mean."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW)."""

    def __post_init__(self) -> None:
        positive = ("confidence", "penalty", "learning_rate")
        check(self, positive=positive, least=("width", "steps", "training_steps"))


class Factors(nn.Module):
    """y of each of ``articles`` articles; a ``Memory`` whose readers are folded in."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__()
        self.solve = Factorization(config.confidence, config.penalty, config.steps)
        self.register_buffer("table", torch.zeros(articles + 1, config.width))
        self.register_buffer("basis", torch.zeros(config.width, config.width))
        self.register_buffer("spread", torch.zeros(config.width))
        self.table: Tensor
        self.basis: Tensor
        self.spread: Tensor
        start = START * torch.randn(articles + 1, config.width)
        start[0] = 0.0
        self.take_over(start.numpy(), np.ones(articles + 1))

    def article(self, index: Tensor) -> Tensor:
        return self.table[index]

    def reader(self, index: Tensor, mask: Tensor) -> Tensor:
        vectors, length = self.table[index] @ self.basis, (index > 0).sum(1).float()  # [B, H, W], [B]
        found = fold_in(vectors.numpy(), length.numpy(), self.spread.numpy(), self.solve)  # [B, W]
        return torch.from_numpy(found) @ self.basis.T

    def affinity(self, reader: Tensor, index: Tensor) -> Tensor:
        return (self.table[index] @ reader[..., None]).squeeze(-1)

    def take_over(self, table: np.ndarray, count: np.ndarray) -> None:
        """The factors ``table`` [articles + 1, W] from now on, of articles read ``count`` [articles + 1] times."""
        found = coordinates(table, count, self.solve.penalty)
        for buffer, values in zip((self.table, self.basis, self.spread), (table, *found), strict=True):
            buffer.copy_(torch.from_numpy(values))


class AlsPolicy(CollaborativeScorer):
    """Factors beside content; ``articles`` of them have one."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(Factors(config, articles), config.alpha, config.strength)
        self.config, self.articles = config, articles

    def turn(self, read: "csr_array", readers: np.ndarray | None = None) -> np.ndarray:
        """One turn over the rows ``read`` [R, articles + 1]; returns their factors [R, W], where the next may start."""
        assert isinstance(self.memory, Factors)
        solve = self.memory.solve._replace(steps=self.config.training_steps)
        back = read.T.tocsr()
        readers = solved(read, self.memory.table.numpy(), solve, readers)
        self.memory.take_over(solved(back, readers, solve, self.memory.table.numpy()), np.diff(back.indptr))
        return readers


class AlsLearner:
    """Keeps the rows of a pass and takes a turn at its end; nothing is random, so ``generator`` is ignored."""

    def __init__(self, policy: AlsPolicy, generator: torch.Generator) -> None:
        self.policy = policy
        self.cold = ColdStep(policy, policy.config.learning_rate, policy.config.weight_decay)
        self.read: list[csr_array] = []

    def update(self, batch: Transitions) -> dict[str, float]:
        self.read.append(rows(batch, self.policy.articles))
        return self.cold.update(batch)

    def end_pass(self) -> None:
        """Readers from articles, then articles from readers."""
        read = stacked(self.read)
        self.read = []
        if read.shape[0]:
            self.policy.turn(read)
