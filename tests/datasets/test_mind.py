"""MIND layout: a morning of two readers, written by hand, and the files of the real logs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec.config import InvalidConfig
from newsrec.datasets import mind
from newsrec.events import (
    CANDIDATES_CUT,
    FIRST_SIGHT,
    HISTORY_TIME_MADE_UP,
    IMPORTED_POLICY,
    ORDINAL_TIME,
    EventLog,
    InvalidEvents,
)

BEHAVIORS = """\
7\tann\t11/14/2019 9:20:00 AM\tN1 N2 N1\tN3-0 N4-1
8\tbob\t11/14/2019 9:00:00 AM\t\tN4-0 N5-0 N3-1
9\tann\t11/14/2019 9:50:00 AM\tN9\tN5-1
10\tann\t11/14/2019 12:30:00 PM\tN9\tN3-0
"""
NEWS = "\n".join(
    f"{article}\t{category}\tsub{category}\t{title}\t{abstract}\thttps://x\t[]\t[]"
    for article, category, title, abstract in [
        ("N3", "news", 'Snow in "May"', ""),
        ("N4", "sports", "Cup final", "Two goals."),
        ("N8", "news", "Never shown", "Nobody saw it."),
    ]
)


def folder(path: Path, behaviors: str = BEHAVIORS, news: str = NEWS) -> Path:
    (path / "behaviors.tsv").write_text(behaviors, encoding="utf-8")
    (path / "news.tsv").write_text(news, encoding="utf-8")
    return path


def at(hour: int, minute: int, second: int = 0) -> datetime:
    """14 November 2019 in New York, which is five hours behind UTC."""
    return datetime(2019, 11, 14, hour, minute, second, tzinfo=UTC) + timedelta(hours=5)


def by(log: EventLog, table: str, key: str) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in getattr(log, table).to_pylist()}


def happened(log: EventLog, request: str) -> list[tuple]:
    rows = [row for row in log.feedback.to_pylist() if row["request_id"] == request]
    assert all(row["received_at"] == row["time"] and row["position"] is None for row in rows)
    return [(row["kind"], row["article_id"], row["time"]) for row in rows]


def test_decisions(tmp_path: Path) -> None:
    log = mind.read(folder(tmp_path), "America/New_York")
    assert log.flags == {FIRST_SIGHT, HISTORY_TIME_MADE_UP}
    requests = by(log, "recommendations", "request_id")
    assert requests.keys() == {"7", "8", "9", "10", "history-ann"}
    bob = requests["8"]
    assert (bob["user_id"], bob["time"], bob["policy"]) == ("bob", at(9, 0), "mind")
    assert bob["slate"] == bob["candidates"] == ["N4", "N5", "N3"]
    assert bob["propensities"] is None
    assert bob["context"] == {"device": None, "surface": "front", "locale": None, "utc_offset_minutes": -300}
    assert happened(log, "8") == [
        ("impression", "N4", at(9, 0)),
        ("impression", "N5", at(9, 0)),
        ("impression", "N3", at(9, 0)),
        ("click", "N3", at(9, 0, 1)),
    ]
    assert not log.has_propensities


def test_a_session_ends_after_more_than_thirty_silent_minutes(tmp_path: Path) -> None:
    requests = by(mind.read(folder(tmp_path), "America/New_York"), "recommendations", "request_id")
    assert [requests[i]["session_id"] for i in ("7", "9", "10", "8")] == ["ann/0", "ann/0", "ann/1", "bob/0"]


def test_history_ends_an_hour_before_the_logs_first_decision(tmp_path: Path) -> None:
    """The log begins with bob at 9:00; ann's first impression lists N1 N2 N1, her later ones do not count."""
    log = mind.read(folder(tmp_path), "America/New_York")
    history = by(log, "recommendations", "request_id")["history-ann"]
    assert (history["user_id"], history["policy"], history["time"]) == ("ann", IMPORTED_POLICY, at(7, 59))
    assert history["slate"] == history["candidates"] == ["N2", "N1"]
    assert history["context"]["surface"] == "history"
    assert happened(log, "history-ann") == [("click", "N2", at(7, 59)), ("click", "N1", at(8, 0))]


def test_the_earliest_impression_gives_the_history_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    lines = BEHAVIORS.splitlines(keepends=True)
    log = mind.read(folder(tmp_path, "".join(reversed(lines))), "America/New_York")
    assert by(log, "recommendations", "request_id")["history-ann"]["slate"] == ["N2", "N1"]


