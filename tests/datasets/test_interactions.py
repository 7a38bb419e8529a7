"""Plain interactions in every format and with every clock that the reader knows, and MovieLens 100k."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec.config import InvalidConfig
from newsrec.datasets import interactions
from newsrec.datasets.interactions import Columns
from newsrec.events import FIRST_SIGHT, IMPORTED_POLICY, ORDINAL_TIME, EventLog, InvalidEvents

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
SECONDS = int(START.timestamp())


def write(path: Path, name: str, text: str) -> Path:
    (path / name).write_text(text, encoding="utf-8")
    return path / name


def clicks(log: EventLog) -> list[tuple]:
    rows = log.feedback.to_pylist()
    assert all(row["kind"] == "click" and row["received_at"] == row["time"] for row in rows)
    return [(row["request_id"], row["article_id"], row["time"]) for row in rows]


def test_a_session_is_an_imported_recommendation_and_an_interaction_a_click(tmp_path: Path) -> None:
    """Ann reads b, a, b within 30 minutes, then c after 31; the file is not in order of time."""
    lines = [("ann", "c", 4060), ("ann", "b", 2200), ("bob", "a", 60), ("ann", "b", 0), ("ann", "a", 400)]
    text = "user_id,item_id,timestamp\n" + "".join(f"{u},{i},{SECONDS + t}\n" for u, i, t in lines)
    log = interactions.read(write(tmp_path, "log.csv", text))

    def moment(seconds: int) -> datetime:
        return START + timedelta(seconds=seconds)

    assert clicks(log) == [
        ("ann/0", "b", moment(0)),
        ("ann/0", "a", moment(400)),
        ("ann/0", "b", moment(2200)),
        ("ann/1", "c", moment(4060)),
        ("bob/0", "a", moment(60)),
    ]
    requests = {row["request_id"]: row for row in log.recommendations.to_pylist()}
    assert {row["policy"] for row in requests.values()} == {IMPORTED_POLICY}
    ann = requests["ann/0"]
    assert (ann["user_id"], ann["session_id"], ann["time"]) == ("ann", "ann/0", moment(0))
    assert ann["slate"] == ann["candidates"] == ["a", "b"]
    assert ann["propensities"] is None
    assert log.flags == {FIRST_SIGHT}
    published = dict(zip(*(log.articles[name].to_pylist() for name in ("article_id", "published_at")), strict=True))
    assert published == {"a": moment(60), "b": moment(0), "c": moment(4060)}


def test_without_times_the_order_of_the_file_is_the_clock(tmp_path: Path) -> None:
    log = interactions.read(write(tmp_path, "log.tsv", "User\tItem\nann\ta\nbob\tb\nann\tc\n"))
    start = datetime(2000, 1, 1, tzinfo=UTC)
    assert clicks(log) == [
        ("ann/0", "a", start),
        ("ann/0", "c", start + timedelta(minutes=2)),
        ("bob/0", "b", start + timedelta(minutes=1)),
    ]
    assert log.flags == {FIRST_SIGHT, ORDINAL_TIME}


@pytest.mark.parametrize(
    ("written", "timezone"),
    [
        (f"{SECONDS}", None),
        (f"{SECONDS}.0", None),
        (f"{SECONDS}000", None),
        (f"{SECONDS}000000", None),
        (f"{SECONDS}000000000", None),
        ("1.7145648e9", None),
        ("2024-05-01T12:00:00Z", None),
        ("2024-05-01 14:00:00+02:00", None),
        ("2024-05-01T14:00:00.000+0200", "Asia/Tokyo"),
        ("2024-05-01 14:00:00", "Europe/Copenhagen"),
        ("2024-05-01 14:00", "Europe/Copenhagen"),
    ],
)
def test_clocks_in_text(tmp_path: Path, written: str, timezone: str | None) -> None:
    path = write(tmp_path, "log.csv", f"userId,articleId,eventTime\nann,a,{written}\n")
    assert clicks(interactions.read(path, timezone=timezone)) == [("ann/0", "a", START)]


@pytest.mark.parametrize(
    ("column", "timezone"),
    [
        (pa.array([SECONDS]), None),
        (pa.array([SECONDS * 1_000_000_000]), None),
        (pa.array([float(SECONDS)]), None),
        (pa.array([START]), None),
        (pa.array([SECONDS * 10**9], pa.timestamp("ns", "Europe/Copenhagen")), None),
        (pa.array([SECONDS + 7200], pa.timestamp("s")), "Europe/Copenhagen"),
        (pa.array(["2024-05-01T12:00:00Z"]), None),
    ],
)
def test_clocks_in_parquet(tmp_path: Path, column: pa.Array, timezone: str | None) -> None:
    pq.write_table(pa.table({"user": [7], "item": [8], "date": column}), tmp_path / "log.parquet")
    assert clicks(interactions.read(tmp_path / "log.parquet", timezone=timezone)) == [("7/0", "8", START)]


def test_a_date_is_midnight_of_the_logs_timezone(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": ["u"], "item": ["i"], "date": [date(2024, 5, 1)]}), tmp_path / "log.parquet")
    midnight = datetime(2024, 4, 30, 22, tzinfo=UTC)
    assert clicks(interactions.read(tmp_path / "log.parquet", timezone="Europe/Copenhagen")) == [("u/0", "i", midnight)]
    text = write(tmp_path, "log.csv", "user,item,date\nu,i,2024-05-01\n")
    assert clicks(interactions.read(text, timezone="Europe/Copenhagen")) == [("u/0", "i", midnight)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=5))
def test_every_numeric_unit_gives_the_same_times(
    tmp_path_factory: pytest.TempPathFactory, moments: list[datetime]
) -> None:
    seconds = [int(m.replace(tzinfo=UTC).timestamp()) for m in moments]
    path = tmp_path_factory.mktemp("units")
    logs = []
    for unit in (1, 10**3, 10**6, 10**9):
        rows = "".join(f"u,{i},{s * unit}\n" for i, s in enumerate(seconds))
        logs.append(clicks(interactions.read(write(path, "log.csv", "user,item,time\n" + rows))))
    assert logs[0] == logs[1] == logs[2] == logs[3]
    assert sorted(t for _, _, t in logs[0]) == sorted(datetime.fromtimestamp(s, UTC) for s in seconds)


def test_recbole_files_with_the_items_beside_them(tmp_path: Path) -> None:
    write(tmp_path, "ml.inter", f"user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t9\t4\t{SECONDS}\n")
    write(tmp_path, "ml.item", 'item_id:token\tmovie_title:token_seq\tclass:token_seq\n9\tToy "Story\tComedy\n8\tX\t\n')
    log = interactions.read(tmp_path)
    assert clicks(log) == [("1/0", "9", START)]
    described = [{name: row[name] for name in ("article_id", "title", "category")} for row in log.articles.to_pylist()]
    assert described == [
        {"article_id": "9", "title": 'Toy "Story', "category": "Comedy"},
        {"article_id": "8", "title": "X", "category": None},
    ]


def test_items_of_another_format(tmp_path: Path) -> None:
    log = write(tmp_path, "log.csv", 'user,item\n"a,b",x\n')
    items = write(tmp_path, "news.csv", 'article_id,headline,summary,section\nx,"Snow, ""again""",Cold.,weather\n')
    (row,) = interactions.read(log, items).articles.to_pylist()
    assert [row[name] for name in ("article_id", "title", "abstract", "category")] == [
        "x",
        'Snow, "again"',
        "Cold.",
        "weather",
    ]


