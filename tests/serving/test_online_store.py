"""Readers' histories in the online store: the same as offline, whatever fails and whoever writes at the same time."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from feature_repo.store import ReaderVector, Store, open_store
from newsrec import artifact
from newsrec.encoders.one_reader import OneReader
from newsrec.event_log import EventDatabase
from newsrec.features import HOUR, READER_FEATURES, ReaderState, article_key, unpack_history
from newsrec.snapshots import reader_snapshots
from newsrec.transitions import Readers
from serving.backends import Backends
from serving.bundle import make_bundle
from serving.online_store import Histories
from serving.recommend import ServingConfig
from serving.scoring import made_by, read_rows, stored_vectors
from serving.stored_readers import StoredReaders
from serving.tower import Tower
from tests.event_rows import event, recommendation
from tests.serving.conftest import Site, clock

SHOWN = ["b", *(f"a{i:02}" for i in range(60))]
NAMES = [feature.name for feature in READER_FEATURES]
T = TypeVar("T")


def shown(request_id: str, user_id: str, **more: Any) -> dict[str, Any]:
    """A recommendation with all of SHOWN in its slate."""
    return recommendation(request_id, user_id, candidates=SHOWN, slate=SHOWN, propensities=None, **more)


@pytest.fixture
def store(site: Site, tmp_path: Path) -> Store:
    """The site's store, for this test alone."""
    shutil.copytree(site.untouched_store, tmp_path / "store")
    return open_store(tmp_path / "store")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[EventDatabase]:
    opened = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    yield opened
    opened.close()


def in_a_thread(call: Callable[[], T]) -> T:
    """``call`` where no connection to the store is open yet."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def reads(store: Store, user_id: str) -> int | None:
    return store.readers([user_id])[0]["reads"]


def test_the_online_row_equals_the_last_offline_snapshot(store: Store, database: EventDatabase, site: Site) -> None:
    histories = Histories(Backends(store, database, None, clock))
    context = {"utc_offset_minutes": 600}
    decisions = [shown(f"r{i}", "kim", time=site.now + i * HOUR, context=context) for i in range(6)]
    database.append_recommendations(decisions, site.now)
    batches: list[list[dict[str, Any]]] = [
        [event("1", "r0", "kim", article_id="a01", time=site.now + 3 * HOUR)],
        [event("2", "r1", "kim", article_id="a02", time=site.now + HOUR)],  # arrives late
        [
            event("3", "r2", "kim", article_id="a01", kind="dwell", dwell_seconds=33.3, time=site.now + 3 * HOUR),
            event("4", "r3", "kim", article_id=None, kind="leave", time=site.now + 9 * HOUR),
            event("5", "unknown", "kim", time=site.now),
        ],
        [event("6", "r5", "kim", article_id="a03", time=site.now + 40 * HOUR)],
    ]
    for number, batch in enumerate(batches):
        database.append_feedback(batch, site.now + 50 * HOUR + number)
        assert histories.catch_up("kim")
        assert histories.catch_up("kim")  # no event counts twice
        offline = reader_snapshots(database.export()).to_pylist()[-1]
        (online,) = store.readers(["kim"])
        assert {name: online[name] for name in NAMES} == {name: offline[name] for name in NAMES}
    assert reads(store, "kim") == 3


def test_an_imported_history_is_extended(store: Store, database: EventDatabase, site: Site) -> None:
    (before,) = store.readers(["ann"])
    database.append_recommendations([shown("r", "ann", time=site.now)], site.now)
    database.append_feedback([event("1", "r", "ann", article_id="a20", time=site.now + 7)], site.now + 9)
    assert Histories(Backends(store, database, None, clock)).catch_up("ann")
    (after,) = store.readers(["ann"])
    expected = ReaderState.from_row(before)
    expected.observe("click", article_key("a20"), site.now + 7, None)
    assert {name: after[name] for name in NAMES} == expected.row()
    assert unpack_history(after["history"])["key"].tolist() == [article_key(a) for a in ("a05", "a10", "a12", "a20")]
    assert after["event_timestamp"] == site.now + 9


def test_writers_side_by_side_lose_nothing(store: Store, database: EventDatabase, site: Site) -> None:
    collectors = [Histories(Backends(store, database, None, clock)) for _ in range(2)]
    database.append_recommendations([shown("r", "lee", time=site.now)], site.now)

    def click(number: int) -> bool:
        database.append_feedback([event(f"{number}", "r", "lee", article_id=f"a{number:02}")], site.now + number)
        return collectors[number % 2].catch_up("lee")

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(click, range(40)))
    assert reads(store, "lee") == 40


def test_a_store_that_is_down_costs_no_feedback_and_catches_up(
    store: Store, database: EventDatabase, site: Site
) -> None:
    histories = Histories(Backends(store, database, None, clock))
    database.append_recommendations([shown("r", "ann", time=site.now)], site.now)
    file = store.root / "online_store.db"
    healthy = file.read_bytes()
    file.write_bytes(b"no database " * 1000)
    try:
        database.append_feedback([event("1", "r", "ann", article_id="a20")], site.now + 1)
        assert not in_a_thread(lambda: histories.catch_up("ann"))
        (served,) = in_a_thread(lambda: StoredReaders(store).read(["ann"]))
        assert served.degraded
        assert served.features.length.tolist() == [0]
        assert in_a_thread(histories.sweep) == 1
    finally:
        file.write_bytes(healthy)
    assert in_a_thread(lambda: reads(store, "ann")) == 3
    assert in_a_thread(histories.sweep) == 0
    assert in_a_thread(lambda: reads(store, "ann")) == 4
    assert not in_a_thread(lambda: StoredReaders(store).read(["ann"]))[0].degraded


def test_with_a_tower_a_row_has_the_vector_that_a_request_would_compute(
    store: Store, database: EventDatabase, site: Site
) -> None:
    """Of the row as it is stored, read together with it; of the next row there is another one."""
    backends = Backends(store, database, None, clock)
    bundle = make_bundle(artifact.load(site.folder / "artifact"), backends, ServingConfig())
    histories = Histories(backends, Tower(bundle))
    shelf, by = bundle.live.shelves[0], bundle.arms.all[0].artifact
    database.append_recommendations([shown("r", "kim", time=site.now)], site.now)
    vectors = []
    for number in (1, 2):
        database.append_feedback([event(f"{number}", "r", "kim", article_id=f"a{number:02}")], site.now + number)
        assert histories.catch_up("kim")
        ((row, vector),) = store.readers_and_vectors(["kim"])
        features = Readers.from_row(row)
        assert [vector] == stored_vectors(features, shelf, by)
        assert vector is not None
        assert made_by(vector, read_rows(features, shelf), shelf, by) is not None
        vectors.append(vector.vector)
    assert vectors[0] != vectors[1]


def test_an_event_that_reads_nothing_runs_no_tower(
    store: Store, database: EventDatabase, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vector moves on to the new row; one of another release, or of articles that changed, does not."""
    backends = Backends(store, database, None, clock)
    bundle = make_bundle(artifact.load(site.folder / "artifact"), backends, ServingConfig())
    histories = Histories(backends, Tower(bundle))
    ran, vector = [], OneReader.vector

    def counted(*reads: Any) -> Any:
        ran.append("tower")
        return vector(*reads)

    monkeypatch.setattr(OneReader, "vector", counted)
    database.append_recommendations([shown("r", "kim", time=site.now)], site.now)
    stamp = site.now

    def told(name: str, **happened: Any) -> ReaderVector:
        nonlocal stamp
        stamp += 1
        database.append_feedback([event(name, "r", "kim", **happened)], stamp)
        assert histories.catch_up("kim")
        ((row, found),) = store.readers_and_vectors(["kim"])
        assert row["event_timestamp"] == stamp
        assert found is not None
        return found

    clicked = told("1", article_id="a01")
    assert told("2", article_id="a02", kind="impression") == clicked
    assert ran == ["tower"]
    assert told("3", article_id="a02").vector != clicked.vector
    assert ran == ["tower"] * 2
    store.write_vector("kim", clicked._replace(policy_version=b"another"), stamp)
    assert told("4", article_id="a03", kind="impression").policy_version == bundle.released.version.encode()
    store.write_vector("kim", clicked._replace(content=clicked.content + 1), stamp)
    told("5", article_id="a04", kind="impression")
    assert ran == ["tower"] * 4


