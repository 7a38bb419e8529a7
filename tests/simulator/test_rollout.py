"""Simulated logs: valid, reproducible, cut at their end, with true propensities, seen by policies as live ones are."""

import hashlib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from newsrec import catalogue, dataset, events, slate
from newsrec.events import KINDS, EventLog, microseconds
from newsrec.features import HISTORY_LENGTH, HOUR, feature_hash
from newsrec.policy import mask_scores
from newsrec.simulator import recommenders, rollout
from newsrec.simulator.arrival import ArrivalConfig
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import Actor, simulate
from newsrec.simulator.utility import UtilityConfig
from newsrec.slate import SlateConfig
from newsrec.transitions import Candidates, State

CONFIG = SimulationConfig(
    readers=60,
    days=5,
    articles_per_day=40,
    slate_size=6,
    candidates=50,
    seed=4,
    population=PopulationConfig(visits_per_day=1.5),
    utility=UtilityConfig(base=-1.5),
    arrival=ArrivalConfig(late_share=0.3),
)
"""Busy readers, so that histories overflow, and much late feedback."""
SLATE = SlateConfig("plackett_luce", temperature=0.5)
KNOWN = 210
"""Of the 280 articles, those that the acting policy was trained on."""


class Fresh:
    """Prefers what is new and near to the latest read; keeps everything that it was shown."""

    config = None

    def __init__(self) -> None:
        self.seen: list[tuple[State, Candidates]] = []

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        self.seen.append((state, candidates))
        latest = (state.history_mask.sum(1) - 1).clamp(min=0)  # [B]
        taste = state.history_content[torch.arange(len(latest)), latest, None]  # [B, 1, E]
        scores = (taste * candidates.content).sum(2) - candidates.age_hours / 20 + 5 * candidates.popularity[..., 2]
        return mask_scores(scores, candidates)


class Equal:
    """Likes everything alike."""

    config = None

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        return mask_scores(torch.zeros(candidates.mask.shape), candidates)


@pytest.fixture(scope="module")
def log() -> EventLog:
    return simulate(CONFIG)


@pytest.fixture(scope="module")
def policy() -> Fresh:
    return Fresh()


@pytest.fixture(scope="module")
def acted(policy: Fresh, log: EventLog) -> EventLog:
    """A log of ``policy``, which knows three quarters of the articles."""
    known = catalogue.from_articles(log.articles.slice(0, KNOWN))
    return simulate(CONFIG, Actor(policy, SLATE, "fresh", known))


def same(a: EventLog, b: EventLog) -> bool:
    return all(getattr(a, name).equals(getattr(b, name)) for name in events.SCHEMAS)


def test_tables_are_valid_and_hold_nothing_but_the_schema(log: EventLog, acted: EventLog) -> None:
    for one in (log, acted):
        for name, schema in events.SCHEMAS.items():
            table = getattr(one, name)
            assert table.schema.names == schema.names
            assert events.validate(table, name).num_rows > 0
    assert set(log.recommendations["policy"].to_pylist()) == {"random"}
    assert set(acted.recommendations["policy"].to_pylist()) == {"fresh"}
    assert set(log.recommendations["feature_version"].to_pylist()) == {feature_hash()}
    assert log.articles["embedding"].null_count == 0
    found = {kind["values"] for kind in log.feedback["kind"].value_counts().to_pylist()}
    assert found == set(KINDS)


def test_same_seed_same_log_and_another_seed_another(log: EventLog, acted: EventLog) -> None:
    assert same(simulate(CONFIG), log)
    other = simulate(replace(CONFIG, seed=5, days=1))
    assert not set(other.recommendations["request_id"].to_pylist()) & set(log.recommendations["request_id"].to_pylist())
    n = other.articles.num_rows
    assert not other.articles["title"].equals(log.articles["title"].slice(0, n))


def test_batch_size_changes_nothing(acted: EventLog, log: EventLog) -> None:
    actor = Actor(Fresh(), SLATE, "fresh", catalogue.from_articles(log.articles.slice(0, KNOWN)))
    assert same(simulate(replace(CONFIG, batch_size=3), actor), acted)


def test_spans_and_who_is_decided_for_at_once_change_nothing(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommenders, "LONGEST_SPAN_DAYS", 2)
    monkeypatch.setattr(rollout, "READERS_TOGETHER", 7)
    assert same(simulate(CONFIG), log)
    monkeypatch.setattr(recommenders, "READER_DAYS_TOGETHER", 1)
    assert same(simulate(CONFIG), log)


