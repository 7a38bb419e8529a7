"""What the collaborative policies share: who read what by article index, and content for what is too new for it.

    score(u, a) = strength t_u . i_a  +  n_u^-alpha sum_{j read by u} P x_j . P x_a  +  w . d(a) + f n_ua

t and i come from a ``Memory`` of who read what, which knows nothing of an article that is newer than training; x
content and d demand carry that one. A reader is what they have read at the moment of the request: there is no table of
readers.

``P``, ``w`` and ``f`` start as in ``newsrec.encoders.article`` and are learnt from slates.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from newsrec.encoders.article import CONTENT_GAIN, Demand, Fatigue
from newsrec.encoders.forms import Forms, one
from newsrec.encoders.history import after_last_read, pool
from newsrec.features import EMBEDDING_DIM
from newsrec.policy import mask_scores
from newsrec.rl.objectives import slate_cross_entropy
from newsrec.transitions import Candidates, State, Transitions, clicked, shown

CONTENT_WIDTH = EMBEDDING_DIM
"""Numbers of the content part of a vector: as many as an embedding has, so that nothing of it is lost at the start."""


class Memory(Protocol):
    """Who read what, as vectors of M numbers whose inner product says how a reader and an article fit."""

    def article(self, index: Tensor) -> Tensor:
        """[..., M] from ``index`` [...]; zeros for index 0."""
        ...

    def reader(self, index: Tensor, mask: Tensor) -> Tensor:
        """[B, M] from the reads ``index`` [B, H], of which ``mask`` says which are there; index 0 adds nothing."""
        ...

    def affinity(self, reader: Tensor, index: Tensor) -> Tensor:
        """[B, C]: the inner products of ``reader`` [B, M] with the articles ``index`` [B, C]."""
        ...


class CollaborativeScorer(nn.Module):
    """The score above; ``memory`` is a module that speaks the protocol ``Memory``."""

    def __init__(self, memory: nn.Module, alpha: float, strength: float) -> None:
        super().__init__()
        self.memory, self.alpha, self.strength = memory, alpha, strength
        self.content = nn.Linear(EMBEDDING_DIM, CONTENT_WIDTH, bias=False)
        nn.init.orthogonal_(self.content.weight, CONTENT_GAIN)
        self.demand, self.fatigue = Demand(), Fatigue()

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        """[B, C] float32."""
        reader = self.reader(state)  # [B, E + M]
        offered = self.content(candidates.content)  # [B, C, E]
        affinity = (offered @ reader[:, :CONTENT_WIDTH, None]).squeeze(-1)  # [B, C]
        affinity = affinity + self.memory.affinity(reader[:, CONTENT_WIDTH:], candidates.article_index)  # type: ignore[operator]
        return mask_scores(affinity + self.demand(candidates) + self.fatigue(candidates), candidates)

    def article(self, index: Tensor, content: Tensor) -> Tensor:
        """[..., E + M] from ``index`` [...] and ``content`` [..., E]: the vector that ``forms`` speaks of."""
        return torch.cat([self.content(content), self.memory.article(index)], -1)  # type: ignore[operator]

    def reader(self, state: State) -> Tensor:
        """[B, E + M]: pooled content of the reads, and what the memory makes of them."""
        read = after_last_read(pool(self.content(state.history_content), self.alpha), state.history_mask)
        index = state.history_index.masked_fill(~state.history_mask, 0)
        taste = self.memory.reader(index, state.history_mask)  # type: ignore[operator]
        return torch.cat([read, self.strength * taste], 1)

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """As ``newsrec.encoders.forms.Formed``."""
        return one(reader, self.demand.weight, self.fatigue.weight)

    def combined(self, values: Tensor) -> Tensor:
        """[...] from the ``values`` [..., 1] of the forms."""
        return values[..., 0]


class ColdStep:
    """One step of what a new article is ranked by: clicked against shown, as if every article were new, by AdamW.

    What was read is left out, because a memory that is solved for has seen the very clicks that this step asks for.
    """

    def __init__(self, policy: CollaborativeScorer, learning_rate: float, weight_decay: float) -> None:
        self.policy = policy
        self.optimizer = torch.optim.AdamW(policy.parameters(), learning_rate, weight_decay=weight_decay)

    def update(self, batch: Transitions) -> dict[str, float]:
        state, candidates = batch.state, shown(batch)
        state = state._replace(history_index=torch.zeros_like(state.history_index))
        candidates = candidates._replace(article_index=torch.zeros_like(candidates.article_index))
        loss = slate_cross_entropy(self.policy.scores(state, candidates), clicked(batch))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item()}


def check(
    config: object, shares: tuple[str, ...] = (), positive: tuple[str, ...] = (), least: tuple[str, ...] = ()
) -> None:
    """Raises ValueError unless ``config``'s ``shares`` lie in [0, 1), ``positive`` above 0, ``least`` from 1 on."""
    for name in shares:
        if not 0.0 <= getattr(config, name) < 1.0:
            raise ValueError(f"{name} is {getattr(config, name)}, expected a share in [0, 1)")
    for name in positive:
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} is {getattr(config, name)}, expected more than 0")
    for name in least:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}, expected 1 or more")
