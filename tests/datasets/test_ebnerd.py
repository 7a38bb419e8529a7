"""EB-NeRD: two impressions and a history, written by hand, and the public sample."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from newsrec.config import InvalidConfig
from newsrec.datasets import ebnerd
from newsrec.events import FIRST_SIGHT, IMPORTED_POLICY, EventLog, InvalidEvents

ZONE = "Europe/Copenhagen"
NOON = datetime(2023, 5, 24, 12)  # 10:00 UTC
BEHAVIORS = {
    "impression_id": pa.array([71, 72], pa.uint32()),
    "article_id": pa.array([None, 300], pa.int32()),
    "impression_time": pa.array([NOON, NOON + timedelta(minutes=2)], pa.timestamp("us")),
    "read_time": pa.array([30.0, 5.0], pa.float32()),
    "device_type": pa.array([2, 0], pa.int8()),
    "article_ids_inview": pa.array([[100, 300, 200], [200, 100]], pa.large_list(pa.int32())),
    "article_ids_clicked": pa.array([[300], [100, 900]], pa.large_list(pa.int32())),
    "user_id": pa.array([5, 5], pa.uint32()),
    "session_id": pa.array([8, 8], pa.uint32()),
    "next_read_time": pa.array([80.5, 9.0], pa.float32()),
}
BEFORE = [NOON - timedelta(days=2), NOON - timedelta(days=1), NOON - timedelta(hours=1)]
HISTORY = {
    "user_id": pa.array([5, 6], pa.uint32()),
    "impression_time_fixed": pa.array([BEFORE, []], pa.large_list(pa.timestamp("us"))),
    "article_id_fixed": pa.array([[200, 400, 200], []], pa.large_list(pa.int32())),
    "read_time_fixed": pa.array([[10.0, None, 0.0], []], pa.large_list(pa.float32())),
}


def folder(path: Path, behaviors: dict[str, Any] | None = None, history: dict[str, Any] | None = None) -> Path:
    pq.write_table(pa.table({**BEHAVIORS, **(behaviors or {})}), path / "behaviors.parquet")
    pq.write_table(pa.table({**HISTORY, **(history or {})}), path / "history.parquet")
    return path


def utc(naive: datetime, seconds: float = 0.0) -> datetime:
    return naive.replace(tzinfo=UTC) + timedelta(hours=-2, seconds=seconds)


def happened(log: EventLog, request: str) -> list[tuple]:
    rows = [row for row in log.feedback.to_pylist() if row["request_id"] == request]
    assert all(row["received_at"] == row["time"] and row["position"] is None for row in rows)
    return [(row["kind"], row["article_id"], row["time"], row["dwell_seconds"]) for row in rows]


def test_decisions(tmp_path: Path) -> None:
    log = ebnerd.read(folder(tmp_path), ZONE)
    first, second = (row for row in log.recommendations.to_pylist() if row["policy"] == "ebnerd")
    assert (first["request_id"], first["user_id"], first["session_id"]) == ("71", "5", "5/8")
    assert first["time"] == utc(NOON)
    assert first["slate"] == first["candidates"] == ["100", "300", "200"]
    assert first["propensities"] is None
    mobile = {"device": "mobile", "surface": "front", "locale": None, "utc_offset_minutes": 120}
    assert first["context"] == mobile
    assert second["context"] == {**mobile, "device": None, "surface": "article"}


def test_the_click_ends_the_page_and_the_next_read_is_its_dwell(tmp_path: Path) -> None:
    assert happened(ebnerd.read(folder(tmp_path), ZONE), "71") == [
        ("impression", "100", utc(NOON), None),
        ("impression", "300", utc(NOON), None),
        ("impression", "200", utc(NOON), None),
        ("click", "300", utc(NOON, 30), None),
        ("dwell", "300", utc(NOON, 110.5), 80.5),
    ]


def test_of_two_clicks_nobody_knows_whose_dwell_it_was_and_one_may_be_outside_the_view(tmp_path: Path) -> None:
    log = ebnerd.read(folder(tmp_path), ZONE)
    moment = NOON + timedelta(minutes=2)
    assert happened(log, "72") == [
        ("impression", "200", utc(moment), None),
        ("impression", "100", utc(moment), None),
        ("click", "100", utc(moment, 5), None),
        ("click", "900", utc(moment, 5), None),
    ]
    assert "900" in log.articles["article_id"].to_pylist()


def test_the_history_keeps_its_own_times_and_every_read(tmp_path: Path) -> None:
    log = ebnerd.read(folder(tmp_path), ZONE)
    (history,) = [row for row in log.recommendations.to_pylist() if row["policy"] == IMPORTED_POLICY]
    assert (history["request_id"], history["user_id"], history["time"]) == ("history-5", "5", utc(BEFORE[0]))
    assert history["slate"] == ["400", "200"]
    assert happened(log, "history-5") == [
        ("click", "200", utc(BEFORE[0]), None),
        ("click", "400", utc(BEFORE[1]), None),
        ("click", "200", utc(BEFORE[2]), None),
        ("dwell", "200", utc(BEFORE[0], 10), 10.0),
        ("dwell", "200", utc(BEFORE[2]), 0.0),
    ]
    assert log.flags == {FIRST_SIGHT}


def test_articles_parquet_describes_what_it_holds(tmp_path: Path) -> None:
    """It lies beside the splits; a publication after the first sight was a later version of the article."""
    articles = {
        "article_id": pa.array([100, 400, 777], pa.int32()),
        "title": ["Valg", "Vejr", "Ulæst"],
        "subtitle": ["Et valg", None, None],
        "category_str": ["politik", "vejr", "vejr"],
        "body": ["æøå", None, ""],
        "published_time": pa.array([NOON - timedelta(hours=3), NOON, NOON - timedelta(days=9)], pa.timestamp("us")),
    }
    pq.write_table(pa.table(articles), tmp_path / "articles.parquet")
    (tmp_path / "train").mkdir()
    log = ebnerd.read(folder(tmp_path / "train"), ZONE)
    rows = {row["article_id"]: row for row in log.articles.to_pylist()}
    assert [rows["100"][name] for name in ("title", "abstract", "category", "body_length")] == [
        "Valg",
        "Et valg",
        "politik",
        3,
    ]
    published = {article: row["published_at"] for article, row in rows.items()}
    assert published == {
        "100": utc(NOON - timedelta(hours=3)),
        "400": utc(BEFORE[1]),
        "777": utc(NOON - timedelta(days=9)),
        "200": utc(BEFORE[0]),
        "300": utc(NOON),
        "900": utc(NOON, 125),
    }
    assert log.flags == {FIRST_SIGHT}


def test_a_log_whose_articles_are_all_dated_made_nothing_up(tmp_path: Path) -> None:
    ids = [100, 200, 300, 400, 900]
    dates = pa.array([NOON - timedelta(days=9)] * 5, pa.timestamp("us"))
    table = pa.table({"article_id": ids, "title": ["x"] * 5, "published_time": dates})
    pq.write_table(table, tmp_path / "articles.parquet")
    assert ebnerd.read(folder(tmp_path), ZONE).flags == frozenset()


def test_a_page_without_read_time_is_left_at_once(tmp_path: Path) -> None:
    missing = {"read_time": pa.array([None, float("nan")]), "next_read_time": pa.array([None, None], pa.float32())}
    log = ebnerd.read(folder(tmp_path, missing), ZONE)
    assert happened(log, "71")[3:] == [("click", "300", utc(NOON), None)]


@pytest.mark.parametrize(
    ("behaviors", "history", "message"),
    [
        (
            {"impression_time": pa.array([NOON, None], pa.timestamp("us"))},
            {},
            "behaviors.parquet row 1, column impression_time: expected a value",
        ),
        (
            {"impression_time": ["a", "b"]},
            {},
            "behaviors.parquet: column impression_time is string, expected timestamp",
        ),
        (
            {"impression_time": pa.array([NOON, NOON], pa.timestamp("us", "UTC"))},
            {},
            "column impression_time is timestamp[us, tz=UTC], expected timestamp[us], local time without a zone",
        ),
        ({"article_ids_inview": [1, 2]}, {}, "column article_ids_inview is int64, expected list<item: string>"),
        (
            {"article_ids_inview": [[100, 100], [1]]},
            {},
            "row 0, column candidates: found ['100', '100'], expected each article once",
        ),
        ({"impression_id": [7, 7]}, {}, "column request_id: found '7', expected each key once"),
        ({"next_read_time": [-1.0, 2.0]}, {}, "column dwell_seconds: found -1.0, expected seconds, 0 or more"),
        (
            {},
            {"read_time_fixed": pa.array([[1.0], []], pa.list_(pa.float64()))},
            "history.parquet row 0, column read_time_fixed: expected as many values as article_id_fixed",
        ),
        (
            {},
            {"impression_time_fixed": pa.array([[*BEFORE[:2], None], []], pa.list_(pa.timestamp("us")))},
            "history.parquet row 0, column impression_time_fixed: expected a time",
        ),
    ],
)
def test_malformed_columns_are_named(tmp_path: Path, behaviors: dict, history: dict, message: str) -> None:
    with pytest.raises(InvalidEvents) as error:
        ebnerd.read(folder(tmp_path, behaviors, history), ZONE)
    assert message in str(error.value)


def test_other_errors_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"behaviors\.parquet"):
        ebnerd.read(tmp_path, ZONE)
    folder(tmp_path)
    with pytest.raises(InvalidEvents, match="times carry no timezone"):
        ebnerd.read(tmp_path)
    with pytest.raises(InvalidConfig, match="timezone: found 'CEST/X'"):
        ebnerd.read(tmp_path, "CEST/X")
    pq.write_table(pa.table(BEHAVIORS).drop_columns(["article_ids_clicked"]), tmp_path / "behaviors.parquet")
    with pytest.raises(InvalidEvents, match=r"behaviors\.parquet: column article_ids_clicked is missing; found"):
        ebnerd.read(tmp_path, ZONE)
    pq.write_table(pa.table(BEHAVIORS).slice(0, 0), tmp_path / "behaviors.parquet")
    with pytest.raises(InvalidEvents, match=r"behaviors\.parquet holds no rows"):
        ebnerd.read(tmp_path, ZONE)
    (tmp_path / "behaviors.parquet").write_text("text")
    with pytest.raises(InvalidEvents, match=r"behaviors\.parquet is no readable Parquet file"):
        ebnerd.read(tmp_path, ZONE)


def test_the_real_sample(real_data: Callable[[str], Path]) -> None:
    log = ebnerd.read(real_data("ebnerd-test"), ZONE)
    decided = log.recommendations.filter(pc.equal(log.recommendations["policy"], "ebnerd"))
    assert decided.num_rows == 1046
    assert len(decided["user_id"].unique()) == 38
    assert len(decided["session_id"].unique()) == 485
    own = log.feedback.filter(pc.invert(pc.starts_with(log.feedback["request_id"], "history-")))
    kinds = {kind["values"]: kind["counts"] for kind in own["kind"].value_counts().to_pylist()}
    assert kinds == {"impression": 10_848, "click": 1_047, "dwell": 1_017}
