"""How fast is a log simulated and written, does the time grow with the readers alone, and what does a reader take?

``newsrec.simulator.throughput`` from a configuration to a log on disk, with as many processes as cores where readers do
not influence each other (uniform slates). A transformer's readers share what is popular, so they are one process of one
thread; its weights are untrained, which costs the same, and its readers start without a history, which costs less than
the full fifty reads would.
"""

import os
import tracemalloc
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from benchmarks.results import Bar, Part
from newsrec.baselines.transformer import Config, TransformerPolicy
from newsrec.encoders.text import embed_articles
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.recommenders import Informed
from newsrec.simulator.rollout import Actor
from newsrec.simulator.throughput import Throughput, throughput
from newsrec.simulator.world import World
from newsrec.slate import SlateConfig

SEEDS = [51]
LEAST_RANDOM, LEAST_TRANSFORMER, MOST_BYTES, STEEPEST = 50_000, 3_000, 1_024, 1.05


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    readers: int = 10_000
    days: int = 120
    transformer_days: int = 4
    crowds: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """Readers of logs of one day each, for how time grows."""


FULL, QUICK = Size(), Size(readers=300, days=1, transformer_days=1, crowds=(300, 600))


def protocol(size: Size) -> str:
    return (
        f"{size.readers:,} readers, 100 candidates, slates of ten, Parquet written: {size.days} days of uniform "
        f"slates, {size.transformer_days} of a transformer (2 layers, 64 wide, up to 50 reads); one day of "
        f"{', '.join(f'{n:,}' for n in size.crowds)} readers; one run each; "
        f"memory of the world's tensors and of a site's features."
    )


def measure(size: Size) -> Part:
    cores = len(os.sched_getaffinity(0))
    uniform = throughput(SimulationConfig(readers=size.readers, days=size.days, seed=SEEDS[0]), workers=cores)
    days = size.transformer_days
    transformer = throughput(SimulationConfig(readers=size.readers, days=days, seed=SEEDS[0]), untrained_transformer())
    crowds = {}
    for readers in size.crowds:
        crowds[readers] = throughput(SimulationConfig(readers=readers, days=1, seed=SEEDS[0]), workers=cores)
    few, many = size.crowds[-2:]
    slope = float(np.log(crowds[many].cpu_seconds / crowds[few].cpu_seconds) / np.log(many / few))
    taken = bytes_a_reader(size.readers)
    figures = {
        "uniform": uniform,
        "transformer": transformer,
        "one_day": crowds,
        "cpu_seconds_as_readers_to_the_power_of": slope,
        "bytes_a_reader": taken,
        "processes": {"uniform": cores, "transformer": 1},
    }
    growth = f"growth of CPU time from {few:,} to {many:,} readers, as a power"
    return Part(
        {"speed": figures},
        [
            *_bars("uniform slates", uniform, cores, LEAST_RANDOM),
            *_bars("transformer", transformer, 1, LEAST_TRANSFORMER),
            Bar(growth, slope, None, f"{STEEPEST} or less (1: linear)", slope <= STEEPEST),
            *(
                Bar(
                    f"bytes of state a reader, {what.replace('_', ' ')}",
                    taken[what],
                    None,
                    f"under {MOST_BYTES}",
                    taken[what] < MOST_BYTES,
                )
                for what in taken
            ),
        ],
    )


def untrained_transformer() -> Actor:
    """Two layers, 64 wide; every article is new to it."""
    policy = TransformerPolicy(Config(), articles=0).eval()
    return Actor(policy, SlateConfig("epsilon"), "transformer")


def bytes_a_reader(readers: int) -> dict[str, float]:
    """What a further reader adds to the tensors of a world, and with the arrays of what a site knows of its readers."""
    config = SimulationConfig(readers=2 * readers, days=1, seed=SEEDS[0])
    articles = embed_articles(World(config, number=np.arange(1)).newsroom.table)
    policy, held = TransformerPolicy(Config(), articles=0), []
    for n in (readers, 2 * readers):
        world = World(config, number=np.arange(n))
        alone = sum(_distinct([*vars(world).values(), *world.population, *vars(world.tastes).values()]))
        tracemalloc.start()
        site = Informed(world, articles, policy, None)
        held.append((alone, alone + tracemalloc.get_traced_memory()[0]))
        tracemalloc.stop()
        del site, world
    world_alone, with_features = (np.diff(held, axis=0)[0] / readers).tolist()
    return {"world": world_alone, "world_and_features": with_features}


def _distinct(values: Iterable[object]) -> Iterable[int]:
    """Bytes of each tensor among ``values``, whatever shares its memory counted once."""
    storages = [value.untyped_storage() for value in values if isinstance(value, Tensor)]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}.values()


def _bars(slates: str, found: Throughput, processes: int, least: int) -> list[Bar]:
    """By the clock on the wall, which others on the machine slow down, and by the CPU time that was used."""
    alone = found.decisions / (found.cpu_seconds / processes)
    return [
        Bar(f"decisions a second, {slates}{how}", rate, None, f"{least:,} or more", rate >= least)
        for how, rate in (("", found.decisions_per_second), (f", if {processes} cores were ours alone", alone))
    ]
