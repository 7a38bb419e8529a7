"""REINFORCE from a log, corrected for who chose the slates and for there being k places.

The policy is a softmax over the candidates. What a log shows was chosen by another one, the behaviour, which a second
head learns from the slates (Chen et al. 2019)::

    gradient = mean over clicked articles a of   w(s, a) lambda_k(s, a) A(s) grad log pi(a | s)
    w = min(pi(a | s) / beta(a | s), cap)        lambda_k = k (1 - pi(a | s))^(k - 1)
    A(s) = click_weight + return_weight (retention - b(s))

``b`` is the retention (``newsrec.reward``) that a reader's state lets expect: a regression, subtracted so that an
article is blamed for what its slate did and not for who read it.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from newsrec.encoders.article import ArticleEncoder, forget
from newsrec.encoders.scorer import CandidateHead, HistoryScorer, NetworkConfig, StateHead
from newsrec.policy import mask_scores
from newsrec.rl.objectives import capped_weight, slate_log_probability, top_k_correction
from newsrec.transitions import Candidates, State, Transitions, clicked


@dataclass(frozen=True)
class Config:
    """What is rewarded, and the step."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    click_weight: float = 0.05
    """Reward of a click."""
    return_weight: float = 60.0
    """Reward of a next visit beyond what habit predicts, in clicks."""
    weight_cap: float = 10.0
    """Largest importance weight."""
    entropy_weight: float = 0.01
    """Keeps the policy from putting all on one article, in clicks a nat."""
    forget_rate: float = 0.5
    """Share of articles whose identity a batch does not see."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    """Decoupled (AdamW); pulls identities that are never trained to nothing."""
    gradient_norm: float = 1.0
    """Longer gradients are scaled down to it."""

    def __post_init__(self) -> None:
        for name in ("weight_cap", "learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if not 0.0 <= self.forget_rate <= 1.0:
            raise ValueError(f"forget_rate is {self.forget_rate}, expected a share in [0, 1]")


class PolicyGradientPolicy(HistoryScorer):
    """Scores are the logits of the policy. ``behaviour`` and ``baseline`` serve training alone."""

    def __init__(self, config: Config, articles: int) -> None:
        super().__init__(config.network, articles)
        self.config = config
        self.behaviour_article = ArticleEncoder(articles, config.network.width)
        self.behaviour = CandidateHead(config.network.width)
        self.baseline = StateHead(config.network.width)

    def parts(self, state: State, candidates: Candidates) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the policy [B, C], of the behaviour [B, C], and the expected residual [B].

        Behaviour and baseline take the reader's vector as it is and do not shape it; the behaviour has article vectors
        of its own, since what the policy stops telling apart may have been told apart by whoever chose the slates.
        """
        reader = self.reader(state)  # [B, W]
        offered = self.behaviour_article(candidates.article_index, candidates.content)  # [B, C, W]
        behaviour = self.behaviour(reader.detach(), state.context, offered, candidates)
        logits = self.rank(reader, state.context, candidates)
        return logits, mask_scores(behaviour, candidates), self.baseline(reader.detach(), state.context)


class PolicyGradientLearner:
    """One step of policy, behaviour and baseline together, by AdamW; ``generator`` forgets."""

    def __init__(self, policy: PolicyGradientPolicy, generator: torch.Generator) -> None:
        self.policy, self.generator = policy, generator
        config = policy.config
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            policy.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def update(self, batch: Transitions) -> dict[str, float]:
        policy, config = self.policy, self.policy.config
        state, candidates = forget(batch.state, batch.candidates, config.forget_rate, policy.articles, self.generator)
        logits, behaviour, expected = policy.parts(state, candidates)
        residual = batch.retention  # [B]
        log_pi = log_softmax(logits, candidates.mask)  # [B, C]
        log_beta = log_softmax(behaviour.detach(), candidates.mask)
        chosen, chosen_beta = log_pi.gather(1, batch.slate), log_beta.gather(1, batch.slate)  # [B, K]
        weight = capped_weight(chosen, chosen_beta, config.weight_cap)
        places = batch.slate_mask.sum(1, keepdim=True).clamp(min=1).float()  # [B, 1]
        correction = top_k_correction(chosen.exp(), places).detach()
        advantage = config.click_weight + config.return_weight * (residual - expected.detach())  # [B]
        read = clicked(batch) & batch.slate_mask
        policy_loss = -(weight * correction * advantage[:, None] * chosen * read).sum() / read.sum().clamp(min=1)
        entropy = -(log_pi.exp() * log_pi).sum(1).mean()
        logged = slate_log_probability(behaviour, batch.slate, batch.slate_mask)  # [B, K]
        behaviour_loss = -logged.sum() / batch.slate_mask.sum().clamp(min=1)
        baseline_loss = (residual - expected).square().mean()
        loss = policy_loss - config.entropy_weight * entropy + behaviour_loss + baseline_loss
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), config.gradient_norm)
        self.optimizer.step()
        return {
            "loss": loss.item(),
            "policy": policy_loss.item(),
            "behaviour": behaviour_loss.item(),
            "baseline": baseline_loss.item(),
            "entropy": entropy.item(),
            "weight": ((weight * read).sum() / read.sum().clamp(min=1)).item(),
        }


def log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """[B, C] log probabilities of the candidates; 0 where there is none, also in rows without any."""
    rows = mask.any(1, keepdim=True)
    return torch.where(mask, logits.masked_fill(~rows, 0.0).log_softmax(1), 0.0)
