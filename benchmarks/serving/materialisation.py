"""Offline rows to the online store: ours, which streams, beside Feast's own ``materialize`` on the same rows.

Each runs in a process of its own on an empty online store; afterwards every row is read back and compared with what
was written offline.
"""

import json
import os
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
from benchmarks.serving.processes import HOST, free_port, redis, running
from benchmarks.serving.void import Void

SEEDS = [0]
WHO = ("ours", "feast")
MOST_GROWTH = 1.25


@dataclass(frozen=True)
class Size:
    """Readers of the smaller and the larger store, each with as many snapshots."""

    fewer: int = 20_000
    more: int = 80_000
    snapshots: int = 2


FULL, QUICK = Size(), Size(fewer=1_000, more=3_000)


def protocol(size: Size) -> str:
    return (
        f"{size.fewer:,} and {size.more:,} readers with {size.snapshots} snapshots of 50 reads, 64 impressions and six "
        "counts each; Store.materialize and Feast's materialize of the same view with its default engine, in turns, "
        "each in a process of its own, into an empty Redis and an empty SQLite file; rows a second while it runs, peak "
        "resident memory of the process, and a digest of all rows read back afterwards against that of offline ones."
    )


def measure(size: Size) -> Part:
    """Rows a second and peak memory by store, engine and number of readers."""
    figures: dict[str, Any] = {}
    runs = [(store, readers) for store in ("redis", "sqlite") for readers in (size.fewer, size.more)]
    for store, readers in track(runs, "stores", transient=True):
        for who in WHO:
            with tempfile.TemporaryDirectory() as folder, _online(store, Path(folder)) as environment:
                told = _worker(Path(folder), who, readers, size.snapshots, environment)
            if told["found"] != told["expected"]:
                raise Void(f"{who} left other rows in {store} than the {readers} that are offline")
            figures.setdefault(store, {}).setdefault(who, {})[str(readers)] = {
                "rows_a_second": readers / told["seconds"],
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
def _online(store: str, folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which an empty ``store`` is the online store."""
    if store == "sqlite":
        yield {}
        return
    command = redis(folder, free_port())
    with running([command], folder):
        Redis(HOST, command.port).config_set("hash-max-listpack-value", 2048)
        yield {"NEWSREC_REDIS": f"{HOST}:{command.port}"}


def _worker(folder: Path, who: str, readers: int, snapshots: int, environment: dict[str, str]) -> dict[str, Any]:
    usual = {name: value for name, value in os.environ.items() if name != "NEWSREC_REDIS"}
    command = [sys.executable, "-m", "benchmarks.serving.materialising", str(folder), who, str(readers), str(snapshots)]
    done = subprocess.run(
        command, cwd=ROOT, env={**usual, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])
