"""REINFORCE with top-k correction: losses by hand, and a newsroom of two kinds of articles with a known best one."""

import math

import numpy as np
import pytest
import torch

from newsrec.encoders.scorer import NetworkConfig
from newsrec.events import KINDS
from newsrec.features import EMBEDDING_DIM
from newsrec.rl.policy_gradient import Config, PolicyGradientLearner, PolicyGradientPolicy
from newsrec.transitions import Transitions
from tests.baselines.batches import batch, credited

SMALL = NetworkConfig(width=8, layers=1, heads=1, dropout=0.0)
WEIGHTS = {"click_weight": 1.0, "return_weight": 2.0}
BAIT, STORY = 1, 2


def content() -> torch.Tensor:
    found = torch.zeros(5, EMBEDDING_DIM)
    found[BAIT, 0] = found[3, 0] = 1.0
    found[STORY, 1] = found[4, 1] = 1.0
    return found


def flat(**config: float) -> PolicyGradientPolicy:
    """A policy whose logits and behaviour are all 0."""
    torch.manual_seed(0)
    policy = PolicyGradientPolicy(Config(network=SMALL, forget_rate=0.0, **WEIGHTS | config), 4)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
    return policy


def two_decisions() -> Transitions:
    """Slates of two of three candidates; the first reader clicks the top and returns, the second clicks the other."""
    made = batch([[], []], [[1, 2, 3], [1, 2, 4]], [0, 0], content())
    feedback = torch.zeros(2, 2, len(KINDS))
    feedback[0, 0, KINDS.index("click")] = feedback[1, 1, KINDS.index("click")] = 1.0
    made = made._replace(
        slate=torch.tensor([[1, 2], [0, 1]]),
        slate_mask=torch.ones(2, 2).bool(),
        feedback=feedback,
        returned=torch.tensor([1.0, 0.0]),
        expected=torch.tensor([0.25, 0.5]),
    )
    return credited(made)


def test_the_first_losses_by_hand() -> None:
    """Three candidates at 1/3: weight 1, correction 2 (1 - 1/3), rewards 1 + 2 (.75) and 1 - 2 (.5)."""
    policy = flat(return_weight=2.0)
    losses = PolicyGradientLearner(policy, torch.Generator()).update(two_decisions())
    assert losses["policy"] == pytest.approx(4 / 3 * (2.5 + 0.0) / 2 * math.log(3.0))
    assert losses["behaviour"] == pytest.approx((math.log(3.0) + math.log(2.0)) / 2)
    assert losses["baseline"] == pytest.approx((0.75**2 + 0.5**2) / 2)
    assert losses["entropy"] == pytest.approx(math.log(3.0))
    assert losses["weight"] == pytest.approx(1.0)
    assert losses["loss"] == pytest.approx(
        losses["policy"] - 0.01 * math.log(3.0) + losses["behaviour"] + losses["baseline"]
    )


def test_behaviour_and_baseline_do_not_shape_the_reader() -> None:
    policy = PolicyGradientPolicy(Config(network=SMALL, click_weight=0.0, return_weight=0.0, entropy_weight=0.0), 4)
    PolicyGradientLearner(policy, torch.Generator()).update(two_decisions())
    shaped = [policy.article.content.weight, policy.output.weight, policy.demand.weight]
    assert not any(parameter.grad.any() for parameter in shaped)
    assert policy.behaviour.demand.weight.grad is not None
    assert policy.baseline.out.bias.grad.any()


def newsroom(share_of_bait: float, rows: int = 200) -> Transitions:
    """Slates of one: bait is clicked by .6 and nobody returns, a story by .3 and half of those return. No luck."""
    baits = round(rows * share_of_bait)
    bait = np.arange(rows) < baits
    number = np.where(bait, np.arange(rows), np.arange(rows) - baits)
    click = number < np.where(bait, 0.6 * baits, 0.3 * (rows - baits))
    returned = ~bait & (number < 0.15 * (rows - baits))
    made = batch([[]] * rows, [[BAIT, STORY]] * rows, [0] * rows, content())
    feedback = torch.zeros(rows, 1, len(KINDS))
    feedback[:, 0, KINDS.index("click")] = torch.from_numpy(click).float()
    made = made._replace(
        slate=torch.from_numpy(np.where(bait, 0, 1))[:, None],
        slate_mask=torch.ones(rows, 1).bool(),
        feedback=feedback,
        returned=torch.from_numpy(returned).float(),
        expected=torch.zeros(rows),
    )
    return credited(made)


def preference(share_of_bait: float, **config: float) -> float:
    """Logit of the story over the bait after training on such a log."""
    torch.manual_seed(0)
    settings = {"learning_rate": 0.005, "forget_rate": 0.0, "entropy_weight": 0.2, "weight_decay": 0.0} | config
    policy = PolicyGradientPolicy(Config(network=SMALL, **WEIGHTS | settings), 4)
    learner, log = PolicyGradientLearner(policy, torch.Generator()), newsroom(share_of_bait)
    for _ in range(150):
        learner.update(log)
    bait, story = policy.eval().scores(log.state, log.candidates)[0].tolist()
    return story - bait


@pytest.mark.parametrize("share_of_bait", [0.5, 0.85])
def test_what_brings_readers_back_wins_only_where_it_is_rewarded(share_of_bait: float) -> None:
    """.6 a slate against .3 in clicks alone; .6 against .3 (1 + 6 / 2) = 1.2 with returns."""
    assert preference(share_of_bait, return_weight=0.0) < -0.5
    assert preference(share_of_bait, return_weight=6.0) > 0.5


def test_what_was_rarely_shown_is_not_taken_for_worse() -> None:
    """Story is worth 1.2 times bait a slate; it was shown one time in ten. Without weights its rarity decides."""
    reward = {"return_weight": 2.8}  # .3 (1 + 2.8 / 2) = .72 against .6
    assert preference(0.9, **reward) > 0.0
    assert preference(0.9, weight_cap=1e-3, entropy_weight=1e-4, **reward) < 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_cap": 0.0}, "weight_cap is 0.0, expected more than 0"),
        ({"forget_rate": 2.0}, r"forget_rate is 2.0, expected a share in \[0, 1\]"),
    ],
)
def test_impossible_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**change)
