"""Decision Transformer over slates: what was read, imitated under what followed, and asked for the best that follows.

Acting is a question put to a model of the log: which articles would have been read here, had the visit ended better
than nine of ten like it (Chen et al. 2021; upside-down reinforcement learning, Schmidhuber 2019)? The history of reads,
read by a causal transformer, stands for the sequence; the return enters as its quantile among those of like states::

    y      = r + discount * mean_m q_m(s_next)                                  no gradient
    q_m(s)   tau_m-quantile of y: pinball loss, tau_m = (m - 1/2) / M
    u      = share of the q_m(s) below y                                        uniform in (0, 1) whatever s
    loss   = - sum over clicked places of log pi(a_k | s, u, clicked above)  +  pinball  +  click loss

    r      = click_weight * engagement + return_weight * retention               ``newsrec.reward``

``pi`` is Plackett-Luce over the candidates, its logits are the score: those of the clicks (without gradient) plus a
head that sees u. In training u is what happened, in serving it is ``prompt``.

Differs from the paper:

1. The return is a quantile given the state. Raw returns tell who reads, since readers differ by factors of ten, and a
   high one would ask for the slates that heavy readers got. u is uniform in every state: it can select slates alone.
2. The return to go ends after the decisions that ``RunConfig.steps`` sums; what the log brings after them counts by its
   mean. So neither the end of the log nor the luck of all that follows is in it (Q-learning Decision Transformer,
   Yamagata et al. 2023; Paster et al. 2022 on luck).
3. What is imitated of a slate is what was read. An unread article was shown, but nothing followed from it.
4. Tokens are reads and their times. Earlier slates, rewards and returns to go are not in the stored features, so that
   the prompt of a reader never falls by what was reached: each decision is prompted anew.
5. The prompt does not enter the transformer but a head: one stored reader vector serves every prompt.
6. The policy starts as the click policy; the head learns the difference.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from newsrec.encoders.article import DEMAND_FEATURES, demand_features, forget
from newsrec.encoders.forms import Forms, one
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig
from newsrec.encoders.slate_value import LONGEST_HORIZON
from newsrec.policy import mask_scores
from newsrec.rl.objectives import (
    long_term_reward,
    slate_cross_entropy,
    slate_log_probability,
    temporal_difference_target,
)
from newsrec.transitions import CONTEXT_DIM, Candidates, Transitions, clicked, shown

QUANTILES = 20
"""Of the return, in each state."""
COSINES = 4
"""Numbers that a prompt is embedded in: few, so that what is asked for is learnt from returns about as good, too."""
TIE = 0.1
"""Distance within which a return and a quantile are about the same, in standard deviations of the state's quantiles."""


@dataclass(frozen=True)
class Config:
    """What is asked for, what is rewarded, and the step."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    prompt: float = 0.9
    """The return that is asked for in serving: the share of returns in like states that it exceeds."""
    click_weight: float = 0.05
    """Reward of a click's worth of engagement, in clicks."""
    return_weight: float = 60.0
    """Reward of a next visit beyond what habit predicts, in clicks a visit."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls the policy towards that of the clicks, and identities never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it, those of clicks, returns and policy each on their own."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if not 0.0 < self.prompt < 1.0:
            raise ValueError(f"prompt is {self.prompt}, expected a share in (0, 1)")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")


class PromptHead(nn.Module):
    """What a prompt adds to the score of each candidate: affinity and demand. Starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width + CONTEXT_DIM + COSINES, width)
        self.query, self.demand = nn.Linear(width, width), nn.Linear(width, len(DEMAND_FEATURES))
        for layer in (self.query, self.demand):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, reader: Tensor, context: Tensor, prompt: Tensor, offered: Tensor, candidates: Candidates
    ) -> Tensor:
        """[B, C] from ``reader`` [B, W], ``context`` [B, X], ``prompt`` [B] and ``offered`` [B, C, W]."""
        hidden = self._hidden(reader, context, prompt)  # [B, W]
        affinity = (offered @ self.query(hidden)[..., None]).squeeze(-1)  # [B, C]
        return affinity + (demand_features(candidates) @ self.demand(hidden)[..., None]).squeeze(-1)

    def form(self, reader: Tensor, context: Tensor, prompt: Tensor) -> Forms:
        """The same number as a form."""
        hidden = self._hidden(reader, context, prompt)  # [B, W]
        return one(self.query(hidden), self.demand(hidden), hidden.new_zeros(()))

    def _hidden(self, reader: Tensor, context: Tensor, prompt: Tensor) -> Tensor:
        """[B, W]."""
        embedded = torch.cos(math.pi * torch.arange(1, COSINES + 1) * prompt[:, None])  # [B, COSINES]
        return nn.functional.gelu(self.hidden(torch.cat([reader, context, embedded], 1)))


