"""Imitation: losses by hand, a logger that is found again, and habit that is not taken for a taste."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from newsrec.encoders.scorer import NetworkConfig
from newsrec.events import KINDS
from newsrec.features import EMBEDDING_DIM
from newsrec.rl.imitation import Config, ImitationLearner, ImitationPolicy
from newsrec.slate import SlateConfig, draw
from newsrec.transitions import Transitions
from tests.baselines.batches import batch, credited

SMALL = NetworkConfig(width=8, layers=1, heads=1, dropout=0.0)
CLICK = KINDS.index("click")


def content(articles: int) -> torch.Tensor:
    """Article i has the i-th unit vector; 0 is the unknown one."""
    return torch.cat([torch.zeros(1, EMBEDDING_DIM), torch.eye(EMBEDDING_DIM)[:articles]])


def untrained(articles: int, **config: Any) -> ImitationPolicy:
    torch.manual_seed(0)
    return ImitationPolicy(Config(network=SMALL, **({"forget_rate": 0.0, "temperature": 1.0} | config)), articles)


def flat(**config: Any) -> ImitationPolicy:
    policy = untrained(4, **config)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
    return policy


def test_cloning_equal_scores_costs_the_logarithms_of_what_is_left() -> None:
    made = batch([[], []], [[1, 2, 3], [1, 2, 4]], [0, 0], content(4))
    made = made._replace(slate=torch.tensor([[2, 0], [1, 0]]), slate_mask=torch.tensor([[True, True], [True, False]]))
    losses = ImitationLearner(flat(imitate="slates"), torch.Generator()).update(made)
    assert losses == {"loss": pytest.approx((2 * math.log(3) + math.log(2)) / 3)}


def test_reads_are_weighted_by_what_followed_beyond_habit() -> None:
    """Residuals 1 and -1 at temperature 2: weights e^.5 and e^-.5; each read is one of two equal shown."""
    policy = flat(imitate="reads", temperature=2.0)
    with torch.no_grad():
        policy.demand.weight.zero_()
    made = batch([[], []], [[1, 2], [3, 4]], [0, 1], content(4))
    made = credited(made._replace(returned=torch.tensor([1.0, 0.0]), expected=torch.tensor([0.0, 1.0])))
    losses = ImitationLearner(policy, torch.Generator()).update(made)
    assert losses["imitation"] == pytest.approx(math.log(2))
    assert losses["baseline"] == pytest.approx(1.0)
    weights = np.exp([0.5, -0.5])
    assert losses["weight_spread"] == pytest.approx(weights.std() / weights.mean())


def test_the_logger_is_found_again() -> None:
    """Slates of three out of six, drawn by known scores: the clone has these scores, up to a constant."""
    truth = torch.tensor([2.0, 1.0, 0.5, 0.0, -0.5, -1.5])
    rows = 1_000
    drawn = draw(truth.expand(rows, 6), 3, SlateConfig("plackett_luce"), torch.Generator().manual_seed(0))
    made = batch([[]] * rows, [[1, 2, 3, 4, 5, 6]] * rows, [0] * rows, content(6))
    made = made._replace(slate=drawn.chosen, slate_mask=drawn.mask)
    policy = untrained(6, imitate="slates", learning_rate=0.03, weight_decay=0.0)
    learner = ImitationLearner(policy, torch.Generator())
    for _ in range(60):
        learner.update(made)
    found = policy.eval().scores(made.state, made.candidates)[0]
    torch.testing.assert_close(found - found.mean(), truth - truth.mean(), atol=0.3, rtol=0)


def visits(rows: int = 400) -> Transitions:
    """Daily readers read article 1 and return as ever; rare ones read 2, and return twice as often as ever after it.

    Both articles are always shown. Daily readers are three of four.
    """
    daily = np.arange(rows) % 4 > 0
    made = batch([[]] * rows, [[1, 2]] * rows, [0] * rows, content(2))
    feedback = torch.zeros(rows, 2, len(KINDS))
    feedback[torch.arange(rows), torch.from_numpy(np.where(daily, 0, 1)), CLICK] = 1.0
    made = made._replace(
        feedback=feedback,
        returned=torch.from_numpy(np.where(daily, 0.9, 0.6)).float(),
        expected=torch.from_numpy(np.where(daily, 0.9, 0.1)).float(),
    )
    return credited(made)


@pytest.mark.parametrize(("expected", "better"), [(True, 2), (False, 1)])
def test_visits_beyond_habit_are_cloned_and_not_loyal_readers(expected: bool, better: int) -> None:
    """Against habit the second article is the better one; by raw returns it would be what daily readers read."""
    log = visits() if expected else credited(visits()._replace(expected=torch.zeros(400)))
    policy = untrained(2, temperature=0.15, learning_rate=0.02)
    with torch.no_grad():
        policy.baseline.out.weight.zero_()
    learner = ImitationLearner(policy, torch.Generator())
    for _ in range(60):
        learner.update(log)
    first, second = policy.eval().scores(log.state, log.candidates)[0].tolist()
    assert (2 if second > first + 0.3 else 1 if first > second + 0.3 else 0) == better


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0, expected more than 0"),
        ({"weight_cap": -1.0}, "weight_cap is -1.0, expected more than 0"),
        ({"forget_rate": 1.5}, r"forget_rate is 1.5, expected a share in \[0, 1\]"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**change)
