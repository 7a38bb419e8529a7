"""The pure function: which articles may be shown, and that the answer, the log and the scores agree."""

from collections import Counter
from typing import Any

import pytest

from newsrec import catalogue as catalogues
from newsrec import events
from newsrec.artifact import Artifact, create
from newsrec.features import HOUR, ReaderState, article_key, feature_hash
from newsrec.registry import REGISTRY
from newsrec.slate import SlateConfig
from newsrec.transitions import Readers
from serving.live_articles import without_counts
from serving.recommend import Decision, ServingConfig, Shelf, UnknownArticles, Visit, recommend, shortlist
from serving.schema import SlateRequest
from serving.stored_readers import unknown_reader
from tests.serving import small_log

NOW = 1_700_000_000_000_000
CATALOGUE = catalogues.from_articles(small_log.articles(NOW))
GREEDY = ServingConfig(SlateConfig("greedy"))


def shelf(**clicks: float) -> Shelf:
    """The small log's articles; ``clicks`` by article, counted up to NOW."""
    empty = without_counts(CATALOGUE)
    for article, count in clicks.items():
        (row,) = empty.catalogue.rows([article])
        empty.counts[row], empty.as_of[row] = [count, count, 10 * count, 0.0], NOW
    return empty


def popularity() -> Artifact:
    entry = REGISTRY["popularity"]
    return create("popularity", entry.policy(entry.config(), CATALOGUE.articles.num_rows), CATALOGUE)


def reader(*read: str) -> Readers:
    state = ReaderState()
    for number, article in enumerate(read):
        state.observe("click", article_key(article), NOW - HOUR + number * 1_000_000, None)
    return Readers.from_rows([state.row()])


POPULARITY = popularity()


def decide(on: Shelf, known: Readers | None = None, config: ServingConfig = GREEDY, **request: Any) -> Decision:
    seed = request.pop("draw", 0)
    known = unknown_reader() if known is None else known
    visit = Visit(SlateRequest(user_id="ann", **request), "r1", "ann", known, False, NOW)
    return recommend(visit, on, POPULARITY, config, b"%d" % seed)


def test_candidates_are_the_live_articles_newest_first() -> None:
    assert decide(shelf()).candidates == [*(f"a{i:02}" for i in reversed(range(40))), "wrong"]


@pytest.mark.parametrize(
    ("request_", "read", "missing"),
    [
        ({}, (), {"old", "gone", "next"}),
        ({"exclude": ["a39", "a38", "nowhere"]}, (), {"a39", "a38"}),
        ({}, ("a39", "a01", "nowhere"), {"a39", "a01"}),
        ({"candidates": ["a39", "old", "gone", "next", "a38", "a37"]}, ("a37",), {"old", "gone", "next", "a37"}),
        ({"candidates": ["a39", "a38"], "exclude": ["a38"]}, (), {"a38"}),
        ({"time": NOW - 2 * HOUR}, (), {"a39", "a38", "gone", "next"}),
        ({"time": NOW - 3 * HOUR}, (), {"a37", "gone"}),  # withdrawn since then: not even when asked for that time
    ],
)
def test_never_shown(request_: dict[str, Any], read: tuple[str, ...], missing: set[str]) -> None:
    decision = decide(shelf(), reader(*read), k=100, **request_)
    assert decision.candidates
    assert set(decision.slate) == set(decision.candidates)
    assert not missing & set(decision.candidates)


def test_an_article_is_shown_from_its_publication_until_it_expires() -> None:
    published, life = NOW - 20 * HOUR - HOUR // 2, 72 * HOUR  # a00
    for time, shown in [
        (published - 1, False),
        (published, True),
        (published + life - 1, True),
        (published + life, False),
    ]:
        for named in ({}, {"candidates": ["a00", "a39"]}):
            assert ("a00" in decide(shelf(), time=time, k=100, **named).candidates) == shown


def test_unknown_candidates_are_named() -> None:
    with pytest.raises(UnknownArticles, match=r"candidates: x, y unknown \(2 of 3\)"):
        decide(shelf(), candidates=["x", "a01", "y", "x"])


def test_nothing_left_is_an_empty_slate() -> None:
    decision = decide(shelf(), candidates=["old"])
    assert (decision.slate, decision.candidates, decision.answer()["slate"]) == ([], [], [])


def test_too_many_articles_become_the_newest_half_and_then_the_most_clicked() -> None:
    rows = [{"article_id": f"b{i:03}", "published_at": NOW - i * 1_000_000} for i in range(600)]
    crowd = without_counts(catalogues.from_articles(events.from_rows("articles", rows)))
    crowd.as_of[:] = NOW
    clicks = dict(zip(range(300, 600), range(1, 301), strict=True))  # the older, the more clicks
    for i, count in clicks.items():
        crowd.counts[crowd.catalogue.rows([f"b{i:03}"])[0]] = [0.0, count, 0.0, 0.0]
    visit = Visit(SlateRequest(user_id="u"), "r1", "u", unknown_reader(), False, NOW)
    found = [crowd.catalogue.ids[row] for row in shortlist(visit, crowd, ServingConfig())]
    assert found == [f"b{i:03}" for i in range(250)] + [f"b{i:03}" for i in reversed(range(350, 600))]


