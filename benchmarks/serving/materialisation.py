"""Offline rows to the online store: ours, which streams, beside Feast's own ``materialize`` on the same rows.

Each runs in a process of its own on an empty online store; afterwards every row is read back and compared with what
was written offline.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from rich.progress import track

from benchmarks.results import ROOT, Bar, Part
from benchmarks.serving.materialising import write_offline
from benchmarks.serving.memory import COMPACT
from benchmarks.serving.processes import HOST, free_port, redis, running
from benchmarks.serving.site import named_redis
from benchmarks.serving.void import Void
from feature_repo.store import create_store

SEEDS = [0]
WHO = ("ours", "feast")
MOST_GROWTH = 1.25


@dataclass(frozen=True)
class Size:
    """Readers of the smaller and the larger store, each with as many snapshots; and the online stores."""

    fewer: int = 20_000
    more: int = 80_000
    snapshots: int = 2
    stores: tuple[str, ...] = ("redis", "sqlite")


FULL, QUICK = Size(), Size(fewer=500, more=1_000, stores=("redis",))


def protocol(size: Size) -> str:
    return (
        f"{size.fewer:,} and {size.more:,} readers with {size.snapshots} snapshots of 50 reads, 64 impressions and six "
        "counts each; Store.materialize and Feast's materialize of the same view with its default engine, in turns, "
        f"each in a process of its own, into an empty {' and '.join(size.stores)}; rows a second and a CPU second "
        "while it runs, peak resident memory, and a digest of all rows read back against that of offline ones."
    )


def measure(size: Size) -> Part:
    """Rows a second and peak memory by store, engine and number of readers."""
    figures: dict[str, Any] = {}
    runs = [(store, readers) for store in size.stores for readers in (size.fewer, size.more)]
    for store, readers in track(runs, "stores", transient=True):
        for who in WHO:
            with (
                tempfile.TemporaryDirectory() as folder,
                _online(store, Path(folder)) as address,
                named_redis(address),
            ):
                write_offline(create_store(Path(folder) / "store"), readers, size.snapshots)
                told = _worker(Path(folder) / "store", who, readers, size.snapshots)
            if told["found"] != told["expected"]:
                raise Void(f"{who} left other rows in {store} than the {readers} that are offline")
            figures.setdefault(store, {}).setdefault(who, {})[str(readers)] = {
                "rows_a_second": readers / told["seconds"],
                "rows_a_cpu_second": readers / told["cpu_seconds"],
                "peak_mib": told["peak_mib"],
            }
    return Part({"materialisation": figures}, _bars(figures, size))


def _bars(figures: dict[str, Any], size: Size) -> list[Bar]:
    bars = []
    for store, of in figures.items():
        more = str(size.more)
        faster = of["ours"][more]["rows_a_second"] / of["feast"][more]["rows_a_second"]
        bars.append(Bar(f"{store}: rows a second, ours over Feast's", faster, None, "more than 1", faster > 1.0))
        grown = of["ours"][more]["peak_mib"] / of["ours"][str(size.fewer)]["peak_mib"]
        name = f"{store}: peak memory with {size.more / size.fewer:g} times the readers, ratio"
        bars.append(Bar(name, grown, None, f"at most {MOST_GROWTH}", grown <= MOST_GROWTH))
    return bars


@contextmanager
def _online(store: str, folder: Path) -> Iterator[str]:
    """The address of an empty Redis, or "" where ``store`` is SQLite."""
    if store == "sqlite":
        yield ""
        return
    command = redis(folder, free_port())
    with running([command], folder):
        Redis(HOST, command.port).config_set("hash-max-listpack-value", COMPACT)
        yield f"{HOST}:{command.port}"


def _worker(root: Path, who: str, readers: int, snapshots: int) -> dict[str, Any]:
    arguments = [str(root), who, str(readers), str(snapshots)]
    command = [sys.executable, "-m", "benchmarks.serving.materialising", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
