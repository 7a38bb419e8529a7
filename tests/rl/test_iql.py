"""Implicit Q over slates: losses by hand, nothing asked outside the log, who moves what, and a known optimum."""

import math
from typing import Any

import pytest
import torch

from newsrec.encoders.scorer import NetworkConfig
from newsrec.rl.iql import Config, IQLLearner, IQLPolicy
from newsrec.transitions import Transitions
from tests.rl import two_moods
from tests.rl.two_decisions import PLAIN, SMALL, flattened, two_decisions


def flat(**config: Any) -> IQLPolicy:
    return flattened(IQLPolicy(Config(network=SMALL, forget_rate=0.0, **PLAIN | config), 4))


def test_the_first_losses_by_hand() -> None:
    """What was shown adds .5, .5 and .5 at even odds; the best is said to add .75, or .25 where an advantage is due."""
    policy = flat(return_weight=2.0, tau=0.8, temperature=0.5)
    with torch.no_grad():
        policy.best.out.bias.fill_(0.25)
        policy.actor.query.bias[1:4] = torch.tensor([1.0, 2.0, 3.0]).log()
    losses = IQLLearner(policy, torch.Generator()).update(two_decisions())
    level = (3.5 - 1.0) / 2 / 0.375
    wanted = 3.5 + 0.5 * (level + 2 * 0.25), -1.0 + 0.75 * (level + 0.25)
    errors = level + 2.0 - wanted[0], level - wanted[1]
    assert losses["value"] == pytest.approx((errors[0] ** 2 + errors[1] ** 2) / 2)
    assert losses["clicks"] == pytest.approx(2 * math.log(2.0))
    assert losses["best"] == pytest.approx(0.8 * 0.25**2)
    assert losses["weight"] == pytest.approx(math.exp(1.0 / 0.5)), "every advantage is one root mean square"
    imitated = math.log(2 / 6) + math.log(3 / 4) + math.log(1 / 4)  # of 1, 2, 3: 2, then 3; of 1, 2, 1: 1
    assert losses["policy"] == pytest.approx(-math.exp(2.0) * imitated / 3)
    assert losses["loss"] == pytest.approx(sum(losses[name] for name in ("value", "clicks", "best", "policy")))
    assert losses["worth"] == pytest.approx(1.0)

    worse = flat(return_weight=2.0, tau=0.8, temperature=0.5)
    with torch.no_grad():
        worse.best.out.bias.fill_(0.75)
    losses = IQLLearner(worse, torch.Generator()).update(two_decisions())
    assert losses["best"] == pytest.approx(0.2 * 0.25**2)
    assert losses["weight"] == pytest.approx(math.exp(-1.0 / 0.5))


def test_no_value_is_asked_of_an_article_that_was_not_shown() -> None:
    def losses(change: dict[str, Any]) -> dict[str, float]:
        torch.manual_seed(0)
        policy = IQLPolicy(Config(network=SMALL, forget_rate=0.0, **PLAIN), 4)
        return IQLLearner(policy, torch.Generator()).update(two_decisions()._replace(**change))

    decisions = two_decisions()
    content = decisions.candidates.content.clone()
    content[0, 0] = content[1, 1:] = 50.0  # what was not shown
    elsewhere = {"candidates": decisions.candidates._replace(content=content), "next_candidates": None}
    usual, changed = losses({}), losses(elsewhere)
    for name in ("value", "best", "clicks", "weight", "q", "worth"):
        assert usual[name] == changed[name], name
    assert usual["policy"] != changed["policy"], "what was not shown is an alternative of the policy all the same"


def test_every_loss_moves_its_own_part() -> None:
    def gradients(change: dict[str, Any], **config: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        policy = IQLPolicy(Config(network=SMALL, forget_rate=0.0, gradient_norm=1e9, **PLAIN | config), 4)
        with torch.no_grad():
            policy.best.out.bias.fill_(0.1)
        learner = IQLLearner(policy, torch.Generator())
        learner.started = True
        learner.update(two_decisions()._replace(**change))
        return {name: parameter.grad for name, parameter in policy.named_parameters()}

    usual = gradients({})

    def moved(other: dict[str, torch.Tensor]) -> set[str]:
        return {name.split(".")[0] for name in usual if not torch.equal(usual[name], other[name])}

    assert moved(gradients({"reward": torch.tensor([9.0, 40.0])})) == {"value"}
    assert moved(gradients({}, tau=0.3)) == {"best"}
    assert moved(gradients({}, temperature=2.0)) == {"actor"}
    assert usual["article.content.weight"].any()


def test_the_next_value_is_that_of_the_lagging_heads() -> None:
    learner = IQLLearner(flat(), torch.Generator())
    with torch.no_grad():
        learner.policy.value.level.fill_(100.0)
        learner.target.level.fill_(3.0)
        learner.policy.best.out.bias.fill_(0.5)
    assert learner.next_value(two_decisions()).tolist() == [3.0 + 2 * 0.5, 3.0 + 0.5]


def test_the_lagging_heads_go_a_share_of_the_way() -> None:
    learner = IQLLearner(
        flat(target_rate=0.1, learning_rate=0.5, value_learning_rate=0.5, weight_decay=0.0), torch.Generator()
    )
    learner.update(two_decisions())
    online, lagging = learner.policy.value.unread.out.bias, learner.target.unread.out.bias
    assert online.abs().item() > 0.4  # one step of Adam, from 0
    assert lagging.item() == pytest.approx(0.1 * online.item(), rel=1e-5)


def learned(log: Transitions, steps: int = 400) -> tuple[IQLPolicy, Any]:
    torch.manual_seed(0)
    network = NetworkConfig(width=16, layers=1, heads=1, dropout=0.0)
    config = Config(
        network=network, learning_rate=0.01, value_learning_rate=0.003, forget_rate=0.0, target_rate=0.05, **PLAIN
    )
    policy = IQLPolicy(config, 4)
    return policy, two_moods.learned(IQLLearner(policy, torch.Generator().manual_seed(0)), steps, log)


def test_reaches_the_optimum_of_a_newsroom_where_bait_wins_clicks() -> None:
    policy, slates = learned(two_moods.log())
    assert two_moods.value(slates) >= 0.99
    readers = two_moods.one_of_each()
    with torch.inference_mode():
        clicks = policy.click_logits(policy.reader(readers.state), readers.state.context, readers.candidates)
    assert two_moods.value(clicks.topk(2, 1).indices.numpy()) < 0.6, "who counts clicks alone shows bait"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tau": 1.0}, r"tau is 1.0, expected a share in \(0, 1\)"),
        ({"temperature": 0.0}, "temperature is 0.0, expected more than 0"),
        ({"target_rate": 0.0}, r"target_rate is 0.0, expected a share in \(0, 1\]"),
    ],
)
def test_impossible_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**change)
