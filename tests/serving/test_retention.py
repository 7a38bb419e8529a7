"""What is older than a site keeps goes from the log, a little at a time, and everything still runs on what is left."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pytest

from feature_repo.store import build_training_set, materialize_training_set, open_store
from newsrec import dataset, erasure, events
from newsrec.config import InvalidConfig
from newsrec.erasure import Removed
from newsrec.event_log import EventDatabase
from newsrec.ingestion import ingest
from serving.retention import DAY, Retention, check_days, retain
from tests.event_rows import article, event, recommendation
from tests.serving.conftest import Site, clock, ended, wait_for

DAYS = 40


@pytest.fixture
def database(tmp_path: Path) -> Iterator[EventDatabase]:
    """Two readers, each with a decision and a click a day for DAYS days until half a day ago."""
    now = clock()
    opened = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    opened.upsert_articles([article(key, published_at=now - 50 * DAY, title=f"News {key}") for key in "abc"], now)
    for day in range(DAYS):
        time = now - day * DAY - DAY // 2
        for reader in ("ann", "bob"):
            key = f"{reader}{day}"
            opened.append_recommendations([recommendation(key, reader, time=time)], time)
            opened.append_feedback([event(key, key, reader, time=time + 5)], time + 5)
    yield opened
    opened.close()


def test_pipelines_run_on_what_is_kept(database: EventDatabase, tmp_path: Path, site: Site) -> None:
    """The online rows of before stay, and a materialisation of the shorter log makes none older or shorter."""
    url = str(database.engine.url)
    before = build_training_set(ingest(f"log:{url}", tmp_path / "log"), tmp_path / "before")
    materialize_training_set(before, tmp_path / "store", tmp_path / "counts.json")
    store = open_store(tmp_path / "store")
    online = store.readers(["ann", "bob"])
    shutil.rmtree(tmp_path / "log")
    assert retain(database, 30, clock(), pause_seconds=0.0) == Removed(20, 20, 0)
    after = build_training_set(ingest(f"log:{url}", tmp_path / "log"), tmp_path / "after")
    assert (len(dataset.read(before)), len(dataset.read(after))) == (80, 60)
    log = events.read(after / "log")
    assert pc.min(log.recommendations["time"]).value >= clock() - 30 * DAY - DAY // 2
    assert log.articles.num_rows == 3
    materialize_training_set(after, tmp_path / "store", tmp_path / "counts.json")
    assert store.readers(["ann", "bob"]) == online
    assert online[0]["reads"] == 40


def test_a_horizon_is_not_cut_off_without_a_word(database: EventDatabase) -> None:
    with pytest.raises(
        InvalidConfig, match=r"27 days are kept, but .* over 28; expected 28 or more, or --below-horizon"
    ):
        check_days(27, below_horizon=False)
    check_days(28, below_horizon=False)
    check_days(1, below_horizon=True)


def test_the_collectors_thread_deletes_and_ends_between_two_batches(
    database: EventDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "BATCH", 4)
    thread = Retention(database, 38, clock)
    thread.start()
    wait_for(lambda: database.watermark()["recommendations"][0] == 76)
    thread.stop()
    assert not thread.is_alive()
    monkeypatch.setattr("serving.retention.PAUSE_SECONDS", 60.0)
    thread = Retention(database, 1, clock)
    thread.start()
    wait_for(lambda: database.watermark()["recommendations"][0] == 72)
    thread.stop()
    assert database.watermark()["recommendations"][0] == database.watermark()["feedback"][0] == 72


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return ended("retain", f"--event-log=sqlite:///{folder / 'events.db'}", *arguments)


@pytest.mark.usefixtures("warm")
def test_the_command(database: EventDatabase, tmp_path: Path) -> None:
    refused = command(tmp_path, "--days=7")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("serving: 7 days are kept, but returns")
    assert database.watermark()["recommendations"][0] == 80
    done = command(tmp_path, "--days=7", "--below-horizon")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "deleted: 66 recommendations, 66 feedback events and 0 waiting ones\n"
    assert database.watermark()["recommendations"][0] == 14
