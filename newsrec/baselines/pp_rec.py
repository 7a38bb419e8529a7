"""PP-Rec: taste and popularity, mixed for each reader (Qi, Wu, Wu & Huang 2021, "PP-Rec: News recommendation with
personalized user interest and time-aware news popularity").

What an article will be clicked is guessed from its content while it is new and from its age later on; the clicks of now
correct both. How much popularity counts is the reader's own matter::

    score(u, a) = (1 - eta_u) m(u, a) + eta_u p(a) + f n_ua,    m = gain u . v_a,    eta = sigmoid(g . [u, context])
    p(a) = w . c(a) + theta_a  q . v_a  + (1 - theta_a) r . t(a),    theta_a = sigmoid(k . v_a + l . t(a) + o)
    loss = -log softmax(scores of the slate)[click]

u reads as in NRMS (``newsrec.encoders.attention``), c is what is clicked of late and t the age of an article.

Differs from the paper:

1. v is the projected embedding of the title beside an identity, which is forgotten at random in training; the paper
   reads words and entities.
2. Popularity from content, from age and the gate between them are linear in v and t, not two layers: a catalogue is
   scored in one product (``newsrec.encoders.forms``).
3. c holds decayed clicks, click rate and dwell where the paper has the click rate of the last hours.
4. The reader's attention does not see how popular the reads were: a history does not hold it.
5. eta also knows the context of the request: who comes for the first time, and at which hour.
6. Fatigue is added, and all that was shown beside the click is a negative.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from newsrec.encoders.article import DEMAND_FEATURES, DEMAND_PRIOR, ArticleEncoder, Fatigue, demand_features
from newsrec.encoders.attention import ReadingAttention
from newsrec.encoders.collaborative import check
from newsrec.encoders.forms import Forms, one, stacked
from newsrec.encoders.taste import SlateLearner
from newsrec.policy import mask_scores
from newsrec.transitions import CONTEXT_DIM, Candidates, State

GAIN = 8.0
"""At the start, of taste: eta starts at one half."""
CLICKS, AGE = slice(0, 4), slice(4, 6)
"""Which of DEMAND_FEATURES are c and which are t."""


@dataclass(frozen=True)
class Config:
    """Sizes and the step."""

    width: int = 64
    """Numbers in a vector (paper: 400)."""
    heads: int = 4
    """Of attention; width is a multiple of it (paper: 20)."""
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


class PpRecPolicy(nn.Module):
    """Taste and popularity; ``articles`` of them have an identity."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__()
        self.config, self.articles = config, articles
        self.article = ArticleEncoder(articles, config.width)
        self.reads = ReadingAttention(config.width, config.heads, config.dropout)
        self.gain = nn.Parameter(torch.tensor(GAIN))
        self.mix = nn.Linear(config.width + CONTEXT_DIM, 1)
        self.by_content, self.by_gate = (nn.Parameter(torch.zeros(config.width)) for _ in range(2))
        prior = 2.0 * torch.tensor(DEMAND_PRIOR)  # half of popularity counts at the start, and half of age in it
        self.by_clicks, self.by_age = nn.Parameter(prior[CLICKS]), nn.Parameter(2.0 * prior[AGE])
        self.age_gate, self.level = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(()))
        self.fatigue = Fatigue()
        for parameter in self.mix.parameters():
            nn.init.zeros_(parameter)

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        """[B, C] float32."""
        forms = self.forms(self.reader(state), state.context)
        vectors = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        values = vectors @ forms.article + demand_features(candidates) @ forms.demand + forms.level[:, None]
        return mask_scores(self.combined(values) + self.fatigue(candidates), candidates)

    def reader(self, state: State) -> Tensor:
        """[B, W]: u."""
        return self.reads(self.article(state.history_index, state.history_content), state.history_mask)

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """Taste with fatigue, clicks, popularity by content and by age, the gate between them, the reader's mixture."""
        nothing, none = torch.zeros_like(reader), reader.new_zeros(())
        demand = reader.new_zeros(len(reader), len(DEMAND_FEATURES))
        clicks, age, gate = (demand.clone() for _ in range(3))
        clicks[:, CLICKS], age[:, AGE], gate[:, AGE] = self.by_clicks, self.by_age, self.age_gate
        mixture = self.mix(torch.cat([reader, context], 1)).squeeze(1)  # [B]
        return stacked(
            one(self.gain * reader, demand, none),
            one(nothing, clicks, none),
            one(nothing + self.by_content, demand, none),
            one(nothing, age, none),
            one(nothing + self.by_gate, gate, none, self.level.expand(len(reader))),
            one(nothing, demand, none, mixture),
            one(nothing, demand, self.fatigue.weight),
        )

    def combined(self, values: Tensor) -> Tensor:
        """[...] from the ``values`` [..., 7] of the forms."""
        taste, clicks, content, age, gate, mixture, fatigue = values.unbind(-1)
        theta, eta = gate.sigmoid(), mixture.sigmoid()
        popularity = clicks + theta * content + (1.0 - theta) * age
        return (1.0 - eta) * taste + eta * popularity + fatigue


class PpRecLearner(SlateLearner):
    """``newsrec.encoders.taste`` as it stands."""