def test_articles_appear_at_first_sight(tmp_path: Path) -> None:
    articles = by(mind.read(folder(tmp_path), "America/New_York"), "articles", "article_id")
    published = {article: row["published_at"] for article, row in articles.items()}
    assert published == {
        "N1": at(8, 0),
        "N2": at(7, 59),
        "N3": at(9, 0),
        "N4": at(9, 0),
        "N5": at(9, 0),
        "N8": at(12, 30),  # never shown: the log's last moment
    }
    described = {name: articles["N3"][name] for name in ("title", "abstract", "category", "subcategory")}
    assert described == {"title": 'Snow in "May"', "abstract": None, "category": "news", "subcategory": "subnews"}
    assert articles["N5"]["title"] is None


def test_without_the_time_column_times_are_ordinal(tmp_path: Path) -> None:
    news = "nid\ttitle\tabstract\turl\tdate\ttopic\nn1\tOne\tFirst\tu\t17.03.2022\t-1\nn2\tTwo\t\tu\t18.03.2022\t5\n"
    log = mind.read(folder(tmp_path, "1\tann\tn9\tn1-0 n2-1\n2\tann\tn9\tn2-0\n", news))
    assert log.flags == {FIRST_SIGHT, HISTORY_TIME_MADE_UP, ORDINAL_TIME}
    requests = by(log, "recommendations", "request_id")
    start = datetime(2000, 1, 1, tzinfo=UTC)
    assert [requests[i]["time"] for i in ("1", "2")] == [start, start + timedelta(minutes=1)]
    assert [requests[i]["session_id"] for i in ("1", "2")] == ["1", "2"]
    assert requests["1"]["context"]["utc_offset_minutes"] is None
    assert happened(log, "history-ann") == [("click", "n9", start - timedelta(hours=1))]
    articles = by(log, "articles", "article_id")
    assert [articles["n1"][name] for name in ("title", "abstract", "category")] == ["One", "First", None]
    assert [articles["n2"][name] for name in ("title", "abstract", "category")] == ["Two", None, "5"]
    assert articles["n2"]["published_at"] == start


def test_translated_titles_keep_the_categories_of_news_tsv(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "news.zh.tsv").write_text("N5\t五月\nN3\t雪\n", encoding="utf-8")
    articles = by(mind.read(tmp_path, "UTC", titles="news.zh.tsv"), "articles", "article_id")
    assert [articles[i]["title"] for i in ("N3", "N4", "N5")] == ["雪", None, "五月"]
    assert [articles[i]["category"] for i in ("N3", "N5")] == ["news", None]


def test_a_slate_over_500_keeps_the_clicked_articles_and_the_first_others(tmp_path: Path) -> None:
    shown = [f"A{i}-{int(i in (3, 600))}" for i in range(700)]
    log = mind.read(folder(tmp_path, f"1\tann\t11/14/2019 9:00:00 AM\t\t{' '.join(shown)}\n"), "UTC")
    assert CANDIDATES_CUT in log.flags
    slate = log.recommendations["slate"][0].as_py()
    assert slate == [f"A{i}" for i in range(499)] + ["A600"]
    clicks = log.feedback.filter(pc.equal(log.feedback["kind"], "click"))
    assert clicks["article_id"].to_pylist() == ["A3", "A600"]
    assert log.feedback.num_rows == 502


def test_a_log_whose_readers_have_no_history(tmp_path: Path) -> None:
    log = mind.read(folder(tmp_path, "1\tann\t11/14/2019 9:00:00 AM\t\tN3-0\n"), "UTC")
    assert log.flags == {FIRST_SIGHT}
    assert log.recommendations["request_id"].to_pylist() == ["1"]


