"""Open Bandit Dataset: three rows of each policy, written by hand, and the real sample."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from newsrec.datasets import obd
from newsrec.events import FIRST_SIGHT, NO_READER_IDS, InvalidEvents

HEADER = ",timestamp,item_id,position,click,propensity_score,user_feature_0\n"
RANDOM = (
    "0,2019-11-24 00:03:13.442536+00:00,1,3,0,0.5,x\n"
    "1,2019-11-24 00:04:00+00:00,0,1,1,0.5,y\n"
    "2,2019-11-24 00:05:00.5+00:00,1,2,0,0.5,x\n"
)
ITEMS = ",item_id,item_feature_0\n0,0,-0.6\n1,1,0.7\n"


def folder(path: Path, name: str = "random", rows: str = RANDOM) -> Path:
    (path / name).mkdir(parents=True)
    (path / name / "men.csv").write_text(HEADER + rows)
    (path / name / "item_context.csv").write_text(ITEMS)
    return path


def test_each_row_is_a_decision_of_its_own(tmp_path: Path) -> None:
    folder(tmp_path)
    folder(tmp_path, "bts", "0,2019-11-24 00:00:01+00:00,1,1,0,0.125,z\n")
    log = obd.read(tmp_path)
    assert log.flags == {FIRST_SIGHT, NO_READER_IDS}
    assert log.has_propensities
    requests = {row["request_id"]: row for row in log.recommendations.to_pylist()}
    assert list(requests) == ["random/0", "random/1", "random/2", "bts/0"]
    first = requests["random/0"]
    assert first["time"] == datetime(2019, 11, 24, 0, 3, 13, 442536, tzinfo=UTC)
    assert (first["policy"], first["user_id"], first["session_id"]) == ("random", "random/0", "random/0")
    assert (first["candidates"], first["slate"], first["propensities"]) == (["0", "1"], ["1"], [0.5])
    assert requests["bts/0"]["policy"] == "bts"
    assert requests["bts/0"]["propensities"] == [0.125]


def test_the_place_on_the_page_and_the_click_are_feedback(tmp_path: Path) -> None:
    log = obd.read(folder(tmp_path))
    rows = [(r["request_id"], r["kind"], r["article_id"], r["position"], r["time"]) for r in log.feedback.to_pylist()]
    second = datetime(2019, 11, 24, 0, 4, tzinfo=UTC)
    assert rows == [
        ("random/0", "impression", "1", 2, datetime(2019, 11, 24, 0, 3, 13, 442536, tzinfo=UTC)),
        ("random/1", "impression", "0", 0, second),
        ("random/2", "impression", "1", 1, datetime(2019, 11, 24, 0, 5, 0, 500000, tzinfo=UTC)),
        ("random/1", "click", "0", 0, second.replace(second=1)),
    ]
    assert log.feedback["received_at"].equals(log.feedback["time"])


def test_the_catalogue_is_there_from_the_first_moment(tmp_path: Path) -> None:
    """Item 0 is shown a minute later than item 1, but it was a candidate from the start."""
    log = obd.read(folder(tmp_path))
    assert log.articles["article_id"].to_pylist() == ["0", "1"]
    start = datetime(2019, 11, 24, 0, 3, 13, 442536, tzinfo=UTC)
    assert log.articles["published_at"].to_pylist() == [start, start]


def test_one_policys_folder_can_be_read_alone(tmp_path: Path) -> None:
    folder(tmp_path)
    log = obd.read(tmp_path / "random")
    assert log.recommendations["policy"].to_pylist() == ["random"] * 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "0,2019-11-24 00:03:13,1,3,0,0.5,x\n",
            "men.csv line 2, column timestamp: found '2019-11-24 00:03:13', expected",
        ),
        (RANDOM + "\n3,soon,1,3,0,0.5,x\n", "men.csv line 6, column timestamp: found 'soon'"),
        (
            RANDOM + "3,2019-11-24 00:03:13+00:00,7,3,0,0.5,x\n",
            "line 5, column item_id: found '7', expected an item of",
        ),
        (
            RANDOM + "3,2019-11-24 00:03:13+00:00,1,4,0,0.5,x\n",
            "line 5, column position: found '4', expected 1, 2 or 3",
        ),
        (RANDOM + "3,2019-11-24 00:03:13+00:00,1,3,2,0.5,x\n", "line 5, column click: found '2', expected 0 or 1"),
        (RANDOM + "3,2019-11-24 00:03:13+00:00,1,3,0,p,x\n", "column propensity_score: found 'p', expected a number"),
        (RANDOM + "3,2019-11-24 00:03:13+00:00,1,3,0,0.0,x\n", "found '0.0', expected a probability in (0, 1]"),
        (RANDOM + "3,2019-11-24 00:03:13+00:00,1,3,0,1.5,x\n", "found '1.5', expected a probability in (0, 1]"),
        (RANDOM + "3,2019-11-24\n", "men.csv line 5: found 2 columns, expected 7"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InvalidEvents) as error:
        obd.read(folder(tmp_path, rows=rows))
    assert message in str(error.value)


def test_other_errors_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the folders random and bts"):
        obd.read(tmp_path)
    folder(tmp_path)
    (tmp_path / "random" / "women.csv").write_text(HEADER)
    with pytest.raises(InvalidEvents, match=r"random: found men\.csv, women\.csv, expected the \.csv of one campaign"):
        obd.read(tmp_path)
    (tmp_path / "random" / "women.csv").unlink()
    (tmp_path / "random" / "men.csv").write_text(HEADER.replace("click", "tap") + RANDOM)
    with pytest.raises(InvalidEvents, match=r"men\.csv line 1: column click is missing; found , timestamp, item_id"):
        obd.read(tmp_path)
    (tmp_path / "random" / "men.csv").write_text(HEADER)
    with pytest.raises(InvalidEvents, match=r"men\.csv holds a header only"):
        obd.read(tmp_path)


def test_the_real_sample(real_data: Callable[[str], Path]) -> None:
    log = obd.read(real_data("obd-men"))
    assert log.recommendations["policy"].value_counts().to_pylist() == [
        {"values": "random", "counts": 10_000},
        {"values": "bts", "counts": 10_000},
    ]
    uniform = log.recommendations.filter(pc.equal(log.recommendations["policy"], "random"))["propensities"]
    np.testing.assert_allclose(uniform.combine_chunks().flatten().to_numpy(), 1 / 34)
    clicks = log.feedback.filter(pc.equal(log.feedback["kind"], "click"))["request_id"].to_pylist()
    assert [sum(c.startswith(policy) for c in clicks) for policy in ("random", "bts")] == [46, 69]