class ReturnQuantiles(nn.Module):
    """The distribution of returns by state, as QUANTILES quantiles of equal weight (Dabney et al. 2018)."""

    share: Tensor
    """[QUANTILES] float32, of the returns below each quantile."""
    level: Tensor
    """[QUANTILES] float32: where the quantiles of every state start."""
    unit: Tensor
    """[] float32: the spread of a typical return, in which states are said to differ."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(width + CONTEXT_DIM, width), nn.Linear(width, QUANTILES)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("share", (torch.arange(QUANTILES) + 0.5) / QUANTILES, persistent=False)
        self.register_buffer("level", torch.zeros(QUANTILES))
        self.register_buffer("unit", torch.ones(()))

    def forward(self, reader: Tensor, context: Tensor) -> Tensor:
        """[B, QUANTILES] from ``reader`` [B, W] and ``context`` [B, X]."""
        hidden = nn.functional.gelu(self.hidden(torch.cat([reader, context], 1)))  # [B, W]
        return self.level + self.unit * self.out(hidden)

    def start(self, reward: Tensor, discount: Tensor) -> None:
        """Set level and unit to the returns of a first batch, ``reward`` and ``discount`` [B], that goes on like that.

        A bootstrapped value would need thousands of steps to climb there.
        """
        typical = reward.mean() / (1.0 - discount.mean()).clamp(min=1.0 / LONGEST_HORIZON)
        returns = reward + discount * typical  # [B]
        self.level.copy_(returns.quantile(self.share))
        self.unit.copy_(returns.std(correction=0).clamp(min=1e-3))

    def loss(self, quantiles: Tensor, returns: Tensor) -> Tensor:
        """Mean pinball loss, in units, of ``quantiles`` [B, QUANTILES] for ``returns`` [B] (Koenker & Bassett 1978)."""
        error = (returns[:, None] - quantiles) / self.unit  # [B, QUANTILES]
        return torch.maximum(self.share * error, (self.share - 1.0) * error).mean()


def rank_among(returns: Tensor, quantiles: Tensor) -> Tensor:
    """[B] in (0, 1), without gradient: the share of ``quantiles`` [B, M] below ``returns`` [B].

    Ties count by half, smoothly: quantiles lie about the values that returns often have, a bit above or below.
    """
    tie = TIE * quantiles.std(1, keepdim=True, correction=0).clamp(min=1e-6)  # [B, 1]
    return ((returns[:, None] - quantiles) / tie).sigmoid().mean(1).detach()


class DecisionTransformerPolicy(HistoryScorer):
    """Scores are the logits of the policy under ``Config.prompt``. ``returns`` serves training alone."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.network, articles)
        self.config = config
        self.prompted = PromptHead(config.network.width)
        self.returns = ReturnQuantiles(config.network.width)

    def served(self, reader: Tensor, context: Tensor, candidates: Candidates) -> Tensor:
        """[B, C] as in ``HistoryScorer``."""
        prompt = torch.full((len(context),), self.config.prompt)
        offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
        added = mask_scores(self.prompted(reader, context, prompt, offered, candidates), candidates)
        return self.rank(reader, context, candidates, offered) + added

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """As in ``HistoryScorer``."""
        prompt = torch.full((len(context),), self.config.prompt)
        return self.rank_form(reader, context) + self.prompted.form(reader, context, prompt)

    def logits(self, reader: Tensor, context: Tensor, prompt: Tensor, candidates: Candidates) -> Tensor:
        """[B, C]: ``served`` under ``prompt`` [B], whose gradient ends in ``prompted``."""
        with torch.no_grad():
            offered = self.article(candidates.article_index, candidates.content)  # [B, C, W]
            clicks = self.rank(reader, context, candidates, offered)
        return clicks + mask_scores(self.prompted(reader.detach(), context, prompt, offered, candidates), candidates)


class DecisionTransformerLearner:
    """One step of click model, returns and policy, by AdamW; ``generator`` forgets. Batches need successors."""

    def __init__(self, policy: DecisionTransformerPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        heads = ("prompted.", "returns.")
        clicks = [p for name, p in policy.named_parameters() if not name.startswith(heads)]
        self.parts = [clicks, list(policy.returns.parameters()), list(policy.prompted.parameters())]
        self.started = False
        config = policy.config
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            policy.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.policy.config
        reward = long_term_reward(batch.reward, batch.retention, config.click_weight, config.return_weight)
        if not self.started:
            policy.returns.start(reward, batch.discount)
            self.started = True
        returns = temporal_difference_target(reward, batch.discount, self.next_value(batch))  # [B]
        state, candidates = forget(batch.state, batch.candidates, config.forget_rate, policy.articles, self.generator)
        reader = policy.reader(state)  # [B, W]
        read = clicked(batch) & batch.slate_mask  # [B, K]

        slate = shown(batch._replace(candidates=candidates))  # [B, K]
        click_loss = slate_cross_entropy(policy.rank(reader, state.context, slate), read)

        quantiles = policy.returns(reader.detach(), state.context)  # [B, M]
        return_loss = policy.returns.loss(quantiles, returns)
        prompt = rank_among(returns, quantiles)  # [B]

        logits = policy.logits(reader, state.context, prompt, candidates)  # [B, C]
        imitated = slate_log_probability(logits, batch.slate, read)  # [B, K]
        policy_loss = -imitated.sum() / read.sum().clamp(min=1)

        loss = click_loss + return_loss + policy_loss
        self.optimizer.zero_grad()
        loss.backward()
        for parameters in self.parts:
            nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
        self.optimizer.step()
        return {
            "loss": loss.item(),
            "clicks": click_loss.item(),
            "returns": return_loss.item(),
            "policy": policy_loss.item(),
            "value": quantiles.mean().item(),
            "above": (prompt > config.prompt).float().mean().item(),
        }

    @torch.no_grad()
    def next_value(self, batch: Transitions) -> Tensor:
        """[B]: the mean return of the next state under the policy of the log."""
        policy, state = self.policy, batch.next_state
        assert state is not None, "long-term batches hold successors"
        training = policy.training
        policy.eval()
        reader = policy.reader(state)  # [B, W]
        policy.train(training)
        return policy.returns(reader, state.context).mean(1)
