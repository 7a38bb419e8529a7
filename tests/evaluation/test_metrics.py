"""Ranking metrics against numbers worked out by hand and against every order that ties allow."""

from itertools import pairwise, permutations
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec.evaluation.metrics import auc, hit, mrr, ndcg, rank

METRICS = {
    "auc": auc,
    "mrr": mrr,
    "ndcg_at_1": lambda ranked: ndcg(ranked, 1),
    "ndcg_at_3": lambda ranked: ndcg(ranked, 3),
    "ndcg_at_10": lambda ranked: ndcg(ranked, 10),
    "hit_at_1": lambda ranked: hit(ranked, 1),
    "hit_at_3": lambda ranked: hit(ranked, 3),
}


def one(scores, clicked, mask=None):
    scores, clicked = np.array([scores], float), np.array([clicked], bool)
    return rank(scores, clicked, np.ones(scores.shape, bool) if mask is None else np.array([mask], bool))


def in_order(metric: str, clicked: list[bool]) -> float:
    """The metric of a list without ties, in words of its definition."""
    ranks = [r for r, c in enumerate(clicked, 1) if c]
    k = int(metric.rsplit("_", 1)[-1]) if "_at_" in metric else len(clicked)
    if metric == "auc":
        pairs = [(p, n) for p in ranks for n, c in enumerate(clicked, 1) if not c]
        return sum(p < n for p, n in pairs) / len(pairs)
    if metric == "mrr":
        return 1 / ranks[0]
    if metric.startswith("hit"):
        return float(ranks[0] <= k)
    best = sum(1 / log2(r + 1) for r in range(1, min(len(ranks), k) + 1))
    return sum(1 / log2(r + 1) for r in ranks if r <= k) / best


def test_metrics_by_hand():
    ranked = one([0.1, 0.9, 0.5, 0.3], [True, False, True, False])  # clicked stand at ranks 2 and 4
    assert auc(ranked) == pytest.approx([1 / 4])
    assert mrr(ranked) == pytest.approx([1 / 2])
    assert ndcg(ranked, 10) == pytest.approx([(1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3))])
    assert ndcg(ranked, 2) == pytest.approx([(1 / log2(3)) / (1 + 1 / log2(3))])
    assert hit(ranked, 1).tolist() == [0.0]
    assert hit(ranked, 2).tolist() == [1.0]


def test_a_constant_scorer_gets_the_expectation_of_a_random_order():
    clicked = [True, False, True, False, False]
    ranked = one([0.0] * 5, clicked)
    assert auc(ranked).tolist() == [0.5]
    orders = list(permutations(clicked))
    for name, metric in METRICS.items():
        assert metric(ranked)[0] == pytest.approx(np.mean([in_order(name, list(o)) for o in orders])), name
    assert hit(ranked, 3)[0] == pytest.approx(1 - 1 / 10)  # the only miss: all of the three places unclicked
    assert mrr(ranked)[0] == pytest.approx(4 / 10 + 3 / 10 / 2 + 2 / 10 / 3 + 1 / 10 / 4)


@pytest.mark.parametrize("clicked", [[False, False, False], [True, True, True]])
def test_without_a_click_or_without_a_miss_nothing_is_defined(clicked):
    for name, metric in METRICS.items():
        assert np.isnan(metric(one([3.0, 2.0, 1.0], clicked))).all(), name


def test_padding_never_counts_however_it_scored():
    bare = one([2.0, 1.0, 0.5], [False, True, False])
    padded = one([9.0, 2.0, 1.0, np.nan, 0.5, -np.inf], [True, False, True, True, False, False], [0, 1, 1, 0, 1, 0])
    for name, metric in METRICS.items():
        assert metric(padded) == pytest.approx(metric(bare)), name
    assert padded.order[0, :3].tolist() == [1, 2, 4]


def test_a_real_article_scored_minus_infinity_still_ranks_above_padding():
    ranked = one([-np.inf, 1.0, 0.0], [True, False, False], [1, 1, 0])
    assert ranked.order[0, :2].tolist() == [1, 0]
    assert mrr(ranked) == pytest.approx([1 / 2])


lists = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(lists, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_metrics_equal_the_mean_over_every_order_that_ties_allow(batch, random):
    width = max(map(len, batch)) + 1
    scores, clicked, mask = np.zeros((len(batch), width)), *np.zeros((2, len(batch), width), bool)
    for b, items in enumerate(batch):
        for column, (score, click) in zip(random.sample(range(width), len(items)), items, strict=True):
            scores[b, column], clicked[b, column], mask[b, column] = score, click, True
    ranked = rank(scores, clicked, mask)
    for b, items in enumerate(batch):
        orders = {p for p in permutations(range(len(items))) if _falls([items[i][0] for i in p])}
        labels = [[items[i][1] for i in p] for p in orders]
        for name, metric in METRICS.items():
            value = metric(ranked)[b]
            if len({label for _, label in items}) == 1:
                assert np.isnan(value)
            else:
                assert value == pytest.approx(np.mean([in_order(name, order) for order in labels])), name


def _falls(scores: list[int]) -> bool:
    return all(a >= b for a, b in pairwise(scores))
