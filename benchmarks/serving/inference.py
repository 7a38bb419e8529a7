"""The three methods of inference: everything in the request, the reader's vector in advance, or the slate in advance.

A call of the predictor is timed in process, from the parsed body to the answer, with the online store in Redis; what
the server adds is the same for all three.
"""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis
from rich.progress import track

from benchmarks.results import Bar, Part
from benchmarks.serving import site
from benchmarks.serving.memory import COMPACT
from benchmarks.serving.processes import HOST, free_port, redis, running
from benchmarks.serving.void import Void
from newsrec import artifact
from newsrec.event_log import EventDatabase
from newsrec.transitions import Readers
from serving import scoring
from serving.backends import Backends
from serving.bundle import Bundle, make_bundle
from serving.precompute import PRECOMPUTED, BatchConfig, precompute
from serving.predictor import Predictor
from serving.recommend import ServingConfig

SEEDS = [site.SEED]
METHODS = ("online", "nearline", "batch")


@dataclass(frozen=True)
class Size:
    """Slates of each method, in turns."""

    slates: int = 3_000


FULL, QUICK = Size(), Size(slates=100)


def protocol(size: Size) -> str:
    return (
        f"{site.READERS} readers of 50 reads, {site.LIVE} live articles, a {site.POLICY}, Redis; {size.slates:,} "
        "slates of ten by each method in turns, without the server and without the event log: p50 and p99 as waited "
        "for, mean CPU time of the process, whether slates agree. Beforehand vectors and slates are made for all "
        "readers: CPU time each, and bytes each in Redis."
    )


def measure(size: Size) -> Part:
    """Milliseconds a slate by method, and what is paid in advance."""
    now = time.time_ns() // 1_000
    with tempfile.TemporaryDirectory() as folder:
        command = redis(Path(folder), free_port())
        with running([command], Path(folder)):
            server = Redis(HOST, command.port)
            server.config_set("hash-max-listpack-value", COMPACT)
            made = site.make(Path(folder), now, command.port)
            with made.opened() as store:
                backends = Backends(store, EventDatabase(made.event_log), None, lambda: now)
                bundle = make_bundle(artifact.load(made.artifact), backends, ServingConfig())
                advance = {
                    "nearline": _paid(server, lambda: _vectors(bundle, backends, made.readers)),
                    "batch": _paid(server, lambda: precompute(bundle, backends, ServingConfig())),
                }
                figures = _times(bundle, backends, made.readers, size)
                backends.database.close()
    faster = figures["online"]["cpu_ms"] / figures["nearline"]["cpu_ms"]
    bars = [Bar("CPU of a slate, online over nearline", faster, None, "more than 1", faster > 1.0)]
    return Part({"inference": {"request": figures, "in_advance": advance}}, bars)


def _vectors(bundle: Bundle, backends: Backends, readers: list[str]) -> int:
    """As the collector writes them."""
    arm, rows = bundle.arms.all[0], backends.store.readers(readers)
    made = scoring.stored_vectors(Readers.from_rows(rows), bundle.live.shelves[arm.shelf], arm.artifact)
    stamps = [row["event_timestamp"] for row in rows]
    return backends.store.write_vectors(zip(readers, made, stamps, strict=True))


def _paid(server: Redis, make: Any) -> dict[str, float]:
    """CPU time and memory for each reader that ``make`` returns."""
    before, worked = server.info("memory")["used_memory"], time.process_time()
    readers = make()
    worked = time.process_time() - worked
    grown = server.info("memory")["used_memory"] - before
    return {"cpu_ms": 1e3 * worked / readers, "bytes": grown / readers}


def _times(bundle: Bundle, backends: Backends, readers: list[str], size: Size) -> dict[str, dict[str, float]]:
    config = ServingConfig()
    predictors = {
        "online": Predictor("online", bundle, backends, config, nearline=False),
        "nearline": Predictor("nearline", bundle, backends, config),
        "batch": Predictor("batch", bundle, backends, config, batch=BatchConfig()),
    }
    stored = PRECOMPUTED.labels("stored")._value
    drawn_before = stored.get()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
    same = 0

    async def ask() -> int:
        agree = 0
        for number in track(range(size.slates), "slates", transient=True):
            body, found = {"instances": [{"user_id": readers[number % len(readers)], "k": 10, "seed": number}]}, []
            for name, predictor in predictors.items():
                start, worked = time.perf_counter(), time.process_time()
                answer = await predictor.predict(body)
                spent[name].append((time.perf_counter() - start, time.process_time() - worked))
                found.append([item["article_id"] for item in answer["predictions"][0]["slate"]])
            agree += found[0] == found[1] == found[2]
        return agree

    same = asyncio.run(ask())
    if stored.get() - drawn_before < size.slates:
        raise Void("batch inference drew some slates from no stored row")
    told = {"same_slates": {"share": same / size.slates}}
    for name, times in spent.items():
        waited, worked = 1e3 * np.array(times).T
        p50, p99 = np.quantile(waited, [0.5, 0.99])
        told[name] = {"p50_ms": float(p50), "p99_ms": float(p99), "cpu_ms": float(worked.mean())}
    return told
