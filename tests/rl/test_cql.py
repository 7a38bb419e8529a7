"""Conservative Q over slates: the penalty by hand, what it moves, and a log that never showed one of the articles."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from newsrec.encoders.scorer import NetworkConfig, WorthHead
from newsrec.rl.cql import Config, CQLLearner, CQLPolicy
from newsrec.transitions import Transitions
from tests.rl import two_moods
from tests.rl.two_decisions import PLAIN, SMALL, flattened, two_decisions

REACH = WorthHead.reach


def flat(**config: Any) -> CQLPolicy:
    return flattened(CQLPolicy(Config(network=SMALL, forget_rate=0.0, **PLAIN | config), 4))


def test_the_first_losses_by_hand() -> None:
    """Worths 1, 3, 5 and 7 at even odds: .5, 1.5, 2.5 on offer to the first reader, .5, 1.5, 3.5 to the second."""
    policy = flat(return_weight=2.0, alpha=0.25)
    with torch.no_grad():
        policy.value.read.own.weight[0, 1:5] = torch.tensor([0.0, 2.0, 4.0, 6.0]) / REACH
    learner = CQLLearner(policy, torch.Generator())
    learner.target.read.own.weight.data.zero_()
    losses = learner.update(two_decisions())
    added = np.array([[0.5, 1.5, 2.5], [0.5, 1.5, 3.5]])
    tau = math.sqrt(((added - added.mean(1, keepdims=True)) ** 2).mean())
    soft = tau * np.log(np.exp(added / tau).sum(1))
    assert losses["penalty"] == pytest.approx(((soft[0] - 1.5) + (soft[0] - 2.5) + (soft[1] - 0.5)) / 3, rel=1e-4)
    level = (3.5 - 1.0) / 2 / 0.375
    wanted = 3.5 + 0.5 * (level + 1.0), -1.0 + 0.75 * (level + 0.5)
    errors = level + 3.0 + 5.0 - wanted[0], level - wanted[1]
    assert losses["value"] == pytest.approx((errors[0] ** 2 + errors[1] ** 2) / 2)
    assert losses["clicks"] == pytest.approx(2 * math.log(2.0))
    assert losses["loss"] == pytest.approx(losses["value"] + losses["clicks"] + 0.25 * losses["penalty"])
    assert losses["q"] == pytest.approx(level + 4.0)
    assert losses["worth"] == pytest.approx(4.0)


def test_the_penalty_moves_worths_alone() -> None:
    def gradients(alpha: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        policy = CQLPolicy(Config(network=SMALL, forget_rate=0.0, **PLAIN, gradient_norm=1e9, alpha=alpha), 4)
        CQLLearner(policy, torch.Generator()).update(two_decisions())
        return {name: parameter.grad for name, parameter in policy.named_parameters()}

    without, wary = gradients(0.0), gradients(10.0)
    changed = {name for name in without if not torch.equal(without[name], wary[name])}
    assert "value.read.own.weight" in changed
    assert all(name.startswith("value.read.") for name in changed), "neither clicks nor q"


def test_the_heads_choose_and_the_lagging_heads_value() -> None:
    learner = CQLLearner(flat(), torch.Generator())
    with torch.no_grad():
        learner.policy.value.read.own.weight[0, 1] = 5.0 / REACH
        learner.target.read.own.weight[0, 1:3] = torch.tensor([1.0, 7.0]) / REACH
        learner.target.level.fill_(3.0)
    alone = two_decisions()._replace(slate_mask=torch.tensor([[True, False], [True, False]]))
    assert learner.next_value(alone).tolist() == [3.0 + 0.5 * 2.0] * 2


def test_the_lagging_heads_go_a_share_of_the_way() -> None:
    learner = CQLLearner(
        flat(target_rate=0.1, learning_rate=0.5, value_learning_rate=0.5, weight_decay=0.0), torch.Generator()
    )
    learner.update(two_decisions())
    online, lagging = learner.policy.value.unread.out.bias, learner.target.unread.out.bias
    assert online.abs().item() > 0.4  # one step of Adam, from 0
    assert lagging.item() == pytest.approx(0.1 * online.item(), rel=1e-5)


def learned(log: Transitions, alpha: float) -> tuple[CQLPolicy, np.ndarray]:
    torch.manual_seed(0)
    network = NetworkConfig(width=16, layers=1, heads=1, dropout=0.0)
    config = Config(
        network=network,
        learning_rate=0.01,
        value_learning_rate=0.003,
        forget_rate=0.0,
        target_rate=0.05,
        **PLAIN,
        alpha=alpha,
    )
    policy = CQLPolicy(config, 4)
    return policy, two_moods.learned(CQLLearner(policy, torch.Generator().manual_seed(0)), 400, log)


def test_reaches_the_optimum_of_a_newsroom_where_bait_wins_clicks() -> None:
    policy, slates = learned(two_moods.log(), Config().alpha)
    assert two_moods.value(slates) >= 0.99
    readers = two_moods.one_of_each()
    with torch.inference_mode():
        clicks = policy.click_logits(policy.reader(readers.state), readers.state.context, readers.candidates)
    assert two_moods.value(clicks.topk(2, 1).indices.numpy()) < 0.6, "who counts clicks alone shows bait"


@pytest.mark.slow
def test_what_the_log_never_showed_is_held_down_and_nothing_else() -> None:
    """Nobody was ever shown an essay. Without the penalty it is taken for as good as what was."""
    log = two_moods.log()
    log = two_moods.take(log, (log.slate != two_moods.ESSAY).all(1).nonzero().squeeze(1))
    readers = two_moods.one_of_each()

    def worths(alpha: float) -> np.ndarray:
        policy, _ = learned(log, alpha)
        with torch.inference_mode():
            reader = policy.reader(readers.state)
            return policy.values(policy.value, reader, readers.state.context, readers.candidates)[1].mean(0).numpy()

    trusting, wary = worths(0.0), worths(Config().alpha)
    assert trusting[two_moods.ESSAY] > 1.0
    assert wary[two_moods.ESSAY] < trusting[two_moods.ESSAY] - 0.3
    shown = [two_moods.BAIT, two_moods.STORY, two_moods.BRIEF]
    np.testing.assert_allclose(wary[shown], trusting[shown], atol=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": -1.0}, "alpha is -1.0, expected 0 or more"),
        ({"target_rate": 1.5}, r"target_rate is 1.5, expected a share in \(0, 1\]"),
        ({"gradient_norm": 0.0}, "gradient_norm is 0.0, expected more than 0"),
    ],
)
def test_impossible_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**change)
