"""Matrix factorisation against numbers worked out with NumPy."""

import numpy as np
import pytest
import torch

from newsrec.baselines.matrix_factorization import Config, MatrixFactorizationLearner, MatrixFactorizationPolicy
from newsrec.features import EMBEDDING_DIM
from tests.baselines.batches import batch

HISTORY, SLATE, CLICK, STEP = [1, 2, 2], [3, 4, 0], 1, 0.1


@pytest.fixture
def content() -> torch.Tensor:
    return torch.randn(5, EMBEDDING_DIM, generator=torch.Generator().manual_seed(3)) / 8


def policy_of(**config: float) -> MatrixFactorizationPolicy:
    torch.manual_seed(0)
    policy = MatrixFactorizationPolicy(Config(width=3, **config), 4)
    with torch.no_grad():
        policy.article.identity.weight[1:] = torch.randn(4, 3)
    return policy


def factors(policy: MatrixFactorizationPolicy, content: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Projection [3, E], identities [5, 3] and factors [5, 3], float64."""
    projection = policy.article.content.weight.detach().double().numpy()
    identity = policy.article.identity.weight.detach().double().numpy().copy()
    return projection, identity, content.double().numpy() @ projection.T + identity


def test_scores_by_hand(content: torch.Tensor) -> None:
    policy = policy_of(alpha=0.5)
    _, _, q = factors(policy, content)
    found = batch([HISTORY], [SLATE], [CLICK], content)
    demand = 0.5 + np.log((0.0 + 0.01) / 0.06)  # freshness at age 0 and a click rate of 0, prior weights
    expected = q[SLATE] @ (q[HISTORY].sum(0) / np.sqrt(3)) + demand
    np.testing.assert_allclose(policy.scores(found.state, found.candidates)[0].detach(), expected, rtol=1e-5)


def test_one_step_of_plain_gradient_descent_by_hand(content: torch.Tensor) -> None:
    policy = policy_of(alpha=1.0, forget_rate=0.0)
    projection, identity, q = factors(policy, content)
    learner = MatrixFactorizationLearner(policy, torch.Generator())
    learner.optimizer = torch.optim.SGD(policy.parameters(), STEP)

    reader = q[HISTORY].mean(0)
    scores = q[SLATE] @ reader
    share = np.exp(scores) / np.exp(scores).sum()
    error = share - np.eye(3)[CLICK]  # d loss / d scores
    d_factor = np.zeros_like(q)  # d loss / d q, by article
    np.add.at(d_factor, SLATE, error[:, None] * reader)
    np.add.at(d_factor, HISTORY, (error @ q[SLATE]) / len(HISTORY))
    d_projection = d_factor.T @ content.double().numpy()
    d_factor[0] = 0.0  # the unknown article has no identity to learn

    loss = learner.update(batch([HISTORY], [SLATE], [CLICK], content))["loss"]
    assert loss == pytest.approx(-np.log(share[CLICK]), rel=1e-5)
    after = policy.article.identity.weight.detach().numpy()
    np.testing.assert_allclose(after, identity - STEP * d_factor, atol=1e-6)
    weight = policy.article.content.weight.detach().numpy()
    np.testing.assert_allclose(weight, projection - STEP * d_projection, atol=1e-6)


def test_forgotten_articles_get_no_step_of_their_own(content: torch.Tensor) -> None:
    policy = policy_of(forget_rate=1.0)
    learner = MatrixFactorizationLearner(policy, torch.Generator().manual_seed(0))
    learner.optimizer = torch.optim.SGD(policy.parameters(), STEP)
    identity, projection = policy.article.identity.weight.clone(), policy.article.content.weight.clone()
    learner.update(batch([HISTORY], [SLATE], [CLICK], content))
    assert torch.equal(policy.article.identity.weight, identity)
    assert not torch.equal(policy.article.content.weight, projection)


def test_a_reader_of_nothing_gets_demand_alone(content: torch.Tensor) -> None:
    found = batch([[]], [SLATE], [CLICK], content)
    scores = policy_of().scores(found.state, found.candidates)[0]
    assert (scores == scores[0]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0}, "width is 0, expected 1 or more"),
        ({"forget_rate": 1.5}, r"forget_rate is 1.5, expected a share in \[0, 1\]"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, expected more than 0"),
    ],
)
def test_refuses_impossible_configurations(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
