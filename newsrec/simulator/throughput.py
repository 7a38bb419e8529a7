"""How fast a world is simulated and written to disk, and in how much memory: the simulator's own measurements."""

import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from newsrec.simulator import shards
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import RANDOM, Actor


class Throughput(NamedTuple):
    """One log, from the configuration to the last byte on disk; processes started on the way count."""

    decisions: int
    seconds: float
    cpu_seconds: float
    """Of all processes together."""
    peak_megabytes: float
    """Resident, of the largest process so far: a measurement that is not the first of its process can only rise."""
    log_megabytes: float

    @property
    def decisions_per_second(self) -> float:
        return self.decisions / self.seconds


def throughput(config: SimulationConfig, actor: Actor = RANDOM, workers: int = 1) -> Throughput:
    """What it takes to write the log of ``config`` in which ``actor`` chose the slates, by up to ``workers`` processes.

    The log goes to a temporary folder and is gone afterwards.
    """
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), _cpu_seconds()
        written = shards.write(config, Path(folder) / "log", actor, workers)
        seconds, cpu = time.perf_counter() - began, _cpu_seconds() - cpu
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet") if path.is_file())
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Throughput(written.decisions, seconds, cpu, peak / 1024, size / 1e6)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
