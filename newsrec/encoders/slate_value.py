"""The value of a slate by its articles, where a reader clicks none, one or several of them::

    Q(s, A) = q(s) + sum_{a in A} P(click on a | s) w(s, a)

q is the value of a slate of which nothing is read, w what a read adds to it, now and later. SlateQ (Ie et al. 2019) has
at most one click a slate, so that its item values are q + w; here articles are clicked independently of each other, and
what reads add is added up. The best slate is then the K largest P w, exactly.

The click model is the scorer of ``newsrec.encoders.scorer`` and shapes the vectors. The values are heads on these
vectors and do not shape them: what a read changes weeks later is a small part of what is seen after it, and gradients
of the rest would drown what clicks teach.
"""

import torch
from torch import Tensor, nn

from newsrec.encoders.forms import Forms, stacked
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig, StateHead, WorthHead
from newsrec.policy import mask_scores
from newsrec.rl.objectives import best_slate, slate_value
from newsrec.transitions import Candidates, State

LONGEST_HORIZON = 100.0
"""Decisions that the level of values assumes at most, where discounts are near 1."""
SPREAD_RATE = 0.05
"""Share of a batch in the running spread of what articles are worth."""


class SlateValue(nn.Module):
    """The heads q and w. A read starts as worth ``click_weight``, whichever it is: values start as clicks."""

    level: Tensor
    """[] float32, added to q: the value of a typical state, where q starts."""

    def __init__(self, width: int, click_weight: float) -> None:
        super().__init__()
        self.click_weight = click_weight
        self.unread, self.read = StateHead(width), WorthHead(width)
        self.register_buffer("level", torch.zeros(()))

    def forward(
        self, reader: Tensor, context: Tensor, offered: Tensor, candidates: Candidates
    ) -> tuple[Tensor, Tensor]:
        """q [B] and w [B, C], from ``reader`` [B, W], ``context`` [B, X] and ``offered`` [B, C, W]."""
        worth = self.click_weight + self.read(reader, context, offered, candidates)  # [B, C]
        return self.level + self.unread(reader, context), worth.masked_fill(~candidates.mask, 0.0)

    def start(self, reward: Tensor, discount: Tensor) -> None:
        """Set the level to what ``reward`` and ``discount`` [B] of a first batch add up to when they go on like that.

        A bootstrapped value would need thousands of steps to climb there, and reads would look precious on the way. A
        level that is there already, of a warm start, stays.
        """
        if self.level == 0.0:
            self.level.copy_(reward.mean() / (1.0 - discount.mean()).clamp(min=1.0 / LONGEST_HORIZON))

    @torch.no_grad()
    def follow(self, online: "SlateValue", rate: float) -> None:
        """Go the share ``rate`` of the way to ``online``."""
        for own, other in zip(self.state_dict().values(), online.state_dict().values(), strict=True):
            own.lerp_(other, rate)


class SlateValueScorer(HistoryScorer):
    """``HistoryScorer`` as the click model, with the level of clicks that a ranking does not need, and the values."""

    def __init__(self, network: NetworkConfig, articles: int, click_weight: float) -> None:
        super().__init__(network, articles)
        self.click_level = StateHead(network.width)
        self.value = SlateValue(network.width, click_weight)

    def click_logits(
        self, reader: Tensor, context: Tensor, candidates: Candidates, offered: Tensor | None = None
    ) -> Tensor:
        """[B, C]: log odds of a click, minus infinity where there is no candidate. Arguments as those of ``rank``."""
        return self.rank(reader, context, candidates, offered) + self.click_level(reader, context)[:, None]

    def values(
        self,
        heads: SlateValue,
        reader: Tensor,
        context: Tensor,
        candidates: Candidates,
        offered: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """q [B] and w [B, C] of ``heads`` on the vectors of this network, whose gradient ends there.

        ``offered`` as in ``rank``.
        """
        if offered is None:
            offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        return heads(reader.detach(), context, offered.detach(), candidates)

    def worth(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C]: what a read of each candidate brings, now and later; its gradient goes on into the vectors."""
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        return self.value(reader, context, offered, candidates)[1]


class BestSlateScorer(SlateValueScorer):
    """Serves what an article adds to the value of a slate, ``P(click) w``: the K best are the best slate of K.

    The score counts it in running standard deviations between the candidates of a request, so that exploration at
    temperature 1 neither ignores nor copies the order, whatever the reward's unit.
    """

    spread: Tensor
    """[] float32, clicks."""

    def __init__(self, network: NetworkConfig, articles: int, click_weight: float) -> None:
        super().__init__(network, articles, click_weight)
        self.register_buffer("spread", torch.ones(()))

    def served(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C] as in ``HistoryScorer``."""
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        probability = self.click_logits(reader, context, candidates, offered).sigmoid()  # [B, C]
        _, worth = self.value(reader, context, offered, candidates)
        return mask_scores(probability * worth / self.spread, candidates)

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """Two: the log odds of a click, and what a read is worth."""
        clicks = self.rank_form(reader, context)
        level = clicks.level + self.click_level(reader, context)[:, None]  # [B, 1]
        worth = self.value.read.form(reader, context)
        return stacked(clicks._replace(level=level), worth._replace(level=worth.level + self.value.click_weight))

    def combined(self, values: Tensor) -> Tensor:
        """[...] from the ``values`` [..., 2] of the forms."""
        return values[..., 0].sigmoid() * values[..., 1] / self.spread

    @torch.no_grad()
    def best_value(self, lagging: SlateValue, state: State, candidates: Candidates, places: Tensor) -> Tensor:
        """[B]: a state under its best slate of ``places`` [B] articles, chosen by the heads, valued by ``lagging``."""
        training = self.training
        self.eval()
        reader = self.reader(state)  # [B, W]
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        probability = self.click_logits(reader, state.context, candidates, offered).sigmoid()  # [B, C]
        self.train(training)
        _, worth = self.value(reader, state.context, offered, candidates)
        unread, later = lagging(reader, state.context, offered, candidates)
        added = probability * worth  # [B, C]
        self.observe_spread(added, candidates.mask)
        slate, slate_mask = best_slate(added, candidates.mask, places)  # [B, K]
        return unread + slate_value(probability, later, slate, slate_mask)

    @torch.no_grad()
    def observe_spread(self, added: Tensor, mask: Tensor) -> None:
        """Follow the spread of what candidates add to a slate, ``added`` and ``mask`` [B, C]; the first sets it."""
        self.spread.lerp_(spread(added, mask), 1.0 if self.spread == 1.0 else SPREAD_RATE)


def spread(added: Tensor, mask: Tensor) -> Tensor:
    """[] the standard deviation of ``added`` [B, C] within rows, over what ``mask`` [B, C] holds; never 0."""
    count = mask.sum(1, keepdim=True).clamp(min=1)
    centred = (added - (added * mask).sum(1, keepdim=True) / count) * mask  # [B, C]
    return (centred.square().sum() / mask.sum().clamp(min=1)).sqrt().clamp(min=1e-6)