def test_ratings_below_the_least_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "log.csv", f"user,item,stars,time\nu,a,3.9,{SECONDS}\nu,b,4,{SECONDS}\nv,a,1,{SECONDS}\n")
    log = interactions.read(path, min_rating=4)
    assert clicks(log) == [("u/0", "b", START)]
    assert log.articles["article_id"].to_pylist() == ["b"]
    with pytest.raises(InvalidEvents, match=r"log\.csv: no interaction is rated 5 or more"):
        interactions.read(path, min_rating=5)


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "log.csv", f"who,what,user,t\nann,a,x,{SECONDS}\n")
    assert clicks(interactions.read(path, columns=Columns("who", "what", time="t"))) == [("ann/0", "a", START)]
    with pytest.raises(InvalidConfig, match=r"user: .*log\.csv has no column whom; found who, what, user, t"):
        interactions.read(path, columns=Columns(user="whom", item="what"))
    with pytest.raises(InvalidEvents, match=r"no column looks like the item; found who, what, user, t; name it"):
        interactions.read(path)
    with pytest.raises(InvalidConfig, match=r"min_rating: .*log\.csv has no ratings"):
        interactions.read(path, columns=Columns(item="what"), min_rating=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "log.csv is empty"),
        ("user,item,time\n", "log.csv holds a header only"),
        ("user,user,item\na,b,c\n", "line 1: column user stands there twice"),
        ("user,item,time\nu,i,1\n\nu,,2\n", "line 4, column item: found '', expected an id"),
        ("user,item,time\nu,i,1\nu,i\n", "line 3: found 2 columns, expected 3"),
        ("user,item,time\nu,i,1\nu,i,soon\n", "line 3, column time: found 'soon', expected a number"),
        ("user,item,time\nu,i,1\nu,i,\n", "line 3, column time: found '', expected a number"),
        ("user,item,time\nu,i,1\nu,i,nan\n", "line 3, column time: found 'nan', expected a number"),
        ("user,item,time\nu,i,1\nu,i,1e20\n", "line 3, column time: found '1e20', expected a time since 1970"),
        (
            "user,item,time\nu,i,2024-05-01\nu,i,2024-13-01\n",
            "line 3, column time: found '2024-13-01', expected an ISO 8601",
        ),
        (
            "user,item,time\nu,i,2024-05-01 10:00:00Z\nu,i,2024-05-01 10:00:00\n",
            "line 3, column time: found '2024-05-01 10:00:00', expected an ISO 8601 time with an offset from UTC",
        ),
        (
            "user,item,time\nu,i,2024-05-01 10:00:00\nu,i,2024-05-01 10:00:00Z\n",
            "line 3, column time: found '2024-05-01 10:00:00Z', expected an ISO 8601 time without an offset from UTC",
        ),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidEvents) as error:
        interactions.read(write(tmp_path, "log.csv", text), timezone="UTC")
    assert message in str(error.value)