def test_the_hour_that_the_clock_repeats_and_the_one_it_skips(tmp_path: Path) -> None:
    lines = (
        "1\ta\t11/3/2019 1:30:00 AM\t\tN3-0\n2\ta\t3/10/2019 2:30:00 AM\t\tN3-0\n3\ta\t11/3/2019 12:10:00 AM\t\tN3-0\n"
    )
    log = mind.read(folder(tmp_path, lines), "America/New_York")
    times = {row["request_id"]: row["time"] for row in log.recommendations.to_pylist()}
    assert times["1"] == datetime(2019, 11, 3, 5, 30, tzinfo=UTC)
    assert times["2"] == datetime(2019, 3, 10, 7, 0, tzinfo=UTC)
    assert times["3"] == datetime(2019, 11, 3, 4, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("behaviors", "message"),
    [
        ("\n1\ta\t11/14/2019 9:00:00 AM\t\tN3-0\n\n2\ta\n", "line 4: found 2 columns, expected 5"),
        (
            "1\ta\n",
            "line 1: found 2 tab-separated columns, expected 5 (impression_id, user_id, time, history, shown) or 4",
        ),
        (
            "1\ta\t11/14/2019 9:00:00 AM\t\tN3-0\n\n2\ta\t2019-11-14\t\tN3-0\n",
            "line 3, column time: found '2019-11-14', expected a time such as 11/13/2019 8:36:57 AM",
        ),
        (
            "1\ta\t11/14/2019 9:00:00 AM\t\tN3-0\n2\ta\t11/14/2019 9:00:00 AM\t\tN3-0 N4 N5-1\n",
            "line 2, column shown: found 'N3-0 N4 N5-1', expected articles such as N1-0 or, clicked, N1-1",
        ),
        ("1\ta\t11/14/2019 9:00:00 AM\t\t-1\n", "line 1, column shown: found '-1', expected articles such as"),
        ("1\ta\t11/14/2019 9:00:00 AM\t\t \n", "line 1, column shown: found ' ', expected at least one article"),
        ("1\t\t11/14/2019 9:00:00 AM\t\tN3-0\n", "line 1, column user_id: found '', expected an id"),
        ("", "behaviors.tsv is empty, expected a table"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, behaviors: str, message: str) -> None:
    with pytest.raises(InvalidEvents) as error:
        mind.read(folder(tmp_path, behaviors), "UTC")
    assert message in str(error.value)
    assert str(tmp_path / "behaviors.tsv") in str(error.value)


def test_other_errors_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"behaviors\.tsv"):
        mind.read(tmp_path, "UTC")
    folder(tmp_path)
    with pytest.raises(
        InvalidEvents, match=r"behaviors\.tsv: times carry no timezone, .* --timezone Europe/Copenhagen"
    ):
        mind.read(tmp_path)
    with pytest.raises(InvalidConfig, match="timezone: found 'Mars/Olympus', expected an IANA name"):
        mind.read(tmp_path, "Mars/Olympus")
    with pytest.raises(InvalidEvents, match="column request_id: found '7', expected each key once"):
        mind.read(folder(tmp_path, BEHAVIORS + BEHAVIORS.splitlines()[0]), "UTC")
    folder(tmp_path, news="N3\tnews\n\nN4\n")
    with pytest.raises(InvalidEvents, match=r"news\.tsv line 3: found 1 columns, expected 2"):
        mind.read(tmp_path, "UTC")
    (tmp_path / "behaviors.tsv").write_bytes(b"1\t\xff\t11/14/2019 9:00:00 AM\t\tN3-0\n")
    with pytest.raises(InvalidEvents, match=r"behaviors\.tsv is no UTF-8 text table"):
        mind.read(tmp_path, "UTC")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_gives_a_valid_log_or_invalid_events(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = folder(tmp_path_factory.mktemp("mind"))
    name = data.draw(st.sampled_from(["behaviors.tsv", "news.tsv"]))
    damaged = bytearray((path / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"\t", b"\n", b" ", b"\xff", b"-1"])
        )
    (path / name).write_bytes(bytes(damaged))
    try:
        log = mind.read(path, "UTC")
    except InvalidEvents:
        return
    assert log.recommendations.num_rows > 0


def test_the_real_mind_sample(real_data: Callable[[str], Path]) -> None:
    log = mind.read(real_data("mind-5k"), "America/Los_Angeles", titles="news.zh.tsv")
    decided = log.recommendations.filter(pc.equal(log.recommendations["policy"], "mind"))
    counts = {kind["values"]: kind["counts"] for kind in log.feedback["kind"].value_counts().to_pylist()}
    assert decided.num_rows == 5000
    assert len(decided["user_id"].unique()) == 4637
    assert counts["impression"] == 189_359
    imported = pc.sum(pc.starts_with(log.feedback["request_id"], "history-")).as_py()
    assert counts["click"] == 7_542 + imported
    assert log.flags == {FIRST_SIGHT, HISTORY_TIME_MADE_UP}
    assert pc.min(decided["time"]).as_py() == datetime(2019, 11, 9, 8, 1, 13, tzinfo=UTC)


def test_the_real_nemig_log(real_data: Callable[[str], Path]) -> None:
    log = mind.read(real_data("nemig-en"))
    assert ORDINAL_TIME in log.flags
    assert pc.sum(pc.equal(log.recommendations["policy"], "mind")).as_py() == 15_000
    assert log.articles.num_rows == 10_814
    assert log.articles["title"].null_count == 0
