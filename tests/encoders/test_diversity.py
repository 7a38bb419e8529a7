"""Maximal marginal relevance by hand, against a greedy loop, and what makes it a score."""

import numpy as np
import pytest
import torch

from newsrec.encoders.diversity import marginal_relevance


def candidates(rows: int = 20, count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Random scores [rows, count], the last two of every other row masked, and content in few dimensions."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(rows, count, generator=generator)
    scores[::2, -2:] = -torch.inf
    return scores, torch.randn(rows, count, 3, generator=generator)


def greedy(scores: np.ndarray, content: np.ndarray, diversity: float, places: int) -> list[int]:
    """The slate of one row, place by place, by the definition."""
    unit = content / np.linalg.norm(content, axis=1, keepdims=True)
    slate: list[int] = []
    while len(slate) < min(places, int(np.isfinite(scores).sum())):
        repeated = [max([0.0, *(float(unit[a] @ unit[b]) for b in slate)]) for a in range(len(scores))]
        marginal = scores - diversity * np.array(repeated)
        slate.append(max((a for a in range(len(scores)) if a not in slate), key=lambda a: marginal[a]))
    return slate


def test_marginal_scores_by_hand() -> None:
    content = torch.tensor([[[2.0, 0.0], [3.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]])
    found = marginal_relevance(torch.tensor([[1.0, 0.9, 0.7, 0.0]]), content, 0.5, depth=4)
    # first the 1.0; then 0.9 - 0.5, 0.7 - 0.5 * 0.6 and 0.0: the two above it repeat nothing of an opposite
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.4, 0.4, 0.0]]))


def test_likeness_counts_to_the_most_similar_article_above_wherever_that_stands() -> None:
    content = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]])
    found = marginal_relevance(torch.tensor([[3.0, 2.0, 1.0]]), content, 1.0, depth=3)
    torch.testing.assert_close(found, torch.tensor([[3.0, 2.0, 0.2]]))


@pytest.mark.parametrize("diversity", [0.3, 5.0])
def test_sorting_by_marginal_scores_gives_the_greedy_slate(diversity: float) -> None:
    scores, content = candidates()
    order = marginal_relevance(scores, content, diversity, depth=12).argsort(1, descending=True)
    plain = scores.argsort(1, descending=True)
    for row in range(len(scores)):
        expected = greedy(scores[row].numpy(), content[row].numpy(), diversity, 12)
        assert order[row, : len(expected)].tolist() == expected
    assert (order != plain).any(), "the case that this test is about"


def test_behind_the_depth_the_rest_is_ordered_by_what_it_repeats_of_the_places_above() -> None:
    scores, content = candidates()
    found = marginal_relevance(scores, content, 0.8, depth=3)
    unit = torch.nn.functional.normalize(content, dim=2)
    for row in range(len(scores)):
        top = greedy(scores[row].numpy(), content[row].numpy(), 0.8, 3)
        assert found[row].argsort(descending=True)[:3].tolist() == top
        rest = [a for a in range(12) if a not in top and scores[row, a].isfinite()]
        repeated = (unit[row, rest] @ unit[row, top].T).amax(1).clamp(min=0.0)
        torch.testing.assert_close(found[row, rest], scores[row, rest] - 0.8 * repeated)


def test_without_diversity_scores_are_the_scores_and_nothing_masked_is_ever_taken() -> None:
    scores, content = candidates()
    assert torch.equal(marginal_relevance(scores, content, 0.0, depth=12), scores)
    found = marginal_relevance(scores, content, 2.0, depth=12)
    assert torch.equal(found == -torch.inf, scores == -torch.inf)
    nobody = torch.full_like(scores, -torch.inf)
    assert torch.equal(marginal_relevance(nobody, content, 2.0, depth=12), nobody)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_ties_do_not_depend_on_the_order_of_the_candidates(depth: int) -> None:
    """Also where a place is the last that is re-ranked: articles that tie with it are taken, too."""
    scores = torch.tensor([[2.0, 1.0, 1.0, 1.0, 0.9, 0.9], [1.0, 1.0, 1.0, 1.0, 1.0, -torch.inf]])
    unit = torch.eye(4)
    content = unit[torch.tensor([[0, 1, 1, 2, 1, 3], [0, 0, 1, 2, 3, 3]])]
    found = marginal_relevance(scores, content, 0.5, depth)
    assert found[0, 1] == found[0, 2] == 1.0
    for seed in range(20):
        order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(marginal_relevance(scores[:, order], content[:, order], 0.5, depth), found[:, order])
