"""Implicit Q-learning over slates: values of the better part of the log, and a policy that imitates by advantage.

No value is ever asked of an article that the log did not show. What a good choice is worth is read off the shown
articles as an expectile, and the policy imitates what was shown, the better the more (Kostrikov et al. 2022), on the
decomposition of ``newsrec.encoders.slate_value``::

    best   v(s): tau-expectile of P(a) w'(s, a) over the shown articles                     w' and q' lag
    value  (q(s) + sum_{a clicked} w(s, a) - y)^2,   y = r + discount * (q'(s_next) + K v(s_next))
    policy -sum_k e^(A_k / temperature) log pi(a_k | s, those above),   A_k = P(a_k) w'(s, a_k) - v(s)

    r      = click_weight * engagement + return_weight * retention               ``newsrec.reward``

``pi`` is Plackett-Luce, its logits are the score: those of the clicks (without gradient) plus a head of its own. Click
loss as in ``newsrec.rl.dqn``.

Differs from the paper:

1. Expectile and advantage are those of the articles of a slate, not of slates: K good articles were shown in K slates,
   but hardly ever in one. q is common to all slates of a state and passes through the expectile unchanged.
2. So ``K v`` stands for the best slate. It is more than the mean slate and, as long as tau is not near 1, less than K
   times the best article, which a slate can hold only once.
3. The error of the values is taken at the clicks that came, the expectile at their probability: luck with clicks is no
   better choice of articles. The paper has the same concern about the luck of transitions.
4. Advantages are counted in their root mean square over the batch, so that the temperature has no unit.
5. The policy starts as the click policy; the head learns the difference.
6. Several clicks a slate, lagging heads, level of q, no replay: as in ``newsrec.rl.dqn``.
"""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from newsrec.encoders.article import forget
from newsrec.encoders.forms import Forms
from newsrec.encoders.scorer import CandidateHead, NetworkConfig, StateHead
from newsrec.encoders.slate_value import SlateValueScorer
from newsrec.rl.objectives import (
    advantage_weight,
    click_likelihood,
    expectile_loss,
    long_term_reward,
    slate_cross_entropy,
    slate_log_probability,
    temporal_difference_target,
)
from newsrec.transitions import Candidates, Transitions, clicked, shown


