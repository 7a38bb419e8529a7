"""Feedback into the online store: our row with the reader's vector, beside Feast's ``push()`` of the same row.

Both take turns, reader by reader, in one process. Ours is what the collector does behind the event log: the new row
into the store, the history tower over it, then the vector, each only where it is newer than what stands there. Feast's
puts the row alone. Both stores are read back behind each write. CPU time is this process's own, without Redis.
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from feast.data_source import PushMode

from benchmarks.results import Bar, Part
from benchmarks.serving import site as sites
from benchmarks.serving.peers import repository
from benchmarks.serving.processes import free_port, redis, running
from benchmarks.serving.stage import PEERS_DATABASE, Backend
from benchmarks.serving.verdict import middle
from benchmarks.serving.void import Void
from feature_repo.store import Store
from newsrec import artifact
from newsrec.event_log import EventDatabase
from serving.backends import Backends
from serving.bundle import make_bundle
from serving.recommend import ServingConfig
from serving.tower import Tower

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
            rounds = _taken(Path(name) / "site", backend, size)
        ratio = middle([push.wall / write.wall for write, push in rounds])
        figures[backend] = {
            "with_vector_microseconds": middle([1e6 * write.wall for write, _ in rounds]),
            "push_microseconds": middle([1e6 * push.wall for _, push in rounds]),
            "ratio": ratio,
            "with_vector_cpu_microseconds": middle([1e6 * write.cpu for write, _ in rounds]),
            "push_cpu_microseconds": middle([1e6 * push.cpu for _, push in rounds]),
            "ratio_of_cpu": middle([push.cpu / write.cpu for write, push in rounds]),
        }
        what = f"{backend}: a reader's row written with its vector, beside Feast's push() of the row"
        bars.append(Bar(what, ratio.value, ratio.interval, f"{LEAST:g} times as fast or more", ratio.value >= LEAST))
    return Part({"feedback": figures}, bars)


class Spent(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Spent":
        return cls(time.perf_counter(), time.process_time())

    def since(self, before: "Spent") -> "Spent":
        return Spent(self.wall - before.wall, self.cpu - before.cpu)


def _taken(folder: Path, backend: Backend, size: Size) -> list[tuple[Spent, Spent]]:
    """What a write took, the median of each round: ours and ``push()``."""
    folder.mkdir(parents=True)
    port = free_port() if backend == "redis" else None
    with running([redis(folder, port)] if port else [], folder):
        site = sites.make(folder, time.time_ns() // 1_000, port)
        feast = repository.create(folder / "peers", f"{port}/{PEERS_DATABASE}" if port else None)
        rounds = []
        with site.opened() as store, closing(EventDatabase(site.event_log)) as database:
            backends = Backends(store, database, None, lambda: time.time_ns() // 1_000)
            tower = Tower(make_bundle(artifact.load(site.artifact), backends, ServingConfig()))
            rows = dict(zip(site.readers[: size.readers], store.readers(site.readers[: size.readers]), strict=True))
            for number in range(size.rounds + 1):
                taken = []
                for reader, row in rows.items():
                    stamp, new = row["event_timestamp"] + 1 + number, _newer(row, number)
                    before = Spent.now()
                    write(store, tower, reader, new, stamp)
                    between = Spent.now()
                    feast.push(repository.PUSH, repository.frame("user_id", {reader: new}), to=PushMode.ONLINE)
                    taken.append((between.since(before), Spent.now().since(between)))
                    refuse_other_row(store, reader, new, stamp, feast)
                if number:  # the first round warms up
                    rounds.append((_median([a for a, _ in taken]), _median([b for _, b in taken])))
    return rounds


def _median(taken: list[Spent]) -> Spent:
    return Spent(*(median(column) for column in zip(*taken, strict=True)))


def _newer(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """READER_FEATURES of a row with one session more for each round."""
    new = {name: value for name, value in row.items() if name != "event_timestamp"}
    return {**new, "sessions": row["sessions"] + number + 1}


def write(store: Store, tower: Tower, reader: str, row: Mapping[str, Any], stamp: int) -> None:
    """The row, then the vector that the tower makes of it, as the collector does."""
    store.write_reader(reader, row, stamp)
    (vector,) = tower.vectors([reader], [row])
    if vector is None:
        raise Void("the policy has no tower, expected a vector of each reader")
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
