"""Online rows: exact, told apart from nothing, and replaced by newer ones only, in both stores, whoever else writes."""

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np

from feature_repo.store import Store
from newsrec.features import ARTICLE_FEATURES, READER_FEATURES
from tests.conftest import ROOT
from tests.feature_repo.logs import START

READER: dict[str, Any] = {
    "history": b"\x01reads",
    "reads": 3,
    "sessions": 2,
    "active_days": 5,
    "last_day": 19675,
    "last_seen": START - 1,
    "gap_hours": 0.5,
    "shown": b"\x01impressions",
}
ARTICLE: dict[str, Any] = {"embedding": b"\x00" * 256, "published_at": START, "as_of": START}
ARTICLE |= {"clicks_hour": 0.5, "clicks_day": 1.5, "impressions_day": 2.5, "dwell_day": 3.5}


def test_values_come_back_as_they_went_in(store: Store) -> None:
    """Empty bytes and zeros are no nulls, integers are 64 bits and signed, floats are float32, times microseconds."""
    tiny, third = float(np.float32(1e-45)), float(np.float32(1 / 3))
    rows = {
        "plain": READER,
        "zero": READER | {"history": b"", "shown": b"", "reads": 0, "last_day": 0, "last_seen": 0, "gap_hours": 0.0},
        "extreme": READER | {"reads": 2**63 - 1, "last_day": -(2**63), "last_seen": -1, "gap_hours": tiny},
        "third": READER | {"history": bytes(range(256)), "gap_hours": third},
        "null": dict.fromkeys(f.name for f in READER_FEATURES),
        "größe 你好": READER | {"last_seen": None},
    }
    for i, (user, row) in enumerate(rows.items()):
        assert store.write_reader(user, row, START + i)
    assert store.readers(list(rows)) == [row | {"event_timestamp": START + i} for i, row in enumerate(rows.values())]


def test_only_a_newer_row_replaces(store: Store) -> None:
    """A microsecond decides. A row of the same moment is not newer."""
    written = [
        store.write_reader("ann", READER | {"reads": reads}, START + offset)
        for reads, offset in ((1, 0), (2, 0), (3, -1), (4, 1), (5, 1), (6, -(10**12)), (7, 2))
    ]
    assert written == [True, False, False, True, False, False, True]
    assert store.readers(["ann"]) == [READER | {"reads": 7, "event_timestamp": START + 2}]


def test_newest_of_one_batch(store: Store) -> None:
    """Rows of one article in one call, in any order: the newest stays, and only steps forward count."""
    rows = [ARTICLE | {"article_id": "a", "event_timestamp": START + t, "clicks_day": float(t)} for t in (5, 7, 6)]
    rows += [ARTICLE | {"article_id": "b", "event_timestamp": START}]
    assert store.write_articles(rows) == 3
    assert store.write_articles(rows) == 0
    assert [a["clicks_day"] for a in store.articles(["a", "b"])] == [7.0, 1.5]
    assert store.articles(["a"])[0].keys() == {"event_timestamp", *(f.name for f in ARTICLE_FEATURES)}
    assert store.readers(["a"])[0]["event_timestamp"] is None  # a reader and an article may share an id


def test_more_rows_than_one_batch(store: Store) -> None:
    rows = [ARTICLE | {"article_id": f"{i}", "event_timestamp": START + i} for i in range(2300)]
    assert store.write_articles(rows) == 2300
    assert [a["event_timestamp"] for a in store.articles([f"{i}" for i in range(2300)])] == list(
        range(START, START + 2300)
    )


def test_threads_share_a_store(store: Store) -> None:
    """Four writers with shuffled moments: the newest row stays, no row is seen half written, none goes back in time."""
    stamps = np.random.default_rng(0).permutation(400).reshape(4, 100)
    seen: list[dict[str, Any]] = []
    errors: list[BaseException] = []

    def write(offsets: list[int]) -> None:
        try:
            for offset in offsets:
                store.write_reader("ann", READER | {"reads": offset, "sessions": offset}, START + offset)
                seen.extend(store.readers(["ann"]))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(row.tolist(),)) for row in stamps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(seen) == 400
    assert all(row["reads"] == row["sessions"] == row["event_timestamp"] - START for row in seen)
    assert store.readers(["ann"])[0]["reads"] == 399


RIVAL = """
import json, sys
from feature_repo.store import open_store
from tests.feature_repo.test_online import contend
store, won = open_store(sys.argv[1]), []
print("ready", flush=True)
while store.readers(["stop"])[0]["event_timestamp"] is None:
    won += contend(store, author=2)
print(json.dumps(won))
"""


def contend(store: Store, author: int) -> list[int]:
    """Claim the moment after the stored one, and one already passed: the moments that the store says it took."""
    stored = store.readers(["ann"])[0]["event_timestamp"]
    return [t for t in (stored + 1, stored) if store.write_reader("ann", READER | {"sessions": author}, t)]


def test_processes_share_a_store(store: Store, python: Path) -> None:
    """A second process, in another timezone, claims the same moments: each is given once, and none is lost to a lock.

    A store that compares first and writes afterwards gives one moment to both.
    """
    assert store.write_reader("ann", READER, START)
    environment = os.environ | {"TZ": "Asia/Seoul", "PYTHONPATH": str(ROOT)}
    command = [python, "-c", RIVAL, str(store.root)]
    won, met = [START], 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as rival:
        assert rival.stdout is not None
        assert rival.stdout.readline() == b"ready\n"
        while met < 100:
            won += contend(store, author=1)
            met += store.readers(["ann"])[0]["sessions"] == 2
            assert rival.poll() is None
        store.write_reader("stop", READER, START)
        won += json.loads(rival.stdout.read())
    assert rival.returncode == 0
    last = store.readers(["ann"])[0]["event_timestamp"]
    assert sorted(won) == list(range(START, last + 1))
