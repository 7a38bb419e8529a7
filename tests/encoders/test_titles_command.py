"""``newsrec titles``: a student from a log, and a log moved from one encoder to another."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from newsrec import events
from newsrec.cli import app
from newsrec.encoders import text
from newsrec.event_log import EventDatabase
from newsrec.events import InvalidEvents
from newsrec.features import ENCODER_VARIABLE
from tests.encoders.test_student import TITLES

pytest.importorskip("onnx", reason="the student is written by onnx: pip install newsrec[titles]")
QUICK = ["--set", "buckets=512", "--set", "width=16", "--set", "hidden=8", "--set", "epochs=1"]


@pytest.fixture(autouse=True)
def hashed_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENCODER_VARIABLE, "")


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = f"sqlite:///{tmp_path / 'log.db'}"
    database = EventDatabase(found)
    rows = [{"article_id": f"a{at}", "published_at": at, "title": title} for at, title in enumerate(TITLES)]
    rows.append({"article_id": "blank", "published_at": 0})
    table = text.embed_articles(events.from_rows("articles", rows))
    database.upsert_articles(table.to_pylist(), 1)
    database.close()
    return found


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["titles", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_log_is_moved_to_a_student_and_back(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path / "student")
    said = run("train", "--log", url, "--out", folder, "--store", str(tmp_path / "store"), *QUICK)
    about = json.loads((tmp_path / "student" / "encoder.json").read_text())
    assert about["version"] in said
    assert f"{len(TITLES)} different ones of {len(TITLES) + 1} articles" in said
    before = articles(url)
    monkeypatch.setenv(ENCODER_VARIABLE, folder)
    with pytest.raises(InvalidEvents, match=f"not of {about['version']}"):
        text.embed_articles(before)
    said = run("embed", "--log", url, "--encoder", folder)
    assert about["version"] in said
    assert "1 without any text" in said
    after = articles(url)
    assert text.embed_articles(after).equals(after)
    assert np.abs(vectors(after)[0] - vectors(before)[0]).max() > 0.05
    run("embed", "--log", url)
    assert articles(url).equals(before)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.db does not exist"):
        run("embed", "--log", f"sqlite:///{tmp_path}/none.db")
    assert not list(tmp_path.iterdir())


def articles(url: str) -> pa.Table:
    database = EventDatabase(url)
    found = database.articles()[0].sort_by("article_id")
    database.close()
    return found


def vectors(table: pa.Table) -> np.ndarray:
    return np.array(table["embedding"].to_pylist())
