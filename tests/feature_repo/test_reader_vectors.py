"""Vectors beside readers' rows: read together, of the very row or not at all, in both stores."""

import threading
from typing import Any

import numpy as np
import pytest

from feature_repo.errors import FeatureStoreMissing
from feature_repo.online import NewestRedisOnlineStore, serialized
from feature_repo.store import ReaderVector, Store, create_store, open_store
from feature_repo.views import reader_vector_view
from tests.feature_repo.logs import START
from tests.feature_repo.test_online import READER


def vector(number: float = 1.0, version: bytes = b"first", content: int = -(2**63)) -> ReaderVector:
    return ReaderVector(np.full(64, number, "<f4").tobytes(), version, content)


def test_a_vector_comes_with_the_row_that_it_was_made_of(store: Store) -> None:
    """One of an older row is none, and so is one of a row that is not there."""
    store.write_reader("ann", READER, START)
    assert store.write_vector("ann", vector(), START)
    store.write_reader("bob", READER, START)
    assert store.write_vector("cid", vector(), START)
    ann, bob, cid, again, nobody = store.readers_and_vectors(["ann", "bob", "cid", "ann", "nobody"])
    assert ann == again == (READER | {"event_timestamp": START}, vector())
    assert bob == (READER | {"event_timestamp": START}, None)
    assert (cid[0]["event_timestamp"], cid[1]) == (None, None)
    assert nobody == (store.readers(["nobody"])[0], None)
    store.write_reader("ann", READER | {"reads": 4}, START + 1)
    assert store.readers_and_vectors(["ann"]) == [(READER | {"reads": 4, "event_timestamp": START + 1}, None)]


def test_rows_read_together_are_those_read_alone(store: Store) -> None:
    """Nulls, zeros, empty bytes and the ends of 64 bits, and more readers than one batch."""
    rows = {
        "null": dict.fromkeys(READER),
        "zero": READER | {"history": b"", "shown": b"", "reads": 0, "last_seen": 0, "gap_hours": 0.0},
        "extreme": READER | {"reads": 2**63 - 1, "last_day": -(2**63), "last_seen": -1},
        "größe 你好": READER | {"last_seen": None},
    }
    for user, row in rows.items():
        store.write_reader(user, row, START)
    ids = [*rows, "nobody", *(f"reader {i}" for i in range(1100)), "zero"]
    assert [row for row, _ in store.readers_and_vectors(ids)] == store.readers(ids)
    assert store.readers_and_vectors([]) == []


def test_a_vector_is_replaced_by_one_of_the_same_row_and_by_none_of_an_older_one(store: Store) -> None:
    """Another release makes another vector of the same row."""
    store.write_reader("ann", READER, START)
    offsets = ((0, b"a"), (0, b"b"), (-1, b"c"), (0, b"d"))
    written = [store.write_vector("ann", vector(version=version), START + offset) for offset, version in offsets]
    assert written == [True, True, False, True]
    assert store.readers_and_vectors(["ann"])[0][1] == vector(version=b"d")
    assert store.write_vectors([("ann", vector(2.0), START), ("bob", vector(), START)]) == 2
    assert store.readers_and_vectors(["ann"])[0][1] == vector(2.0)
    assert not store.write_reader("ann", READER | {"reads": 9}, START), "a row is not replaced by one of its moment"


def test_a_row_and_its_vector_are_written_together(store: Store) -> None:
    """Each where it is newer: a row of the same moment stays, its vector may be another release's."""
    assert store.write_reader("ann", READER, START, vector())
    assert store.readers_and_vectors(["ann"]) == [(READER | {"event_timestamp": START}, vector())]
    assert not store.write_reader("ann", READER | {"reads": 9}, START, vector(2.0))
    assert store.readers_and_vectors(["ann"]) == [(READER | {"event_timestamp": START}, vector(2.0))]
    assert not store.write_reader("ann", READER | {"reads": 9}, START - 1, vector(3.0))
    assert store.readers_and_vectors(["ann"]) == [(READER | {"event_timestamp": START}, vector(2.0))]
    store.write_vector("ann", vector(4.0), START + 2)
    assert store.write_reader("ann", READER | {"reads": 4}, START + 1, vector(5.0))
    assert store.readers_and_vectors(["ann"]) == [(READER | {"reads": 4, "event_timestamp": START + 1}, None)]


def test_what_is_written_together_is_stored_as_feast_writes_it(store: Store) -> None:
    """Down to the bytes: nulls, zeros, negative numbers and moments with microseconds."""
    rows = {
        "ann": READER,
        "null": dict.fromkeys(READER),
        "zero": READER | {"history": b"", "shown": b"", "reads": 0, "last_seen": 0, "gap_hours": 0.1},
        "past": READER | {"last_day": -3},
    }
    stored = []
    for together in (True, False):
        for number, (user, row) in enumerate(rows.items()):
            stamp = START + number
            if together:
                assert store.write_reader(user, row, stamp, vector())
            else:
                store._reader.write([{**row, "user_id": user, "event_timestamp": stamp}])
                store.write_vector(user, vector(), stamp)
        stored.append(everything(store))
        store.erase_readers(list(rows))
    assert stored[0] == stored[1]
    assert len(str(stored[0])) > 1000


def everything(store: Store) -> list[Any]:
    """All that stands in the online store, by table or hash."""
    online, config = store._provider.online_store, store._feast.config
    if isinstance(online, NewestRedisOnlineStore):
        client = online._get_client(config.online_store)
        return sorted((key, sorted(client.hgetall(key).items())) for key in client.scan_iter())
    connection = online._get_conn(config)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [(name, sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))) for (name,) in sorted(names)]


def test_a_vector_never_comes_with_another_row(store: Store) -> None:
    """While rows and vectors are written: what is read together was made together."""
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            ((row, found),) = store.readers_and_vectors(["ann"])
            if found is not None and found.content != row["reads"]:
                wrong.append((row, found))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(150):
        store.write_reader("ann", READER | {"reads": number}, START + number)
        store.write_vector("ann", vector(content=number), START + number)
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert store.readers_and_vectors(["ann"])[0][1] == vector(content=149)


def test_a_store_of_older_code_serves_without_vectors(sqlite_store: Store) -> None:
    """Until it is brought up to this code's views."""
    sqlite_store.write_reader("ann", READER, START)
    view = reader_vector_view(str(sqlite_store.root / "offline")).name
    sqlite_store._feast.delete_feature_service("reader_vector")
    sqlite_store._feast.delete_feature_view(view)
    older = open_store(sqlite_store.root)
    assert older.readers_and_vectors(["ann"]) == [(READER | {"event_timestamp": START}, None)]
    with pytest.raises(FeatureStoreMissing, match="has no reader vectors; run create_store"):
        older.write_vector("ann", vector(), START)
    newer = create_store(sqlite_store.root)
    assert newer.write_vector("ann", vector(), START)
    assert newer.readers_and_vectors(["ann"])[0][1] == vector()


def test_a_key_is_what_feast_makes_of_it(sqlite_store: Store) -> None:
    served = sqlite_store._reader
    for user in ("ann", "", "größe 你好", "x" * 300, "nul\0l"):
        assert served._serialized(user) == serialized(served.entity_key(user))
