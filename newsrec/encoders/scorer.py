"""The network that the sequence policies share: reading history, context and demand to a score for each candidate::

    score(u, a) = (h_u + C context) . v_a + (w + M context) . d(a) + f n_ua
    h_u = n_u^-alpha sum_{j read by u} v_j + O transformer(reads of u)

v is content projection plus identity, d demand, n how often the reader was shown the article of late. O, C and M start
at zero: the score starts as content similarity plus demand less fatigue, and learning adds order, time and context. The
vector ``h_u`` knows the history alone, never the time of the request, so it can be stored.

Critics sit on the same vectors as further heads, which start at zero. Parameters of the same part have the same name in
every policy: one warm-starts another.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from newsrec.encoders.article import DEMAND_FEATURES, ArticleEncoder, Demand, Fatigue, demand_features
from newsrec.encoders.forms import Forms, Hidden, one
from newsrec.encoders.history import CausalTransformer, after_last_read, latest, pool
from newsrec.features import HISTORY_LENGTH
from newsrec.policy import mask_scores
from newsrec.rl.objectives import shared_negatives_cross_entropy
from newsrec.transitions import CONTEXT_DIM, Candidates, State


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network."""

    width: int = 64
    """Numbers in a vector."""
    layers: int = 2
    heads: int = 2
    """Of attention; width is a multiple of it."""
    dropout: float = 0.2
    """Of what each block adds."""
    alpha: float = 0.5
    """Of the pooled reads: 0 sums them, 1 takes their mean."""
    history: int = HISTORY_LENGTH
    """Latest reads that are looked at; features hold no more than the default."""

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 1 <= self.history <= HISTORY_LENGTH:
            raise ValueError(f"history is {self.history}, expected 1 to the {HISTORY_LENGTH} reads that are stored")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}, expected a multiple of the {self.heads} heads")
        if not 0.0 <= self.dropout <= 1.0:
            raise ValueError(f"dropout is {self.dropout}, expected a share in [0, 1]")


