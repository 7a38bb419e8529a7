"""What else a log can teach beside clicks: how long a read lasts, and whether its reader comes back.

The click model is that of ``newsrec.baselines.transformer``, with a level for each reader that says how probable a
click is. A second number w of each article, a head on its vectors, is fitted to the label, and an article is shown for
what it lets expect of that::

    score(a) = P(click on a | s) w(s, a)                    in standard deviations between candidates

    dwell    mean over reads of  (w(s, a) - minutes)^2      w: minutes that a read lasts, capped
    return   mean over slates of  expected exp(f) - returned f,   f = q(s) + read_hazard * sum over reads of w(s, a)

``f`` is the log of the hazard of the next visit over habit's (``newsrec.habit``): a proportional hazards model (Cox
1972; on recommenders, Jing and Smola 2017), whose censored likelihood counts an open window for the time that was seen.

This is supervised learning: no value of a next state enters, and who comes back is worth one visit, whatever follows.

1. Minutes are a mean over reads and not over what was shown: clicks are many more than the model of dwell needs, and
   each of the two numbers is fitted to all that the log knows of it (a hurdle model, Cragg 1971).
2. A read whose dwell was not logged teaches nothing of dwell: it is unknown, not zero.
3. Reads are told apart from readers: q is what the reader's state lets expect, whatever they read.
4. w starts as 1 whatever the article: the score starts as the click's.
5. Neither labels nor the level of clicks shape the vectors: order is learnt as in the transformer, so that policies
   differ by their label alone.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from newsrec.encoders.article import forget
from newsrec.encoders.history import after_last_read
from newsrec.encoders.scorer import NetworkConfig
from newsrec.encoders.slate_value import BestSlateScorer
from newsrec.events import KINDS
from newsrec.rl.objectives import click_likelihood, hazard_likelihood, slate_cross_entropy
from newsrec.transitions import Transitions, clicked, shown

DWELL = KINDS.index("dwell")


@dataclass(frozen=True)
class Config:
    """What both labels share: sizes, the click model and the step."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    negatives: int = 256
    """Reads of the batch that serve as negatives for every position of the history."""
    next_read_weight: float = 0.1
    """Weight of the next-read loss; those of the slate and of the label have 1."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    value_learning_rate: float = 1e-3
    """Of the label."""
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls w towards 1, and identities that are never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it, those of the label and of the click model each on their own."""

    def __post_init__(self) -> None:
        if self.negatives < 1:
            raise ValueError(f"negatives is {self.negatives}, expected 1 or more")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")
        for name in ("learning_rate", "value_learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")


@dataclass(frozen=True)
class DwellConfig(Config):
    """And of dwell."""

    dwell_cap_seconds: float = 300.0
    """Longer reads count as this long: a page that was left open is not read for hours."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.dwell_cap_seconds > 0:
            raise ValueError(f"dwell_cap_seconds is {self.dwell_cap_seconds}, expected more than 0")


@dataclass(frozen=True)
class ReturnConfig(Config):
    """And of the return."""

    read_hazard: float = 0.05
    """What a read adds to the log hazard of the next visit before anything is learnt, and the unit of what is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.read_hazard > 0:
            raise ValueError(f"read_hazard is {self.read_hazard}, expected more than 0")


class SupervisedPolicy(BestSlateScorer):
    """``newsrec.encoders.slate_value`` as it stands; ``articles`` of them have an identity. q serves training alone."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.network, articles, click_weight=1.0)
        self.config: Any = config  # of the label


class SupervisedLearner:
    """One step of click model and label together, by AdamW; ``generator`` forgets and draws negatives."""

    def __init__(self, policy: SupervisedPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        self.labels = list(policy.value.parameters())
        self.clicks = [p for name, p in policy.named_parameters() if not name.startswith("value.")]
        config = policy.config
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.clicks, config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizer.add_param_group({"params": self.labels, "lr": config.value_learning_rate})

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.policy.config
        told = policy.known(batch.state)
        state, slate = forget(told, shown(batch), config.forget_rate, policy.articles, self.generator)
        outputs = policy.read(state)  # [B, H + 1, W]
        reader = after_last_read(outputs, state.history_mask)  # [B, W]
        read = clicked(batch) & slate.mask  # [B, K]
        ranks = policy.rank(reader, state.context, slate)  # [B, K]
        logits = ranks.detach() + policy.click_level(reader.detach(), state.context)[:, None]  # [B, K]
        click_loss = slate_cross_entropy(ranks, read) + click_likelihood(logits, read, slate.mask)
        history, negatives = told.history_index, config.negatives
        next_read_loss = policy.next_read_loss(outputs, state, history, negatives, self.generator)
        unread, worth = policy.values(policy.value, reader, state.context, slate)  # [B], [B, K]
        label_loss = self.label_loss(batch, read, unread, worth)
        loss = click_loss + config.next_read_weight * next_read_loss + label_loss
        self.optimizer.zero_grad()
        loss.backward()
        for parameters in (self.clicks, self.labels):
            nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
        self.optimizer.step()
        policy.observe_spread(logits.sigmoid() * worth, slate.mask)
        return {
            "loss": loss.item(),
            "clicks": click_loss.item(),
            "next_read": next_read_loss.item(),
            "label": label_loss.item(),
            "worth": ((worth * read).sum() / read.sum().clamp(min=1)).item(),
        }

    def label_loss(self, batch: Transitions, read: Tensor, unread: Tensor, worth: Tensor) -> Tensor:
        """Of q ``unread`` [B] and w ``worth`` [B, K], where ``read`` [B, K] was read."""
        raise NotImplementedError


class DwellLearner(SupervisedLearner):
    """w is the minutes that a read lasts."""

    def label_loss(self, batch: Transitions, read: Tensor, unread: Tensor, worth: Tensor) -> Tensor:
        seconds = batch.feedback[..., DWELL]  # [B, K]
        known = read & (seconds > 0)  # [B, K]
        minutes = seconds.clamp(max=self.policy.config.dwell_cap_seconds) / 60.0
        return ((worth - minutes).square() * known).sum() / known.sum().clamp(min=1)


class ReturnLearner(SupervisedLearner):
    """w is what a read adds to the log hazard of the next visit."""

    def label_loss(self, batch: Transitions, read: Tensor, unread: Tensor, worth: Tensor) -> Tensor:
        log_ratio = unread + self.policy.config.read_hazard * (worth * read).sum(1)  # [B]
        return hazard_likelihood(log_ratio, batch.returned, batch.expected)
