"""BPR: its loss by hand, and what a reader is."""

import numpy as np
import pytest
import torch

from newsrec.baselines.bpr import BprLearner, BprPolicy, Config, PairedFactors
from newsrec.rl.objectives import pairwise_likelihood
from tests.baselines.batches import batch, no_content


def test_the_loss_by_hand() -> None:
    """Two clicks in the first row, none in the second; what is masked is never drawn."""
    scores = torch.tensor([[2.0, 0.5, 1.0, -torch.inf], [3.0, 1.0, 0.0, 0.0]])
    clicked = torch.tensor([[True, True, False, False], [False] * 4])
    mask = torch.tensor([[True, True, True, False], [True] * 4])
    found = pairwise_likelihood(scores, clicked, mask, 3, torch.Generator())
    pairs = [np.log1p(np.exp(-(2.0 - 1.0))), np.log1p(np.exp(-(0.5 - 1.0)))]
    assert found.item() == pytest.approx(np.mean(pairs))


def test_without_a_pair_there_is_no_loss_and_no_gradient() -> None:
    scores = torch.zeros(2, 2, requires_grad=True)
    everything = torch.ones(2, 2, dtype=torch.bool)
    loss = pairwise_likelihood(scores, everything, everything, 2, torch.Generator())
    loss.backward()
    assert loss.item() == 0.0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_scores_by_hand() -> None:
    torch.manual_seed(0)
    policy = BprPolicy(Config(width=3, alpha=0.5), 4)
    assert isinstance(policy.memory, PairedFactors)
    with torch.no_grad():
        policy.memory.identity.weight[1:, -1] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    asked = batch([[1, 2], []], [[3, 4], [3, 4]], [0, 0], no_content(4))
    with torch.inference_mode():
        found = policy.scores(asked.state, asked.candidates).numpy()
    p, q = (x.weight.detach().numpy() for x in (policy.memory.read, policy.memory.identity))
    np.testing.assert_allclose(found[0] - found[1], q[[3, 4], :3] @ (p[1] + p[2]) / np.sqrt(2), atol=1e-6)
    assert found[1, 1] - found[1, 0] == pytest.approx(0.1, abs=1e-6)  # without a read, the bias and demand


def test_one_step_raises_the_clicked_above_the_passed_by() -> None:
    torch.manual_seed(0)
    policy = BprPolicy(Config(width=8, forget_rate=0.0), 4)
    learner = BprLearner(policy, torch.Generator().manual_seed(0))
    asked = batch([[1, 2]], [[3, 4]], [1], no_content(4))

    def lead() -> float:
        with torch.inference_mode():
            first, second = policy.scores(asked.state, asked.candidates)[0]
        return float(second - first)

    before = lead()
    learner.update(asked)
    assert lead() > before
