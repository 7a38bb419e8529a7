"""Clicks without the known vices of clicks: a penalty for what disappoints, and slates that do not repeat themselves.

A click of less than ``bounce_seconds`` is a reader who turned back (dwell as satisfaction: Fox et al. 2005). How
probable that is, given a click, is learnt from logged dwell beside the click model of
``newsrec.baselines.transformer``; what is served is the log odds of a click, less the penalty, re-ranked by maximal
marginal relevance
(``newsrec.encoders.diversity``)::

    score(a)    = logit P(click on a | s) - penalty * P(dwell < bounce_seconds | click on a, s)
    marginal(a) = score(a) - diversity * max over b above a of cos(content_a, content_b)

Nothing here looks at who comes back. It is what an editor would ask of a click model, and what a policy that claims to
look further has to beat.

1. The penalty is for the chance of a bounce given a click, not of a click that bounces: what is seldom clicked is no
   better for that.
2. A read whose dwell was not logged is neither a bounce nor none.
3. Bounces do not shape the vectors of the click model; theirs is a head.
4. Marginal scores are the scores: nothing but ``newsrec.slate`` makes slates, and propensities stay exact.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from newsrec.encoders.article import forget
from newsrec.encoders.diversity import marginal_relevance
from newsrec.encoders.forms import Forms, stacked
from newsrec.encoders.history import after_last_read
from newsrec.encoders.scorer import CandidateHead, HistoryScorer, NetworkConfig
from newsrec.events import KINDS
from newsrec.policy import mask_scores
from newsrec.rl.objectives import click_likelihood, slate_cross_entropy
from newsrec.transitions import Candidates, Transitions, clicked, shown

DWELL = KINDS.index("dwell")


@dataclass(frozen=True)
class Config:
    """Penalty, diversity, the click model and the step."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    bounce_seconds: float = 15.0
    """A read of less dwell is a bounce."""
    penalty: float = 2.0
    """Log odds of a click that a certain bounce takes off; 0: none."""
    diversity: float = 0.5
    """Log odds of a click that the repetition of an article further up takes off; 0: none."""
    depth: int = 20
    """Places that are re-ranked, one after the other; at least those of a slate."""
    negatives: int = 256
    """Reads of the batch that serve as negatives for every position of the history."""
    next_read_weight: float = 0.1
    """Weight of the next-read loss; those of the slate and of bounces have 1."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls identities that are never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it, those of bounces and of the click model each on their own."""

    def __post_init__(self) -> None:
        for name in ("depth", "negatives"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("penalty", "diversity"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        for name in ("bounce_seconds", "learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")


class DiversePolicy(HistoryScorer):
    """``newsrec.encoders.scorer`` and a head for bounces; ``articles`` of them have an identity."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.network, articles)
        self.config = config
        self.bounce = CandidateHead(config.network.width)

    def served(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C] as in ``HistoryScorer``: marginal scores. One candidate alone repeats none."""
        config = self.config
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        bounce = self.bounce(reader, context, offered, candidates).sigmoid()  # [B, C]
        penalised = self.rank(reader, context, candidates, offered) - config.penalty * bounce  # [B, C]
        return mask_scores(self.reranked(penalised, candidates.content), candidates)

    def reranked(self, scores: Tensor, content: Tensor) -> Tensor:
        """[B, C]: marginal scores from ``scores`` [B, C] before re-ranking and ``content`` [B, C, E]."""
        return marginal_relevance(scores, content, self.config.diversity, self.config.depth)

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """Two: the log odds of a click, and those of a bounce. What an article repeats is known once others stand."""
        return stacked(self.rank_form(reader, context), self.bounce.form(reader, context))

    def combined(self, values: Tensor) -> Tensor:
        """[...]: the score before re-ranking, from the ``values`` [..., 2] of the forms."""
        return values[..., 0] - self.config.penalty * values[..., 1].sigmoid()

    def bounce_logits(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C]: log odds of a bounce, given a click; their gradient ends in ``bounce``."""
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        return self.bounce(reader.detach(), context, offered.detach(), candidates)


class DiverseLearner:
    """One step of click model and bounces together, by AdamW; ``generator`` forgets and draws negatives."""

    def __init__(self, policy: DiversePolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        self.bounces = list(policy.bounce.parameters())
        self.clicks = [p for name, p in policy.named_parameters() if not name.startswith("bounce.")]
        config = policy.config
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            policy.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.policy.config
        told = policy.known(batch.state)
        state, slate = forget(told, shown(batch), config.forget_rate, policy.articles, self.generator)
        outputs = policy.read(state)  # [B, H + 1, W]
        reader = after_last_read(outputs, state.history_mask)  # [B, W]
        read = clicked(batch) & slate.mask  # [B, K]
        slate_loss = slate_cross_entropy(policy.rank(reader, state.context, slate), read)
        history, negatives = told.history_index, config.negatives
        next_read_loss = policy.next_read_loss(outputs, state, history, negatives, self.generator)
        seconds = batch.feedback[..., DWELL]  # [B, K]
        known, bounced = read & (seconds > 0), seconds < config.bounce_seconds  # [B, K]
        bounce_loss = click_likelihood(policy.bounce_logits(reader, state.context, slate), bounced, known)
        loss = slate_loss + config.next_read_weight * next_read_loss + bounce_loss
        self.optimizer.zero_grad()
        loss.backward()
        for parameters in (self.clicks, self.bounces):
            nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
        self.optimizer.step()
        return {
            "loss": loss.item(),
            "slate": slate_loss.item(),
            "next_read": next_read_loss.item(),
            "bounce": bounce_loss.item(),
            "bounces": ((bounced & known).sum() / known.sum().clamp(min=1)).item(),
        }
