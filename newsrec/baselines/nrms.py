"""NRMS: a reader is what they read under attention (Wu, Wu, Ge, Qi, Huang & Xie 2019, "Neural news recommendation with
multi-head self-attention").

The reads attend to each other, and one learnt question weighs them; the inner product with an article says how likely
the click is::

    u = sum_j a_j (v_j + MultiHead(v)_j),   a = softmax_j(q . tanh(W (v_j + MultiHead(v)_j)))
    score(u, a) = gain u . v_a + w . d(a) + f n_ua
    loss = -log softmax(scores of the slate)[click]

Differs from the paper:

1. v is the projected embedding of the title (``newsrec.encoders.article``), not attention over the words of it: the
   words are read once, by whichever model made the embeddings.
2. Known articles have an identity beside their content, forgotten at random in training, so new ones are ranked by
   content.
3. Reads are added to what attention makes of them, and both attentions start as a plain mean: the score starts as
   content similarity and not as noise.
4. Demand and fatigue are added: what readers click just now ranks news better than taste alone.
5. All that was shown beside the click is a negative, not four articles of it.
6. ``gain`` starts at the size that a sum of reads has; a mean is too short for a softmax.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from newsrec.encoders.attention import ReadingAttention
from newsrec.encoders.collaborative import check
from newsrec.encoders.taste import SlateLearner, TasteScorer
from newsrec.transitions import State

GAIN = 4.0


@dataclass(frozen=True)
class Config:
    """Sizes and the step."""

    width: int = 64
    """Numbers in a vector (paper: 256)."""
    heads: int = 4
    """Of attention; width is a multiple of it (paper: 16)."""
    dropout: float = 0.2
    """Of what attention adds (paper: 0.2)."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW)."""

    def __post_init__(self) -> None:
        check(self, shares=("dropout", "forget_rate"), positive=("learning_rate",), least=("width", "heads"))
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}, expected a multiple of the {self.heads} heads")


class NrmsPolicy(TasteScorer):
    """Attention over reads; ``articles`` of them have an identity."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.width, articles)
        self.config = config
        self.reads = ReadingAttention(config.width, config.heads, config.dropout)
        self.gain = nn.Parameter(torch.tensor(GAIN))

    def reader(self, state: State) -> Tensor:
        """[B, W]: ``gain`` times u."""
        return self.gain * self.reads(self.article(state.history_index, state.history_content), state.history_mask)


class NrmsLearner(SlateLearner):
    """``newsrec.encoders.taste`` as it stands."""
