"""A small policy learns the scores of a large one: what served it pays for, what trained it need not be fast.

::

    loss = T^2 KL(softmax(teacher / T) || softmax(student / T))  +  click_weight * slate cross-entropy

over all candidates of logged decisions (Hinton et al. 2015). At T = 1 the softmax is how ``newsrec.slate`` draws the
first article, so a student takes over how much its teacher explores, too. Whatever the teacher optimised, its scores
say it: the student of a long-term policy needs no rewards.

Differs from the paper:

1. Clicks are left out unless ``click_weight`` says so: they are not the label that a long-term teacher was taught.
2. The teacher knows every article, the student forgets a random share of them: what its teacher knows of an article by
   heart, it must also find in the content, or articles newer than both would be strange to it.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from newsrec.encoders.article import forget
from newsrec.policy import UNSERVABLE, Policy
from newsrec.rl.objectives import distillation_loss, slate_cross_entropy
from newsrec.transitions import Transitions, clicked


@dataclass(frozen=True)
class Config:
    """How soft the lesson is, and the step."""

    temperature: float = 1.0
    """T: above 1 the order of unlikely candidates counts more (paper: 1 to 20)."""
    click_weight: float = 0.0
    """Weight of what readers clicked, beside the teacher; where the teacher predicts clicks a little helps."""
    forget_rate: float = 0.5
    """Share of articles whose identity the student does not see in a batch."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls identities that are never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it."""

    def __post_init__(self) -> None:
        for name in ("temperature", "learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if self.click_weight < 0:
            raise ValueError(f"click_weight is {self.click_weight}, expected 0 or more")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")


class Student(Policy, Protocol):
    """A policy with identities, whose scores depend on all of its weights."""

    articles: int

    def parameters(self) -> list[nn.Parameter]: ...


class DistillationLearner:
    """One step of the student by AdamW; ``generator`` forgets. Both number articles alike; the teacher is frozen."""

    def __init__(self, policy: Student, teacher: Policy, config: Config, generator: torch.Generator) -> None:
        self.policy, self.teacher, self.config, self.generator = policy, teacher, config, generator
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            policy.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.config
        with torch.no_grad():
            wanted = self.teacher.scores(batch.state, batch.candidates)  # [B, C]
        state, candidates = forget(batch.state, batch.candidates, config.forget_rate, policy.articles, self.generator)
        scores = policy.scores(state, candidates)  # [B, C]
        distance = distillation_loss(scores, wanted, candidates.mask, config.temperature)
        slate = scores.gather(1, batch.slate).masked_fill(~batch.slate_mask, UNSERVABLE)  # [B, K]
        clicks = slate_cross_entropy(slate, clicked(batch))
        loss = distance + config.click_weight * clicks
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), config.gradient_norm)
        self.optimizer.step()
        return {"loss": loss.item(), "teacher": distance.item(), "clicks": clicks.item()}
