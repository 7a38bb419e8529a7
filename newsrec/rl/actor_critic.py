"""Actor and two critics: what a visit still brings, and what brings the reader back, each with a discount of its own.

The critics take the value of a slate apart by its articles (``newsrec.encoders.slate_value``), with slates A* of the
actor at the next decision (RLUR, Cai et al. 2023)::

    immediate   y = r + [the visit goes on] Q_I(s_next, A*)                     r engagement, in clicks
    retention   y = retention / scale_g + gamma Q_R(s_next, A*)           ``newsrec.reward``
                gamma = visit_discount where the visit ends, else continuation

``scale_g`` is the running root mean square of the residual among readers as active as this one: who comes daily would
drown the others. Each critic says what an article adds to a slate, ``P(click) w``. The actor's logits are the click
model's score plus a preference, and go where that sum is large without leaving the click policy for nothing::

    maximise  sum_a pi(a | s) P(a) (click_weight w_I(s, a) + return_weight w_R(s, a)) / spread  -  stay KL(pi || clicks)

The sum runs over all candidates, so that no action has to be sampled and no importance weight is needed. ``spread`` is
a running standard deviation between candidates: ``stay`` has no unit.
"""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from newsrec.encoders.article import forget
from newsrec.encoders.forms import Forms
from newsrec.encoders.scorer import CandidateHead, NetworkConfig
from newsrec.encoders.slate_value import SlateValue, SlateValueScorer, spread
from newsrec.policy import mask_scores
from newsrec.rl.objectives import (
    best_slate,
    click_likelihood,
    distillation_loss,
    slate_cross_entropy,
    slate_value,
    temporal_difference_target,
)
from newsrec.transitions import CONTEXT_FEATURES, Candidates, State, Transitions, clicked, shown

ACTIVITY = (0.1, 0.25, 0.5)
"""Shares of active days between which readers are groups."""
RUNNING_RATE = 0.05
"""Share of a batch in running scales."""


