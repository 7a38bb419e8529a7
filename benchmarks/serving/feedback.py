"""Feedback into the online store: our row with the reader's vector, beside Feast's ``push()`` of the same row.

Both take turns in one process. Ours is what the collector does behind the event log: the history tower over a row with
a new read, then row and vector into the store in one step, each only where it is newer than what stands there. Feast's
puts the row alone. Both stores are read back behind each turn, and the vector is compared with the network's. CPU time
is this process's own, without Redis. What an event costs with the log before it is told beside it.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from feast.data_source import PushMode

from benchmarks.results import Bar, Part
from benchmarks.serving import feedback_event
from benchmarks.serving import site as sites
from benchmarks.serving.feedback_event import Spent
from benchmarks.serving.peers import repository
from benchmarks.serving.processes import free_port, redis, running
from benchmarks.serving.stage import PEERS_DATABASE, Backend
from benchmarks.serving.verdict import middle
from benchmarks.serving.void import Void
from feature_repo.store import ReaderVector, Store
from newsrec import artifact, transitions
from newsrec.event_log import EventDatabase
from newsrec.features import HOUR, ReaderState, article_key
from newsrec.transitions import Readers
from serving.backends import Backends
from serving.bundle import make_bundle
from serving.recommend import ServingConfig
from serving.tower import Tower

SEEDS = [sites.SEED]
LEAST = 15.0
TURN = 32
"""Writes of one kind before the other has its turn."""
TOLERANCE = 5e-6
"""Of a vector's largest number: float32 in another order."""


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
        "a click makes each row a new one; tower, row and vector into our store, and push() of the same row into a "
        f"stock Feast repository, {TURN} of each in turns in one process. Medians of a round's writes; the ratio is "
        "the median of rounds, in brackets the least and most. Behind them an event from the log on: alone, and where "
        f"one commit takes {' or '.join(map(str, feedback_event.TOGETHER[1:]))} requests of one event."
    )


def measure(size: Size) -> Part:
    figures: dict[str, Any] = {}
    bars = []
    torch.set_num_threads(1)
    for backend in size.backends:
        with tempfile.TemporaryDirectory() as name:
            rounds, event = _taken(Path(name) / "site", backend, size)
        ratio = middle([push.wall / write.wall for write, push in rounds])
        figures[backend] = {
            "with_vector_microseconds": middle([1e6 * write.wall for write, _ in rounds]),
            "push_microseconds": middle([1e6 * push.wall for _, push in rounds]),
            "ratio": ratio,
            "with_vector_cpu_microseconds": middle([1e6 * write.cpu for write, _ in rounds]),
            "push_cpu_microseconds": middle([1e6 * push.cpu for _, push in rounds]),
            "ratio_of_cpu": middle([push.cpu / write.cpu for write, push in rounds]),
            "event": event,
        }
        what = f"{backend}: a reader's row written with its vector, beside Feast's push() of the row"
        bars.append(Bar(what, ratio.value, ratio.interval, f"{LEAST:g} times as fast or more", ratio.value >= LEAST))
    return Part({"feedback": figures}, bars)


def _taken(folder: Path, backend: Backend, size: Size) -> tuple[list[tuple[Spent, Spent]], dict[str, Any]]:
    """What a write took, the median of each round: ours and ``push()``. And what an event costs."""
    folder.mkdir(parents=True)
    port = free_port() if backend == "redis" else None
    with running([redis(folder, port)] if port else [], folder):
        site = sites.make(folder, time.time_ns() // 1_000, port)
        feast = repository.create(folder / "peers", f"{port}/{PEERS_DATABASE}" if port else None)
        rounds = []
        with site.opened() as store, closing(EventDatabase(site.event_log)) as database:
            backends = Backends(store, database, None, lambda: time.time_ns() // 1_000)
            tower = Tower(make_bundle(artifact.load(site.artifact), backends, ServingConfig()))
            readers = site.readers[: size.readers]
            rows = dict(zip(readers, store.readers(readers), strict=True))
            for number in range(size.rounds + 1):
                taken: list[tuple[Spent, Spent]] = []
                for start in range(0, len(readers), TURN):
                    given = [
                        _given(store, reader, rows[reader], number, site) for reader in readers[start : start + TURN]
                    ]
                    ours = [_spent(partial(write, store, tower, each)) for each in given]
                    pushed = [_spent(partial(_push, feast, each)) for each in given]
                    taken += zip(ours, pushed, strict=True)
                    for each in given:
                        refuse_other_row(store, tower, each, feast)
                if number:  # the first round warms up
                    rounds.append((_median([a for a, _ in taken]), _median([b for _, b in taken])))
            event = feedback_event.costs(site, store, database, tower, size.rounds)
    return rounds, event


def _spent(call: Callable[[], object]) -> Spent:
    before = Spent.now()
    call()
    return Spent.now().since(before)


def _median(taken: list[Spent]) -> Spent:
    return Spent(*(median(column) for column in zip(*taken, strict=True)))


class Given(NamedTuple):
    """What is written."""

    reader: str
    row: dict[str, Any]
    """READER_FEATURES."""
    stamp: int
    before: tuple[Mapping[str, Any], ReaderVector | None]
    """What stands there."""


def _given(store: Store, reader: str, row: Mapping[str, Any], number: int, site: sites.Site) -> Given:
    """``row`` after a click on the article of the round, for which the oldest read makes room."""
    state = ReaderState.from_row(dict(row))
    state.observe("click", article_key(site.candidates[number]), row["last_seen"] + HOUR, None)
    (before,) = store.readers_and_vectors([reader])
    return Given(reader, state.row(), row["event_timestamp"] + 1 + number, before)


def write(store: Store, tower: Tower, given: Given) -> None:
    """The row with the vector that the tower makes of it, as the collector does."""
    vector = tower.vector(given.reader, given.row, given.before)
    if vector is None:
        raise Void("the policy has no tower, expected a vector of each reader")
    store.write_reader(given.reader, given.row, given.stamp, vector)


def _push(feast: Any, given: Given) -> None:
    feast.push(repository.PUSH, repository.frame("user_id", {given.reader: given.row}), to=PushMode.ONLINE)


def refuse_other_row(store: Store, tower: Tower, given: Given, feast: Any) -> None:
    """Raise Void unless both stores hold the row, and ours the vector that the policy's network makes of it."""
    ((found, stored),) = store.readers_and_vectors([given.reader])
    if found != {**given.row, "event_timestamp": given.stamp} or stored is None:
        raise Void(f"our store holds {found} with vector {stored}, expected {given.row} at {given.stamp}")
    (arm,), now = tower.bundle.arms.all, np.zeros(1, np.int64)
    network: Any = arm.artifact.policy
    state = transitions.state(Readers.from_row(given.row), now, now, tower.bundle.live.shelves[arm.shelf].catalogue)
    with torch.inference_mode():
        expected = network.reader(state)[0].numpy()
    apart = np.abs(np.frombuffer(stored.vector, "<f4") - expected).max()
    if not apart <= TOLERANCE * np.abs(expected).max():
        raise Void(f"the stored vector of {given.reader} is {apart:g} away from the network's")
    pushed = feast.get_online_features(repository.READER_REFS, [{"user_id": given.reader}]).to_dict()
    other = {name: pushed[name][0] for name in given.row if pushed[name][0] != given.row[name]}
    if other:
        raise Void(f"Feast's store holds {other} after push() of {given.row}")
