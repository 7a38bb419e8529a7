"""Snapshots against the fold of one reader, brute-force decay, and a log that has forgotten what came later."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec.events import HISTORY_TIME_MADE_UP, IMPORTED_POLICY, EventLog, microseconds
from newsrec.features import (
    HOUR,
    POPULARITY_HALF_LIFE_HOURS,
    ReaderState,
    article_key,
    pack_embedding,
    unpack_history,
)
from newsrec.snapshots import (
    article_moments,
    article_snapshots,
    decision_moments,
    latest,
    point_in_time,
    reader_snapshots,
)
from tests.logs import MINUTE, MONDAY, SECOND, article, decision, event, log, logs

EIGHT = MONDAY + 8 * HOUR
SNAPSHOTS = pa.schema([("key", pa.string()), ("event_timestamp", pa.timestamp("us", tz="UTC"))])


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """``event_timestamp`` as microseconds."""
    column = table.schema.get_field_index("event_timestamp")
    return table.set_column(column, "event_timestamp", table["event_timestamp"].cast(pa.int64())).to_pylist()


def read_articles(row: dict[str, Any], articles: str = "abcde") -> str:
    names = {article_key(a): a for a in articles}
    return "".join(names[key] for key in unpack_history(row["history"])["key"].tolist())


def test_each_moment_of_arrival_is_one_row() -> None:
    feedback = [
        event("r", "u", "click", "a", EIGHT, received_at=EIGHT + HOUR),
        event("r", "u", "click", "b", EIGHT + MINUTE, received_at=EIGHT + HOUR),
        event("r", "u", "leave", None, EIGHT + MINUTE, received_at=EIGHT + 2 * HOUR),
        event("r2", "v", "click", "b", EIGHT, received_at=EIGHT + HOUR),
    ]
    decisions = [decision("r", "u", EIGHT, "ab"), decision("r2", "v", EIGHT, "ab")]
    first, second, other = rows(reader_snapshots(log([article("a"), article("b")], decisions, feedback)))
    assert [first["user_id"], second["user_id"], other["user_id"]] == ["u", "u", "v"]
    assert [first["event_timestamp"], second["event_timestamp"]] == [EIGHT + HOUR, EIGHT + 2 * HOUR]
    assert [read_articles(row) for row in (first, second, other)] == ["ab", "ab", "b"]
    assert first["last_seen"] == EIGHT + MINUTE, "when it happened, not when it arrived"


def test_feedback_on_an_unknown_request_is_left_out() -> None:
    feedback = [event("lost", "u", "click", "a", EIGHT), event("r", "u", "click", "b", EIGHT + SECOND)]
    small = log([article("a"), article("b")], [decision("r", "u", EIGHT, "ab")], feedback)
    (row,) = rows(reader_snapshots(small))
    assert read_articles(row) == "b"
    counts = {row["article_id"]: row["clicks_day"] for row in rows(article_snapshots(small))}
    assert counts["a"] == 0.0 < counts["b"]


@pytest.mark.parametrize(("flags", "sessions", "clicks"), [((HISTORY_TIME_MADE_UP,), 0, 0), ((), 1, 1)])
def test_imported_reads_with_a_made_up_clock_count_only_as_reads(flags: tuple, sessions: int, clicks: int) -> None:
    imported = decision("h", "u", EIGHT, "a", policy=IMPORTED_POLICY)
    small = log([article("a")], [imported], [event("h", "u", "click", "a", EIGHT)], flags)
    (row,) = rows(reader_snapshots(small))
    assert (row["reads"], row["sessions"], row["active_days"]) == (1, sessions, sessions)
    assert read_articles(row) == "a"
    counted = [row for row in rows(article_snapshots(small)) if row["clicks_day"]]
    assert len(counted) == clicks
    assert decision_moments(small).num_rows == article_moments(small).num_rows == 0


def test_imported_reads_with_a_made_up_clock_are_one_row() -> None:
    decisions = [decision("h", "u", MONDAY, "abc", policy=IMPORTED_POLICY), decision("r", "u", EIGHT, "d")]
    reads = [event("h", "u", "click", a, MONDAY + i * MINUTE) for i, a in enumerate("abc")]
    feedback = [*reads, event("r", "u", "click", "d", EIGHT), event("r", "u", "leave", None, EIGHT + SECOND)]
    articles = [article(a) for a in "abcd"]
    made_up = rows(reader_snapshots(log(articles, decisions, feedback, (HISTORY_TIME_MADE_UP,))))
    assert [(row["event_timestamp"], read_articles(row)) for row in made_up] == [
        (MONDAY + 2 * MINUTE, "abc"),
        (EIGHT, "abcd"),
        (EIGHT + SECOND, "abcd"),
    ]
    assert [read_articles(row) for row in rows(reader_snapshots(log(articles, decisions, feedback)))][:2] == ["a", "ab"]


def test_the_day_of_a_reader_comes_from_the_context_of_the_request() -> None:
    decisions = [decision("r", "u", MONDAY, "a", context={"utc_offset_minutes": -60}), decision("s", "v", MONDAY, "a")]
    feedback = [event("r", "u", "click", "a", MONDAY), event("s", "v", "click", "a", MONDAY)]
    west, utc = rows(reader_snapshots(log([article("a")], decisions, feedback)))
    assert utc["last_day"] - west["last_day"] == 1


@settings(max_examples=50, deadline=None)
@given(logs(), st.data())
def test_snapshots_are_the_fold_that_the_collector_makes_event_by_event(log: EventLog, data: Any) -> None:
    known = {row["request_id"]: row for row in log.recommendations.to_pylist()}
    arrivals = sorted(log.feedback.to_pylist(), key=lambda row: (row["user_id"], row["received_at"], row["event_id"]))
    times = dict(zip(log.feedback["event_id"].to_pylist(), microseconds(log.feedback["time"]).tolist(), strict=True))
    stored: dict[str, dict] = {}
    expected = {}
    for row in arrivals:
        state = ReaderState.from_row(stored[row["user_id"]]) if row["user_id"] in stored else ReaderState()
        key = row["article_id"] and article_key(row["article_id"])
        offset = known[row["request_id"]]["context"]["utc_offset_minutes"]
        state.observe(row["kind"], key, times[row["event_id"]], row["dwell_seconds"], offset)
        stored[row["user_id"]] = expected[row["user_id"], row["received_at"]] = state.row()
    snapshots = reader_snapshots(log)
    moments = zip(snapshots["user_id"].to_pylist(), snapshots["event_timestamp"].to_pylist(), strict=True)
    values = snapshots.drop_columns(["user_id", "event_timestamp"]).to_pylist()
    assert dict(zip(moments, values, strict=True)) == expected
    assert snapshots.num_rows == len(expected)


@settings(max_examples=50, deadline=None)
@given(logs())
def test_hourly_counts_are_the_decayed_sum_of_all_that_arrived_before(log: EventLog) -> None:
    feedback = []
    for row, received in zip(log.feedback.to_pylist(), microseconds(log.feedback["received_at"]), strict=True):
        if row["kind"] in ("click", "impression"):
            feedback.append((row["article_id"], row["kind"], received, 1.0))
        elif row["kind"] == "dwell" and row["dwell_seconds"]:
            feedback.append((row["article_id"], "dwell", received, min(row["dwell_seconds"], 900.0)))
    published = dict(
        zip(log.articles["article_id"].to_pylist(), microseconds(log.articles["published_at"]), strict=True)
    )
    moments = {(a, (received // HOUR + 1) * HOUR) for a, _, received, _ in feedback}
    moments |= {
        (a, time) for a, time in published.items() if all(time <= first for b, _, first, _ in feedback if b == a)
    }
    snapshots = rows(article_snapshots(log))
    assert [(row["article_id"], row["event_timestamp"]) for row in snapshots] == sorted(moments)
    for row in snapshots:
        assert row["as_of"] == row["event_timestamp"]
        assert row["published_at"] == published[row["article_id"]]
        for name, half_life in POPULARITY_HALF_LIFE_HOURS.items():
            amounts = [
                amount * 0.5 ** ((row["as_of"] - received) / HOUR / half_life)
                for a, kind, received, amount in feedback
                if a == row["article_id"] and received < row["as_of"] and name.startswith(kind)
            ]
            assert row[name] == pytest.approx(sum(amounts), rel=1e-5, abs=1e-9)


def test_an_arrival_on_the_full_hour_is_counted_an_hour_later() -> None:
    small = log([article("a")], [decision("r", "u", EIGHT, "a")], [event("r", "u", "click", "a", EIGHT)])
    published, counted = rows(article_snapshots(small))
    assert (published["event_timestamp"], published["clicks_hour"]) == (MONDAY, 0.0)
    assert (counted["event_timestamp"], counted["clicks_hour"]) == (EIGHT + HOUR, 0.5)
    assert counted["clicks_day"] == pytest.approx(2.0 ** (-1 / 24))


def test_an_article_without_feedback_has_one_row_at_publication() -> None:
    embedding = [0.5] * 64
    small = log([article("a", EIGHT + 1, embedding=embedding), article("b")], [decision("r", "u", EIGHT, "ab")], [])
    first, second = rows(article_snapshots(small))
    zeros = {"clicks_hour": 0.0, "clicks_day": 0.0, "impressions_day": 0.0, "dwell_day": 0.0}
    moment = {"event_timestamp": EIGHT + 1, "published_at": EIGHT + 1, "as_of": EIGHT + 1}
    assert first == {"article_id": "a", "embedding": pack_embedding(np.array(embedding)), **moment, **zeros}
    assert second["embedding"] is None


def test_feedback_before_publication_starts_the_rows() -> None:
    click = event("r", "u", "click", "a", EIGHT + MINUTE)
    small = log([article("a", EIGHT + 3 * HOUR)], [decision("r", "u", EIGHT, "a")], [click])
    assert [row["event_timestamp"] for row in rows(article_snapshots(small))] == [EIGHT + HOUR]


@settings(max_examples=50, deadline=None)
@given(logs(), st.integers(-HOUR, 60 * HOUR).map(lambda after: MONDAY + after // (7 * MINUTE) * 7 * MINUTE))
def test_no_row_changes_when_what_arrived_later_is_deleted(log: EventLog, moment: int) -> None:
    arrived = microseconds(log.feedback["received_at"]) <= moment
    shortened = log._replace(feedback=log.feedback.filter(pa.array(arrived)))
    for snapshots in (reader_snapshots, article_snapshots):
        whole, short = (
            table.filter(pa.array(microseconds(table["event_timestamp"]) <= moment))
            for table in (snapshots(log), snapshots(shortened))
        )
        assert whole.equals(short)


def test_a_decision_does_not_see_an_outcome_that_is_stamped_like_itself() -> None:
    decisions = [decision("r", "u", EIGHT, "a"), decision("s", "u", EIGHT + SECOND, "b")]
    feedback = [event("r", "u", "click", "a", EIGHT), event("s", "u", "impression", "b", EIGHT + SECOND)]
    small = log([article("a"), article("b")], decisions, feedback)
    first, second = point_in_time(decision_moments(small), reader_snapshots(small), "user_id").to_pylist()
    assert (first["row_id"], first["history"], first["sessions"]) == ("r", None, None)
    assert (second["row_id"], read_articles(second), second["last_seen"]) == ("s", "a", EIGHT)


snapshot_rows = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6)), max_size=20)
wanted_rows = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-1, 7)), max_size=20)


@settings(deadline=None)
@given(snapshot_rows, wanted_rows)
def test_latest_is_the_last_row_at_or_before_the_moment(stored: list, wanted: list) -> None:
    table = pa.table({"key": [a for a, _ in stored], "event_timestamp": [t for _, t in stored]}, schema=SNAPSHOTS)
    found = latest(
        table, "key", pa.array([a for a, _ in wanted], pa.string()), np.array([t for _, t in wanted], np.int64)
    )
    for (key, moment), row in zip(wanted, found.tolist(), strict=True):
        known = [(time, number) for number, (a, time) in enumerate(stored) if a == key and time <= moment]
        assert row == (max(known)[1] if known else -1)


def test_point_in_time_gives_nulls_where_nothing_is_known_yet() -> None:
    stored = pa.table(
        {"key": ["a"], "event_timestamp": [5], "value": [1.5]}, schema=SNAPSHOTS.append(pa.field("value", pa.float64()))
    )
    moments = pa.table({"key": ["a", "b", "a"], "event_timestamp": [5, 9, 4]}, schema=SNAPSHOTS)
    joined = point_in_time(moments, stored, "key")
    assert joined["value"].to_pylist() == [1.5, None, None]
    assert microseconds(joined["event_timestamp"]).tolist() == [5, 9, 4], "the moment, not the snapshot's"
    assert point_in_time(moments, stored.slice(0, 0), "key")["value"].to_pylist() == [None] * 3


def test_article_moments_are_each_candidate_at_the_full_hour_before_its_decisions() -> None:
    decisions = [
        decision("r", "u", EIGHT + 59 * MINUTE, "b", "ab"),
        decision("s", "v", EIGHT, "b", "bc"),
        decision("t", "u", EIGHT - 1, "a"),
        decision("h", "u", EIGHT, "d", policy=IMPORTED_POLICY),
    ]
    moments = rows(article_moments(log([article(a) for a in "abcd"], decisions, [])))
    seven = EIGHT - HOUR
    expected = [("a", seven), ("a", EIGHT), ("b", EIGHT), ("c", EIGHT)]
    assert [(row["article_id"], row["event_timestamp"]) for row in moments] == expected
    assert len({row["row_id"] for row in moments}) == 4
