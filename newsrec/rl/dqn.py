"""Double DQN over slates: what a read adds now and later decides which articles are shown.

The value of a slate is taken apart by its articles (``newsrec.encoders.slate_value``), so that a maximum over slates is
a maximum over articles. The values are fitted to what follows, valued by heads that lag behind::

    y    = r + discount * (q'(s_next) + sum_{a in A*} P(a) w'(s_next, a))      q', w' lag
    A*   = the K articles with the largest P(a) w(s_next, a)                   chosen by the current heads
    loss = (q(s) + sum_{a clicked} w(s, a) - y)^2  +  click loss of P on the logged slate

    r    = click_weight * engagement + return_weight * retention               ``newsrec.reward``

The click loss is the likelihood of each click, which says how probable clicks are, plus that of the clicked among the
shown, which says the order. The score of an article is ``P(a) w(s, a)``, in standard deviations between candidates.

Differs from the papers (van Hasselt et al. 2016; SlateQ, Ie et al. 2019):

1. A slate gets none, one or several clicks. SlateQ fits the value of the one that was clicked; here the reads of a
   slate share one error, each adding its w to q, so that no read is credited with what the others brought.
2. The null click of SlateQ is q: every slate teaches it, whether or not something was read.
3. Rewards hold what a slate does to the next visit against habit, and discounts follow the clock
   (``newsrec.reward``): a year of steps is no longer than a year. Within a visit, where the clock stands nearly still,
   a further slate counts ``continuation``.
4. Values are heads on vectors that the click model learns; only the heads lag, by a moving average instead of a copy
   every 10,000 steps. The vectors never chase their own values.
5. q starts at the level that the first batch adds up to, w at the worth of a click: what is learnt is the difference.
6. No replay: batches are drawn from the log. Rewards of several decisions come from ``RunConfig.steps``; they are those
   of the logging policy, uncorrected, as in Rainbow (Hessel et al. 2018).
"""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from newsrec.encoders.article import forget
from newsrec.encoders.scorer import NetworkConfig
from newsrec.encoders.slate_value import BestSlateScorer
from newsrec.rl.objectives import (
    click_likelihood,
    long_term_reward,
    slate_cross_entropy,
    temporal_difference_target,
)
from newsrec.transitions import Transitions, clicked, shown


@dataclass(frozen=True)
class Config:
    """What is rewarded, how fast the target follows, and the step."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    click_weight: float = 0.05
    """Reward of a click's worth of engagement, in clicks."""
    return_weight: float = 60.0
    """Reward of a next visit beyond what habit predicts, in clicks a visit."""
    continuation: float = 0.5
    """Worth of the next decision beside the clock's discount, which within a visit is about 1: a value that hopes for
    the best of a hundred articles there would grow on its own errors."""
    target_rate: float = 0.02
    """Share of the way that the lagging heads go at each step (paper: a copy every 10,000 steps)."""
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
        for name in ("target_rate", "continuation"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share in (0, 1]")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")


class DQNPolicy(BestSlateScorer):
    """``newsrec.encoders.slate_value`` as it stands; ``articles`` of them have an identity."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.network, articles, config.click_weight)
        self.config = config


class DQNLearner:
    """One step of click model and values together, by AdamW; ``generator`` forgets. Batches need successors."""

    def __init__(self, policy: DQNPolicy, generator: torch.Generator) -> None:
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
        state, slate = forget(batch.state, shown(batch), config.forget_rate, policy.articles, self.generator)
        reader = policy.reader(state)  # [B, W]
        read = clicked(batch) & slate.mask  # [B, K]
        logits = policy.click_logits(reader, state.context, slate)  # [B, K]
        click_loss = click_likelihood(logits, read, slate.mask) + slate_cross_entropy(logits, read)
        unread, worth = policy.values(policy.value, reader, state.context, slate)  # [B], [B, K]
        value = unread + (worth * read).sum(1)  # [B]
        value_loss = (value - wanted).square().mean()
        loss = click_loss + value_loss
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
            "q": value.mean().item(),
            "worth": ((worth * read).sum() / read.sum().clamp(min=1)).item(),
        }

    def next_value(self, batch: Transitions) -> Tensor:
        """[B]: the next state under its best slate of as many articles, chosen by the heads, valued by the lagging."""
        assert batch.next_state is not None, "long-term batches hold successors"
        assert batch.next_candidates is not None
        places = batch.slate_mask.sum(1)  # [B]
        return self.policy.best_value(self.target, batch.next_state, batch.next_candidates, places)
