"""Reads for requests: shared by those who come together, and never longer than a store may take."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from feature_repo.store import FeatureStoreError, Store, create_store, open_store
from newsrec.features import ReaderState, article_key
from serving.stored_readers import REST_SECONDS, StoredReaders
from tests.conftest import unavailable, wait_for_port
from tests.serving.conftest import clock, wait_for

TIMEOUT = 0.1


class Recording:
    """A store that keeps who was asked for, and fails on demand."""

    def __init__(self, store: Store) -> None:
        self.store, self.asked, self.failing = store, [], False

    def readers_and_vectors(self, user_ids: Sequence[str]) -> Any:
        self.asked.append(list(user_ids))
        if self.failing:
            raise FeatureStoreError("down")
        return self.store.readers_and_vectors(user_ids)


def write(store: Store, user_id: str, reads: int, **other: Any) -> None:
    state = ReaderState()
    for number in range(reads):
        state.observe("click", article_key(f"a{number}"), clock() - 1_000_000 + number, None)
    store.write_reader(user_id, {**state.row(), **other}, clock())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("NEWSREC_REDIS", raising=False)
    return create_store(tmp_path / "store")


def test_who_comes_together_is_read_together(store: Store) -> None:
    """Each gets their own, whatever the others asked for; who comes later is another question."""
    for number in range(6):
        write(store, f"r{number}", number)
    recording = Recording(store)
    readers = StoredReaders(recording)  # type: ignore[arg-type]

    async def all_at_once() -> list[Any]:
        calls = [readers.of([f"r{number}"]) for number in range(4)] + [readers.of(["r5", "nobody", "r4"])]
        return await asyncio.gather(*calls)

    found = asyncio.run(all_at_once())
    lengths = [[int(reader.features.length[0]) for reader in call] for call in found]
    assert lengths == [[0], [1], [2], [3], [5, 0, 4]]
    assert recording.asked == [["r0", "r1", "r2", "r3", "r5", "nobody", "r4"]]
    asyncio.run(readers.of(["r1"]))
    assert recording.asked[1:] == [["r1"]]


def test_a_request_that_is_gone_leaves_the_others_their_answer(store: Store) -> None:
    write(store, "ann", 2)
    readers = StoredReaders(store)

    async def one_leaves() -> int:
        leaving = asyncio.create_task(readers.of(["bob"]))
        staying = asyncio.create_task(readers.of(["ann"]))
        await asyncio.sleep(0)
        leaving.cancel()
        return int((await staying)[0].features.length[0])

    assert asyncio.run(one_leaves()) == 2


def test_a_store_that_fails_is_left_alone_for_a_second_and_then_tried_once(store: Store) -> None:
    write(store, "ann", 2)
    now, recording = 100.0, Recording(store)
    readers = StoredReaders(recording, clock=lambda: now)  # type: ignore[arg-type]

    async def ask() -> bool:
        degraded = (await readers.of(["ann"]))[0].degraded
        await asyncio.get_running_loop().shutdown_default_executor()  # ends with what was begun
        return degraded

    recording.failing = True
    assert asyncio.run(ask())
    now += 0.9 * REST_SECONDS
    assert asyncio.run(ask())
    assert len(recording.asked) == 1
    now += 0.2 * REST_SECONDS
    assert asyncio.run(ask())  # nobody waits for the try
    assert len(recording.asked) == 2
    assert asyncio.run(ask())
    assert len(recording.asked) == 2, "the try failed, so the store rests again"
    recording.failing = False
    now += 1.1 * REST_SECONDS
    assert asyncio.run(ask())
    assert recording.asked[2:] == [[""]]
    assert not asyncio.run(ask())


@pytest.mark.parametrize("spoilt", [{"history": b"\x02" + bytes(14)}, {"history": b"\x01abc"}, {"shown": b"\x07"}])
def test_a_row_of_another_packing_makes_one_reader_unknown(store: Store, spoilt: dict[str, bytes]) -> None:
    write(store, "ann", 2)
    write(store, "old", 3, **spoilt)
    readers = StoredReaders(store)
    ann, old = readers.read(["ann", "old"])
    assert (ann.degraded, int(ann.features.length[0])) == (False, 2)
    assert (old.degraded, int(old.features.length[0])) == (True, 0)
    assert not asyncio.run(readers.of(["ann"]))[0].degraded, "the store itself is fine"


def test_a_value_that_is_none_makes_one_reader_unknown(store: Store) -> None:
    """Bytes that no code of Feast has written."""
    import sqlite3

    write(store, "ann", 2)
    write(store, "torn", 3)
    with sqlite3.connect(store.root / "online_store.db") as connection:
        table = "newsrec_reader_v2"
        found = connection.execute(f"SELECT entity_key FROM {table} WHERE feature_name = 'reads'").fetchall()
        (torn,) = [key for (key,) in found if b"torn" in key]
        connection.execute(f"UPDATE {table} SET value = x'ff' WHERE entity_key = ? AND feature_name = 'reads'", (torn,))
    found = StoredReaders(store).read(["ann", "torn", "nobody"])
    assert [reader.degraded for reader in found] == [False, True, False]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[subprocess.Popen, int]]:
    """A Redis of this test's own, which it may kill, pause and fill."""
    program = shutil.which("redis-server")
    if program is None:
        unavailable("redis", "redis-server not found; apt-get install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = start_redis(str(program), port, tmp_path)
    try:
        yield process, port
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def start_redis(program: str, port: int, folder: Path) -> subprocess.Popen:
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder), "--logfile", "redis.log"]
    process = subprocess.Popen([program, *options])
    wait_for_port(port, process)
    return process


