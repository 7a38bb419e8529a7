"""Matrix factorisation without a table of readers: a reader is the pooled factors of what they read.

Every article has a factor; a reader's is pooled from the articles they read, the inner product of both is the affinity,
and a bias holds demand. New readers need one read and no retraining::

    score(u, a) = (n_u^-alpha sum_{j read by u} q_j) . q_a + w . d(a) + f n_ua
    q_j = P x_j + i_j                           x content, i identity (nothing for a new article), d demand features,
                                                n_ua how often the reader was shown the article of late
    loss = -log softmax(scores of the slate)[click]

Asymmetric SVD (Koren 2008, eq. 13) as FISM trains it (Kabbur, Ning & Karypis 2013, eq. 5).

Differs from the papers:
1. Content enters the factors, and identities are forgotten at random in training, so new articles have factors.
2. An article has one factor, not one as a read and one as an offer (p and q): content similarity is where it starts,
   and half the parameters overfit less.
3. The negatives are the articles shown beside the click, not draws from the catalogue: exposure is known here.
4. Softmax over the slate instead of squared error or AUC (FISM's two losses).
5. The article's bias follows its decayed popularity and age instead of being learned once for ever.
6. A read never has to be taken out of its own history (FISM's minus i): features hold what was read before.
"""

from dataclasses import dataclass

from torch import Tensor

from newsrec.encoders.history import after_last_read, pool
from newsrec.encoders.taste import SlateLearner, TasteScorer
from newsrec.transitions import State


@dataclass(frozen=True)
class Config:
    """Sizes and the step."""

    width: int = 64
    """Numbers in a factor."""
    alpha: float = 0.5
    """0 sums the reads, 1 takes their mean (FISM: 0.5)."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls identities that are never trained to nothing."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is {self.width}, expected 1 or more")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, expected more than 0")


class MatrixFactorizationPolicy(TasteScorer):
    """A factor for each of ``articles`` articles, by content and by identity."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.width, articles)
        self.config = config

    def reader(self, state: State) -> Tensor:
        """[B, W]: the pooled factors of the reads."""
        reads = self.article(state.history_index, state.history_content)  # [B, H, W]
        return after_last_read(pool(reads, self.config.alpha), state.history_mask)


class MatrixFactorizationLearner(SlateLearner):
    """``newsrec.encoders.taste`` as it stands."""
