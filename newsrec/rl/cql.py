"""Conservative Q-learning over slates: what the log seldom showed is not taken for better than what it did.

A maximum over values picks the articles whose values are too high, and offline nothing ever shows the error. So values
of all candidates are pushed down, those of the shown ones up (Kumar et al. 2020), on the decomposition of
``newsrec.encoders.slate_value``; targets are those of ``newsrec.rl.dqn``::

    loss    = (q(s) + sum_{a clicked} w(s, a) - y)^2  +  alpha * penalty  +  click loss of P on the logged slate
    penalty = mean over shown a of  tau logsumexp_b(P(b) w(s, b) / tau) - P(a) w(s, a)        b: all candidates

    y       = r + discount * (q'(s_next) + sum_{a in A*} P(a) w'(s_next, a))      q', w' lag, A* by the current heads
    r       = click_weight * engagement + return_weight * retention               ``newsrec.reward``

The score of an article is ``P(a) w(s, a)``, in standard deviations between candidates.

Differs from the paper:

1. The action is an article in a slate and its Q what it adds to the slate, ``P w``: this is what the maximum is over.
   ``P`` gets no gradient from it: that an article is not clicked is seen, its worth is what is unknown.
2. The soft maximum has the temperature ``tau``, the standard deviation of ``P w`` between candidates, not 1 click: at 1
   click it would be a mean over all candidates, because what articles add differs by tenths of a click.
3. ``alpha`` is fixed (paper: 4 or 1 for Atari); the version that tunes it needs a threshold that nobody knows.
4. Values are means with a squared error, not quantiles (paper: QR-DQN).
5. Several clicks a slate, lagging heads, level of q, no replay: as in ``newsrec.rl.dqn``.
"""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from newsrec.encoders.article import forget
from newsrec.encoders.scorer import NetworkConfig
from newsrec.encoders.slate_value import BestSlateScorer, spread
from newsrec.rl.objectives import (
    click_likelihood,
    conservative_penalty,
    long_term_reward,
    slate_cross_entropy,
    temporal_difference_target,
)
from newsrec.transitions import Transitions, clicked


@dataclass(frozen=True)
class Config:
    """What is rewarded, how wary values are, how fast the target follows, and the step."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    click_weight: float = 1.0
    """Reward of a click's worth of engagement, in clicks. The penalty is counted in what articles add, values in its
    square: with less, it would hold clicks down, too."""
    return_weight: float = 60.0
    """Reward of a next visit beyond what habit predicts, in clicks a visit."""
    alpha: float = 0.25
    """Weight of the penalty, in clicks; 0 is ``dqn`` (paper: 4, or 1 with much data)."""
    continuation: float = 0.8
    """Worth of the next decision beside the clock's discount, which within a visit is about 1: a value that hopes for
    the best of a hundred articles there would grow on its own errors."""
    target_rate: float = 0.02
    """Share of the way that the lagging heads go at each step (paper: a copy every 8,000 steps)."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    value_learning_rate: float = 1e-3
    """Of the values."""
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls values towards those of clicks, and identities that are never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it, those of values and of the click model each on their own."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "value_learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if not self.alpha >= 0:
            raise ValueError(f"alpha is {self.alpha}, expected 0 or more")
        for name in ("target_rate", "continuation"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share in (0, 1]")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")


class CQLPolicy(BestSlateScorer):
    """``newsrec.encoders.slate_value`` as it stands; ``articles`` of them have an identity."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.network, articles, config.click_weight)
        self.config = config


class CQLLearner:
    """One step of click model and values together, by AdamW; ``generator`` forgets. Batches need successors."""

    def __init__(self, policy: CQLPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        self.target = copy.deepcopy(policy.value)
        self.values = list(policy.value.parameters())
        self.clicks = [p for name, p in policy.named_parameters() if not name.startswith("value.")]
        self.started = False
        config = policy.config
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.clicks, config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizer.add_param_group({"params": self.values, "lr": config.value_learning_rate})

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.policy.config
        reward = long_term_reward(batch.reward, batch.retention, config.click_weight, config.return_weight)
        discount = config.continuation * batch.discount
        if not self.started:
            policy.value.start(reward, discount)
            self.target.level.copy_(policy.value.level)
            self.started = True
        wanted = temporal_difference_target(reward, discount, self.next_value(batch))  # [B]
        state, candidates = forget(batch.state, batch.candidates, config.forget_rate, policy.articles, self.generator)
        reader = policy.reader(state)  # [B, W]
        offered = policy.article(candidates.article_index, candidates.content)  # [B, C, W]
        logits = policy.click_logits(reader, state.context, candidates, offered)  # [B, C]
        read = clicked(batch) & batch.slate_mask  # [B, K]
        shown = logits.gather(1, batch.slate).masked_fill(~batch.slate_mask, -torch.inf)  # [B, K]
        click_loss = click_likelihood(shown, read, batch.slate_mask) + slate_cross_entropy(shown, read)
        unread, worth = policy.values(policy.value, reader, state.context, candidates, offered)  # [B], [B, C]
        value = unread + (worth.gather(1, batch.slate) * read).sum(1)  # [B]
        value_loss = (value - wanted).square().mean()
        added = logits.detach().sigmoid() * worth  # [B, C]
        tau = spread(added.detach(), candidates.mask)
        penalty = tau * conservative_penalty(added / tau, candidates.mask, batch.slate, batch.slate_mask)
        loss = click_loss + value_loss + config.alpha * penalty
        self.optimizer.zero_grad()
        loss.backward()
        for parameters in (self.clicks, self.values):
            nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
        self.optimizer.step()
        self.target.follow(policy.value, config.target_rate)
        return {
            "loss": loss.item(),
            "clicks": click_loss.item(),
            "value": value_loss.item(),
            "penalty": penalty.item(),
            "q": value.mean().item(),
            "worth": ((worth.gather(1, batch.slate) * read).sum() / read.sum().clamp(min=1)).item(),
        }

    def next_value(self, batch: Transitions) -> Tensor:
        """[B]: the next state under its best slate of as many articles, chosen by the heads, valued by the lagging."""
        assert batch.next_state is not None, "long-term batches hold successors"
        assert batch.next_candidates is not None
        places = batch.slate_mask.sum(1)  # [B]
        return self.policy.best_value(self.target, batch.next_state, batch.next_candidates, places)
