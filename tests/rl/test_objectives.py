import math

import pytest
import torch

from newsrec.rl import objectives
from newsrec.rl.objectives import shared_negatives_cross_entropy, slate_cross_entropy
from newsrec.slate import SlateConfig, draw


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


def test_click_likelihood_by_hand() -> None:
    scores = torch.tensor([[math.log(3.0), 0.0, -torch.inf], [5.0, 5.0, 5.0]])
    clicked = torch.tensor([[True, False, False], [True, True, True]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    expected = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    assert objectives.click_likelihood(scores, clicked, mask).item() == pytest.approx(expected)
    assert objectives.click_likelihood(scores, clicked, mask & False).item() == 0.0


def test_hazard_likelihood_is_least_at_the_ratio_of_seen_to_expected_returns() -> None:
    returned, expected = torch.tensor([1.0, 1.0, 0.0, 1.0]), torch.tensor([0.5, 0.2, 0.7, 0.6])
    f = torch.tensor(math.log(3.0 / 2.0), requires_grad=True)
    loss = objectives.hazard_likelihood(f.expand(4), returned, expected)
    loss.backward()
    assert loss.item() == pytest.approx((2.0 * 1.5 - 3 * math.log(1.5)) / 4)
    assert f.grad.item() == pytest.approx(0.0, abs=1e-6)
    nobody = torch.zeros(0, requires_grad=True)
    assert objectives.hazard_likelihood(nobody, nobody, nobody).item() == 0.0


def test_slate_log_probability_by_hand() -> None:
    scores = torch.tensor([[0.0, math.log(2.0), math.log(3.0), -torch.inf], [0.0, 0.0, 0.0, 0.0]])
    slate = torch.tensor([[2, 0], [3, 0]])
    mask = torch.tensor([[True, True], [True, False]])
    found = objectives.slate_log_probability(scores, slate, mask)
    torch.testing.assert_close(found, torch.tensor([[3 / 6, 1 / 3], [1 / 4, 1.0]]).log())


def test_slate_log_probabilities_of_all_slates_add_up_to_one_and_agree_with_the_draw() -> None:
    scores = torch.tensor([[0.3, -1.0, 0.8]])
    pairs = torch.tensor([(i, j) for i in range(3) for j in range(3) if i != j])
    every = objectives.slate_log_probability(scores.expand(6, 3), pairs, torch.ones(6, 2).bool())
    assert every.sum(1).exp().sum().item() == pytest.approx(1.0)
    drawn = draw(scores, 2, SlateConfig("plackett_luce"), torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        objectives.slate_log_probability(scores, drawn.chosen, drawn.mask).exp(), drawn.propensity.float()
    )


def test_slate_log_probability_has_no_nan_gradient_with_an_empty_slate_or_no_candidate() -> None:
    scores = torch.zeros(2, 3, requires_grad=True)
    masked = scores.masked_fill(torch.tensor([[False] * 3, [True] * 3]), -torch.inf)
    slate, mask = torch.zeros(2, 2).long(), torch.tensor([[True, False], [False, False]])
    objectives.slate_log_probability(masked, slate, mask).sum().backward()
    torch.testing.assert_close(scores.grad, torch.tensor([[2 / 3, -1 / 3, -1 / 3], [0.0, 0.0, 0.0]]))
    unshown = torch.zeros(1, 3, requires_grad=True)
    objectives.slate_log_probability(unshown, slate[1:], mask[1:]).sum().backward()
    assert unshown.grad.tolist() == [[0.0, 0.0, 0.0]]


def test_targets_and_slate_values_by_hand() -> None:
    reward, discount = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.0])
    later = torch.tensor([4.0, 9.0], requires_grad=True)
    target = objectives.temporal_difference_target(reward, discount, later)
    assert target.tolist() == [3.0, 2.0]
    assert not target.requires_grad
    probability, value = torch.tensor([[0.5, 0.1, 0.2]]), torch.tensor([[2.0, 10.0, 5.0]])
    found = objectives.slate_value(probability, value, torch.tensor([[2, 0, 1]]), torch.tensor([[True, True, False]]))
    assert found.tolist() == [2.0]