def ask(readers: StoredReaders) -> bool:
    """Whether ann is served as unknown."""
    (found,) = asyncio.run(readers.of(["ann"]))
    assert int(found.features.length[0]) == (0 if found.degraded else 2)
    return found.degraded


@pytest.mark.parametrize("fault", ["paused", "killed"])
def test_a_redis_that_is_gone_costs_its_timeout_once_and_comes_back_by_itself(
    redis: tuple[subprocess.Popen, int], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, port = redis
    monkeypatch.setenv("NEWSREC_REDIS", f"127.0.0.1:{port}")
    create_store(tmp_path / "store")
    store = open_store(tmp_path / "store", TIMEOUT)
    write(store, "ann", 2)
    readers = StoredReaders(store)
    assert not ask(readers)
    os.kill(process.pid, signal.SIGSTOP if fault == "paused" else signal.SIGKILL)
    began = time.thread_time()
    assert all(ask(readers) for _ in range(30))
    assert time.thread_time() - began < 1.0  # its own time, whatever the machine does besides
    if fault == "paused":
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: not ask(readers), 20)
        return
    process.wait()
    again = start_redis(str(shutil.which("redis-server")), port, tmp_path)
    try:
        wait_for(lambda: not asyncio.run(readers.of(["ann"]))[0].degraded, 20)  # and empty, as it kept nothing
        write(store, "ann", 2)
        assert not ask(readers)
    finally:
        again.kill()
        again.wait()


def test_a_redis_that_is_full_is_still_read(
    redis: tuple[subprocess.Popen, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, port = redis
    monkeypatch.setenv("NEWSREC_REDIS", f"127.0.0.1:{port}")
    create_store(tmp_path / "store")
    store = open_store(tmp_path / "store", TIMEOUT)
    write(store, "ann", 2)
    client = Redis("127.0.0.1", port)
    client.config_set("maxmemory", 1)
    with pytest.raises(FeatureStoreError, match="does not answer"):
        write(store, "bob", 2)
    assert not ask(StoredReaders(store))
    client.config_set("maxmemory", 0)
    write(store, "bob", 2)
    assert store.readers(["bob"])[0]["reads"] == 2