def test_other_errors_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(InvalidEvents, match=r"found none, expected one file \.inter in the folder"):
        interactions.read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"log\.csv"):
        interactions.read(tmp_path / "log.csv")
    with pytest.raises(InvalidEvents, match=r"log\.xlsx: expected a file \.parquet \.csv \.tsv \.inter \.item"):
        interactions.read(write(tmp_path, "log.xlsx", "x"))
    naive = write(tmp_path, "log.csv", "user,item,time\nu,i,2024-05-01 10:00:00\n")
    with pytest.raises(InvalidEvents, match=r"log\.csv column time: times carry no timezone"):
        interactions.read(naive)
    pq.write_table(pa.table({"user": ["u", None], "item": ["a", "b"]}), tmp_path / "log.parquet")
    with pytest.raises(InvalidEvents, match=r"log\.parquet row 1, column user: found None, expected an id"):
        interactions.read(tmp_path / "log.parquet")
    nothing = pa.array([], pa.string())
    pq.write_table(pa.table({"user": nothing, "item": nothing}), tmp_path / "log.parquet")
    with pytest.raises(InvalidEvents, match=r"log\.parquet holds no rows"):
        interactions.read(tmp_path / "log.parquet")
    pq.write_table(pa.table({"user": [["u"]], "item": ["a"]}), tmp_path / "log.parquet")
    with pytest.raises(InvalidEvents, match=r"log\.parquet row 0, column user: found \['u'\], expected an id"):
        interactions.read(tmp_path / "log.parquet")


cells = st.sampled_from(
    ["", "u", "1", "1e400", "nan", "2024-05-01", "2024-05-01T10:00:00Z", "٣", '"', "99999999999999999999"]
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["log.csv", "log.tsv"]), st.lists(st.lists(cells, min_size=2, max_size=4), max_size=4))
def test_any_table_gives_a_valid_log_or_invalid_events(
    tmp_path_factory: pytest.TempPathFactory, name: str, rows: list[list[str]]
) -> None:
    delimiter = "," if name.endswith("csv") else "\t"
    text = "\n".join(delimiter.join(row) for row in [["user", "item", "time"], *rows])
    try:
        log = interactions.read(write(tmp_path_factory.mktemp("any"), name, text), timezone="UTC")
    except InvalidEvents:
        return
    assert 0 < log.feedback.num_rows <= len(rows)


def test_the_real_movielens_log(real_data: Callable[[str], Path]) -> None:
    log = interactions.read(real_data("ml-100k"))
    assert log.feedback.num_rows == 100_000
    assert len(log.recommendations["user_id"].unique()) == 943
    assert log.articles.num_rows == 1_682
    assert log.articles["title"].to_pylist()[0] == "Toy Story"
    assert interactions.read(real_data("ml-100k"), min_rating=4).feedback.num_rows == 55_375
