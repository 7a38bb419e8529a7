"""EASE against the closed form of the paper, worked out with NumPy."""

import numpy as np
import pytest
import torch

from newsrec.baselines.ease import Config, EaseLearner, EasePolicy, ItemWeights
from newsrec.transitions import Transitions
from tests.baselines.batches import batch, no_content

READS = [[1, 2, 3], [1, 2], [2, 3, 4], [4, 1], [3, 1, 2]]
ARTICLES = 5
"""Nobody reads the fifth."""


def log() -> Transitions:
    """A decision a reader: the last of READS is clicked beside the article 5, the others were read before."""
    slates, histories = [[reads[-1], 5] for reads in READS], [reads[:-1] for reads in READS]
    return batch(histories, slates, [0] * len(READS), no_content(ARTICLES))


def learnt(**config: float) -> EasePolicy:
    policy = EasePolicy(Config(**config), ARTICLES)  # type: ignore[arg-type]
    learner = EaseLearner(policy, torch.Generator())
    learner.update(log())
    learner.end_pass()
    return policy


def expected(penalty: float, dropout: float = 0.0, reader_weight: float = 0.0) -> np.ndarray:
    """[6, 6]: B of eq. 8, zeros for what nobody reads."""
    z = np.zeros((len(READS), ARTICLES + 1))
    for row, reads in zip(z, READS, strict=True):
        row[reads] = 1.0
    gram = z.T @ (z / z.sum(1, keepdims=True) ** reader_weight)
    inverse = np.linalg.inv(gram + np.diag(penalty + dropout / (1 - dropout) * np.diag(gram)))
    return np.where(np.eye(ARTICLES + 1), 0.0, -inverse / np.diag(inverse))


def weights(policy: EasePolicy) -> np.ndarray:
    assert isinstance(policy.memory, ItemWeights)
    reads = torch.arange(ARTICLES + 1)[:, None]
    return policy.memory.reader(reads, reads > 0).numpy()


@pytest.mark.parametrize(("dropout", "reader_weight"), [(0.0, 0.0), (0.4, 0.0), (0.4, 0.5)])
def test_weights_are_those_of_the_closed_form(dropout: float, reader_weight: float) -> None:
    policy = learnt(penalty=2.0, dropout=dropout, reader_weight=reader_weight)
    found = expected(2.0, dropout, reader_weight)
    assert np.abs(found[1:5, 1:5]).max() > 0.1
    np.testing.assert_allclose(weights(policy), found, atol=1e-5)


def test_the_strongest_weights_are_kept() -> None:
    found, all_of_them = weights(learnt(penalty=2.0, dropout=0.0, reader_weight=0.0, neighbours=2)), expected(2.0)
    for row, full in zip(found[1:5], all_of_them[1:5], strict=True):
        kept = np.flatnonzero(row)
        assert set(kept) == set(np.argsort(-np.abs(full))[:2])
        np.testing.assert_allclose(row[kept], full[kept], atol=1e-5)


def test_scores_sum_the_weights_of_the_reads() -> None:
    policy = learnt(penalty=2.0, dropout=0.0, reader_weight=0.0, strength=3.0)
    asked = batch([[1, 4], []], [[2, 3, 0], [2, 3, 0]], [0, 0], no_content(ARTICLES))
    with torch.inference_mode():
        found = policy.scores(asked.state, asked.candidates).numpy()
    by_weights = 3.0 * expected(2.0)[[1, 4]][:, [2, 3, 0]].sum(0)
    np.testing.assert_allclose(found[0] - found[1], by_weights, atol=1e-5)


def test_many_readers_at_once_are_the_same_as_one_after_the_other() -> None:
    policy = learnt(penalty=2.0, neighbours=3)
    assert isinstance(policy.memory, ItemWeights)
    index = torch.tensor([[1, 2, 2], [3, 0, 0], [4, 1, 5], [0, 0, 0]])
    assert index.numel() > ARTICLES + 1 >= index[:1].numel()
    one_by_one = torch.cat([policy.memory.reader(row[None], row[None] > 0) for row in index])
    torch.testing.assert_close(policy.memory.reader(index, index > 0), one_by_one)


def test_a_pass_forgets_the_one_before() -> None:
    policy = EasePolicy(Config(), ARTICLES)
    learner = EaseLearner(policy, torch.Generator())
    found = []
    for _ in range(2):
        learner.update(log())
        learner.end_pass()
        found.append(weights(policy))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"penalty": 0.0}, "penalty is 0.0, expected more than 0"),
        ({"dropout": 1.0}, r"dropout is 1.0, expected a share in \[0, 1\)"),
        ({"neighbours": 0}, "neighbours is 0, expected 1 or more"),
    ],
)
def test_refuses_impossible_configurations(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
