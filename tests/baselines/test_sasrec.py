"""SASRec: its softmax by hand, and cycles that only the order of reads tells."""

import numpy as np
import pytest
import torch

from newsrec.baselines.sasrec import Config, SasRecLearner, SasRecPolicy
from tests.baselines.batches import batch, no_content

ARTICLES = 16


def untrained(articles: int = ARTICLES, **config: object) -> SasRecPolicy:
    torch.manual_seed(0)
    small = {"width": 16, "layers": 1, "heads": 1, "dropout": 0.0, "forget_rate": 0.0} | config
    return SasRecPolicy(Config(**small), articles)  # type: ignore[arg-type]


def test_the_full_softmax_is_over_all_that_was_seen() -> None:
    policy = untrained(articles=9, slate_weight=0.0)
    learner = SasRecLearner(policy, torch.Generator().manual_seed(0))
    found = batch([[1, 2, 3], [4]], [[5, 6], [6, 1]], [0, 0], no_content(9))
    with torch.no_grad():
        outputs = policy.read(found.state)[:, :-1]  # after 0, 1 and 2 reads
        logits = (outputs @ policy.article.identity.weight[1:7].T).double().numpy()  # 7, 8 and 9 were never seen
    losses = [
        np.log(np.exp(logits[r, h]).sum()) - logits[r, h, a - 1]
        for r, h, a in [(0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 0, 4)]
    ]
    assert learner.update(found)["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("softmax", ["full", "sampled"])
def test_learns_the_successor_from_the_order_of_reads(softmax: str) -> None:
    policy = untrained(learning_rate=0.01, softmax=softmax)
    learner = SasRecLearner(policy, torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    cycles = [[1 + 4 * int(c) + (int(s) + i) % 4 for i in range(8)] for c, s in rng.integers(0, 4, (64, 2))]
    found = batch(cycles, [[0, 0]] * 64, [0] * 64, no_content(ARTICLES))
    for _ in range(90):
        learner.update(found)
    outputs = policy.eval().read(found.state)[:, 1:-1]  # after reads 1..7
    scores = outputs @ policy.article.identity.weight[1:17].T
    assert (scores.argmax(2) + 1 == torch.tensor(cycles)[:, 1:]).float().mean() > 0.95


def test_nothing_known_is_no_loss() -> None:
    learner = SasRecLearner(untrained(slate_weight=0.0), torch.Generator().manual_seed(0))
    assert learner.update(batch([[0, 0]], [[0, 0]], [0], no_content(ARTICLES)))["loss"] == 0.0


def test_refuses_impossible_configurations() -> None:
    with pytest.raises(ValueError, match=r"slate_weight is -1.0, expected 0 or more"):
        Config(slate_weight=-1.0)
    with pytest.raises(ValueError, match="width is 64, expected a multiple of the 3 heads"):
        Config(heads=3)
