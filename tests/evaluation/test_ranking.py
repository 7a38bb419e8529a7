"""Policies on a log small enough to rank by hand."""

from math import log2

import numpy as np
import pytest
import torch

from newsrec.catalogue import Catalogue
from newsrec.evaluation.ranking import NOTHING, definitions, evaluate, same_list
from newsrec.features import HOUR, article_key
from newsrec.policy import mask_scores
from tests.evaluation.logs import (
    START,
    ByFate,
    ByIdentity,
    ByWorth,
    Constant,
    article,
    build_log,
    decision,
    decisions_of,
    random_log,
    reordered,
    small_log,
)

ALL = np.arange(5)


def keys(*numbers: int) -> list[int]:
    return [article_key(f"a{i}") if i >= 0 else NOTHING for i in numbers]


def test_within_the_impression_only_the_shown_articles_count():
    ranking = evaluate(ByWorth(), decisions_of(small_log()), ALL)
    assert ranking.metrics["impression_auc"] == pytest.approx([1 / 3, 1, np.nan, 1, 0], nan_ok=True)
    assert ranking.metrics["impression_mrr"] == pytest.approx([1 / 3, 1, np.nan, 1, 1 / 3], nan_ok=True)
    last = 1 / log2(4)
    assert ranking.metrics["impression_ndcg_at_5"] == pytest.approx([last, 1, np.nan, 1, last], nan_ok=True)


def test_the_full_ranking_takes_the_pool_of_the_hour_without_what_was_read():
    ranking = evaluate(ByWorth(), decisions_of(small_log()), ALL, k=3)
    assert ranking.lists.tolist() == [
        keys(4, 3, 2),  # the pool of the first hour is 0 to 4: r0 brought 4
        keys(4, 3, 2),
        keys(4, 3, 2),
        keys(7, 6, 5),  # ann has read 1, which stands in the pool 1 5 6 7
        keys(7, 6, 5),
    ]
    assert ranking.metrics["mrr"] == pytest.approx([1 / 4, 1 / 2, np.nan, 1, 1 / 3], nan_ok=True)
    assert ranking.metrics["hit_at_3"] == pytest.approx([0, 1, np.nan, 1, 1], nan_ok=True)
    two = (1 / log2(3) + 1 / log2(4)) / (1 + 1 / log2(3))
    assert ranking.metrics["ndcg_at_3"] == pytest.approx([0, two, np.nan, 1, 1 / 2], nan_ok=True)
    assert ranking.coverage == 6 / 8  # 2 to 7 of 0 to 7: article 1 could stand in the lists of the first hour
    assert ranking.reads.tolist() == [0, 0, 0, 1, 2]


def test_a_list_ends_with_its_pool():
    ranking = evaluate(ByFate(), decisions_of(small_log()), np.array([3, 4]), k=5)
    assert ranking.lists.tolist() == [keys(5, 6, 7, -1, -1), keys(1, 5, 6, 7, -1)]
    assert ranking.coverage == 1.0


def test_an_article_clicked_once_more_stays_in_the_ranking():
    rows = [decision("r0", "ann", 0.1, "01", clicks="0"), decision("r1", "ann", 0.2, "012", clicks="0")]
    ranking = evaluate(ByFate(), decisions_of(build_log([article(i) for i in range(3)], rows)), np.array([1]))
    assert ranking.lists[0, :3].tolist() == keys(0, 1, 2)
    assert ranking.metrics["mrr"].tolist() == [1.0]


