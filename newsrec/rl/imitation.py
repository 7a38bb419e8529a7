"""Imitation from a log: of whoever chose the slates, or of the visits after which readers came back.

``slates`` clones the policy that wrote the log by the Plackett-Luce likelihood of its slates, which is how
``newsrec.slate`` draws (Pomerleau 1991 for one action; Xia et al. 2008, ListMLE, for an order)::

    loss = - mean over shown of  log P(article at k | those above it)

``reads`` clones what readers made of their slates, each slate weighted by what it does to the next visit, beyond
what habit predicts (advantage-weighted regression, Peng et al. 2019)::

    loss = - sum over clicks of  v log softmax(scores of the slate)[click]  /  sum over clicks of v
    v    = min(exp((retention - b(s)) / temperature), cap)                ``newsrec.reward``

Raw returns would clone the reading of people who come daily, whatever they read: ``retention`` is counted against the
reader's own habit, and ``b(s)`` is what of it their state lets expect.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from newsrec.encoders.article import forget
from newsrec.encoders.scorer import HistoryScorer, NetworkConfig, StateHead
from newsrec.rl.objectives import advantage_weight, slate_log_probability
from newsrec.transitions import Transitions, clicked, shown


@dataclass(frozen=True)
class Config:
    """What is imitated, and the step."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    imitate: Literal["slates", "reads"] = "reads"
    """The policy of the log, or the reads of visits that brought readers back."""
    temperature: float = 0.02
    """Residual, in visits, that makes a read count 2.7 times; large: all reads alike."""
    weight_cap: float = 20.0
    """Largest weight of a read."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls identities that are never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it."""

    def __post_init__(self) -> None:
        for name in ("temperature", "weight_cap", "learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")


class ImitationPolicy(HistoryScorer):
    """Scores are logits of the imitated choice. ``baseline`` serves training alone."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.network, articles)
        self.config = config
        self.baseline = StateHead(config.network.width)


class ImitationLearner:
    """One step by AdamW; ``generator`` forgets."""

    def __init__(self, policy: ImitationPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        config = policy.config
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            policy.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def update(self, batch: Transitions) -> dict[str, float]:
        loss, losses = self._slates(batch) if self.policy.config.imitate == "slates" else self._reads(batch)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), self.policy.config.gradient_norm)
        self.optimizer.step()
        return {"loss": loss.item()} | losses

    def _slates(self, batch: Transitions) -> tuple[Tensor, dict[str, float]]:
        policy = self.policy
        rate = policy.config.forget_rate
        state, candidates = forget(batch.state, batch.candidates, rate, policy.articles, self.generator)
        logged = slate_log_probability(policy.scores(state, candidates), batch.slate, batch.slate_mask)  # [B, K]
        return -logged.sum() / batch.slate_mask.sum().clamp(min=1), {}

    def _reads(self, batch: Transitions) -> tuple[Tensor, dict[str, float]]:
        policy, config = self.policy, self.policy.config
        state, candidates = forget(batch.state, shown(batch), config.forget_rate, policy.articles, self.generator)
        reader = policy.reader(state)  # [B, W]
        expected = policy.baseline(reader.detach(), state.context)  # [B]
        residual = batch.retention  # [B]
        weight = advantage_weight(residual - expected, config.temperature, config.weight_cap)  # [B]
        read = clicked(batch) & batch.slate_mask  # [B, K]
        rows = read.any(1)
        share = policy.rank(reader, state.context, candidates)[rows].log_softmax(1)  # [rows, K]
        counted = weight[rows, None].expand_as(share)[read[rows]]  # [clicks]
        imitation = -(counted * share[read[rows]]).sum() / counted.sum().clamp(min=1e-6)
        baseline = (residual - expected).square().mean()
        losses = {"imitation": imitation.item(), "baseline": baseline.item(), "weight_spread": _spread(counted)}
        return imitation + baseline, losses


def _spread(weight: Tensor) -> float:
    """Standard deviation over mean: at 0 every read counts the same."""
    return float(weight.std(correction=0) / weight.mean()) if len(weight) else 0.0
