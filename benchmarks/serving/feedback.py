"""Feedback into the online store: our row with the reader's vector, beside Feast's ``push()`` of the same row.

Both take turns, reader by reader, in one process. Ours is what the collector does behind the event log: the history
tower over the reader's new row, then row and vector into the store, each newer than what stood there. Feast's puts the
row alone. Both stores are read back behind each round.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from feast.data_source import PushMode

from benchmarks.results import Bar, Part
from benchmarks.serving import site as sites
from benchmarks.serving.peers import repository
from benchmarks.serving.processes import free_port, redis, running
from benchmarks.serving.stage import PEERS_DATABASE, Backend
from benchmarks.serving.verdict import Spread, middle
from benchmarks.serving.void import Void
from feature_repo.store import Store
from newsrec import artifact
from newsrec.artifact import Artifact
from newsrec.transitions import Readers
from serving.live_articles import without_counts
from serving.scoring import stored_vectors
from serving.shelf import Shelf

SEEDS = [sites.SEED]
LEAST = 15.0


@dataclass(frozen=True)
class Size:
    """How much is written."""

    rounds: int = 5
    readers: int = sites.READERS
    backends: tuple[Backend, ...] = ("redis", "sqlite")


FULL, QUICK = Size(), Size(rounds=1, readers=8, backends=("sqlite",))


def protocol(size: Size) -> str:
    return (
        f"{size.rounds} rounds of {size.readers} readers of 50 reads, online store {' and then '.join(size.backends)}: "
        "tower, row and vector into our store, and push() of the same row into a stock Feast repository, in turns in "
        "one process. Medians of a round's writes; the ratio is the median of rounds, in brackets the least and most."
    )


def measure(size: Size) -> Part:
    figures: dict[str, Any] = {}
    bars = []
    torch.set_num_threads(1)
    for backend in size.backends:
        with tempfile.TemporaryDirectory() as name:
            ours, theirs = _taken(Path(name) / "site", backend, size)
        ratio = middle([b / a for a, b in zip(ours, theirs, strict=True)])
        figures[backend] = {
            "with_vector_microseconds": _microseconds(ours),
            "push_microseconds": _microseconds(theirs),
            "ratio": ratio,
        }
        what = f"{backend}: a reader's row written with its vector, beside Feast's push() of the row"
        bars.append(Bar(what, ratio.value, ratio.interval, f"{LEAST:g} times as fast or more", ratio.value >= LEAST))
    return Part({"feedback": figures}, bars)


def _microseconds(seconds: list[float]) -> Spread:
    return middle([1e6 * one for one in seconds])


def _taken(folder: Path, backend: Backend, size: Size) -> tuple[list[float], list[float]]:
    """Seconds of a write, the median of each round: ours and ``push()``."""
    folder.mkdir(parents=True)
    port = free_port() if backend == "redis" else None
    with running([redis(folder, port)] if port else [], folder):
        site = sites.make(folder, time.time_ns() // 1_000, port)
        feast = repository.create(folder / "peers", f"{port}/{PEERS_DATABASE}" if port else None)
        served = artifact.load(site.artifact)
        shelf = without_counts(served.catalogue).warmed()
        ours, theirs = [], []
        with site.opened() as store:
            rows = dict(zip(site.readers[: size.readers], store.readers(site.readers[: size.readers]), strict=True))
            for number in range(size.rounds + 1):
                taken = []
                for reader, row in rows.items():
                    stamp, new = row["event_timestamp"] + 1 + number, _newer(row, number)
                    before = time.perf_counter()
                    write(store, reader, new, stamp, shelf, served)
                    between = time.perf_counter()
                    feast.push(repository.PUSH, repository.frame("user_id", {reader: new}), to=PushMode.ONLINE)
                    taken.append((between - before, time.perf_counter() - between))
                    refuse_other_row(store, reader, new, stamp, feast)
                if number:  # the first round warms up
                    ours.append(middle([a for a, _ in taken]).value)
                    theirs.append(middle([b for _, b in taken]).value)
    return ours, theirs


def _newer(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """READER_FEATURES of a row with one session more for each round."""
    new = {name: value for name, value in row.items() if name != "event_timestamp"}
    return {**new, "sessions": row["sessions"] + number + 1}


def write(store: Store, reader: str, row: Mapping[str, Any], stamp: int, shelf: Shelf, served: Artifact) -> None:
    """The reader's vector by the tower, then both into the store."""
    (vector,) = stored_vectors(Readers.from_rows([row]), shelf, served)
    store.write_reader(reader, row, stamp)
    store.write_vector(reader, vector, stamp)


def refuse_other_row(store: Store, reader: str, row: Mapping[str, Any], stamp: int, feast: Any) -> None:
    """Raise Void unless both stores hold ``row``, and ours a vector that was made of it."""
    ((found, vector),) = store.readers_and_vectors([reader])
    if found != {**row, "event_timestamp": stamp} or vector is None:
        raise Void(f"our store holds {found} with vector {vector}, expected {row} at {stamp}")
    pushed = feast.get_online_features(repository.READER_REFS, [{"user_id": reader}]).to_dict()
    other = {name: pushed[name][0] for name in row if pushed[name][0] != row[name]}
    if other:
        raise Void(f"Feast's store holds {other} after push() of {row}")