def test_the_expectile_of_a_coin_by_hand() -> None:
    """tau (1 - v) = (1 - tau) v for a fair coin: v = tau."""
    v = torch.tensor(0.8, requires_grad=True)
    objectives.expectile_loss(torch.tensor([0.0, 1.0]) - v, 0.8).backward()
    assert v.grad.item() == pytest.approx(0.0, abs=1e-6)
    assert objectives.expectile_loss(torch.tensor([2.0, -1.0]), 0.9).item() == pytest.approx((0.9 * 4 + 0.1) / 2)


def test_the_conservative_penalty_by_hand() -> None:
    values = torch.tensor([[math.log(2.0), math.log(6.0), 50.0], [1.0, 1.0, 1.0]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    taken, taken_mask = torch.tensor([[0, 1], [0, 0]]), torch.tensor([[True, True], [False, False]])
    found = objectives.conservative_penalty(values, mask, taken, taken_mask)
    assert found.item() == pytest.approx((math.log(8 / 2) + math.log(8 / 6)) / 2)
    one = torch.tensor([[True, False, False], [False, False, False]])
    assert objectives.conservative_penalty(values, one, taken[:, :1], taken_mask[:, :1]).item() == pytest.approx(0.0)


def test_weights_by_hand() -> None:
    correction = objectives.top_k_correction(torch.tensor([0.0, 0.5, 1.0]), torch.tensor(3.0))
    assert correction.tolist() == [3.0, 0.75, 0.0]
    assert objectives.top_k_correction(torch.tensor([0.3]), torch.tensor(1.0)).tolist() == [1.0]
    target = torch.tensor([0.0, 2.0], requires_grad=True)
    weight = objectives.capped_weight(target, torch.tensor([math.log(2.0), 0.0]), 5.0)
    assert weight.tolist() == [0.5, 5.0]
    assert not weight.requires_grad
    assert objectives.advantage_weight(torch.tensor([0.0, 1.0, -math.log(2.0)]), 0.5, 4.0).tolist() == pytest.approx(
        [1.0, 4.0, 0.25]
    )


def test_distillation_by_hand_and_zero_for_a_student_that_knows_all() -> None:
    teacher = torch.tensor([[0.0, math.log(3.0), 9.0], [0.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    student = torch.zeros(2, 3, requires_grad=True)
    loss = objectives.distillation_loss(student, teacher, mask, 1.0)
    assert loss.item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    loss.backward()
    torch.testing.assert_close(student.grad, torch.tensor([[0.25, -0.25, 0.0], [0.0, 0.0, 0.0]]))
    assert objectives.distillation_loss(teacher + 2.0, teacher, mask, 2.0).item() == pytest.approx(0.0, abs=1e-6)


def test_the_long_term_reward_by_hand() -> None:
    """Two clicks and three quarters of a visit won; no click and half a visit lost; a click alone."""
    reward, retention = torch.tensor([2.0, 0.0, 1.0]), torch.tensor([0.75, -0.5, 0.0])
    found = objectives.long_term_reward(reward, retention, 0.5, 4.0)
    assert found.tolist() == [0.5 * 2.0 + 4.0 * 0.75, -2.0, 0.5]


def test_the_best_slate_by_hand() -> None:
    added = torch.tensor([[0.1, 0.7, 0.4], [-0.2, -0.1, 9.0], [1.0, 2.0, 3.0]])
    mask = torch.tensor([[True, True, True], [True, True, False], [True, True, True]])
    chosen, kept = objectives.best_slate(added, mask, torch.tensor([2, 2, 0]))
    assert chosen[:2].tolist() == [[1, 2], [1, 0]]
    assert kept.tolist() == [[True, True], [True, True], [False, False]]
    _, kept = objectives.best_slate(added, mask, torch.tensor([5, 5, 1]))
    assert kept.tolist() == [[True, True, True], [True, True, False], [True, False, False]]
    assert objectives.best_slate(added, mask, torch.tensor([0, 0, 0]))[1].shape == (3, 0)
