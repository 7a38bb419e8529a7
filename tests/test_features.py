"""What one reader's features are after given events, and how they are packed."""

import struct
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from newsrec import features
from newsrec.config import InvalidConfig
from newsrec.events import KINDS
from newsrec.features import DAY, HISTORY_LENGTH, HOUR, READER_FEATURES, ReaderState, feature_hash
from tests.logs import MINUTE, MONDAY, SECOND

NOON = MONDAY + 12 * HOUR
MONDAY_DAY = MONDAY // DAY


def folded(*events: tuple) -> ReaderState:
    """Events are (kind, key, time), (..., dwell) or (..., dwell, offset in minutes)."""
    state = ReaderState()
    for event in events:
        state.observe(*event[:3], *(event[3:] or (None,)))
    return state


def history(state: ReaderState) -> list[tuple[int, int, float]]:
    """(key, seconds, dwell), as stored."""
    return features.unpack_history(state.row()["history"]).tolist()


def test_a_read_that_arrives_late_takes_its_place_by_read_time() -> None:
    state = folded(("click", 1, NOON), ("click", 2, NOON + 2 * HOUR), ("click", 3, NOON + HOUR))
    noon = NOON // SECOND
    assert history(state) == [(1, noon, 0.0), (3, noon + 3600, 0.0), (2, noon + 7200, 0.0)]


def test_a_second_read_moves_the_article_and_keeps_the_longest_dwell() -> None:
    state = folded(
        ("dwell", 1, NOON, 90.0), ("click", 2, NOON + SECOND), ("click", 1, NOON + HOUR), ("dwell", 1, NOON, 30.0)
    )
    noon = NOON // SECOND
    assert history(state) == [(2, noon + 1, 0.0), (1, noon + 3600, 90.0)]
    assert state.row()["reads"] == 2, "clicks, not dwells"


def test_the_fifty_first_read_evicts_the_oldest() -> None:
    reads = [("click", key, NOON + key * SECOND) for key in range(1, HISTORY_LENGTH + 2)]
    late = folded(*reads, ("click", 99, NOON))
    assert [key for key, _, _ in history(late)] == list(range(2, 52)), "a read older than all fifty changes nothing"
    assert late.row()["reads"] == 52


@pytest.mark.parametrize("kind", ["impression", "like", "share", "comment", "hide", "leave"])
def test_what_is_not_read_is_activity_but_no_read(kind: str) -> None:
    row = folded((kind, None if kind == "leave" else 1, NOON)).row()
    assert (row["history"], row["reads"], row["last_seen"], row["sessions"]) == (b"\x01", 0, NOON, 1)


@pytest.mark.parametrize(("gap", "mask"), [(0, 1), (1, 0b11), (27, 1 << 27 | 1), (28, 1), (29, 1), (100, 1)])
def test_active_days_are_a_window_of_28(gap: int, mask: int) -> None:
    row = folded(("click", 1, NOON), ("click", 2, NOON + gap * DAY)).row()
    assert (row["active_days"], row["last_day"]) == (mask, MONDAY_DAY + gap)


@pytest.mark.parametrize(("late_by", "mask"), [(3, 0b1001), (27, 1 << 27 | 1), (28, 1), (400, 1)])
def test_a_day_becomes_active_when_its_event_arrives_late(late_by: int, mask: int) -> None:
    row = folded(("click", 1, NOON), ("click", 2, NOON - late_by * DAY)).row()
    assert (row["active_days"], row["last_day"], row["last_seen"]) == (mask, MONDAY_DAY, NOON)


@pytest.mark.parametrize(
    ("time", "offset", "day"),
    [
        (MONDAY - 1, 0, -1),
        (MONDAY, 0, 0),
        (MONDAY - 30 * MINUTE, 30, 0),
        (MONDAY - 30 * MINUTE - 1, 30, -1),
        (MONDAY + 5 * HOUR - 1, -300, -1),
        (MONDAY + 5 * HOUR, -300, 0),
        (MONDAY + 15 * HOUR, 540, 1),
    ],
)
def test_days_are_the_readers_own(time: int, offset: int, day: int) -> None:
    assert folded(("click", 1, time, None, offset)).row()["last_day"] == MONDAY_DAY + day


