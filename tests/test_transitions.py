"""What policies see of readers and candidates, against numbers worked out by hand."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from newsrec import transitions
from newsrec.catalogue import Catalogue, from_articles
from newsrec.events import from_rows
from newsrec.features import (
    DAY,
    EMBEDDING_DIM,
    HOUR,
    READER_FEATURES,
    SHOWN_LENGTH,
    ReaderState,
    article_key,
    short_key,
)
from newsrec.transitions import CONTEXT_DIM, CONTEXT_FEATURES, Readers
from tests.logs import MINUTE, MONDAY, SECOND, article

NOON = MONDAY + 12 * HOUR


def catalogue(trained: int = 3) -> Catalogue:
    rows = [article(a, MONDAY + i * HOUR, embedding=[i + 1.0] * EMBEDDING_DIM) for i, a in enumerate("abc")]
    return Catalogue(from_rows("articles", rows), trained)


def reader(*reads: tuple[str, int, float | None]) -> dict[str, Any]:
    """The stored row after a click, and the dwell, on each article."""
    state = ReaderState()
    for name, time, dwell in reads:
        state.observe("click", article_key(name), time, None)
        if dwell is not None:
            state.observe("dwell", article_key(name), time, dwell)
    return state.row()


def shown_to(*articles: str) -> dict[str, Any]:
    """The stored row of a reader after impressions."""
    state = ReaderState()
    for i, name in enumerate(articles):
        state.observe("impression", article_key(name), NOON + i * SECOND, None)
    return state.row()


NEW: dict[str, Any] = dict.fromkeys(feature.name for feature in READER_FEATURES)


def state(rows: list[dict], now: int | list[int], offset: int = 0, **more: Any) -> transitions.State:
    moments = np.broadcast_to(np.array(now, np.int64), len(rows))
    offsets = np.full(len(rows), offset, np.int16)
    return transitions.state(Readers.from_rows(rows), moments, offsets, more.pop("catalogue", catalogue()), **more)


def context(row: dict, now: int, offset: int = 0) -> dict[str, float]:
    return dict(zip(CONTEXT_FEATURES, state([row], now, offset).context[0].tolist(), strict=True))


def test_history_stands_oldest_first_with_padding_behind() -> None:
    first = reader(("b", NOON, 12.5), ("x", NOON + 2 * HOUR, None), ("a", NOON + HOUR, None))
    seen = state([first, reader(("c", NOON, 3.0)), NEW], NOON + DAY)
    assert seen.history_index.tolist() == [[2, 1, 0], [3, 0, 0], [0, 0, 0]]
    assert seen.history_mask.tolist() == [[True, True, True], [True, False, False], [False, False, False]]
    assert seen.history_content[..., 0].tolist() == [[2.0, 1.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert seen.history_age_hours.tolist() == [[2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert seen.history_dwell_seconds.tolist() == [[12.5, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_an_article_newer_than_training_has_content_and_no_index() -> None:
    seen = state([reader(("b", NOON, None), ("c", NOON + SECOND, None))], NOON, catalogue=catalogue(trained=2))
    assert seen.history_index.tolist() == [[2, 0]]
    assert seen.history_content[0, :, 0].tolist() == [2.0, 3.0]


def test_all_but_the_context_is_independent_of_the_moment_of_the_request() -> None:
    rows = [reader(("b", NOON, 12.5), ("a", NOON + HOUR, None)), NEW]
    early, late = state(rows, NOON + HOUR), state(rows, NOON + 30 * DAY + 5 * HOUR)
    for name in ("history_index", "history_content", "history_age_hours", "history_dwell_seconds", "history_mask"):
        assert torch.equal(getattr(early, name), getattr(late, name)), name
    assert not torch.equal(early.context, late.context)


def test_the_context_of_a_known_reader() -> None:
    story = ReaderState()
    story.observe("click", article_key("a"), MONDAY - 3 * DAY + 10 * HOUR, None)
    story.observe("click", article_key("b"), MONDAY - 3 * DAY + 15 * HOUR, None)
    story.observe("impression", None, NOON, None)
    found = context(story.row(), NOON + 6 * HOUR)
    assert found == pytest.approx(
        {
            "known_reader": 1.0,
            "hour_sin": -1.0,  # 18:00
            "hour_cos": 0.0,
            "weekday_sin": 0.0,  # Monday
            "weekday_cos": 1.0,
            "log_silent_hours": math.log(7.0),
            "log_gap_hours": math.log(1.0 + 2 * 24 + 21),  # Friday 15:00 to Monday noon
            "active_share": 2 / 28,
            "log_reads": math.log(3.0),
            "log_sessions": math.log(4.0),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize(
    ("now", "offset", "hour", "weekday"),
    [
        (MONDAY, 0, 0.0, 0),
        (MONDAY + 6 * DAY + 90 * MINUTE, 0, 1.5, 6),
        (MONDAY + 23 * HOUR, 540, 8.0, 1),  # Tuesday in Seoul
        (MONDAY + HOUR, -300, 20.0, 6),  # still Sunday in New York
        (MONDAY + 11 * HOUR, 13 * 60, 0.0, 1),
        (1_709_164_800 * SECOND, 0, 0.0, 3),  # Thursday 29 February 2024
    ],
)
def test_hour_and_weekday_are_the_readers_own(now: int, offset: int, hour: float, weekday: int) -> None:
    found = context(NEW, now, offset)
    angle, turn = 2 * math.pi * hour / 24, 2 * math.pi * weekday / 7
    assert [found[n] for n in ("hour_sin", "hour_cos")] == pytest.approx([math.sin(angle), math.cos(angle)], abs=1e-6)
    assert [found[n] for n in ("weekday_sin", "weekday_cos")] == pytest.approx(
        [math.sin(turn), math.cos(turn)], abs=1e-6
    )


def test_a_new_reader_has_only_hour_and_weekday() -> None:
    found = context(NEW, NOON)
    assert {name for name, value in found.items() if abs(value) > 1e-6} == {"hour_cos", "weekday_cos"}


@pytest.mark.parametrize(("days", "active"), [(0, 2), (1, 2), (17, 2), (18, 1), (27, 1), (28, 0), (500, 0)])
def test_active_days_leave_the_window_after_28_days(days: int, active: int) -> None:
    row = reader(("a", NOON - 10 * DAY, None), ("b", NOON, None))
    assert context(row, NOON + days * DAY)["active_share"] == pytest.approx(active / 28)


def test_a_moment_before_the_latest_activity_is_no_silence() -> None:
    found = context(reader(("a", NOON + DAY, None)), NOON)
    assert (found["log_silent_hours"], found["active_share"]) == (0.0, pytest.approx(1 / 28))


def test_without_time_only_the_order_of_reads_is_left() -> None:
    rows = [reader(("b", NOON, 12.5), ("a", NOON + HOUR, None)), NEW]
    seen = state(rows, NOON, use_time=False)
    assert seen.history_index.tolist() == [[2, 1], [0, 0]]
    assert seen.history_dwell_seconds.tolist() == [[12.5, 0.0], [0.0, 0.0]]
    assert not seen.history_age_hours.any()
    assert seen.context[:, 0].tolist() == [1.0, 0.0]
    assert not seen.context[:, 1:].any()


def test_readers_from_a_table_equal_readers_from_rows() -> None:
    many = reader(*((f"n{i}", NOON + i * 7919 % 1000 * MINUTE, i / 4) for i in range(70)))
    rows = [NEW, many, reader(("a", NOON, 12.3)), shown_to(*(f"n{i}" for i in range(70)))]
    types = {"bytes": pa.binary(), "int64": pa.int64(), "float32": pa.float32()}
    schema = pa.schema([(feature.name, types[feature.dtype]) for feature in READER_FEATURES])
    table = pa.Table.from_pylist(rows, schema=schema)
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    for column, expected in zip(Readers.from_table(chunked), Readers.from_rows(rows), strict=True):
        assert column.dtype == expected.dtype
        assert np.array_equal(column, expected)
    readers = Readers.from_rows(rows)
    assert readers.length.tolist() == [0, 50, 1, 0]
    assert (readers.last_seen < 0).tolist() == [True, False, False, False]
    assert (readers.shown_time > 0).sum(1).tolist() == [0, 0, 0, SHOWN_LENGTH]
    assert readers.shown_key[3, [0, -1]].tolist() == [short_key(article_key(f"n{i}")) for i in (6, 69)]
    assert readers.take(np.array([2, 0])).key[:, 0].tolist() == [article_key("a"), 0]
    assert Readers.from_rows([]).key.shape == (0, 50)


def test_candidates_with_padding() -> None:
    rows = np.array([[3, 1], [2, -1]])
    counts = np.array([[[1.0, 2.0, 30.0, 120.0]] * 2, [[4.0, 5.0, 60.0, 30.0]] * 2], np.float32)
    as_of = np.full((2, 2), NOON)
    now = np.array([NOON + HOUR, MONDAY + HOUR // 2])
    readers = Readers.from_rows([shown_to("c", "b", "c", "z"), shown_to("a")])
    found = transitions.candidates(rows, readers, counts, as_of, now, catalogue(trained=2))
    assert found.article_index.tolist() == [[0, 1], [2, 0]]
    assert found.mask.tolist() == [[True, True], [True, False]]
    assert found.content[..., 5].tolist() == [[3.0, 1.0], [2.0, 0.0]]
    assert found.age_hours.tolist() == [[11.0, 13.0], [0.0, 0.0]], "0 before publication"
    day = 2.0 ** (-1 / 24)
    first = [
        math.log(1.5),
        math.log(1 + 2 * day),
        (2 * day + 1) / (30 * day + 20),
        math.log((4 * day + 3) / (2 * day + 3)),
    ]
    np.testing.assert_allclose(found.popularity[0], [first, first], rtol=1e-6)
    second = [math.log(5.0), math.log(6.0), 6.0 / 80.0, math.log(4 / 8)]
    np.testing.assert_allclose(found.popularity[1], [second, [0.0] * 4], rtol=1e-6)
    assert found.shown.tolist() == [[2.0, 0.0], [0.0, 0.0]]
    dtypes = [column.dtype for column in found]
    assert dtypes == [torch.int64, torch.float32, torch.float32, torch.float32, torch.float32, torch.bool]


def test_without_time_candidates_have_neither_age_nor_popularity() -> None:
    counts, as_of, now = np.ones((1, 2, 4)), np.full((1, 2), NOON), np.array([NOON])
    readers = Readers.from_rows([shown_to("c", "c")])
    found = transitions.candidates(np.array([[1, 3]]), readers, counts, as_of, now, catalogue(), use_time=False)
    assert found.article_index.tolist() == [[1, 3]]
    assert not found.age_hours.any()
    assert not found.popularity.any()
    assert found.shown.tolist() == [[0.0, 2.0]], "how often needs no clock"


def test_the_empty_state_is_that_of_a_new_reader_without_time() -> None:
    empty, new = transitions.empty_state(2), state([NEW, NEW], NOON, use_time=False)
    assert empty.context.shape == (2, CONTEXT_DIM)
    for ours, expected in zip(empty, new, strict=True):
        assert ours.dtype == expected.dtype
        assert torch.equal(ours, expected)


def test_the_catalogue_of_a_log_is_known_to_its_policy() -> None:
    assert from_articles(catalogue(trained=1).articles).trained == 3