def test_a_tower_that_fails_and_bytes_that_are_no_vector_hold_no_history_back(
    store: Store, database: EventDatabase, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backends = Backends(store, database, None, clock)
    bundle = make_bundle(artifact.load(site.folder / "artifact"), backends, ServingConfig())
    histories = Histories(backends, Tower(bundle))
    database.append_recommendations([shown("r", "kim", time=site.now)], site.now)

    def click(number: int) -> tuple[int, bool]:
        """Reads in the row, and whether a vector of it is there."""
        database.append_feedback([event(f"{number}", "r", "kim", article_id=f"a{number:02}")], site.now + number)
        assert histories.catch_up("kim")
        ((row, vector),) = store.readers_and_vectors(["kim"])
        return row["reads"], vector is not None

    with monkeypatch.context() as broken:
        broken.setattr(OneReader, "vector", lambda *_: 1 / 0)
        assert click(1) == (1, False)
    assert "the history tower failed: division by zero" in caplog.text
    assert click(2) == (2, True)
    with monkeypatch.context() as torn:
        torn.setattr(type(store), "readers_and_vectors", lambda *_: int("no vector"))  # ValueError
        database.append_feedback([event("3", "r", "kim", article_id="a03")], site.now + 3)
        assert histories.catch_up("kim")
    assert reads(store, "kim") == 3
    assert click(4) == (4, True)


def test_in_a_store_of_older_code_histories_go_on_without_vectors(
    store: Store, database: EventDatabase, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    store._feast.delete_feature_service("reader_vector")
    older = open_store(store.root)
    backends = Backends(older, database, None, clock)
    tower = Tower(make_bundle(artifact.load(site.folder / "artifact"), backends, ServingConfig()))
    histories = Histories(backends, tower)
    assert "has no reader vectors; run create_store on it again" in caplog.text
    database.append_recommendations([shown("r", "kim", time=site.now)], site.now)
    database.append_feedback([event("1", "r", "kim", article_id="a01")], site.now + 1)
    assert histories.catch_up("kim")
    ((row, vector),) = older.readers_and_vectors(["kim"])
    assert (row["reads"], vector) == (1, None)
