"""Actor and two critics: targets by hand, groups, what shapes what, and a newsroom whose optimum is known."""

import math
from typing import Any

import pytest
import torch

from newsrec.encoders.scorer import NetworkConfig
from newsrec.rl.actor_critic import ActorCriticLearner, ActorCriticPolicy, Config
from newsrec.transitions import CONTEXT_FEATURES, Transitions
from tests.baselines.batches import credited
from tests.rl import two_moods
from tests.rl.two_decisions import PLAIN, SMALL, flattened, two_decisions

ACTIVE = CONTEXT_FEATURES.index("active_share")


def learner(**config: Any) -> ActorCriticLearner:
    policy = flattened(ActorCriticPolicy(Config(network=SMALL, forget_rate=0.0, **PLAIN | config), 4))
    return ActorCriticLearner(policy, torch.Generator())


def active(*shares: float) -> Transitions:
    made = two_decisions()
    context = made.state.context.clone()
    context[:, ACTIVE] = torch.tensor(shares)
    return made._replace(state=made.state._replace(context=context))


def test_residuals_are_scaled_by_the_readers_group() -> None:
    """Residuals .75 and -.5 of a rare and a daily reader; a twentieth of each goes into their groups' scales."""
    found = learner()
    reward = found.retention_reward(active(0.05, 0.9))
    scale = [0.95 + 0.05 * 0.75, 0.95 + 0.05 * 0.5]
    assert reward.tolist() == pytest.approx([0.75 / scale[0], -0.5 / scale[1]])
    assert found.policy.scale.tolist() == pytest.approx([scale[0], 1.0, 1.0, scale[1]])


def test_the_first_targets_by_hand() -> None:
    """Immediate: 2 while the first visit goes on, level 1 / .5. Retention: level of the residuals."""
    found = learner(visit_discount=0.5)
    batch = credited(two_decisions()._replace(visit_end=torch.tensor([False, True])))
    losses = found.update(batch)
    level = (2.0 + 0.0) / 2 / (1 - 0.5)
    first = level + 2.0 - (2.0 + level + 2 * 0.5)  # the next slate of two has two half clicks, each worth 1
    second = level - 0.0
    assert losses["immediate"] == pytest.approx((first**2 + second**2) / 2)
    residual = -0.5 / (0.95 + 0.05 * 0.5)
    level = residual / 2 / (1 - 0.75)
    assert losses["retention"] == pytest.approx(((level - level) ** 2 + (level - residual - 0.5 * level) ** 2) / 2)
    assert losses["clicks"] == pytest.approx(math.log(2.0) + math.log(2.0))
    assert losses["distance"] == pytest.approx(0.0, abs=1e-6)
    assert losses["loss"] == pytest.approx(sum(losses[n] for n in ("clicks", "immediate", "retention", "actor")))


def test_critics_and_actor_do_not_shape_the_vectors() -> None:
    def gradients(reward: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        policy = ActorCriticPolicy(Config(network=SMALL, forget_rate=0.0, **PLAIN, gradient_norm=1e9), 4)
        found = ActorCriticLearner(policy, torch.Generator())
        found.update(two_decisions())
        found.update(two_decisions()._replace(reward=torch.tensor([reward, 0.0])))
        return {name: parameter.grad for name, parameter in policy.named_parameters()}

    usual, rich = gradients(2.0), gradients(50.0)
    changed = {name.split(".")[0] for name in usual if not torch.equal(usual[name], rich[name])}
    assert "value" in changed
    assert changed <= {"value", "retention", "preference"}
    assert usual["article.content.weight"].any()


def test_a_read_is_worth_what_both_critics_say() -> None:
    policy, (state, candidates, *_) = learner(click_weight=0.5, return_weight=3.0).policy, two_decisions()
    with torch.no_grad():
        policy.value.read.level.out.bias.fill_(0.25)
        policy.retention.read.level.out.bias.fill_(-0.125)
    worth = policy.worth(policy.reader(state), state.context, candidates)
    assert torch.equal(worth, torch.full((2, 3), 0.5 * 1.25 + 3.0 * -0.125))


def test_the_lagging_critics_go_a_share_of_the_way() -> None:
    found = learner(target_rate=0.1, learning_rate=0.5, value_learning_rate=0.5, weight_decay=0.0)
    found.update(two_decisions())
    for critic, target in zip((found.policy.value, found.policy.retention), found.targets, strict=True):
        online, lagging = critic.unread.out.bias.item(), target.unread.out.bias.item()
        assert abs(online) > 0.05
        assert lagging == pytest.approx(0.1 * online, rel=1e-5)


def trained(steps: int = 400, **config: Any) -> torch.Tensor:
    torch.manual_seed(0)
    network = NetworkConfig(width=16, layers=1, heads=1, dropout=0.0)
    settings = {
        "learning_rate": 0.01,
        "value_learning_rate": 0.003,
        "forget_rate": 0.0,
        "target_rate": 0.05,
        "stay": 0.05,
    } | config
    policy = ActorCriticPolicy(Config(network=network, **PLAIN | settings), 4)
    return two_moods.learned(ActorCriticLearner(policy, torch.Generator().manual_seed(0)), steps, two_moods.log())


def test_reaches_the_optimum_of_a_newsroom_where_bait_wins_clicks() -> None:
    assert two_moods.value(trained()) >= 0.99


@pytest.mark.slow
def test_an_actor_that_must_stay_and_one_without_retention_show_bait() -> None:
    assert two_moods.value(trained(100, stay=1e3)) < 0.6
    assert two_moods.value(trained(100, return_weight=0.0)) < 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visit_discount": 1.0}, "visit_discount is 1.0, expected less"),
        ({"visit_discount": -0.1}, r"visit_discount is -0.1, expected a share in \[0, 1\]"),
        ({"stay": 0.0}, "stay is 0.0, expected more than 0"),
        ({"target_rate": 2.0}, r"target_rate is 2.0, expected a share in \(0, 1\]"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**change)
