import numpy as np
import pytest
import torch

from newsrec.baselines.popularity import Config, PopularityLearner, PopularityPolicy
from newsrec.transitions import empty_state
from tests.baselines.batches import batch, no_content


def offers(popularity: list[list[float]], age: list[float]):
    found = batch([[]], [[0] * len(age)], [0], no_content(0)).candidates
    return found._replace(popularity=torch.tensor([popularity]), age_hours=torch.tensor([age]))


def test_ranks_sensibly_before_it_has_seen_a_click() -> None:
    policy = PopularityPolicy(Config(), 0)
    usual = [0.0, 0.0, 0.05, 0.0]
    candidates = offers(
        [usual, [0.0, 2.0, 0.05, 0.0], [1.5, 2.0, 0.05, 0.0], usual, [0.0, 0.0, 0.10, 0.0]],
        [48.0, 48.0, 48.0, 1.0, 48.0],
    )
    old, clicked_today, clicked_now, fresh, inviting = policy.scores(empty_state(1), candidates)[0].tolist()
    assert old < min(clicked_today, fresh, inviting)
    assert clicked_today < clicked_now


def test_a_step_of_plain_gradient_descent_by_hand() -> None:
    """Slate of two, alike but for clicks of the last hour (log 1.0 and 0.0); the second is clicked."""
    found = batch([[]], [[0, 0]], [1], no_content(0))
    popularity = torch.tensor([[[1.0, 0.0, 0.05, 0.0], [0.0, 0.0, 0.05, 0.0]]])
    found = found._replace(candidates=found.candidates._replace(popularity=popularity))
    policy = PopularityPolicy(Config(), 0)
    learner = PopularityLearner(policy, torch.Generator())
    learner.optimizer = torch.optim.SGD(policy.parameters(), 0.1)
    before = policy.demand.weight.detach().clone()
    share = 1 / (1 + np.exp(-0.3))  # of the first: it scores the prior weight 0.3 more
    assert learner.update(found)["loss"] == pytest.approx(-np.log(1 - share), abs=1e-6)
    expected = before - 0.1 * torch.tensor([share, *[0.0] * 5])
    torch.testing.assert_close(policy.demand.weight.detach(), expected.float())


def test_refuses_a_learning_rate_of_zero() -> None:
    with pytest.raises(ValueError, match=r"learning_rate is 0\.0, expected more than 0"):
        Config(learning_rate=0.0)