def test_articles_not_yet_published_or_withdrawn_are_not_ranked():
    articles = [article(0), article(1, hidden_at=START + HOUR // 2), article(2, published_at=START + HOUR // 2)]
    rows = [decision("r0", "ann", 0.1, "01"), decision("r1", "bob", 0.9, "02")]
    ranking = evaluate(ByWorth(), decisions_of(build_log(articles, rows)), np.array([0, 1]), k=2)
    assert ranking.lists.tolist() == [keys(1, 0), keys(2, 0)]


def test_a_constant_scorer_is_no_better_than_chance():
    ranking = evaluate(Constant(), decisions_of(small_log()), ALL, k=1)
    assert ranking.metrics["hit_at_1"] == pytest.approx([1 / 5, 2 / 5, np.nan, 1 / 3, 1 / 4], nan_ok=True)
    area = evaluate(Constant(), decisions_of(random_log(1)), np.arange(300)).metrics["impression_auc"]
    assert 0 < np.isnan(area).sum() < 100
    assert (area[~np.isnan(area)] == 0.5).all()


def test_metrics_do_not_depend_on_the_order_in_which_slates_were_shown():
    rows = [decision("r0", "ann", 0.1, "0123", clicks="1"), decision("r1", "bob", 0.2, "31240", clicks="32")]
    turned = [decision("r0", "ann", 0.1, "3102", clicks="1"), decision("r1", "bob", 0.2, "02413", clicks="32")]
    articles = [article(i) for i in range(5)]
    for policy in (ByWorth(), Constant(), ByIdentity(5)):
        a, b = (evaluate(policy, decisions_of(build_log(articles, r)), np.array([0, 1])) for r in (rows, turned))
        for name in a.metrics:
            assert a.metrics[name] == pytest.approx(b.metrics[name], nan_ok=True), name


@pytest.mark.parametrize("cells", [1, 700, 10_000])
def test_the_size_of_a_batch_changes_nothing(cells):
    decisions = decisions_of(random_log(2))
    rows = np.arange(40, 300)
    whole, parts = evaluate(ByIdentity(60), decisions, rows), evaluate(ByIdentity(60), decisions, rows, cells=cells)
    for name in whole.metrics:
        assert whole.metrics[name] == pytest.approx(parts.metrics[name], rel=1e-12, nan_ok=True), name
    assert np.array_equal(whole.lists, parts.lists)
    assert whole.coverage == parts.coverage


def test_batches_stay_within_the_cells():
    seen = []

    class Watching(Constant):
        def scores(self, state, candidates):
            seen.append(candidates.mask.numel())
            return super().scores(state, candidates)

    evaluate(Watching(), decisions_of(random_log(2)), np.arange(300), cells=700)
    assert max(seen) <= 700
    assert len(seen) > 20


def test_the_same_list_is_counted_among_other_readers_of_the_hour():
    hour = np.array([0, 0, 0, 0, 1, 1, 2])
    reader = np.array([0, 1, 2, 0, 0, 1, 0])
    lists = np.array([[1, 2], [1, 2], [2, 1], [1, 2], [3, 4], [3, 4], [3, 4]])
    # of the three decisions of readers 0 and 2 in hour 0, reader 1 finds two with the list 1 2; reader 0 has not met
    # themselves; nobody else came in hour 2
    assert same_list(hour, reader, lists) == pytest.approx([1 / 2, 2 / 3, 0, 1 / 2, 1, 1, np.nan], nan_ok=True)


def test_new_articles_are_those_of_the_last_24_hours():
    articles = [article(0, START - 24 * HOUR), article(1, START - 23 * HOUR), article(2, START - 30 * HOUR)]
    rows = [decision("r0", "ann", 0.0, "012"), decision("r1", "bob", 0.5, "012"), decision("r2", "cem", 2.0, "")]
    ranking = evaluate(ByWorth(), decisions_of(build_log(articles, rows)), np.arange(3), k=4)
    assert ranking.metrics["new_at_4"] == pytest.approx([2 / 3, 1 / 3, np.nan], nan_ok=True)


def test_an_artefact_scores_equally_on_logs_with_differently_ordered_articles():
    log = random_log(3)
    trained_on = Catalogue(log.articles.slice(5, 40), 40)
    policy, rows = ByIdentity(40), np.arange(300)
    straight = decisions_of(log).numbered_by(trained_on)
    turned = decisions_of(reordered(log, np.random.default_rng(0).permutation(60))).numbered_by(trained_on)
    for name in ("history_index", "history_content"):
        a, b = (getattr(d.batch(rows).state, name) for d in (straight, turned))
        assert torch.equal(a, b), name
    for part in ("article_index", "content", "age_hours", "popularity", "mask"):
        a, b = (getattr(d.batch(rows).candidates, part) for d in (straight, turned))
        assert torch.equal(a, b), part
    assert straight.batch(rows).candidates.article_index.max() == 40
    assert (straight.batch(rows).candidates.article_index == 0).float().mean() > 0.2
    a, b = evaluate(policy, straight, rows), evaluate(policy, turned, rows)
    for name in a.metrics:
        assert a.metrics[name] == pytest.approx(b.metrics[name], nan_ok=True), name
    assert np.array_equal(a.lists, b.lists)
    assert a.coverage == b.coverage


def test_without_renumbering_an_older_artefact_would_be_misread():
    log = random_log(3)
    misread = evaluate(ByIdentity(60), decisions_of(log), np.arange(300))
    right = evaluate(
        ByIdentity(60), decisions_of(log).numbered_by(Catalogue(log.articles.slice(5), 55)), np.arange(300)
    )
    assert not np.array_equal(misread.metrics["mrr"], right.metrics["mrr"], equal_nan=True)


def test_dropout_is_off_while_a_network_is_judged():
    class Noisy(torch.nn.Module):
        config = None

        def __init__(self):
            super().__init__()
            self.dropout = torch.nn.Dropout(0.5)

        def scores(self, state, candidates):
            return mask_scores(self.dropout(candidates.content[..., 0]), candidates)

    noisy, exact = (evaluate(p, decisions_of(small_log()), ALL) for p in (Noisy().train(), ByWorth()))
    assert noisy.metrics["mrr"] == pytest.approx(exact.metrics["mrr"], nan_ok=True)


def test_a_score_that_is_nan_is_an_error():
    class Broken:
        config = None

        def scores(self, state, candidates):
            return mask_scores(candidates.content[..., 0] / 0.0 * 0.0, candidates)

    with pytest.raises(ValueError, match=r"Broken scored \d+ of 20 candidates NaN"):
        evaluate(Broken(), decisions_of(small_log()), ALL)


def test_nothing_to_evaluate_and_no_list_are_errors():
    decisions = decisions_of(small_log())
    with pytest.raises(ValueError, match="no decisions"):
        evaluate(ByWorth(), decisions, np.array([], int))
    with pytest.raises(ValueError, match="k is 0"):
        evaluate(ByWorth(), decisions, ALL, k=0)


def test_a_decision_without_candidates_has_no_ranking():
    rows = [decision("r0", "ann", 0.1, "01", clicks="0"), decision("r1", "ann", 5.0, "")]
    ranking = evaluate(ByWorth(), decisions_of(build_log([article(0), article(1)], rows)), np.array([0, 1]), k=2)
    assert ranking.lists.tolist() == [keys(1, 0), keys(-1, -1)]
    assert np.isnan(ranking.metrics["mrr"][1])


def test_every_metric_is_defined_in_words():
    ranking = evaluate(ByWorth(), decisions_of(small_log()), ALL, k=7)
    assert [*ranking.metrics, "coverage_at_7"] == sorted([*definitions(7)], key=lambda n: n == "coverage_at_7")