def test_a_journey_west_does_not_take_a_day_back() -> None:
    row = folded(("click", 1, MONDAY + 15 * HOUR, None, 540), ("click", 2, MONDAY + 16 * HOUR, None, -300)).row()
    assert (row["active_days"], row["last_day"]) == (0b11, MONDAY_DAY + 1)


@pytest.mark.parametrize(("silence", "sessions", "gap"), [(30 * MINUTE, 1, 0.0), (30 * MINUTE + 1, 2, 0.5)])
def test_a_session_ends_after_more_than_thirty_silent_minutes(silence: int, sessions: int, gap: float) -> None:
    row = folded(("impression", 1, NOON), ("impression", 1, NOON + silence)).row()
    assert row["sessions"] == sessions
    assert row["gap_hours"] == pytest.approx(gap, abs=1e-6)


def test_the_gap_stays_that_before_the_session_and_late_events_open_none() -> None:
    first, second = NOON, NOON + 7 * HOUR
    row = folded(("click", 1, first), ("click", 2, second), ("click", 3, second + MINUTE), ("click", 4, first)).row()
    assert (row["sessions"], row["gap_hours"], row["last_seen"]) == (2, 7.0, second + MINUTE)


def test_a_read_without_a_clock_is_no_activity() -> None:
    state = ReaderState()
    state.remember("click", 7, NOON, None)
    state.remember("impression", 8, NOON, None)
    assert history(state) == [(7, NOON // SECOND, 0.0)]
    row = state.row()
    assert (row["reads"], row["sessions"], row["active_days"], row["last_seen"]) == (1, 0, 0, None)


def test_a_stored_row_has_the_features_in_order_and_a_new_reader_has_none() -> None:
    row = ReaderState().row()
    assert list(row) == [feature.name for feature in READER_FEATURES]
    assert ReaderState.from_row(dict.fromkeys(row)) == ReaderState() == ReaderState.from_row(row)


events = st.lists(
    st.tuples(
        st.sampled_from(["click", "click", "click", "dwell", "impression", "leave"]),
        st.integers(1, 60),
        st.integers(0, 70 * 24 * 4).map(lambda quarter: NOON + quarter * 15 * MINUTE),
        st.none() | st.floats(0, 1e6, width=32),
        st.sampled_from([-480, 0, 540]),
    ),
    max_size=120,
)
MANY = [("dwell", key % 57 + 1, NOON + key * 7919 % 1000 * MINUTE, key / 3, 0) for key in range(200)]


@settings(deadline=None)
@given(events, st.data())
@example(MANY, None)
def test_folding_on_from_a_stored_row_equals_folding_in_one_go(events: list[tuple], data: Any) -> None:
    cuts = {50, 100, 150} if data is None else data.draw(st.sets(st.integers(0, len(events))))
    whole, stored = ReaderState(), ReaderState()
    for number, event in enumerate(events):
        if number in cuts:
            stored = ReaderState.from_row(stored.row())
        whole.observe(*event)
        stored.observe(*event)
        assert stored.row() == whole.row()


def test_a_read_is_fourteen_bytes_behind_the_version() -> None:
    keys = np.array([2**64 - 1, 5], np.uint64)
    packed = features.pack_history(keys, np.array([NOON // SECOND, 7]), np.array([0.5, 1e9]))
    assert packed == b"\x01" + struct.pack("<QIeQIe", 2**64 - 1, NOON // SECOND, 0.5, 5, 7, 60_000)
    assert features.unpack_history(packed)["key"].tolist() == [2**64 - 1, 5]
    assert len(features.unpack_history(None)) == len(features.unpack_history(b"\x01")) == 0
    with pytest.raises(ValueError, match="version 2, expected 1"):
        features.unpack_history(b"\x02" + packed[1:])


def test_an_embedding_is_little_endian_float32() -> None:
    embedding = np.linspace(-1, 1, features.EMBEDDING_DIM, dtype=np.float32)
    packed = features.pack_embedding(embedding)
    assert packed == struct.pack("<64f", *embedding)
    assert np.array_equal(features.unpack_embedding(packed), embedding)
    assert features.unpack_embedding(None).tolist() == [0.0] * 64


def test_an_article_keeps_its_key_from_release_to_release() -> None:
    assert features.article_key("N55528") == 17215035853596150291
    assert features.article_key("N55529") != 17215035853596150291


@pytest.mark.parametrize(
    ("constant", "value"),
    [
        ("VIEW_VERSION", 3),
        ("HISTORY_LENGTH", 51),
        ("EMBEDDING_DIM", 65),
        ("SESSION_GAP_MINUTES", 31),
        ("ACTIVE_DAYS_WINDOW", 29),
        ("SHOWN_LENGTH", 65),
        ("TYPICAL_DWELL_SECONDS", 31.0),
        ("POPULARITY_HALF_LIFE_HOURS", {**features.POPULARITY_HALF_LIFE_HOURS, "clicks_hour": 2.0}),
        ("READER_FEATURES", features.READER_FEATURES[::-1]),
        ("ARTICLE_FEATURES", features.ARTICLE_FEATURES[1:]),
        ("_HISTORY_VERSION", b"\x02"),
        ("_READ", np.dtype([("key", "<u8"), ("time", "<u4"), ("dwell", "<f4")])),
    ],
)
def test_the_feature_hash_changes_with(constant: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    before = features.feature_hash()
    monkeypatch.setattr(features, constant, value)
    assert features.feature_hash() != before


def test_popularity_decays_to_the_moment_of_the_request() -> None:
    counts = np.array([[[8.0, 3.0, 20.0, 270.0], [8.0, 3.0, 20.0, 0.0]]])
    as_of = np.array([[NOON - HOUR, NOON + HOUR]])
    day = 2.0 ** (-1 / 24)
    decayed = [np.log(1 + 4.0), np.log(1 + 3.0 * day), (3.0 * day + 1) / (20.0 * day + 20)]
    decayed.append(np.log((9.0 * day + 3.0) / (3.0 * day + 3.0)))
    untouched = [np.log(1 + 8.0), np.log(1 + 3.0), 4.0 / 40.0, 0.0]
    popular = features.popularity(counts, as_of, np.array([[NOON]]))
    assert popular.dtype == np.float32
    np.testing.assert_allclose(popular, [[decayed, untouched]], rtol=1e-6)


def test_an_article_without_counts_has_the_click_rate_and_the_dwell_of_the_prior() -> None:
    assert features.popularity(np.zeros((1, 4)), np.zeros(1, np.int64), np.array([NOON])).tolist() == [
        [0.0, 0.0, pytest.approx(0.05), 0.0]
    ]


def test_events_add_to_counts_by_kind_and_dwell_by_its_seconds() -> None:
    kinds = np.array([KINDS.index(kind) for kind in ("click", "impression", *["dwell"] * 4, "like")])
    seconds = np.array([np.nan, np.nan, 60.0, 1e9, 0.0, np.nan, np.nan])
    found = features.count_weights(kinds, seconds)
    assert found[:, :3].tolist() == [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], *[[0.0] * 3] * 5]
    assert found[:, 3].tolist() == [0.0, 0.0, 60.0, 900.0, 0.0, 0.0, 0.0]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 9)), max_size=90), st.randoms())
def test_the_last_impressions_are_kept_in_whatever_order_they_arrive(shown: list, random: Random) -> None:
    """Folded at once, in another order, or by way of the store between any two."""
    wanted = sorted((NOON // 1_000_000 + s, features.short_key(features.article_key(f"a{a}"))) for s, a in shown)
    random.shuffle(shown)
    state, stored = ReaderState(), ReaderState()
    for second, article in shown:
        event = ("impression", features.article_key(f"a{article}"), NOON + second * 1_000_000, None)
        state.observe(*event)
        stored = ReaderState.from_row(stored.row())
        stored.observe(*event)
    assert state.shown == stored.shown == wanted[-features.SHOWN_LENGTH :]
    assert features.unpack_shown(state.row()["shown"]).tolist() == state.shown


def test_the_hash_names_the_encoder_of_titles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = feature_hash()
    (tmp_path / "encoder.json").write_text('{"version": "student-1"}')
    monkeypatch.setenv("NEWSREC_ENCODER", str(tmp_path))
    assert feature_hash() == f"{plain}+student-1"
    monkeypatch.setenv("NEWSREC_ENCODER", str(tmp_path / "nowhere"))
    with pytest.raises(InvalidConfig, match=r"nowhere.*newsrec titles train"):
        feature_hash()
    monkeypatch.delenv("NEWSREC_ENCODER")
    assert feature_hash() == plain
    assert len(plain) == 16
