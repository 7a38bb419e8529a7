"""What a run starts from: the served release, the state of its source, its moment."""

import json
import time
from pathlib import Path

import pytest

from newsrec.config import InvalidConfig
from newsrec.event_log import EventDatabase
from newsrec.releases import Release
from newsrec.run_start import data_digest, resolve
from tests.event_rows import NOON, article, recommendation


def test_a_site_without_a_release_starts_from_nothing(tmp_path: Path) -> None:
    before = time.time_ns() // 1_000
    found = resolve(tmp_path, "simulated")
    assert (found.incumbent, found.data) == ("", "")
    assert before <= int(found.until) <= time.time_ns() // 1_000


def test_the_served_release_and_a_moment_that_was_asked_for(tmp_path: Path) -> None:
    fields = {"version": "b", "previous": "a", "run": "r", "data_until": 5, "rolled_back": None}
    assert Release(tmp_path, **fields).version == "b"
    (tmp_path / "CURRENT").write_text(json.dumps(fields))
    found = resolve(tmp_path, "simulated", "1970-01-01T01:00:00.000007+01:00")
    assert (found.incumbent, found.until) == ("b", "7")


@pytest.mark.parametrize("until", ["tomorrow", "2026-01-31", "2026-01-31T04:00:00"])
def test_a_moment_without_a_zone_is_refused(tmp_path: Path, until: str) -> None:
    with pytest.raises(InvalidConfig, match=f"until is '{until}', expected a time with its zone"):
        resolve(tmp_path, "simulated", until)


def test_the_digest_of_files_follows_their_bytes_and_names(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = data_digest(f"mind:{folder}")
    assert data_digest(f"mind:{folder}") == first
    (folder / "a").write_text("2")
    second = data_digest(f"mind:{folder}")
    (folder / "a").rename(folder / "b")
    assert len({first, second, data_digest(f"mind:{folder}")}) == 3


def test_the_digest_of_a_database_follows_what_it_took(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    database = EventDatabase(url)
    database.upsert_articles([article("a")], NOON)
    first = data_digest(f"log:{url}")
    assert data_digest(f"log:{url}") == first
    database.append_recommendations([recommendation("r")], NOON)
    assert data_digest(f"log:{url}") != first
    database.close()


@pytest.mark.parametrize("source", ["mind:{}/none", "log:sqlite:///{}/none.db"])
def test_a_source_that_is_not_there_is_named_and_not_made(tmp_path: Path, source: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.* does not exist; expected the log of"):
        data_digest(source.format(tmp_path))
    assert not list(tmp_path.iterdir())


def test_an_unknown_kind_of_source_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="expected simulated or one of mind:PATH"):
        data_digest("csv:log.csv")