@dataclass(frozen=True)
class Config:
    """What is rewarded, how far above the log values and policy aim, how fast the target follows, and the step."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    click_weight: float = 0.05
    """Reward of a click's worth of engagement, in clicks."""
    return_weight: float = 60.0
    """Reward of a next visit beyond what habit predicts, in clicks a visit."""
    tau: float = 0.8
    """Expectile: 0.5 is the mean of what was shown, towards 1 its maximum (paper: 0.7 or 0.9)."""
    temperature: float = 0.5
    """Of the imitation, in root mean squares of the advantage; towards 0 only the best is imitated (paper: 1/3)."""
    weight_cap: float = 20.0
    """Largest weight of an article that is imitated (paper: 100)."""
    continuation: float = 0.5
    """Worth of the next decision beside the clock's discount, which within a visit is about 1: a value that hopes for
    the best of a hundred articles there would grow on its own errors."""
    target_rate: float = 0.02
    """Share of the way that the lagging heads go at each step (paper: 0.005)."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    value_learning_rate: float = 1e-3
    """Of the values."""
    actor_learning_rate: float = 1e-3
    """Of what the policy adds to the click policy."""
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls values towards those of clicks, and identities that are never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it, those of values, policy and click model each on their own."""

    def __post_init__(self) -> None:
        for name in (
            "temperature",
            "weight_cap",
            "learning_rate",
            "value_learning_rate",
            "actor_learning_rate",
            "gradient_norm",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if not 0.0 < self.tau < 1.0:
            raise ValueError(f"tau is {self.tau}, expected a share in (0, 1)")
        for name in ("target_rate", "continuation"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share in (0, 1]")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")


class IQLPolicy(SlateValueScorer):
    """Scores are the logits of the policy. Values and ``best`` serve training alone."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.network, articles, config.click_weight)
        self.config = config
        self.best = StateHead(config.network.width)
        self.actor = CandidateHead(config.network.width)

    def served(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C] as in ``HistoryScorer``."""
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        return self.rank(reader, context, candidates, offered) + self.actor(reader, context, offered, candidates)

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """As in ``HistoryScorer``."""
        return self.rank_form(reader, context) + self.actor.form(reader, context)

    def logits(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C]: ``served``, whose gradient ends in ``actor``."""
        with torch.no_grad():
            offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
            clicks = self.rank(reader, context, candidates, offered)
        return clicks + self.actor(reader.detach(), context, offered, candidates)


class IQLLearner:
    """One step of click model, values and policy together, by AdamW; ``generator`` forgets. Batches need successors."""

    def __init__(self, policy: IQLPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        self.target = copy.deepcopy(policy.value)
        self.values = [*policy.value.parameters(), *policy.best.parameters()]
        self.actor = list(policy.actor.parameters())
        heads = ("value.", "best.", "actor.")
        self.clicks = [p for name, p in policy.named_parameters() if not name.startswith(heads)]
        self.started = False
        config = policy.config
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.clicks, config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizer.add_param_group({"params": self.actor, "lr": config.actor_learning_rate})
        self.optimizer.add_param_group({"params": self.values, "lr": config.value_learning_rate})

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config, places = self.policy, self.policy.config, batch.slate_mask.sum().clamp(min=1)
        reward = long_term_reward(batch.reward, batch.retention, config.click_weight, config.return_weight)
        discount = config.continuation * batch.discount
        if not self.started:
            policy.value.start(reward, discount)
            self.target.level.copy_(policy.value.level)
            self.started = True
        wanted = temporal_difference_target(reward, discount, self.next_value(batch))  # [B]
        state, candidates = forget(batch.state, batch.candidates, config.forget_rate, policy.articles, self.generator)
        slate = shown(batch._replace(candidates=candidates))  # [B, K]
        reader = policy.reader(state)  # [B, W]
        read = clicked(batch) & slate.mask  # [B, K]

        logits = policy.click_logits(reader, state.context, slate)  # [B, K]
        click_loss = click_likelihood(logits, read, slate.mask) + slate_cross_entropy(logits, read)

        unread, worth = policy.values(policy.value, reader, state.context, slate)  # [B], [B, K]
        value = unread + (worth * read).sum(1)  # [B]
        value_loss = (value - wanted).square().mean()

        _, lagging = policy.values(self.target, reader, state.context, slate)  # [B, K]
        best = policy.best(reader.detach(), state.context)  # [B]
        advantage = ((logits.sigmoid() * lagging).detach() - best[:, None]) * slate.mask  # [B, K]
        best_loss = expectile_loss(advantage, config.tau) * slate.mask.numel() / places

        unit = (advantage.square().sum() / places).sqrt().clamp(min=1e-6)
        weight = advantage_weight(advantage / unit, config.temperature, config.weight_cap) * slate.mask  # [B, K]
        scores = policy.logits(reader, state.context, candidates)  # [B, C]
        imitated = slate_log_probability(scores, batch.slate, batch.slate_mask)  # [B, K]
        policy_loss = -(weight * imitated).sum() / places

        loss = click_loss + value_loss + best_loss + policy_loss
        self.optimizer.zero_grad()
        loss.backward()
        for parameters in (self.clicks, self.values, self.actor):
            nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
        self.optimizer.step()
        self.target.follow(policy.value, config.target_rate)
        return {
            "loss": loss.item(),
            "clicks": click_loss.item(),
            "value": value_loss.item(),
            "best": best_loss.item(),
            "policy": policy_loss.item(),
            "q": value.mean().item(),
            "worth": ((worth * read).sum() / read.sum().clamp(min=1)).item(),
            "weight": (weight.sum() / places).item(),
        }

    @torch.no_grad()
    def next_value(self, batch: Transitions) -> Tensor:
        """[B]: the next state under as many articles as good as the better ones that the log shows there."""
        policy, state = self.policy, batch.next_state
        assert state is not None, "long-term batches hold successors"
        training = policy.training
        policy.eval()
        reader = policy.reader(state)  # [B, W]
        policy.train(training)
        best = policy.best(reader, state.context)  # [B]
        return self.target.level + self.target.unread(reader, state.context) + batch.slate_mask.sum(1) * best
