"""Double DQN over slates: losses by hand, who lags, who chooses and values, and a newsroom whose optimum is known."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from newsrec.encoders.scorer import NetworkConfig, WorthHead
from newsrec.rl.dqn import Config, DQNLearner, DQNPolicy
from tests.rl import two_moods
from tests.rl.two_decisions import PLAIN, SMALL, flattened, two_decisions

REACH = WorthHead.reach


def flat(**config: Any) -> DQNPolicy:
    return flattened(DQNPolicy(Config(network=SMALL, forget_rate=0.0, **PLAIN | config), 4))


def test_the_first_losses_by_hand() -> None:
    """Rewards 2 + 2 (.75) and 2 (-.5); the level is their mean over 1 - .625; two places are worth 2 / 2 later."""
    level = (3.5 - 1.0) / 2 / 0.375
    wanted = 3.5 + 0.5 * (level + 1.0), -1.0 + 0.75 * (level + 0.5)
    errors = level + 2.0 - wanted[0], level - wanted[1]
    losses = DQNLearner(flat(return_weight=2.0), torch.Generator()).update(two_decisions())
    assert losses["value"] == pytest.approx((errors[0] ** 2 + errors[1] ** 2) / 2)
    assert losses["clicks"] == pytest.approx(math.log(2.0) + math.log(2.0)), "each at even odds; one of two"
    assert losses["loss"] == pytest.approx(losses["value"] + losses["clicks"])
    assert losses["q"] == pytest.approx(level + 1.0)
    assert losses["worth"] == pytest.approx(1.0)


def test_the_lagging_heads_go_a_share_of_the_way() -> None:
    learner = DQNLearner(
        flat(target_rate=0.1, learning_rate=0.5, value_learning_rate=0.5, weight_decay=0.0), torch.Generator()
    )
    learner.update(two_decisions())
    online, lagging = learner.policy.value.unread.out.bias, learner.target.unread.out.bias
    assert online.abs().item() > 0.4  # one step of Adam, from 0
    assert lagging.item() == pytest.approx(0.1 * online.item(), rel=1e-5)
    assert not any(parameter.grad is not None for parameter in learner.target.parameters())


def test_the_heads_choose_and_the_lagging_heads_value() -> None:
    """Clicks at even odds. The heads prefer article 1, worth 6; the lagging ones give it 2 and article 2, 8."""
    learner, decisions = DQNLearner(flat(), torch.Generator()), two_decisions()
    with torch.no_grad():
        learner.policy.value.read.own.weight[0, 1] = 5.0 / REACH
        learner.target.read.own.weight[0, 1:3] = torch.tensor([1.0, 7.0]) / REACH
        learner.target.level.fill_(3.0)
        learner.policy.value.level.fill_(100.0)
    alone = decisions._replace(slate_mask=torch.tensor([[True, False], [True, False]]))
    assert learner.next_value(alone).tolist() == [3.0 + 0.5 * 2.0] * 2
    assert learner.next_value(decisions).tolist() == [3.0 + 0.5 * 2.0 + 0.5 * 8.0, 4.0]


def test_values_do_not_shape_the_vectors_and_clicks_do_not_move_the_values() -> None:
    def gradients(change: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        policy = DQNPolicy(Config(network=SMALL, forget_rate=0.0, **PLAIN, gradient_norm=1e9), 4)
        learner = DQNLearner(policy, torch.Generator())
        learner.started = True
        learner.update(two_decisions()._replace(**change))
        return {name: parameter.grad for name, parameter in policy.named_parameters()}

    usual, rich = gradients({}), gradients({"reward": torch.tensor([9.0, 40.0])})
    changed = {name for name in usual if not torch.equal(usual[name], rich[name])}
    assert "value.unread.out.bias" in changed
    assert all(name.startswith("value.") for name in changed)
    assert usual["article.content.weight"].any()
    nothing_seen = gradients({"slate_mask": torch.zeros(2, 2).bool()})
    assert nothing_seen["value.unread.out.bias"].any(), "a slate without a read teaches q"
    assert not nothing_seen["value.read.own.weight"].any()
    assert not nothing_seen["article.content.weight"].any()


def test_reaches_the_optimum_of_a_newsroom_where_bait_wins_clicks() -> None:
    torch.manual_seed(0)
    network = NetworkConfig(width=16, layers=1, heads=1, dropout=0.0)
    config = Config(
        network=network, learning_rate=0.01, value_learning_rate=0.003, forget_rate=0.0, target_rate=0.05, **PLAIN
    )
    policy = DQNPolicy(config, 4)
    slates = two_moods.learned(DQNLearner(policy, torch.Generator().manual_seed(0)), 400, two_moods.log())
    assert two_moods.value(slates) >= 0.99
    readers = two_moods.one_of_each()
    with torch.inference_mode():
        reader = policy.reader(readers.state)
        clicks = policy.click_logits(reader, readers.state.context, readers.candidates)
        _, worth = policy.values(policy.value, reader, readers.state.context, readers.candidates)
    assert two_moods.value(clicks.topk(2, 1).indices.numpy()) < 0.6, "who counts clicks alone shows bait"
    wanted = two_moods.worth(two_moods.optimum())
    np.testing.assert_allclose(worth.mean(0), wanted, atol=0.6)  # without what comes later a story is worth 1.48


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_rate": 0.0}, r"target_rate is 0.0, expected a share in \(0, 1\]"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, expected more than 0"),
        ({"forget_rate": 2.0}, r"forget_rate is 2.0, expected a share in \[0, 1\]"),
    ],
)
def test_impossible_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**change)