class HistoryScorer(nn.Module):
    """Reading history, context and demand to scores; ``articles`` of them have an identity."""

    def __init__(self, network: NetworkConfig, articles: int) -> None:
        super().__init__()
        self.articles, self.alpha, self.latest_reads = articles, network.alpha, network.history
        self.article = ArticleEncoder(articles, network.width)
        self.dwell = nn.Linear(1, network.width, bias=False)
        self.history = CausalTransformer(network.width, network.layers, network.heads, network.dropout)
        self.output = nn.Linear(network.width, network.width)
        self.context = nn.Linear(CONTEXT_DIM, network.width, bias=False)
        self.demand, self.fatigue = Demand(), Fatigue()
        self.moment = nn.Linear(CONTEXT_DIM, len(DEMAND_FEATURES), bias=False)
        _zero(self.output, self.context, self.moment)

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        """[B, C] float32."""
        return self.served(self.reader(state), state.context, candidates)

    def served(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C]: ``scores`` as a function of reader vectors [B, W], with a gradient through every part of it.

        Training may stop gradients on the way; this is what is served and explained. Arguments as those of ``rank``.
        """
        return self.rank(reader, context, candidates)

    def reader(self, state: State) -> Tensor:
        """[B, W]: what is known of a reader, whatever the time of the request."""
        state = self.known(state)
        return after_last_read(self.read(state), state.history_mask)

    def known(self, state: State) -> State:
        """``state`` with the latest reads alone, as many as the network looks at."""
        return latest(state, self.latest_reads)

    def read(self, state: State) -> Tensor:
        """[B, H + 1, W]: what is known of a reader after each number of reads of a ``known`` state."""
        return self.outputs(self.article(state.history_index, state.history_content), state)

    def outputs(self, reads: Tensor, state: State) -> Tensor:
        """[B, H + 1, W]: ``read`` of ``state``, had its reads the vectors ``reads`` [B, H, W]."""
        outputs = self.history(self.noticed(reads, state), state.history_age_hours, state.history_mask)
        return pool(reads, self.alpha) + self.output(outputs)

    def noticed(self, reads: Tensor, state: State) -> Tensor:
        """[B, H, W]: what the transformer is given of ``reads`` [B, H, W], with their dwell."""
        return reads + self.dwell(torch.log1p(state.history_dwell_seconds)[..., None])

    def next_read_loss(
        self, outputs: Tensor, state: State, article: Tensor, negatives: int, generator: torch.Generator
    ) -> Tensor:
        """Each of ``outputs`` (``read`` of ``state``) is asked for the next read, against ``negatives`` of the batch.

        ``article`` [B, H] still names the articles that ``state`` has forgotten.
        """
        asked = state.history_mask & (article > 0)  # [B, H]
        keys = article[asked]  # [P]
        queries = outputs[:, :-1][asked]  # [P, W]
        targets = self.article(state.history_index[asked], state.history_content[asked])  # [P, W]
        chosen = torch.randperm(len(keys), generator=generator)[:negatives]  # [N]
        return shared_negatives_cross_entropy(queries, targets, keys, chosen)

    def rank(self, reader: Tensor, context: Tensor, candidates: Candidates, offered: Tensor | None = None) -> Tensor:
        """[B, C] from reader vectors [B, W] and the context of the request [B, X].

        ``offered`` [B, C, W] are the vectors of the candidates, where they are there already.
        """
        if offered is None:
            offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        query = reader + self.context(context)  # [B, W]
        affinity = (offered @ query[..., None]).squeeze(-1)  # [B, C]
        shift = (demand_features(candidates) @ self.moment(context)[..., None]).squeeze(-1)  # [B, C]
        return mask_scores(affinity + self.demand(candidates) + shift + self.fatigue(candidates), candidates)

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """What ``served`` makes of an article, from ``reader`` [B, W] and ``context`` [B, X]; see ``Formed``."""
        return self.rank_form(reader, context)

    def combined(self, values: Tensor) -> Tensor:
        """[...] from the ``values`` [..., F] of the forms."""
        return values[..., 0]

    def rank_form(self, reader: Tensor, context: Tensor) -> Forms:
        """``rank`` as a form."""
        demand = self.demand.weight + self.moment(context)  # [B, D]
        return one(reader + self.context(context), demand, self.fatigue.weight)


class CandidateHead(nn.Module):
    """A further number for each candidate, such as its Q: the reader's level, affinity and demand. Starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width + CONTEXT_DIM, width)
        self.demand, self.fatigue = nn.Linear(len(DEMAND_FEATURES), 1, bias=False), Fatigue(0.0)
        self.level = StateHead(width)
        _zero(self.query, self.demand)

    def forward(self, reader: Tensor, context: Tensor, offered: Tensor, candidates: Candidates) -> Tensor:
        """[B, C] from ``reader`` [B, W], ``context`` [B, X] and ``offered`` [B, C, W]; 0 where there is none."""
        query = self.query(torch.cat([reader, context], 1))  # [B, W]
        affinity = (offered @ query[..., None]).squeeze(-1)  # [B, C]
        value = affinity + self.demand(demand_features(candidates)).squeeze(-1) + self.fatigue(candidates)
        value = value + self.level(reader, context)[:, None]
        return value.masked_fill(~candidates.mask, 0.0)

    def form(self, reader: Tensor, context: Tensor) -> Forms:
        """The same number as a form."""
        query = self.query(torch.cat([reader, context], 1))  # [B, W]
        return one(query, self.demand.weight[0], self.fatigue.weight, self.level(reader, context))


class WorthHead(nn.Module):
    """A further number for each candidate, of few parameters: the article's own, and how near it is to the reader.

    What a read changes later is a small part of what is seen, and a full ``CandidateHead`` learns mostly what the rest
    happened to be. Starts at 0.
    """

    reach = 16.0
    """Factor of what the article's own weights see: steps of Adam are all of one size, and these have far to go."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own, self.demand = nn.Linear(width, 1, bias=False), nn.Linear(len(DEMAND_FEATURES), 1, bias=False)
        self.near = nn.Parameter(torch.zeros(()))
        self.level = StateHead(width)
        _zero(self.own, self.demand)

    def forward(self, reader: Tensor, context: Tensor, offered: Tensor, candidates: Candidates) -> Tensor:
        """[B, C] from ``reader`` [B, W], ``context`` [B, X] and ``offered`` [B, C, W]; 0 where there is none."""
        near = self.near * (offered @ reader[..., None]).squeeze(-1)  # [B, C]
        own = (self.own(self.reach * offered) + self.demand(demand_features(candidates))).squeeze(-1)  # [B, C]
        value = own + near + self.level(reader, context)[:, None]
        return value.masked_fill(~candidates.mask, 0.0)

    def form(self, reader: Tensor, context: Tensor) -> Forms:
        """The same number as a form."""
        query = self.reach * self.own.weight + self.near * reader  # [B, W]
        return one(query, self.demand.weight[0], query.new_zeros(()), self.level(reader, context))


class StateHead(nn.Module):
    """A number for each reader, such as the value of their state. Starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.out = Hidden(width + CONTEXT_DIM, width), nn.Linear(width, 1)
        _zero(self.out)

    def forward(self, reader: Tensor, context: Tensor) -> Tensor:
        """[B] from ``reader`` [B, W] and ``context`` [B, X]."""
        return self.out(self.hidden(torch.cat([reader, context], 1))).squeeze(-1)


def _zero(*layers: nn.Module) -> None:
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
