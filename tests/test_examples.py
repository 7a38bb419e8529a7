"""Slates side by side: whose they are, who chose them, and what is told of each article."""

import numpy as np
import pytest
import torch

from newsrec.artifact import Artifact
from newsrec.catalogue import from_articles
from newsrec.decisions import Decisions
from newsrec.examples import ExamplesConfig, examples
from newsrec.registry import REGISTRY
from tests.evaluation.logs import ByFate, ByIdentity, ByWorth, article, build_log, decision, decisions_of, random_log
from tests.test_judging import hand_made

SCRIPT = "<script>alert('a')</script>"


def small() -> Decisions:
    """ann is new, then has read a0 and a4."""
    articles = [article(i, title=SCRIPT if i == 5 else f"title {i}", category="news") for i in range(7)]
    rows = [
        decision("r0", "ann", 0.1, "0145", clicks="04"),
        decision("r1", "ann", 2.5, "5612", clicks="6", others="3"),
    ]
    return decisions_of(build_log([*articles, article(7)], rows))


def told(decisions: Decisions, first, second, rows=(0, 1), **settings) -> dict:
    judged = {"first": hand_made(first, decisions), "second": hand_made(second, decisions)}
    return examples(decisions, np.array(rows), judged, "first", "second", ExamplesConfig(**settings))


def test_each_policy_orders_the_candidates_of_the_logged_request() -> None:
    found = told(small(), ByWorth(), ByFate())
    new, occasional = found["examples"]
    assert [one["reader"] for one in found["examples"]] == ["new readers", "occasional readers"]
    assert (occasional["reads"], occasional["candidates"]) == (2, 5)
    titles = {name: [a["title"] for a in slate["articles"]] for name, slate in occasional["slates"].items()}
    assert titles["first"] == ["title 6", SCRIPT, "title 3", "title 2", "title 1"]
    assert titles["second"] == titles["first"][::-1]
    assert [a["title"] for a in new["slates"]["first"]["articles"]][:2] == [SCRIPT, "title 4"]


def test_what_the_log_says_of_an_article_stands_beside_it() -> None:
    slate = told(small(), ByWorth(), ByFate())["examples"][1]["slates"]["first"]["articles"]
    assert [a["logged"] for a in slate] == ["shown at 2, clicked", "shown at 1", "", "shown at 4", "shown at 3"]
    assert {a["category"] for a in slate} == {"news"}
    assert {a["hours_old"] for a in slate} == {3.5}


def test_kinds_of_readers_that_nobody_is_are_named() -> None:
    found = told(small(), ByWorth(), ByFate(), rows=[1])
    assert [one["reader"] for one in found["examples"]] == ["occasional readers"]
    assert [sentence.partition(" (")[0] for sentence in found["left_out"]] == [
        "No decision of new readers",
        "No decision of heavy readers",
    ]


def test_reads_that_spoke_for_an_article_are_named_by_their_title() -> None:
    found = told(small(), ByIdentity(8), ByWorth())
    drove = found["examples"][1]["slates"]["first"]
    assert drove["note"] is None
    named = [read for a in drove["articles"] for read in a["reads"]]
    assert {read["title"] for read in named} <= {"title 0", "title 4"}
    assert named
    assert all(0 < read["share"] <= 1 for read in named)
    assert found["examples"][1]["slates"]["second"]["note"] == "This policy does not look at what a reader has read."
    assert found["examples"][0]["slates"]["first"]["note"].startswith("Nothing was read before")


def test_the_read_that_is_like_an_article_drives_it_in_a_network() -> None:
    decisions, entry = small(), REGISTRY["transformer"]
    policy = entry.policy(entry.config(), 8)
    with torch.no_grad():
        policy.article.identity.weight.zero_()
        rows = decisions.catalogue.rows(["a0", "a4", "a6"])
        policy.article.identity.weight[rows[0]] = torch.ones(64)
        policy.article.identity.weight[rows[2]] = torch.ones(64)
        policy.article.identity.weight[rows[1]] = -torch.ones(64)
    found = told(decisions, policy, ByWorth())["examples"][1]["slates"]["first"]["articles"]
    (alike,) = [a for a in found if a["title"] == "title 6"]
    assert alike["reads"][0]["title"] == "title 0"
    assert all(a["move"] is None for a in found)


def test_a_policy_with_values_says_how_it_moved_an_article() -> None:
    decisions, entry = small(), REGISTRY["dqn"]
    slate = told(decisions, entry.policy(entry.config(), 8), ByWorth())["examples"][1]["slates"]["first"]["articles"]
    assert [a["move"]["rank"] for a in slate] == [1, 2, 3, 4, 5]
    assert sorted(a["move"]["click_rank"] for a in slate) == [1, 2, 3, 4, 5]


def test_the_seed_alone_chooses_the_decisions() -> None:
    decisions = decisions_of(random_log(2))
    rows = np.arange(100, 300)
    times = {
        seed: [e["time"] for e in told(decisions, ByWorth(), ByFate(), rows, seed=seed)["examples"]] for seed in (0, 1)
    }
    assert times[0] == [e["time"] for e in told(decisions, ByWorth(), ByFate(), rows, seed=0)["examples"]]
    assert times[0] != times[1]


def test_an_article_without_title_is_named_by_its_id() -> None:
    rows = [decision("r0", "ann", 0.1, "7", clicks="7"), decision("r1", "bob", 0.2, "70")]
    decisions = decisions_of(build_log([article(0, title="zero"), article(7)], rows))
    slate = told(decisions, ByWorth(), ByFate(), size=1)["examples"][0]["slates"]["first"]["articles"]
    assert [a["title"] for a in slate] == ["untitled article a7"]


def test_an_artefact_sees_the_candidates_by_its_own_numbers() -> None:
    log = random_log(3)
    decisions = decisions_of(log)
    older: Artifact = hand_made(ByIdentity(40), decisions)._replace(catalogue=from_articles(log.articles.slice(5, 40)))
    judged = {"older": older, "worth": hand_made(ByWorth(), decisions)}
    (found,) = examples(decisions, np.array([250]), judged, "older", "worth")["examples"]
    seen = decisions.numbered_by(older.catalogue)
    batch = seen.batch(np.array([250]))
    best = int(older.policy.scores(batch.state, batch.candidates).argmax())  # type: ignore[union-attr]
    offered = decisions.candidate.values[decisions.candidate.offsets[250] :]
    expected = decisions.catalogue.ids[offered[best]]
    assert found["slates"]["older"]["articles"][0]["title"] == f"untitled article {expected}"


@pytest.mark.parametrize("size", [1, 3])
def test_a_slate_is_as_long_as_it_is_told(size: int) -> None:
    found = told(small(), ByWorth(), ByFate(), size=size)
    assert [len(slate["articles"]) for one in found["examples"] for slate in one["slates"].values()] == [size] * 4
