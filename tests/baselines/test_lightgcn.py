"""LightGCN: propagation against dense algebra of readers and articles."""

import numpy as np
import pytest
import torch

from newsrec.baselines import lightgcn
from newsrec.baselines.lightgcn import Config, LightGcnLearner, LightGcnPolicy, SpreadIdentities
from newsrec.transitions import Transitions
from tests.baselines.batches import batch, no_content

READS = [[1, 2, 3], [1, 2], [2, 3, 4], [4, 1]]
ARTICLES = 5


def log() -> Transitions:
    """A decision a reader, who clicks the last of their READS."""
    slates, histories = [[reads[-1], 5] for reads in READS], [reads[:-1] for reads in READS]
    return batch(histories, slates, [0] * len(READS), no_content(ARTICLES))


def learnt(**config: float) -> tuple[LightGcnPolicy, LightGcnLearner]:
    torch.manual_seed(0)
    policy = LightGcnPolicy(Config(width=3, **config), ARTICLES)  # type: ignore[arg-type]
    learner = LightGcnLearner(policy, torch.Generator().manual_seed(0))
    learner.update(log())
    learner.end_pass()
    return policy, learner


def graph() -> np.ndarray:
    """[4, 6]: the paper's normed adjacency, readers by articles."""
    z = np.zeros((len(READS), ARTICLES + 1))
    for row, reads in zip(z, READS, strict=True):
        row[reads] = 1.0
    return z / np.sqrt(z.sum(1, keepdims=True)) / np.sqrt(np.maximum(z.sum(0), 1.0))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("dense", [0.0, 1.0])
def test_identities_spread_through_readers_and_back(layers: int, dense: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightgcn, "DENSE", dense)
    policy, _ = learnt(layers=layers)
    assert isinstance(policy.memory, SpreadIdentities)
    start = policy.memory.identity.weight.detach().double().numpy().copy()
    start[0] = 0.0
    step, expected = start, start
    for _ in range(layers):
        step = graph().T @ (graph() @ step)  # articles to readers to articles
        expected = expected + step
    np.testing.assert_allclose(policy.memory.spread, expected / (layers + 1), atol=1e-6)


def test_a_reader_is_what_spreads_to_them_from_their_reads() -> None:
    policy, _ = learnt(gain=2.0)
    asked = batch([READS[0], []], [[4, 5], [4, 5]], [0, 0], no_content(ARTICLES))
    with torch.inference_mode():
        found = policy.scores(asked.state, asked.candidates).numpy()
    assert isinstance(policy.memory, SpreadIdentities)
    spread = policy.memory.spread.numpy()
    np.testing.assert_allclose(found[0] - found[1], 2.0 * spread[[4, 5]] @ (graph()[0] @ spread), atol=1e-5)


def test_gradients_reach_articles_that_stand_in_no_slate() -> None:
    policy, learner = learnt(forget_rate=0.0)
    assert isinstance(policy.memory, SpreadIdentities)
    alone = batch([[1]], [[2, 5]], [0], no_content(ARTICLES))
    learner.update(alone)
    gradient = policy.memory.identity.weight.grad
    assert gradient is not None
    assert gradient[3].any(), "read by readers of 1 and 2"
    assert not gradient[0].any()
