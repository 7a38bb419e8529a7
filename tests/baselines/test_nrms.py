"""NRMS: what its attention starts as, and that it reads the reads."""

import pytest
import torch

from newsrec.baselines.nrms import GAIN, Config, NrmsLearner, NrmsPolicy
from newsrec.encoders.attention import ReadingAttention
from newsrec.features import EMBEDDING_DIM
from tests.baselines.batches import batch, no_content


def test_a_reader_starts_as_the_mean_of_what_they_read() -> None:
    torch.manual_seed(0)
    policy = NrmsPolicy(Config(width=8), 4).eval()
    content = torch.randn(5, EMBEDDING_DIM)
    asked = batch([[1, 2], [3]], [[4, 0], [4, 0]], [0, 0], content)
    vectors = policy.article(torch.arange(5), content)
    expected = GAIN * torch.stack([(vectors[1] + vectors[2]) / 2, vectors[3]])
    torch.testing.assert_close(policy.reader(asked.state), expected)


def test_attention_once_learnt_depends_on_the_other_reads_and_on_nothing_behind_them() -> None:
    torch.manual_seed(0)
    attention = ReadingAttention(8, 2, 0.0)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    reads, mask = torch.randn(1, 3, 8), torch.tensor([[True, True, False]])
    found = attention(reads, mask)
    torch.testing.assert_close(attention(reads[:, [1, 0, 2]], mask), found)  # in any order
    torch.testing.assert_close(attention(reads[:, :2], mask[:, :2]), found)
    alone = [attention(reads[:, [i]], mask[:, :1]) for i in range(2)]
    low, high = torch.minimum(*alone), torch.maximum(*alone)
    assert ((found < low) | (found > high)).any(), "no mixture of what each read says alone"
    assert not attention(reads, mask & False).any()


def test_one_step_moves_every_parameter_that_is_not_blocked_by_a_zero() -> None:
    torch.manual_seed(0)
    policy = NrmsPolicy(Config(width=8, forget_rate=0.0, dropout=0.0), 4)
    learner = NrmsLearner(policy, torch.Generator().manual_seed(0))
    found = batch([[1, 2], [2, 3]], [[3, 4], [1, 4]], [0, 1], torch.randn(5, EMBEDDING_DIM))
    candidates = found.candidates._replace(
        popularity=torch.rand_like(found.candidates.popularity),
        age_hours=torch.rand_like(found.candidates.age_hours),
        shown=torch.arange(4.0).reshape(2, 2),
    )
    found = found._replace(candidates=candidates)
    for _ in range(3):
        before = {name: value.clone() for name, value in policy.named_parameters()}
        learner.update(found)
    assert not {name for name, value in policy.named_parameters() if torch.equal(value, before[name])}


def test_without_content_nothing_breaks() -> None:
    policy = NrmsPolicy(Config(), 4).eval()
    asked = batch([[]], [[0, 0]], [0], no_content(4))
    assert policy.scores(asked.state, asked.candidates).isfinite().all()


def test_refuses_impossible_configurations() -> None:
    with pytest.raises(ValueError, match="width is 64, expected a multiple of the 3 heads"):
        Config(heads=3)
