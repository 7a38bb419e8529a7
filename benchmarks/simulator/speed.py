"""How fast is a log simulated and written, does the time grow with the readers alone, and what does a reader take?

Wall time of ``newsrec.simulator.shards.write``, from an empty folder to a log on disk, with as many processes as cores
where readers do not influence each other (uniform slates). A transformer's readers share what is popular, so they are
one process of one thread; its weights are untrained, which costs the same, and its readers start without a history,
which costs less than the full fifty reads would.
"""

import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.results import Bar, Part
from newsrec.baselines.transformer import Config, TransformerPolicy
from newsrec.encoders.text import embed_articles
from newsrec.simulator import shards
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.recommenders import Informed
from newsrec.simulator.rollout import RANDOM, Actor
from newsrec.simulator.world import World
from newsrec.slate import SlateConfig

SEEDS = [51]
LEAST_RANDOM, LEAST_TRANSFORMER, MOST_BYTES, STEEPEST = 50_000, 3_000, 1_024, 1.05


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    readers: int = 10_000
    days: int = 14
    transformer_days: int = 4
    crowds: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """Readers of logs of one day each, for how time grows."""


FULL, QUICK = Size(), Size(readers=300, days=1, transformer_days=1, crowds=(300, 600))


def protocol(size: Size) -> str:
    return (
        f"{size.readers:,} readers, 100 candidates, slates of ten, Parquet written: {size.days} days of uniform "
        f"slates, {size.transformer_days} of a transformer (2 layers, 64 wide, up to 50 reads); one day of "
        f"{', '.join(f'{n:,}' for n in size.crowds)} readers; wall time, of one run each; traced "
        f"memory of world and features."
    )


def measure(size: Size, advance: Callable[[str], None]) -> Part:
    cores = len(os.sched_getaffinity(0))
    advance("speed: uniform slates")
    uniform = written(SimulationConfig(readers=size.readers, days=size.days, seed=SEEDS[0]), RANDOM, cores)
    advance("speed: transformer")
    transformer = written(
        SimulationConfig(readers=size.readers, days=size.transformer_days, seed=SEEDS[0]), untrained_transformer(), 1
    )
    crowds = {}
    for readers in size.crowds:
        advance(f"speed: {readers:,} readers")
        crowds[readers] = written(SimulationConfig(readers=readers, days=1, seed=SEEDS[0]), RANDOM, cores)
    advance("speed: bytes a reader")
    n, seconds = np.array(size.crowds[-2:]), np.array([crowds[readers][1] for readers in size.crowds[-2:]])
    slope = float(np.diff(np.log(seconds))[0] / np.diff(np.log(n))[0])
    taken = bytes_a_reader(size.readers)
    figures = {
        "decisions_a_second": {"uniform": uniform[0] / uniform[1], "transformer": transformer[0] / transformer[1]},
        "decisions": {"uniform": uniform[0], "transformer": transformer[0]},
        "one_day": {readers: {"decisions": made, "seconds": took} for readers, (made, took) in crowds.items()},
        "seconds_as_readers_to_the_power_of": slope,
        "bytes_a_reader": taken,
        "processes": cores,
    }
    return Part(
        {"speed": figures},
        [
            _at_least("decisions a second, uniform slates", uniform, LEAST_RANDOM),
            _at_least("decisions a second, transformer", transformer, LEAST_TRANSFORMER),
            Bar(f"growth of time from {n[0]:,} to {n[1]:,} readers, as a power", slope, None,
                f"{STEEPEST} or less (1: linear)", slope <= STEEPEST),
            Bar("bytes of state a reader", taken, None, f"under {MOST_BYTES}", taken < MOST_BYTES),
        ],
    )  # fmt: skip


def written(config: SimulationConfig, actor: Actor, workers: int) -> tuple[int, float]:
    """Decisions of the log of ``config``, and the seconds that it took to write."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        made = shards.write(config, Path(folder) / "log", actor, workers)
        return made.decisions, time.perf_counter() - began


def untrained_transformer() -> Actor:
    """Two layers, 64 wide; every article is new to it."""
    policy = TransformerPolicy(Config(), articles=0).eval()
    return Actor(policy, SlateConfig("epsilon"), "transformer")


def bytes_a_reader(readers: int) -> float:
    """What each of ``readers`` further readers adds to the traced memory of a world and of what a site knows of it."""
    config = SimulationConfig(readers=2 * readers, days=1, seed=SEEDS[0])
    articles = embed_articles(World(config, number=np.arange(1)).newsroom.table)
    held = []
    for n in (readers, 2 * readers):
        tracemalloc.start()
        world = World(config, number=np.arange(n))
        kept = world, Informed(world, articles, TransformerPolicy(Config(), articles=0), None)
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        del kept, world
    return (held[1] - held[0]) / readers


def _at_least(name: str, log: tuple[int, float], least: int) -> Bar:
    rate = log[0] / log[1]
    return Bar(name, rate, None, f"{least:,} or more", rate >= least)
