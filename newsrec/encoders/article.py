"""What a policy knows of an article: a vector that a new article has too, and how much it is in demand just now."""

import torch
from torch import Tensor, nn

from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import Candidates, State

FRESHNESS_HALF_LIFE_HOURS = 24.0
DEMAND_FEATURES = ("log_clicks_hour", "log_clicks_day", "log_click_rate", "log_dwell_day", "log_age", "freshness")
DEMAND_PRIOR = (0.3, 0.3, 1.0, 0.0, 0.0, 0.5)
"""Where every policy starts: weights that rank well on a simulated log and on MIND, in slates and in whole pools."""
FATIGUE_PRIOR, MOST_SHOWN = 0.3, 8.0
"""What is taken off for each time shown before anything is learnt, and the number from which on no time counts."""
CONTENT_GAIN = 0.5
IDENTITY_SCALE = 0.01
"""Initial standard deviation of an identity embedding: enough to tell articles apart, too little to rank by."""


class ArticleEncoder(nn.Module):
    """Content projection plus identity embedding; index 0, the unknown article, has the content alone.

    The projection starts as a rotation, so that the inner product of two articles starts as their content similarity.
    """

    def __init__(self, articles: int, width: int) -> None:
        super().__init__()
        self.content = nn.Linear(EMBEDDING_DIM, width, bias=False)
        self.identity = nn.Embedding(articles + 1, width, padding_idx=0)
        nn.init.orthogonal_(self.content.weight, CONTENT_GAIN)
        nn.init.normal_(self.identity.weight, std=IDENTITY_SCALE)
        with torch.no_grad():
            self.identity.weight[0] = 0.0

    def forward(self, index: Tensor, content: Tensor) -> Tensor:
        """[..., width] from ``index`` [...] and ``content`` [..., E]."""
        return self.content(content) + self.identity(index)


def forget(
    state: State, candidates: Candidates, rate: float, articles: int, generator: torch.Generator
) -> tuple[State, Candidates]:
    """Both with index 0 for a random share ``rate`` of the ``articles``, the same ones wherever they stand.

    A forgotten article looks like one that is newer than training, so its content has to carry it.
    """
    forgotten = torch.rand(articles + 1, generator=generator) < rate
    history, offered = state.history_index, candidates.article_index
    return (
        state._replace(history_index=history.masked_fill(forgotten[history], 0)),
        candidates._replace(article_index=offered.masked_fill(forgotten[offered], 0)),
    )


class Demand(nn.Module):
    """A score for what readers click just now, the same for every reader: DEMAND_FEATURES, weighted."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(DEMAND_PRIOR))

    def forward(self, candidates: Candidates) -> Tensor:
        """[B, C] float32."""
        return demand_features(candidates) @ self.weight


class Fatigue(nn.Module):
    """What is added for each time that the reader was shown an article and passed it by, mostly less than 0.

    Impression discounting (Lee et al. 2014, "Modeling impression discounting in large-scale recommender systems"): who
    saw a title twice has twice decided against it, so the odds of a click are multiplied each time.
    """

    def __init__(self, start: float = -FATIGUE_PRIOR) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start))

    def forward(self, candidates: Candidates) -> Tensor:
        """[B, C] float32."""
        return self.weight * candidates.shown.clamp(max=MOST_SHOWN)


def demand_features(candidates: Candidates) -> Tensor:
    """[B, C, DEMAND_FEATURES] float32: decayed popularity, click rate against 5 %, dwell, and age."""
    clicks_hour, clicks_day, click_rate, log_dwell = candidates.popularity.unbind(-1)  # [B, C] each
    age = candidates.age_hours
    columns = [
        clicks_hour,
        clicks_day,
        torch.log((click_rate + 0.01) / 0.06),
        log_dwell,
        torch.log1p(age),
        torch.exp2(-age / FRESHNESS_HALF_LIFE_HOURS),
    ]
    return torch.stack(columns, -1)
