import pytest
import torch

from newsrec.encoders.history import CausalTransformer, after_last_read, latest, latest_places, pool
from newsrec.features import EMBEDDING_DIM, HISTORY_LENGTH
from tests.baselines.batches import batch


@pytest.fixture
def transformer() -> CausalTransformer:
    """Weights away from their initial values: biases of position and time that start at zero would hide mistakes."""
    torch.manual_seed(0)
    found = CausalTransformer(width=8, layers=2, heads=2, dropout=0.0).eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return found


def histories(lengths: list[int], width: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random reads [B, H, width], their ages in hours before the newest and the mask."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    gaps = torch.rand(mask.shape, generator=generator) * 30 * mask
    age = (gaps.sum(1, keepdim=True) - gaps.cumsum(1)) * mask
    return torch.randn(*mask.shape, width, generator=generator), age, mask


def test_pools_by_hand() -> None:
    vectors = torch.tensor([[[1.0, 0.0], [3.0, 2.0], [100.0, 100.0]]])
    mask = torch.tensor([[True, True, False]])
    for alpha, expected in ((0.0, [4.0, 2.0]), (1.0, [2.0, 1.0]), (0.5, [4 / 2**0.5, 2 / 2**0.5])):
        torch.testing.assert_close(after_last_read(pool(vectors, alpha), mask), torch.tensor([expected]))
    assert not after_last_read(pool(vectors, 0.5), torch.zeros(1, 3).bool()).any(), "nothing read"
    torch.testing.assert_close(pool(vectors, 1.0)[0, :2], torch.tensor([[0.0, 0.0], [1.0, 0.0]]))


def test_takes_the_output_that_knows_all_reads() -> None:
    outputs = torch.arange(12.0).reshape(3, 4, 1)
    mask = torch.tensor([[False, False, False], [True, False, False], [True, True, True]])
    assert after_last_read(outputs, mask).flatten().tolist() == [0.0, 5.0, 11.0]


def test_the_latest_reads_of_a_history_by_hand() -> None:
    """Of five, of two and of no reads the latest three; the newest is still the one at age 0."""
    content = torch.randn(31, EMBEDDING_DIM, generator=torch.Generator().manual_seed(1))
    state = batch([[1, 2, 9, 11, 12], [7, 8], []], [[3], [3], [3]], [0, 0, 0], content).state
    state = state._replace(history_dwell_seconds=torch.arange(15.0).reshape(3, 5))
    assert latest_places(state.history_mask, 3).tolist() == [[2, 3, 4], [0, 1, 2], [0, 1, 2]]
    found = latest(state, 3)
    assert found.history_index.tolist() == [[9, 11, 12], [7, 8, 0], [0, 0, 0]]
    assert found.history_age_hours.tolist() == [[2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0] * 3]
    assert found.history_dwell_seconds.tolist() == [[2.0, 3.0, 4.0], [5.0, 6.0, 7.0], [10.0, 11.0, 12.0]]
    assert found.history_mask.tolist() == [[True] * 3, [True, True, False], [False] * 3]
    assert torch.equal(found.history_content, content[found.history_index])
    assert found.context is state.context
    assert all(torch.equal(*columns) for columns in zip(latest(state, 5), state, strict=True))


def test_a_later_read_changes_no_earlier_output(transformer: CausalTransformer) -> None:
    reads, age, mask = histories([6])
    before = transformer(reads, age, mask)
    reads[0, 4] = -reads[0, 4]
    after = transformer(reads, age, mask)
    torch.testing.assert_close(after[:, :5], before[:, :5])  # outputs 0..4 know at most reads 0..3
    assert ((after - before)[:, 5:].abs().amax(2) > 1e-3).all(), "those that know it change"


def test_one_more_read_changes_no_earlier_output(transformer: CausalTransformer) -> None:
    """The newest read makes all others older by the same hours, and only hours between reads may count."""
    reads, age, mask = histories([6])
    longer = transformer(
        torch.cat([reads, torch.ones(1, 1, 8)], 1), torch.cat([age + 5.0, age[:, -1:]], 1), mask.new_ones(1, 7)
    )
    torch.testing.assert_close(longer[:, :7], transformer(reads, age, mask), atol=1e-5, rtol=1e-5)


def test_order_and_hours_between_reads_matter(transformer: CausalTransformer) -> None:
    reads, age, mask = histories([6])
    before = after_last_read(transformer(reads, age, mask), mask)
    swapped = after_last_read(transformer(reads[:, [1, 0, 2, 3, 4, 5]], age, mask), mask)
    slower = after_last_read(transformer(reads, 10 * age, mask), mask)
    assert (swapped - before).abs().max() > 1e-3
    assert (slower - before).abs().max() > 1e-3


def test_readers_in_a_batch_do_not_meet_and_padding_is_zero(transformer: CausalTransformer) -> None:
    """More readers than go through together, in a jumble of lengths, each as if alone."""
    lengths = [int(length) for length in torch.randint(0, 12, (70,), generator=torch.Generator().manual_seed(2))]
    assert {0, 11} <= set(lengths)
    reads, age, mask = histories(lengths)
    together = transformer(reads, age, mask)
    assert together.shape == (70, 12, 8)
    for row, length in enumerate(lengths):
        alone = transformer(reads[row : row + 1, :length], age[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1, : length + 1], alone, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_read_and_no_padding(transformer: CausalTransformer) -> None:
    reads, age, mask = histories([3, 5, 0])
    reads.requires_grad_()
    after_last_read(transformer(reads, age, mask), mask).square().sum().backward()
    assert torch.equal(reads.grad.abs().sum(2) > 0, mask)


def test_the_longest_history_fits(transformer: CausalTransformer) -> None:
    reads, age, mask = histories([HISTORY_LENGTH])
    assert transformer(reads, age, mask).isfinite().all()


def test_attention_is_what_the_outputs_are_made_of(transformer: CausalTransformer) -> None:
    """Taken from the first block by hand: a place moves by what it attends to, through ``merge`` and the layers."""
    reads, age, mask = histories([6, 4])
    first, second = transformer.attention(reads, age)
    assert first.shape == second.shape == (2, 2, 7, 7)
    torch.testing.assert_close(first.sum(-1), torch.ones(2, 2, 7))
    assert not first.triu(1).any(), "nobody sees what was read later"
    one = CausalTransformer(width=8, layers=1, heads=2, dropout=0.0).eval()
    one.load_state_dict({k: v for k, v in transformer.state_dict().items() if not k.startswith("blocks.1")})
    block = one.blocks[0]
    places = torch.cat([one.start.expand(2, 1, -1), reads], 1)
    values = block.qkv(block.attention_norm(places))[..., 16:].reshape(2, 7, 2, 4).transpose(1, 2)
    x = places + block.merge((first @ values).transpose(1, 2).reshape(2, 7, 8))
    x = one.norm(x + block.forward_layers(block.forward_norm(x)))
    torch.testing.assert_close(after_last_read(one(reads, age, mask), mask), after_last_read(x, mask))
