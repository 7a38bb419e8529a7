"""SASRec: the next read from the order of the reads, at every place at once (Kang & McAuley 2018), with a softmax.

The network is the transformer's (``newsrec.encoders.scorer``), and ``newsrec.baselines.transformer`` says what it is;
SASRec is that policy taught by the next read first and by slates for what a history cannot know::

    loss = mean_i -log softmax(h_i . v)[read i + 1]  +  slate_weight * -log softmax(scores of the slate)[click]

``full``: the softmax is over every article that has been seen in training, as in Klenitskiy & Vasilev 2023 ("Turning
dross into gold loss: is BERT4Rec really better than SASRec?"); ``sampled``: over ``negatives`` reads of the batch, for
catalogues of which a batch sees little.

Differs from the papers:

1. Relative positions and hours in attention, content beside identities that are forgotten at random, and the pooled
   reads added to the transformer's output, as in ``newsrec.baselines.transformer``.
2. The slate teaches demand, fatigue and context; ``slate_weight`` 0 is the papers' loss.
3. Sampled negatives are drawn by popularity and not corrected for it.
4. AdamW and a bound on the gradient.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from newsrec.encoders.article import forget
from newsrec.encoders.collaborative import check
from newsrec.encoders.history import after_last_read
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig
from newsrec.features import EMBEDDING_DIM, HISTORY_LENGTH
from newsrec.rl.objectives import slate_cross_entropy
from newsrec.transitions import State, Transitions, clicked, shown


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
    softmax: Literal["full", "sampled"] = "full"
    negatives: int = 256
    """Reads of the batch that the sampled softmax shares."""
    slate_weight: float = 1.0
    """Of the slate loss beside the next read's."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls identities that are never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it."""

    def __post_init__(self) -> None:
        _network(self)  # refuses what cannot be
        check(self, shares=("forget_rate",), positive=("learning_rate", "gradient_norm"), least=("negatives",))
        if self.slate_weight < 0:
            raise ValueError(f"slate_weight is {self.slate_weight}, expected 0 or more")


def _network(config: Config) -> NetworkConfig:
    return NetworkConfig(config.width, config.layers, config.heads, config.dropout, config.alpha, config.history)


class SasRecPolicy(HistoryScorer):
    """``newsrec.encoders.scorer`` as it stands; ``articles`` of them have an identity."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(_network(config), articles)
        self.config = config


class SasRecLearner:
    """Next read and clicked against shown, by AdamW; ``generator`` forgets and draws negatives."""

    def __init__(self, policy: SasRecPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        config = policy.config
        self.content = torch.zeros(policy.articles + 1, EMBEDDING_DIM)
        self.seen = torch.zeros(policy.articles + 1, dtype=torch.bool)
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            policy.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.policy.config
        told, offered = policy.known(batch.state), shown(batch)
        state, candidates = forget(told, offered, config.forget_rate, policy.articles, self.generator)
        outputs = policy.read(state)  # [B, H + 1, W]
        if config.softmax == "full":
            self._notice(told.history_index, told.history_content)
            self._notice(offered.article_index, offered.content)
            next_read_loss = self._full(outputs, told)
        else:
            article, negatives = told.history_index, config.negatives
            next_read_loss = policy.next_read_loss(outputs, state, article, negatives, self.generator)
        loss, losses = next_read_loss, {"next_read": next_read_loss.item()}
        if config.slate_weight:
            reader = after_last_read(outputs, state.history_mask)  # [B, W]
            slate_loss = slate_cross_entropy(policy.rank(reader, state.context, candidates), clicked(batch))
            loss, losses["slate"] = loss + config.slate_weight * slate_loss, slate_loss.item()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), config.gradient_norm)
        self.optimizer.step()
        return {"loss": loss.item(), **losses}

    def _notice(self, index: Tensor, content: Tensor) -> None:
        """Keep the content of the articles ``index`` [B, C], for the softmax over all of them."""
        self.content[index], self.seen[index] = content, True
        self.content[0], self.seen[0] = 0.0, False

    def _full(self, outputs: Tensor, told: State) -> Tensor:
        """Mean over known reads of the cross-entropy against every article that was seen so far."""
        asked = told.history_mask & (told.history_index > 0)  # [B, H]
        seen = self.seen.nonzero().squeeze(1)  # [N]
        if not len(seen):
            return outputs.sum() * 0.0
        place = torch.zeros(len(self.seen), dtype=torch.int64)
        place[seen] = torch.arange(len(seen))
        logits = outputs[:, :-1][asked] @ self.policy.article(seen, self.content[seen]).T  # [P, N]
        summed = nn.functional.cross_entropy(logits, place[told.history_index[asked]], reduction="sum")
        return summed / max(len(logits), 1)
