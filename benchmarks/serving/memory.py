"""What a reader costs in Redis, as the store writes them: packed history, impressions, counts and the policy's vector.

Redis keeps a small hash as one block of memory while none of its values is longer than ``hash-max-listpack-value``; a
longer one turns it into a table of strings. Both are measured, and what the block costs in time.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis
from rich.progress import track

from benchmarks.results import Bar, Part
from benchmarks.serving.processes import HOST, free_port, redis, running
from feature_repo.store import ReaderVector, Store, create_store
from newsrec.features import HISTORY_LENGTH, SHOWN_LENGTH, pack_history, pack_shown

SEEDS = [0]
MILLION, MOST_GIB = 1_000_000, 1.5
COMPACT = 2048
"""``hash-max-listpack-value``, bytes: more than any value of a reader has."""
NOW = 1_700_000_000_000_000
BATCH = 1_000
READ_AT_ONCE = 50


@dataclass(frozen=True)
class Size:
    """How many readers are stored, and how many reads and writes are timed."""

    readers: int = 100_000
    timed: int = 4_000


FULL, QUICK = Size(), Size(readers=10_000, timed=1_000)


def protocol(size: Size) -> str:
    return (
        f"{size.readers:,} readers of {HISTORY_LENGTH} reads with age and dwell, {SHOWN_LENGTH} impressions or none, "
        "six counts and a vector of 64, all random and distinct, written by the store into a private Redis of default "
        f"settings and one with hash-max-listpack-value {COMPACT}; used_memory beyond the empty server's. Then "
        f"{size.timed:,} readers are read and written in turns of {READ_AT_ONCE} between both; microseconds a command "
        "as Redis counts them, and of the read as the store's caller waits for it."
    )


def measure(size: Size) -> Part:
    """Bytes a reader by setting, with and without impressions; and what the compact form costs in time."""
    options = {"default": [], "compact": ["--hash-max-listpack-value", str(COMPACT)]}
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        commands = [
            (made := redis(Path(folder), free_port()))._replace(name=name, arguments=[*made.arguments, *more])
            for name, more in options.items()
        ]
        with running(commands, Path(folder)):
            stores = {c.name: _store(Path(folder) / f"store-{c.name}", c.port) for c in commands}
            servers = {c.name: Redis(HOST, c.port) for c in commands}
            for impressions in (False, True):
                for name, server in servers.items():
                    server.flushall()
                    empty = server.info("memory")["used_memory"]
                    _fill(stores[name], size.readers, impressions)
                    each = (server.info("memory")["used_memory"] - empty) / size.readers
                    which = f"{name}, {'with' if impressions else 'without'} impressions"
                    figures[which] = {"bytes_a_reader": each, "gib_a_million": each * MILLION / 2**30}
            times = _timed(stores, servers, size)
    return Part({"memory": figures | {"microseconds": times}}, _bars(figures))


def _bars(figures: dict[str, Any]) -> list[Bar]:
    said = f"a million readers in Redis with hash-max-listpack-value {COMPACT}, GiB"
    found = {what: figures[f"compact, {what} impressions"]["gib_a_million"] for what in ("without", "with")}
    bar = f"at most {MOST_GIB}"
    return [Bar(f"{said}, {what} impressions", value, None, bar, value <= MOST_GIB) for what, value in found.items()]


def _store(root: Path, port: int) -> Store:
    with _environment(NEWSREC_REDIS=f"{HOST}:{port}"):
        return create_store(root)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _fill(store: Store, readers: int, impressions: bool) -> None:
    draw = np.random.default_rng(SEEDS)
    for start in track(range(0, readers, BATCH), "readers", transient=True):
        ids = [f"reader-{number:08}" for number in range(start, min(start + BATCH, readers))]
        rows = [{"user_id": i, "event_timestamp": NOW, **_row(draw, impressions)} for i in ids]
        store._reader.write(rows)  # as write_reader does, many at once
        store.write_vectors((user_id, _vector(draw), NOW) for user_id in ids)


def _row(draw: np.random.Generator, impressions: bool) -> dict[str, Any]:
    reads = draw.integers(0, 2**64, HISTORY_LENGTH, np.uint64), draw.integers(0, 2**32, HISTORY_LENGTH, np.uint32)
    shown = draw.integers(0, 2**32, (2, SHOWN_LENGTH if impressions else 0), np.uint32)
    return {
        "history": pack_history(*reads, draw.exponential(60.0, HISTORY_LENGTH)),
        "reads": int(draw.integers(50, 5_000)),
        "sessions": int(draw.integers(1, 1_000)),
        "active_days": int(draw.integers(1, 2**28)),
        "last_day": int(draw.integers(19_000, 20_000)),
        "last_seen": NOW - int(draw.integers(0, 10**12)),
        "gap_hours": float(draw.exponential(20.0)),
        "shown": pack_shown(*shown),
    }


def _vector(draw: np.random.Generator) -> ReaderVector:
    vector = draw.standard_normal(64).astype("<f4").tobytes()
    return ReaderVector(vector, b"0123456789abcdef", int(draw.integers(-(2**62), 2**62)))


def _timed(stores: dict[str, Store], servers: dict[str, Redis], size: Size) -> dict[str, Any]:
    """By setting: microseconds of the server a read and a write, and the median wait of a caller for a read."""
    draw, waited = np.random.default_rng(SEEDS), {name: [] for name in stores}
    for server in servers.values():
        server.config_resetstat()
    for turn in range(size.timed // READ_AT_ONCE):
        ids = [f"reader-{number:08}" for number in draw.integers(0, size.readers, READ_AT_ONCE)]
        for name, store in stores.items():
            for user_id in ids:
                start = time.perf_counter()
                store.readers_and_vectors([user_id])
                waited[name].append(time.perf_counter() - start)
            for user_id in ids:
                store.write_reader(user_id, _row(draw, impressions=True), NOW + turn + 1)
    found = {}
    for name, server in servers.items():
        told = {what: of["usec_per_call"] for what, of in server.info("commandstats").items()}
        found[name] = {
            "read": told["cmdstat_hmget"],
            "write": told["cmdstat_eval"],
            "read_as_waited_for": 1e6 * float(np.median(waited[name])),
        }
    return found