def test_a_seed_gives_the_log_that_it_always_gave(log: EventLog) -> None:
    """A change of the world's laws or draws changes these; one of its speed does not. Times count by the second."""
    columns = {
        "recommendations": ("request_id", "session_id", "context", "candidates", "slate", "propensities", "time"),
        "feedback": ("event_id", "user_id", "article_id", "position", "kind", "time", "received_at"),
    }
    digests = {}
    for name, wanted in columns.items():
        table, digest = getattr(log, name), hashlib.sha256()
        for column in wanted:
            is_time = table.schema.field(column).type == events.TIME
            values = (microseconds(table[column]) // 1_000_000).tolist() if is_time else table[column].to_pylist()
            digest.update(repr(values).encode())
        digests[name] = digest.hexdigest()[:12]
    assert digests == {"recommendations": "4950c621f7bc", "feedback": "71d9ed19f294"}


def test_feedback_arrives_after_it_happens_and_the_end_cuts_the_log(log: EventLog) -> None:
    time, received = microseconds(log.feedback["time"]), microseconds(log.feedback["received_at"])
    assert (time < received).all()
    assert received.max() < CONFIG.end_time
    decided = microseconds(log.recommendations["time"])
    assert CONFIG.start_time <= decided.min() < CONFIG.start_time + HOUR
    assert CONFIG.end_time - HOUR < decided.max() < CONFIG.end_time
    request = events.join(log.recommendations, log.feedback)
    assert (request >= 0).all()
    assert (time > decided[request]).all()
    lateness = received - time
    assert np.mean(lateness > 60_000_000) == pytest.approx(0.3, abs=0.08)
    impressions = pc.sum(pc.equal(log.feedback["kind"], "impression")).as_py()
    shown = pc.sum(pc.list_value_length(log.recommendations["slate"])).as_py()
    assert 0.95 * shown < impressions < shown  # the last ones had not arrived


def test_visits_are_sessions_and_requests_of_a_visit_follow_the_one_before(log: EventLog) -> None:
    """Within a session a request follows the last event of the slate before; sessions lie half an hour apart."""
    rows = log.recommendations.select(["user_id", "session_id", "request_id", "time"]).to_pylist()
    ends: dict[str, int] = {}
    for event in zip(log.feedback["request_id"].to_pylist(), microseconds(log.feedback["time"]).tolist(), strict=True):
        ends[event[0]] = max(ends.get(event[0], 0), event[1])
    times = microseconds(log.recommendations["time"]).tolist()
    last: dict[str, tuple[str, int]] = {}
    several = 0
    for row, time in zip(rows, times, strict=True):
        session, end = last.get(row["user_id"], ("", 0))
        assert time > end + (0 if session == row["session_id"] else 1_800_000_000)
        several += session == row["session_id"]
        last[row["user_id"]] = (row["session_id"], ends.get(row["request_id"], time))
    assert several > 100
    contexts = {(r["user_id"], r["context"]["utc_offset_minutes"]) for r in log.recommendations.to_pylist()}
    assert len(contexts) == len({user for user, _ in contexts})  # a reader stays where they are
    assert len({offset for _, offset in contexts}) > 2


def test_candidates_are_alive_and_not_known_to_be_read(acted: EventLog) -> None:
    published = dict(
        zip(acted.articles["article_id"].to_pylist(), microseconds(acted.articles["published_at"]), strict=True)
    )
    reads: dict[str, list[tuple[int, str]]] = {}
    of_reads = acted.feedback.filter(pc.is_in(acted.feedback["kind"], pa.array(["click", "dwell"])))
    for user, article, received in zip(
        of_reads["user_id"].to_pylist(),
        of_reads["article_id"].to_pylist(),
        microseconds(of_reads["received_at"]),
        strict=True,
    ):
        reads.setdefault(user, []).append((received, article))
    left_out = 0
    times = microseconds(acted.recommendations["time"])
    for row, now in zip(acted.recommendations.to_pylist(), times, strict=True):
        ages = [now - published[a] for a in row["candidates"]]
        assert ages[0] >= 0
        assert ages == sorted(ages)
        assert ages[-1] < 48 * HOUR
        known = {a for received, a in reads.get(row["user_id"], []) if received <= now}
        alive = sorted((now - p, a) for a, p in published.items() if 0 <= now - p < 48 * HOUR)[: CONFIG.candidates]
        if len(known) <= HISTORY_LENGTH:  # a longer past is not all remembered
            assert row["candidates"] == [a for _, a in alive if a not in known]
            left_out += len(alive) - len(row["candidates"])
    assert left_out > 500


def test_without_a_policy_the_log_is_that_of_one_that_likes_everything_alike(log: EventLog) -> None:
    """One goes by days and knows only what was read, the other by hours with all features."""
    actor = Actor(Equal(), SlateConfig("plackett_luce", temperature=2.0))
    reads = pc.value_counts(log.feedback.filter(pc.equal(log.feedback["kind"], "click"))["user_id"])
    assert pc.max(reads.field("counts")).as_py() > HISTORY_LENGTH
    alike = simulate(CONFIG, actor)
    assert alike.feedback.equals(log.feedback)
    assert alike.recommendations.drop(["propensities"]).equals(log.recommendations.drop(["propensities"]))
    found, expected = (pc.list_flatten(x.recommendations["propensities"]).to_numpy() for x in (alike, log))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_uniform_slates_carry_uniform_propensities(log: EventLog) -> None:
    for row in log.recommendations.to_pylist():
        n = len(row["candidates"])
        assert row["propensities"] == pytest.approx([1 / (n - k) for k in range(6)], rel=1e-12)


def test_uniform_slates_show_every_rank_of_the_candidates_equally(log: EventLog) -> None:
    """Position by position, the shown article's place among the candidates, in ten bins of equal probability."""
    full = [r for r in log.recommendations.to_pylist() if len(r["candidates"]) == CONFIG.candidates]
    assert len(full) > 150
    for position in range(6):
        place = np.array([r["candidates"].index(r["slate"][position]) for r in full])
        assert chisquare(np.bincount(place // 5, minlength=10)).pvalue > 1e-3, position


def test_logged_propensities_are_those_of_the_policy_and_slates_are_drawn_with_them(acted: EventLog) -> None:
    """Scores recomputed from the log give the logged propensities; choices fall where these put their probability."""
    batch = dataset.from_log(acted).batch(np.arange(acted.recommendations.num_rows))
    scores = Fresh().scores(batch.state, batch.candidates)
    p = slate.propensities(scores, batch.slate, batch.slate_mask, SLATE)
    np.testing.assert_allclose(p.log(), batch.log_propensity, atol=2e-4)
    first = (scores.double() / SLATE.temperature).softmax(1).sort(1, descending=True)
    rank = (first.indices == batch.slate[:, :1]).int().argmax(1)
    edges = [0, 1, 2, 4, 8, 16, 50]
    seen = [int(((rank >= a) & (rank < b)).sum()) for a, b in pairwise(edges)]
    due = [float(first.values[:, a:b].sum()) for a, b in pairwise(edges)]
    assert min(due) > 20
    assert chisquare(seen, due).pvalue > 1e-3


def arrays(parts: list[tuple[State, Candidates]]) -> dict[str, np.ndarray]:
    """All decisions of ``parts`` as one array a field, in an order that follows from what is in them.

    The second axis is padded to 50, the most reads and candidates.
    """

    def wide(x: Tensor) -> Tensor:
        return x if x.dim() == 1 else torch.nn.functional.pad(x, (*[0, 0] * (x.dim() - 2), 0, 50 - x.shape[1]))

    rows = [[wide(x) for x in (*state, *candidates)] for state, candidates in parts]
    columns = [torch.cat(column).numpy() for column in zip(*rows, strict=True)]
    fields = dict(zip((*State._fields, *Candidates._fields), columns, strict=True))
    fields["popularity"] *= fields["mask"][..., None]
    order = np.lexsort(np.concatenate([fields["context"], fields["age_hours"]], 1).T)
    return {name: column[order] for name, column in fields.items()}


def test_the_policy_saw_what_the_feature_store_would_have_given(policy: Fresh, acted: EventLog) -> None:
    """States and candidates during the simulation equal, number for number, those rebuilt from the finished log."""
    decisions = dataset.from_log(acted)
    batch = decisions.batch(np.arange(len(decisions)))
    live, rebuilt = arrays(policy.seen), arrays([(batch.state, batch.candidates)])
    assert live["context"].shape == rebuilt["context"].shape
    for name in live:
        if name.endswith("index"):  # the policy knew the first KNOWN articles
            np.testing.assert_array_equal(live[name], np.where(rebuilt[name] <= KNOWN, rebuilt[name], 0), name)
            assert 0.2 < (live[name] > 0).mean() < 0.9
        elif name == "popularity":  # stored counts are float32, live ones float64
            np.testing.assert_allclose(live[name], rebuilt[name], rtol=2e-6, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(live[name], rebuilt[name], name)
    assert rebuilt["history_mask"].sum(1).max() == 50


def test_progress_reaches_its_end() -> None:
    calls: list[tuple[int, int]] = []
    simulate(replace(CONFIG, readers=1, days=3), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_newsroom_with_fewer_articles_than_positions_gives_short_slates() -> None:
    log = simulate(replace(CONFIG, readers=20, articles_per_day=1))
    lengths = pc.list_value_length(log.recommendations["slate"]).to_numpy()
    assert lengths.max() <= 3
    assert (lengths == pc.list_value_length(log.recommendations["candidates"]).to_numpy()).all()
    assert events.validate(log.recommendations, "recommendations").num_rows == len(lengths)


def test_a_world_without_any_request_is_an_empty_valid_log() -> None:
    log = simulate(replace(CONFIG, readers=1, days=1, population=PopulationConfig(visits_per_day=1e-9)))
    assert log.recommendations.num_rows == log.feedback.num_rows == 0
    for name in events.SCHEMAS:
        events.validate(getattr(log, name), name)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("readers", 0, "expected 1 or more"),
        ("days", 0, "expected 1 or more"),
        ("slate_size", 51, "expected from 1 to the smaller of candidates and 100"),
        ("candidates", 501, "expected at most 500"),
        ("seed", -1, "expected 0 or more"),
        ("start", "tomorrow", "expected a day such as 2024-03-04"),
        ("start", "1950-01-01", "expected a year from 1971 to 2100"),
    ],
)
def test_impossible_simulation_is_refused_by_name(field: str, value: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is .*{expected}"):
        replace(CONFIG, **{field: value})