@dataclass(frozen=True)
class Config:
    """What is rewarded, how far the actor may go, and the step."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    click_weight: float = 0.05
    """Weight of what a visit still brings, in clicks."""
    return_weight: float = 1.0
    """Worth of a next visit beyond habit, in clicks a standard deviation of the residual in the reader's group."""
    visit_discount: float = 0.8
    """Worth of the next visit's retention against this one's."""
    stay: float = 0.3
    """What a nat of distance to the click policy costs, in standard deviations of what articles add."""
    continuation: float = 0.5
    """Worth of the next decision beside the clock's discount, which within a visit is about 1: a value that hopes for
    the best of a hundred articles there would grow on its own errors."""
    target_rate: float = 0.02
    """Share of the way that the lagging critics go at each step."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    value_learning_rate: float = 1e-3
    """Of the values."""
    actor_learning_rate: float = 1e-3
    """Of what the policy adds to the click policy."""
    weight_decay: float = 1e-2
    """Decoupled (AdamW)."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it, those of clicks, critics and actor each on their own."""

    def __post_init__(self) -> None:
        for name in ("stay", "learning_rate", "value_learning_rate", "actor_learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("forget_rate", "visit_discount"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share in [0, 1]")
        if self.visit_discount == 1.0:
            raise ValueError("visit_discount is 1.0, expected less: retention would add up without end")
        for name in ("target_rate", "continuation"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share in (0, 1]")


class ActorCriticPolicy(SlateValueScorer):
    """Click model, preference, immediate critic ``value`` and retention critic ``retention``."""

    spread: Tensor
    """[] float32, clicks: what candidates add to a slate differs by it."""
    scale: Tensor
    """[groups] float32, visits: root mean square of the residual, by activity."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.network, articles, click_weight=1.0)
        self.config = config
        self.retention = SlateValue(config.network.width, click_weight=0.0)
        self.preference = CandidateHead(config.network.width)
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("scale", torch.ones(len(ACTIVITY) + 1))

    def served(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C], the actor's logits, as in ``HistoryScorer``."""
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        return self.rank(reader, context, candidates, offered) + self.preference(reader, context, offered, candidates)

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """As in ``HistoryScorer``."""
        return self.rank_form(reader, context) + self.preference.form(reader, context)

    def act(
        self, reader: Tensor, context: Tensor, candidates: Candidates, offered: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of the actor (``served``) and of the click policy [B, C]; the preference does not shape the vectors.

        ``offered`` as in ``rank``.
        """
        if offered is None:
            offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        clicks = self.rank(reader, context, candidates, offered)
        preferred = self.preference(reader.detach(), context, offered.detach(), candidates)  # [B, C]
        return clicks.detach() + mask_scores(preferred, candidates), clicks

    def worth(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C]: what a read of each candidate brings, by both critics."""
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        _, immediate = self.value(reader, context, offered, candidates)
        _, retained = self.retention(reader, context, offered, candidates)
        return self.config.click_weight * immediate + self.config.return_weight * retained


class ActorCriticLearner:
    """One step of click model, critics and actor together, by AdamW; ``generator`` forgets. Batches need successors."""

    def __init__(self, policy: ActorCriticPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        self.targets = [copy.deepcopy(policy.value), copy.deepcopy(policy.retention)]
        self.parts = [
            [p for name, p in policy.named_parameters() if name.split(".")[0] in ("value", "retention")],
            list(policy.preference.parameters()),
        ]
        critics_and_actor = {id(p) for part in self.parts for p in part}
        self.parts.append([p for p in policy.parameters() if id(p) not in critics_and_actor])
        self.started = False
        config = policy.config
        critics, actor, clicks = self.parts
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            clicks, config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizer.add_param_group({"params": actor, "lr": config.actor_learning_rate})
        self.optimizer.add_param_group({"params": critics, "lr": config.value_learning_rate})

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.policy.config
        retained, goes_on, later = (
            self.retention_reward(batch),
            config.continuation * (1.0 - batch.visit_end.float()),
            _discounts(batch, config),
        )
        if not self.started:
            policy.value.start(batch.reward, goes_on)
            policy.retention.start(retained, later)
            for lagging, critic in zip(self.targets, (policy.value, policy.retention), strict=True):
                lagging.level.copy_(critic.level)
            self.started = True
        next_immediate, next_retention = self.next_values(batch)
        wanted = (
            temporal_difference_target(batch.reward, goes_on, next_immediate),
            temporal_difference_target(retained, later, next_retention),
        )
        state, offered = forget(batch.state, batch.candidates, config.forget_rate, policy.articles, self.generator)
        slate = shown(batch._replace(candidates=offered))
        reader = policy.reader(state)  # [B, W]
        read = clicked(batch) & slate.mask  # [B, K]
        logits = policy.click_logits(reader, state.context, slate)  # [B, K]
        click_loss = click_likelihood(logits, read, slate.mask) + slate_cross_entropy(logits, read)
        critic_losses = []
        for critic, target in zip((policy.value, policy.retention), wanted, strict=True):
            unread, worth = policy.values(critic, reader, state.context, slate)  # [B], [B, K]
            critic_losses.append((unread + (worth * read).sum(1) - target).square().mean())
        actor_loss, distance = self._actor(reader, state, offered)
        loss = click_loss + sum(critic_losses) + actor_loss
        self.optimizer.zero_grad()
        loss.backward()
        for parameters in self.parts:
            nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
        self.optimizer.step()
        for lagging, critic in zip(self.targets, (policy.value, policy.retention), strict=True):
            lagging.follow(critic, config.target_rate)
        return {
            "loss": loss.item(),
            "clicks": click_loss.item(),
            "immediate": critic_losses[0].item(),
            "retention": critic_losses[1].item(),
            "actor": actor_loss.item(),
            "distance": distance.item(),
        }

    def retention_reward(self, batch: Transitions) -> Tensor:
        """[B]: retention by the scale of the reader's group, which follows the batch."""
        policy = self.policy
        active = batch.state.context[:, CONTEXT_FEATURES.index("active_share")].contiguous()
        group = torch.bucketize(active, torch.tensor(ACTIVITY))  # [B]
        residual = batch.retention
        members = nn.functional.one_hot(group, len(ACTIVITY) + 1)  # [B, groups]
        count = members.sum(0)
        seen = (members * residual.square()[:, None]).sum(0) / count.clamp(min=1)
        policy.scale.copy_(torch.where(count > 0, policy.scale.lerp(seen.sqrt(), RUNNING_RATE), policy.scale))
        return residual / policy.scale[group].clamp(min=1e-3)

    @torch.no_grad()
    def next_values(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """[B] each: what the lagging critics give the actor's best slate of as many articles in the next state."""
        policy, state, candidates = self.policy, batch.next_state, batch.next_candidates
        assert state is not None, "long-term batches hold successors"
        assert candidates is not None
        training = policy.training
        policy.eval()
        reader = policy.reader(state)  # [B, W]
        offered = policy.article(candidates.article_index, candidates.content)  # [B, C, W]
        probability = policy.click_logits(reader, state.context, candidates, offered).sigmoid()  # [B, C]
        logits, _ = policy.act(reader, state.context, candidates, offered)
        policy.train(training)
        slate, slate_mask = best_slate(logits, candidates.mask, batch.slate_mask.sum(1))  # [B, K]
        found = []
        for target in self.targets:
            unread, worth = policy.values(target, reader, state.context, candidates, offered)
            found.append(unread + slate_value(probability, worth, slate, slate_mask))
        return found[0], found[1]

    def _actor(self, reader: Tensor, state: State, candidates: Candidates) -> tuple[Tensor, Tensor]:
        """The actor's loss, and its distance to the click policy in nats."""
        policy, config = self.policy, self.policy.config
        with torch.no_grad():
            probability = policy.click_logits(reader, state.context, candidates).sigmoid()  # [B, C]
            added = probability * policy.worth(reader, state.context, candidates)  # [B, C]
            policy.spread.lerp_(spread(added, candidates.mask), RUNNING_RATE)
        actor, clicks = policy.act(reader, state.context, candidates)
        rows = candidates.mask.any(1)
        share = actor[rows].softmax(1)  # [rows, C]
        gain = (share * added[rows] / policy.spread).sum() / rows.sum().clamp(min=1)
        distance = distillation_loss(clicks.detach(), actor, candidates.mask, temperature=1.0)
        return config.stay * distance - gain, distance


def _discounts(batch: Transitions, config: Config) -> Tensor:
    """[B]: what the next decision's retention is worth."""
    return torch.where(batch.visit_end, config.visit_discount, config.continuation)
