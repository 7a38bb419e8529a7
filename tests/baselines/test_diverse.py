"""The penalty, the spread of near-duplicates, and the loss of bounces by hand."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from newsrec.baselines.diverse import Config, DiverseLearner, DiversePolicy
from newsrec.encoders.diversity import marginal_relevance
from newsrec.events import KINDS
from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import Transitions
from tests.baselines import three_groups
from tests.baselines.batches import batch, no_content
from tests.baselines.three_groups import BAIT, COLUMN, ESSAY, SMALL

CLICK, DWELL = KINDS.index("click"), KINDS.index("dwell")


def untrained(articles: int = three_groups.ARTICLES, **config: Any) -> DiversePolicy:
    torch.manual_seed(0)
    return DiversePolicy(Config(SMALL, **config), articles).eval()


@pytest.fixture(scope="module")
def learnt() -> Any:
    policy = untrained(learning_rate=0.004, forget_rate=1.0, bounce_seconds=10.0)
    return three_groups.learnt(DiverseLearner(policy, torch.Generator().manual_seed(0)))


def test_what_is_clicked_and_left_at_once_is_pushed_down_by_the_penalty(learnt: Any) -> None:
    learnt.config = replace(learnt.config, penalty=0.0, diversity=0.0)
    assert three_groups.ranking(learnt)[0] == BAIT
    learnt.config = replace(learnt.config, penalty=4.0)
    assert three_groups.ranking(learnt)[2] == BAIT


def test_the_chance_of_a_bounce_is_that_of_a_read_and_not_of_what_is_shown(learnt: Any) -> None:
    state, candidates = three_groups.question()
    with torch.inference_mode():
        bounce = learnt.bounce_logits(learnt.reader(state), state.context, candidates).sigmoid()
    found = bounce[0].reshape(3, 2).mean(1)
    assert found[BAIT] > 0.8
    assert max(found[ESSAY], found[COLUMN]) < 0.2


def test_near_duplicates_are_spread() -> None:
    """A story and its two copies are all the reader's taste; without diversity they fill the top."""
    generator = torch.Generator().manual_seed(0)
    story, other, third, read = torch.nn.functional.normalize(torch.randn(4, EMBEDDING_DIM, generator=generator), dim=1)
    content = torch.stack([torch.zeros(EMBEDDING_DIM), story, story * 0.99, story * 1.01, other, third, read + story])
    made = batch([[6]], [[1, 2, 3, 4, 5]], [0], content)
    made = made._replace(candidates=made.candidates._replace(article_index=torch.zeros(1, 5).long()))
    policy = untrained(6, penalty=0.0, diversity=0.0)

    def top() -> set[int]:
        with torch.inference_mode():
            return set(policy.scores(made.state, made.candidates)[0].topk(3).indices.tolist())

    assert top() == {0, 1, 2}
    policy.config = replace(policy.config, diversity=2.0)
    assert {3, 4} < top()


def test_scores_are_log_odds_less_the_penalty_at_their_marginal_value() -> None:
    made = three_groups.log(8)
    policy = untrained(penalty=3.0, diversity=0.7, depth=2)
    with torch.no_grad():
        for parameter in policy.bounce.parameters():
            parameter.add_(torch.randn(parameter.shape) / 8)
        reader = policy.reader(made.state)
        clicks = policy.rank(reader, made.state.context, made.candidates)
        bounce = policy.bounce_logits(reader, made.state.context, made.candidates).sigmoid()
        expected = marginal_relevance(clicks - 3.0 * bounce, made.candidates.content, 0.7, 2)
        torch.testing.assert_close(policy.scores(made.state, made.candidates), expected)


def test_the_first_losses_by_hand() -> None:
    """A bounce starts as likely as none; a read whose dwell nobody knows is neither."""
    made: Transitions = batch([[], []], [[1, 2], [3, 4]], [0, 1], no_content(4))
    feedback = torch.zeros(2, 2, len(KINDS))
    feedback[0, :, CLICK], feedback[1, 1, CLICK] = 1.0, 1.0
    feedback[0, :, DWELL] = torch.tensor([4.0, 12.0])
    policy = untrained(4, bounce_seconds=12.0)
    losses = DiverseLearner(policy, torch.Generator().manual_seed(0)).update(made._replace(feedback=feedback))
    assert losses["bounce"] == pytest.approx(math.log(2.0))
    assert losses["bounces"] == 0.5, "a read of just bounce_seconds is none"
    assert losses["loss"] == pytest.approx(losses["slate"] + 0.1 * losses["next_read"] + losses["bounce"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"depth": 0}, "depth is 0, expected 1 or more"),
        ({"penalty": -1.0}, "penalty is -1.0, expected 0 or more"),
        ({"diversity": float("nan")}, "diversity is nan, expected 0 or more"),
        ({"bounce_seconds": 0.0}, "bounce_seconds is 0.0, expected more than 0"),
        ({"forget_rate": 1.1}, r"forget_rate is 1.1, expected a share in \[0, 1\]"),
    ],
)
def test_refuses_impossible_configurations(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
