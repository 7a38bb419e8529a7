import math

import pytest
import torch

from newsrec.rl.objectives import shared_negatives_cross_entropy, slate_cross_entropy


def test_slate_cross_entropy_by_hand() -> None:
    scores = torch.tensor([[math.log(3.0), 0.0, -torch.inf], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    clicked = torch.tensor([[True, False, False], [False, False, False], [True, True, False]])
    # shares of the three clicks: 3/4, 1/3 and 1/3; the slate without a click adds nothing
    expected = -(math.log(3 / 4) + 2 * math.log(1 / 3)) / 3
    assert slate_cross_entropy(scores, clicked).item() == pytest.approx(expected)


def test_slate_cross_entropy_of_equal_scores_is_log_k() -> None:
    clicked = torch.zeros(5, 10).bool()
    clicked[:, 3] = True
    assert slate_cross_entropy(torch.zeros(5, 10), clicked).item() == pytest.approx(math.log(10))


def test_slate_gradient_is_share_minus_click_and_never_nan() -> None:
    scores = torch.tensor([[math.log(3.0), 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    slate_cross_entropy(
        scores.masked_fill(~mask, -torch.inf), torch.tensor([[False, True, False], [False] * 3])
    ).backward()
    torch.testing.assert_close(scores.grad, torch.tensor([[0.75, -0.75, 0.0], [0.0, 0.0, 0.0]]))


def test_slate_cross_entropy_without_a_click_is_zero_and_can_be_differentiated() -> None:
    scores = torch.full((2, 3), -torch.inf, requires_grad=True)
    loss = slate_cross_entropy(scores, torch.zeros(2, 3).bool())
    loss.backward()
    assert loss.item() == 0.0
    assert not scores.grad.any()


def test_shared_negatives_by_hand() -> None:
    """Three positions that read the articles 7, 8 and 7; the first two rows serve as negatives."""
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    targets = torch.tensor([[math.log(2.0), 0.0], [0.0, math.log(3.0)], [0.0, 0.0]])
    keys, negatives = torch.tensor([7, 8, 7]), torch.tensor([0, 1])
    # position 0: own exp 2, negative 8 exp 1 (7 is its own); 1: own 3, negative 7 exp 1; 2: own 1, negative 8 exp 9
    expected = -(math.log(2 / 3) + math.log(3 / 4) + math.log(1 / 10)) / 3
    found = shared_negatives_cross_entropy(queries, targets, keys, negatives)
    assert found.item() == pytest.approx(expected)


def test_shared_negatives_of_untrained_queries_is_log_n() -> None:
    targets = torch.randn(50, 4)
    loss = shared_negatives_cross_entropy(torch.zeros(50, 4), targets, torch.arange(50), torch.arange(20))
    expected = (20 * math.log(20) + 30 * math.log(21)) / 50
    assert loss.item() == pytest.approx(expected)


def test_shared_negatives_without_a_read_is_zero_and_can_be_differentiated() -> None:
    queries, none = torch.zeros(0, 4, requires_grad=True), torch.zeros(0).long()
    loss = shared_negatives_cross_entropy(queries, torch.zeros(0, 4), none, none)
    loss.backward()
    assert loss.item() == 0.0
