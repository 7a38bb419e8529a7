"""Slices: who is in them, what their figures are, and that readers are what is resampled."""

from dataclasses import replace

import numpy as np
import pytest

from newsrec.decisions import Decisions
from newsrec.evaluation import slices as module
from newsrec.evaluation.comparison import ComparisonConfig
from newsrec.evaluation.ranking import Ranking, evaluate
from newsrec.evaluation.slices import clicked_articles, slices
from tests.evaluation.logs import ByFate, ByWorth, article, build_log, decision, decisions_of, random_log

QUICK = ComparisonConfig(draws=200)


def categorised() -> Decisions:
    """Sport a0-a3, news a4-a6, and a7 without a category; ann reads twice before her last decision."""
    names = {"sport": range(4), "news": range(4, 7), None: (7,)}
    articles = [article(i, category=name) for name, numbers in names.items() for i in numbers]
    return decisions_of(
        build_log(
            articles,
            [
                decision("r0", "ann", 0.1, "0145", clicks="04"),
                decision("r1", "bob", 0.2, "3217", clicks="7"),
                decision("r2", "cem", 0.3, "012"),
                decision("r3", "ann", 1.1, "567", clicks="5", others="1"),
            ],
        )
    )


@pytest.fixture
def decisions() -> Decisions:
    return categorised()


def judged(decisions: Decisions) -> dict[str, Ranking]:
    rows = np.arange(len(decisions))
    return {"popularity": evaluate(ByFate(), decisions, rows), "best": evaluate(ByWorth(), decisions, rows)}


def by_label(found: dict, group: str) -> dict[str, dict]:
    return {part["slice"]: part for part in found["groups"][group]}


def test_readers_are_told_apart_by_what_was_known_at_the_decision(decisions: Decisions) -> None:
    found = by_label(slices(judged(decisions), decisions, np.arange(4), "popularity", QUICK), "readers")
    assert {label: (part["decisions"], part["readers"]) for label, part in found.items()} == {
        "new readers": (2, 2),  # cem clicked nothing
        "occasional readers": (1, 1),
    }


@pytest.mark.parametrize(("reads", "label"), [(19, "occasional readers"), (20, "heavy readers")])
def test_heavy_begins_at_twenty_reads(decisions: Decisions, reads: int, label: str) -> None:
    rankings = {name: replace(r, reads=np.full(4, reads)) for name, r in judged(decisions).items()}
    assert list(by_label(slices(rankings, decisions, np.arange(4), "best", QUICK), "readers")) == [label]


def test_a_decision_counts_in_each_category_that_was_clicked(decisions: Decisions) -> None:
    found = by_label(slices(judged(decisions), decisions, np.arange(4), "popularity", QUICK), "categories")
    assert {label: (part["decisions"], part["readers"]) for label, part in found.items()} == {
        "news": (2, 1),
        "sport": (1, 1),
        module.UNKNOWN: (1, 1),
    }
    assert next(iter(found)) == "news", "the largest stands first"


def test_figures_are_means_of_the_slice_and_lifts_their_paired_difference(decisions: Decisions) -> None:
    rankings = judged(decisions)
    found = by_label(slices(rankings, decisions, np.arange(4), "popularity", QUICK), "categories")["news"]
    expected = {name: ranking.metrics["ndcg_at_10"][[0, 3]].mean() for name, ranking in rankings.items()}
    assert {name: value["mean"] for name, value in found["policies"].items()} == pytest.approx(expected)
    assert found["lifts"].keys() == {"best"}
    assert found["lifts"]["best"]["mean"] == pytest.approx(expected["best"] - expected["popularity"])


def test_one_reader_has_no_interval_however_many_decisions(decisions: Decisions) -> None:
    found = by_label(slices(judged(decisions), decisions, np.arange(4), "popularity", QUICK), "categories")["news"]
    assert found["policies"]["best"]["low"] is None
    assert found["lifts"]["best"]["high"] is None


def test_intervals_of_more_readers_hold_the_mean() -> None:
    decisions = decisions_of(random_log(1))
    rows = np.arange(100, 300)
    rankings = {"a": evaluate(ByWorth(), decisions, rows), "b": evaluate(ByFate(), decisions, rows)}
    found = slices(rankings, decisions, rows, "b", QUICK)
    lift = by_label(found, "readers")["occasional readers"]["lifts"]["a"]
    assert lift["low"] < lift["mean"] < lift["high"]
    assert lift["low"] > 0, "readers of this log click what is worth most"


def test_clicks_are_found_by_place_and_article(decisions: Decisions) -> None:
    place, rows = clicked_articles(decisions, np.array([3, 0]))
    found = [(int(at), decisions.catalogue.ids[row]) for at, row in zip(place, rows, strict=True)]
    assert sorted(found) == [(0, "a5"), (1, "a0"), (1, "a4")]


def test_only_the_largest_categories_are_told(decisions: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CATEGORIES", 1)
    found = slices(judged(decisions), decisions, np.arange(4), "popularity", QUICK)
    assert list(by_label(found, "categories")) == ["news"]


def test_other_rows_and_an_unknown_baseline_are_refused(decisions: Decisions) -> None:
    with pytest.raises(ValueError, match="judged on other decisions, expected the 3 rows"):
        slices(judged(decisions), decisions, np.arange(3), "popularity", QUICK)
    with pytest.raises(ValueError, match="baseline editor is not among the policies popularity, best"):
        slices(judged(decisions), decisions, np.arange(4), "editor", QUICK)
