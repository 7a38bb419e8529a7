"""The schema: what passes through a file unchanged, and the sentence for every table that breaks it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec import events
from newsrec.events import EventLog, InvalidEvents

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ARTICLE = {"article_id": "a", "published_at": NOON, "title": "Snow in May", "embedding": [0.5, -1.0]}
RECOMMENDATION = {
    "request_id": "r1",
    "user_id": "u",
    "session_id": "s",
    "time": NOON,
    "context": {"device": "phone", "surface": "front", "locale": "da-DK", "utc_offset_minutes": 120},
    "policy": "random",
    "candidates": ["a", "b", "c"],
    "slate": ["b", "a"],
    "propensities": [0.25, 0.5],
}
FEEDBACK = {
    "event_id": "e1",
    "request_id": "r1",
    "user_id": "u",
    "article_id": "b",
    "position": 0,
    "kind": "dwell",
    "dwell_seconds": 12.5,
    "time": NOON,
    "received_at": NOON + timedelta(hours=3),
}
ROWS: dict[str, dict[str, Any]] = {"articles": ARTICLE, "recommendations": RECOMMENDATION, "feedback": FEEDBACK}


def table(name: str, *changes: dict[str, Any]) -> pa.Table:
    return events.from_rows(name, [{**ROWS[name], **change} for change in changes or ({},)])


def log(**changes: Any) -> EventLog:
    tables = {name: table(name) for name in ROWS}
    return EventLog(**{**tables, **changes})


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1), timezones=st.just(UTC))
doubles = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def recommendations(draw: st.DrawFn) -> dict[str, Any]:
    candidates = draw(st.lists(texts, unique=True, max_size=6))
    slate = draw(st.permutations(candidates))[: draw(st.integers(0, len(candidates)))]
    probability = st.floats(0, 1, exclude_min=True)
    return {
        **{name: draw(texts) for name in ("request_id", "user_id", "session_id", "policy")},
        "arm": draw(st.none() | texts),
        "context": draw(st.none() | st.fixed_dictionaries({"device": st.none() | texts})),
        "time": draw(moments),
        "candidates": candidates,
        "slate": slate,
        "propensities": draw(st.none() | st.lists(probability, min_size=len(slate), max_size=len(slate))),
    }


articles = st.fixed_dictionaries(
    {
        "article_id": texts,
        "published_at": moments,
        "title": st.none() | texts,
        "body_length": st.none() | st.integers(0, 2**31 - 1),
        "embedding": st.none() | st.lists(doubles, min_size=3, max_size=3),
        "hidden_at": st.none() | moments,
    }
)
feedback = st.fixed_dictionaries(
    {
        **{name: texts for name in ("event_id", "request_id", "user_id", "article_id")},
        "position": st.none() | st.integers(0, 2**15 - 1),
        "kind": st.sampled_from(events.KINDS),
        "dwell_seconds": st.floats(0, 1e9, width=32),
        "time": moments,
        "received_at": moments,
    }
)


def rows(row: st.SearchStrategy[dict[str, Any]], key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(row, max_size=4, unique_by=lambda r: r[key])


@settings(max_examples=60, deadline=None)
@given(
    rows(articles, "article_id"),
    rows(recommendations(), "request_id"),
    rows(feedback, "event_id"),
    st.frozensets(texts, max_size=2),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, a: list[dict], r: list[dict], f: list[dict], flags: frozenset[str]
) -> None:
    """What comes back holds, value for value, the rows that went in."""
    directory = tmp_path_factory.mktemp("round") / "log"
    names = ("articles", "recommendations", "feedback")
    tables = [events.from_rows(name, written) for name, written in zip(names, (a, r, f), strict=True)]
    back = events.read(events.write(EventLog(*tables, flags), directory))
    assert back.flags == flags
    for name, written in zip(names, (a, r, f), strict=True):
        expected = [dict.fromkeys(events.SCHEMAS[name].names) | row for row in written]
        for row in expected:
            if row.get("context"):
                row["context"] = dict.fromkeys(events.CONTEXT.names) | row["context"]
        assert getattr(back, name).to_pylist() == expected
        assert getattr(back, name).schema.types == events.SCHEMAS[name].types


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=4)
    | st.dates()
    | st.datetimes()
    | st.timedeltas(timedelta(-10), timedelta(10))
    | moments,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["device", "x"]), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(ROWS)), st.data())
def test_a_table_is_valid_or_raises_invalid_events(name: str, data: st.DataObject) -> None:
    """Any values in any column: never another error, and what passes is stable under a second validation."""
    changed = data.draw(st.dictionaries(st.sampled_from(events.SCHEMAS[name].names), junk, min_size=1, max_size=3))
    try:
        malformed = pa.Table.from_pylist(
            [{**ROWS[name], **changed}, {**ROWS[name], **changed}][: data.draw(st.integers(1, 2))]
        )
    except (pa.ArrowException, OverflowError, ValueError):
        return  # Arrow itself cannot hold it
    try:
        valid = events.validate(malformed, name)
    except InvalidEvents:
        return
    assert valid.schema.types == events.SCHEMAS[name].types
    assert events.validate(valid, name).equals(valid)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("articles", [{}, {}], "articles row 1, column article_id: found 'a', expected each key once"),
        (
            "articles",
            [{}, {"article_id": "b", "embedding": [1.0]}, {"article_id": "c", "embedding": [1.0]}],
            "articles row 1, column embedding: found 1, expected 2 numbers as in the first row (2 such rows)",
        ),
        ("articles", [{"embedding": [1.0, float("inf")]}], "found [1.0, inf], expected finite numbers"),
        ("articles", [{"embedding": [1.0, None]}], "found [1.0, None], expected finite numbers"),
        ("articles", [{"published_at": None}], "articles row 0, column published_at: found None, expected a value"),
        (
            "recommendations",
            [{}, {"request_id": "r2", "user_id": None}],
            "recommendations row 1, column user_id: found None, expected a value",
        ),
        (
            "recommendations",
            [{"candidates": [str(i) for i in range(501)], "slate": [], "propensities": []}],
            "recommendations row 0, column candidates: found 501, expected at most 500",
        ),
        (
            "recommendations",
            [{}, {"request_id": "r2", "candidates": ["a", "b", "b"]}],
            "recommendations row 1, column candidates: found ['a', 'b', 'b'], expected each article once",
        ),
        (
            "recommendations",
            [{"slate": ["a", "a"]}],
            "recommendations row 0, column slate: found ['a', 'a'], expected each article once",
        ),
        (
            "recommendations",
            [{"candidates": ["x", "y"], "slate": ["x", "y"]}, {"request_id": "r2", "slate": ["a", "x"]}],
            "recommendations row 1, column slate: found ['a', 'x'], expected articles that stand in candidates",
        ),
        ("recommendations", [{"slate": ["a", None]}], "found ['a', None], expected article ids"),
        (
            "recommendations",
            [{"propensities": [0.5]}],
            "recommendations row 0, column propensities: found 1, expected one for each slate article",
        ),
        ("recommendations", [{"propensities": [0.5, 0.0]}], "found [0.5, 0.0], expected a probability in (0, 1]"),
        ("recommendations", [{"propensities": [1.1, 1.0]}], "found [1.1, 1.0], expected a probability in (0, 1]"),
        ("recommendations", [{"propensities": [0.5, float("nan")]}], "found [0.5, nan], expected a probability"),
        ("recommendations", [{"propensities": [0.5, None]}], "found [0.5, None], expected a probability"),
        ("feedback", [{"kind": "tap"}], "feedback row 0, column kind: found 'tap', expected one of impression click"),
        ("feedback", [{"position": -1}], "feedback row 0, column position: found -1, expected 0 or more"),
        (
            "feedback",
            [{"article_id": None}],
            "column article_id: found None, expected an article (only leave has none)",
        ),
        ("feedback", [{"dwell_seconds": None}], "found None, expected seconds for an event of kind dwell"),
        ("feedback", [{"dwell_seconds": -1.0}], "found -1.0, expected seconds, 0 or more"),
        ("feedback", [{"dwell_seconds": float("nan")}], "found nan, expected seconds, 0 or more"),
    ],
)
def test_each_broken_rule_names_row_and_column(name: str, changes: list[dict], message: str) -> None:
    with pytest.raises(InvalidEvents) as error:
        events.validate(table(name, *changes), name)
    assert message in str(error.value)


def test_the_limits_themselves_are_valid() -> None:
    many = [str(i) for i in range(501)]
    imported = {"policy": events.IMPORTED_POLICY, "candidates": many, "slate": many, "propensities": None}
    full = {"request_id": "r2", "candidates": many[:500], "slate": ["499"], "propensities": [1.0]}
    empty = {"request_id": "r3", "candidates": [], "slate": [], "propensities": []}
    assert events.validate(table("recommendations", imported, full, empty), "recommendations").num_rows == 3
    leave = {"kind": "leave", "article_id": None, "dwell_seconds": None, "position": None}
    assert events.validate(table("feedback", leave), "feedback").num_rows == 1


def test_a_null_row_hides_what_its_list_covers() -> None:
    """Arrow may keep elements under a null list: they belong to no row, and the row after them is still checked."""
    hidden = pa.ListArray.from_arrays(pa.array([0, 2, 4]), pa.array([9.0, 9.0, 0.5, 2.0]), mask=pa.array([True, False]))
    masked = table("recommendations", {}, {"request_id": "r2"})
    masked = masked.set_column(masked.column_names.index("propensities"), "propensities", hidden)
    with pytest.raises(InvalidEvents, match=r"row 1, column propensities: found \[0\.5, 2\.0\]"):
        events.validate(masked, "recommendations")


def test_conform_fills_optional_columns_drops_unknown_ones_and_keeps_the_order() -> None:
    found = pa.table({"extra": [1], "published_at": pa.array([NOON], events.TIME), "article_id": ["a"]})
    conformed = events.conform(found, "articles")
    assert conformed.column_names == events.ARTICLES.names
    assert conformed.to_pylist() == [dict.fromkeys(events.ARTICLES.names) | {"article_id": "a", "published_at": NOON}]


def test_conform_takes_other_storage_of_the_same_values() -> None:
    found = table("recommendations")
    lists = found["candidates"].cast(pa.large_list(pa.large_string()))
    found = found.set_column(found.column_names.index("candidates"), "candidates", lists)
    found = found.set_column(found.column_names.index("policy"), "policy", found["policy"].dictionary_encode())
    assert events.conform(found, "recommendations").equals(table("recommendations"))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("article_id", None, "articles: column article_id is missing; found published_at, title"),
        ("published_at", pa.array([NOON.replace(tzinfo=None)]), "column published_at has times without a timezone"),
        ("published_at", pa.array(["soon"]), "column published_at is string, expected timestamp[us, tz=UTC]"),
        ("body_length", pa.array([2**31]), "column body_length is int64, expected int32"),
        ("title", pa.array([["a"]]), "column title is list<item: string>, expected string"),
    ],
)
def test_conform_refuses(column: str, values: pa.Array | None, message: str) -> None:
    found = table("articles")
    index = found.column_names.index(column)
    found = found.remove_column(index) if values is None else found.set_column(index, column, values)
    with pytest.raises(InvalidEvents) as error:
        events.conform(found, "articles")
    assert message in str(error.value)


def test_a_column_that_stands_twice_is_refused() -> None:
    with pytest.raises(InvalidEvents, match="articles: column title stands there twice"):
        events.conform(table("articles").append_column("title", pa.array(["again"])), "articles")


def test_join_finds_each_request_and_marks_unknown_ones() -> None:
    requests = table("recommendations", {"request_id": "x"}, {"request_id": "y"})
    found = table("feedback", {"request_id": "y"}, {"request_id": "z"}, {"request_id": "x"}, {"request_id": "y"})
    joined = events.join(requests, found)
    assert joined.tolist() == [1, -1, 0, 1]
    assert joined.dtype == np.int64
    assert events.join(requests.slice(0, 0), found).tolist() == [-1, -1, -1, -1]


def test_microseconds() -> None:
    column = pa.array([datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), None], events.TIME)
    assert events.microseconds(column).tolist() == [1_000_005, -(2**63)]


def test_propensities_count_only_for_decisions() -> None:
    imported = {"request_id": "h", "policy": events.IMPORTED_POLICY, "propensities": None}
    foreign = {"request_id": "f", "propensities": None}
    assert log(recommendations=table("recommendations", {}, imported)).has_propensities
    assert not log(recommendations=table("recommendations", {}, foreign)).has_propensities
    assert not log(recommendations=table("recommendations", imported)).has_propensities


def test_an_invalid_log_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidEvents):
        events.write(log(feedback=table("feedback", {"kind": "tap"})), tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_a_log_replaces_an_older_log_and_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    for title in ("old", "new"):
        events.write(log(articles=table("articles", {"title": title})), tmp_path / "log")
    assert events.read(tmp_path / "log").articles["title"].to_pylist() == ["new"]


def test_a_log_never_replaces_anything_else(tmp_path: Path) -> None:
    artefact = tmp_path / "artefact"
    artefact.mkdir()
    (artefact / "articles.parquet").write_text("part of an artefact")
    (artefact / "policy.json").write_text("{}")
    (tmp_path / "file").write_text("text")
    for target in (artefact, tmp_path / "file"):
        with pytest.raises(FileExistsError, match="is no event log; expected a new or an empty folder"):
            events.write(log(), target)
    assert (artefact / "articles.parquet").read_text() == "part of an artefact"
    assert (tmp_path / "file").read_text() == "text"


def test_a_table_may_be_a_folder_of_shards(tmp_path: Path) -> None:
    """Shards of other makers too: another column order, an optional column missing; the flags of all of them."""
    directory = events.write(log(flags=frozenset({"first"})), tmp_path / "log")
    whole = directory / "feedback.parquet"
    first = whole.read_bytes()
    whole.unlink()
    whole.mkdir()
    (whole / "0.parquet").write_bytes(first)
    second = table("feedback", {"event_id": "e2", "kind": "click"}).drop_columns(["dwell_seconds"])
    second = second.select(second.column_names[::-1])
    meta = {"newsrec": json.dumps({"version": 9, "table": "feedback", "flags": ["second"]})}
    pq.write_table(second.replace_schema_metadata(meta), whole / "1.parquet")
    back = events.read(directory)
    assert back.feedback["event_id"].to_pylist() == ["e1", "e2"]
    assert back.feedback["dwell_seconds"].to_pylist() == [12.5, None]
    assert back.flags == {"first", "second"}


def test_folder_names_are_no_columns(tmp_path: Path) -> None:
    """Arrow would read day=3 in a path as a column of its own."""
    directory = events.write(log(), tmp_path / "title=3" / "log")
    assert events.read(directory).articles["title"].to_pylist() == ["Snow in May"]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _not_utf8(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"Snow", b"\xff\xff\xff\xff"))


def _other_table(path: Path) -> None:
    path.write_bytes((path.parent / "feedback.parquet").read_bytes())


def _bad_metadata(path: Path) -> None:
    pq.write_table(table("articles").replace_schema_metadata({"newsrec": "[]"}), path)


def _empty_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, r"articles\.parquet is no readable Parquet file"),
        (_not_utf8, r"articles\.parquet is no readable Parquet file"),
        (_other_table, r"articles\.parquet holds feedback, expected articles"),
        (_bad_metadata, r"articles\.parquet: metadata newsrec is b'\[\]', expected JSON"),
        (_empty_folder, r"articles\.parquet is an empty folder, expected at least one shard"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    directory = events.write(log(), tmp_path / "log")
    damage(directory / "articles.parquet")
    with pytest.raises(InvalidEvents, match=message):
        events.read(directory)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes_raise_invalid_events_or_change_nothing_of_the_types(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    directory = events.write(log(), tmp_path_factory.mktemp("flip") / "log")
    path = directory / "feedback.parquet"
    data = bytearray(path.read_bytes())
    for place, value in flips:
        data[place % len(data)] = value
    path.write_bytes(bytes(data))
    try:
        back = events.read(directory)
    except InvalidEvents:
        return
    assert back.feedback.schema.types == events.FEEDBACK.types


def test_a_missing_file_is_named_with_what_is_expected(tmp_path: Path) -> None:
    directory = events.write(log(), tmp_path / "log")
    (directory / "recommendations.parquet").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"recommendations\.parquet is missing; expected a folder with articles"
    ):
        events.read(directory)
