"""A causal transformer over the reading history: SASRec (Kang & McAuley 2018) for a catalogue that is new every hour.

One pass over the history gives a vector after every read. Each is asked for the next read, all positions at once; the
last one, joined by the context of the request, is asked which article of the slate is clicked. The score is that of
``newsrec.encoders.scorer``, with h_i the vector after i reads and v the articles'::

    loss = -log softmax(scores of the slate)[click]  +  next_read_weight * mean_i -log softmax(h_i . v)[read i + 1]

Differs from the paper:

1. Softmax over negatives that the batch shares, not one sampled negative with a sigmoid, whose overconfidence Petrov &
   Macdonald 2023 (gSASRec) and Klenitskiy & Vasilev 2023 describe; they are drawn by popularity and not corrected for
   it, because current demand enters the score from the live counts.
2. A second loss on the logged slate, which knows exposure: not clicked is not the same as not shown.
3. Articles have content; identities are forgotten at random in training, so new articles are ranked by content.
4. Relative positions and hours in attention (``encoders.history``) instead of absolute positions.
5. The pooled reads are added to the transformer's output: with few reads they are all there is to know.
"""

from dataclasses import dataclass

import torch
from torch import nn

from newsrec.encoders.article import forget
from newsrec.encoders.history import after_last_read
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig
from newsrec.features import HISTORY_LENGTH
from newsrec.rl.objectives import slate_cross_entropy
from newsrec.transitions import Transitions, clicked, shown


@dataclass(frozen=True)
class Config:
    """Sizes, losses and the step."""

    width: int = 64
    """Numbers in a vector (paper: 50)."""
    layers: int = 2
    heads: int = 2
    """Width is a multiple of it (paper: 1)."""
    dropout: float = 0.2
    """Of what each block adds (paper: 0.2 to 0.5)."""
    alpha: float = 0.5
    """Of the pooled reads: 0 sums them, 1 takes their mean."""
    history: int = HISTORY_LENGTH
    """Latest reads that are looked at (paper: 50 or 200); features hold no more than the default."""
    negatives: int = 256
    """Reads of the batch that serve as negatives for every position (paper: 1 a position)."""
    next_read_weight: float = 0.1
    """Weight of the next-read loss; the slate loss has 1."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls identities that are never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it."""

    def __post_init__(self) -> None:
        _network(self)  # refuses what cannot be
        if self.negatives < 1:
            raise ValueError(f"negatives is {self.negatives}, expected 1 or more")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")
        for name in ("learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")


def _network(config: Config) -> NetworkConfig:
    return NetworkConfig(config.width, config.layers, config.heads, config.dropout, config.alpha, config.history)


class TransformerPolicy(HistoryScorer):
    """``newsrec.encoders.scorer`` as it stands; ``articles`` of them have an identity."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(_network(config), articles)
        self.config = config


class TransformerLearner:
    """Next read at every position and clicked against shown, by AdamW; ``generator`` forgets and draws negatives."""

    def __init__(self, policy: TransformerPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        config = policy.config
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            policy.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.policy.config
        told = policy.known(batch.state)
        state, candidates = forget(told, shown(batch), config.forget_rate, policy.articles, self.generator)
        outputs = policy.read(state)  # [B, H + 1, W]
        reader = after_last_read(outputs, state.history_mask)  # [B, W]
        slate_loss = slate_cross_entropy(policy.rank(reader, state.context, candidates), clicked(batch))
        article, negatives = told.history_index, config.negatives
        next_read_loss = policy.next_read_loss(outputs, state, article, negatives, self.generator)
        loss = slate_loss + config.next_read_weight * next_read_loss
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), config.gradient_norm)
        self.optimizer.step()
        return {"loss": loss.item(), "slate": slate_loss.item(), "next_read": next_read_loss.item()}
