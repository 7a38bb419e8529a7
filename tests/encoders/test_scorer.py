import pytest
import torch

from newsrec.encoders.scorer import CandidateHead, HistoryScorer, NetworkConfig, StateHead
from newsrec.features import EMBEDDING_DIM
from tests.baselines.batches import batch

ARTICLES, WIDTH = 30, 16


@pytest.fixture
def found() -> tuple[HistoryScorer, CandidateHead, StateHead]:
    torch.manual_seed(0)
    return HistoryScorer(NetworkConfig(width=WIDTH), ARTICLES).eval(), CandidateHead(WIDTH), StateHead(WIDTH)


def two_readers() -> tuple:
    content = torch.randn(ARTICLES + 1, EMBEDDING_DIM, generator=torch.Generator().manual_seed(1))
    made = batch([[1, 2], [7]], [[3, 4, 5], [5, 6, 8]], [0, 1], content)
    return made.state, made.candidates._replace(mask=torch.tensor([[True, True, False], [True, True, True]]))


def test_heads_start_at_zero(found: tuple[HistoryScorer, CandidateHead, StateHead]) -> None:
    (network, head, value), (state, candidates) = found, two_readers()
    reader = network.reader(state)
    offered = network.article(candidates.article_index, candidates.content)
    assert not head(reader, state.context, offered, candidates).any()
    assert not value(reader, state.context).any()


def test_a_head_learns_what_depends_on_reader_and_article(
    found: tuple[HistoryScorer, CandidateHead, StateHead],
) -> None:
    """Three numbers that no sum of a reader's and an article's own could be, and the masked one stays 0."""
    (network, head, _), (state, candidates) = found, two_readers()
    wanted = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 2.0, 0.5]])
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], 0.01)
    for _ in range(300):
        offered = network.article(candidates.article_index, candidates.content)
        predicted = head(network.reader(state), state.context, offered, candidates)
        loss = (predicted - wanted).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(predicted, wanted, atol=0.02, rtol=0)
    assert predicted[0, 2] == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width is 0, expected 1 or more"),
        ({"width": 10, "heads": 3}, "width is 10, expected a multiple of the 3 heads"),
        ({"dropout": 1.5}, r"dropout is 1.5, expected a share in \[0, 1\]"),
        ({"history": 0}, "history is 0, expected 1 to the 50 reads that are stored"),
        ({"history": 51}, "history is 51, expected 1 to the 50 reads that are stored"),
    ],
)
def test_impossible_networks_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**change)