def test_slate_scores_and_propensities_belong_together() -> None:
    on, config = shelf(a07=50.0, a21=20.0), ServingConfig(SlateConfig("epsilon", epsilon=0.4))
    decisions = [decide(on, config=config, k=3, candidates=["a20", "a07", "a21"], draw=n) for n in range(20)]
    ranked = ["a07", "a21", "a20"]  # by clicks
    for decision in decisions:
        for position, article in enumerate(decision.slate):
            left = [a for a in ranked if a not in decision.slate[:position]]
            expected = 0.6 * (article == left[0]) + 0.4 / len(left)
            assert decision.propensities[position] == pytest.approx(expected)
    scores = {article: score for d in decisions for article, score in zip(d.slate, d.scores, strict=True)}
    assert sorted(scores, key=lambda article: -scores[article]) == ranked
    assert len({tuple(d.slate) for d in decisions}) > 1
    assert all(scores[a] == s for d in decisions for a, s in zip(d.slate, d.scores, strict=True))


def test_features_refer_to_the_time_that_the_request_names() -> None:
    on, later = shelf(a07=50.0, a21=20.0), NOW + 5 * HOUR
    asked = decide(on, k=5, time=later)
    visit = Visit(SlateRequest(user_id="ann", k=5), "r1", "ann", unknown_reader(), False, later)
    then = recommend(visit, on, POPULARITY, GREEDY, b"")
    assert (asked.slate, asked.scores) == (then.slate, then.scores)
    assert asked.scores != decide(on, k=5).scores


def test_an_answer_without_the_store_says_so() -> None:
    visit = Visit(SlateRequest(user_id="ann"), "r1", "ann", unknown_reader(), True, NOW)
    answer = recommend(visit, shelf(), POPULARITY, GREEDY, b"").answer()
    assert (answer["degraded"], answer["cold"]) == (True, True)


def test_an_unknown_reader_gets_what_is_clicked_now() -> None:
    decision = decide(shelf(a30=40.0, a11=30.0, a12=20.0), k=3)
    assert decision.slate == ["a30", "a11", "a12"]
    assert decision.cold
    assert not decide(shelf(), reader("a01")).cold


def test_one_seed_one_slate_and_frequencies_match_propensities() -> None:
    config = ServingConfig(SlateConfig("epsilon", epsilon=0.4))
    draws = [decide(shelf(a07=50.0), config=config, k=1, candidates=["a07", "a08", "a09"], draw=n) for n in range(600)]
    again = decide(shelf(a07=50.0), config=config, k=1, candidates=["a07", "a08", "a09"], draw=7)
    assert again.slate == draws[7].slate
    propensity = {d.slate[0]: d.propensities[0] for d in draws}
    assert propensity == pytest.approx({"a07": 0.6 + 0.4 / 3, "a08": 0.4 / 3, "a09": 0.4 / 3})
    counts = Counter(d.slate[0] for d in draws)
    chi_square = sum((counts[a] - 600 * p) ** 2 / (600 * p) for a, p in propensity.items())
    assert chi_square < 13.8  # 2 degrees of freedom, p = 0.001; the draws are seeded


def test_the_log_row_is_what_was_answered() -> None:
    config = ServingConfig(SlateConfig("plackett_luce"))
    context = {"device": "phone", "utc_offset_minutes": 60}
    decision = decide(shelf(), config=config, k=5, context=context, time=NOW - 7)
    answer, row = decision.answer(), decision.event()
    events.validate(events.from_rows("recommendations", [row]), "recommendations")
    assert [(s["article_id"], s["propensity"]) for s in answer["slate"]] == list(
        zip(row["slate"], row["propensities"], strict=True)
    )
    assert [s["position"] for s in answer["slate"]] == [0, 1, 2, 3, 4]
    assert row["context"] == {"device": "phone", "surface": None, "locale": None, "utc_offset_minutes": 60}
    assert (row["request_id"], row["user_id"], row["time"]) == ("r1", "ann", NOW - 7)
    assert (row["policy"], row["policy_version"], row["feature_version"]) == (
        "popularity",
        POPULARITY.version,
        feature_hash(),
    )
    assert "degraded" not in answer
    assert (row["experiment"], row["arm"]) == (None, None)


def test_sessions_are_the_callers_or_half_hours_of_a_reader() -> None:
    half_hour = HOUR // 2
    start = NOW // half_hour * half_hour
    sessions = [decide(shelf(), time=start + t).event()["session_id"] for t in (0, half_hour - 1, half_hour)]
    assert sessions[0] == sessions[1] != sessions[2]
    assert decide(shelf(), context={"session_id": "mine"}).event()["session_id"] == "mine"
