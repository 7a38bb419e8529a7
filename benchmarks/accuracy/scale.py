"""Ten million synthetic interactions of 100,000 readers with 10,000 articles: how long, and how much memory.

How much a reader reads is log-normal, what is read follows a power law; nothing else, since time does not depend on it.
implicit's ALS takes its turns in the same call, with the same width and as many steps. Everything has one thread and is
judged by its CPU time, which is what the clock would say on an idle core; the clock's own seconds stand in the figures.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from benchmarks.accuracy import peers
from benchmarks.results import Bar, Part
from newsrec.baselines import als, ease
from newsrec.encoders.co_reading import gram
from newsrec.training import seeded

SEEDS = [7]
WIDTH = 64
SPREAD, POWER = 0.8, 0.7
"""Standard deviation of log reads, and exponent of the power law."""


@dataclass(frozen=True)
class Size:
    """How much there is."""

    readers: int = 100_000
    articles: int = 10_000
    reads: int = 10_000_000
    rounds: int = 3
    """Of ALS, of which the fastest counts."""


FULL, QUICK = Size(), Size(readers=300, articles=80, reads=6_000, rounds=1)


def protocol(size: Size) -> str:
    return (
        f"{size.reads:,} synthetic interactions of {size.readers:,} readers with {size.articles:,} articles; CPU "
        f"seconds of one thread, EASE from interactions to weights, one turn of ALS {WIDTH} wide for both sides; "
        f"the fastest of {size.rounds} turns of ours and of implicit's; memory is the most that the process ever held."
    )


def measured(size: Size, progress: Callable[[str], None] = print) -> Part:
    """Seconds of EASE and ALS, memory, and the ratio to implicit."""
    read = synthetic(size, np.random.default_rng(SEEDS[0]))
    config = als.Config(width=WIDTH)
    seeded(SEEDS[0])
    policy, readers, turns = als.AlsPolicy(config, size.articles), None, []
    for _ in range(size.rounds + 1):  # the first one has no readers to start from
        took, readers = clocked(lambda: policy.turn(read, readers))  # noqa: B023
        turns.append(took)
    turns = turns[1:]
    progress(f"ALS  {turns}")
    solver = ease.EasePolicy(ease.Config(penalty=400.0, reader_weight=0.0), size.articles)
    solved, _ = clocked(lambda: solver.solve(gram(read)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    progress(f"EASE  {solved}  {memory:.1f} GiB")
    figures = {"interactions": read.nnz, "ease": solved, "als": turns, "memory_gib": memory}
    turn = min(took["cpu"] for took in turns)
    made = [
        Bar("CPU seconds to fit EASE", solved["cpu"], None, "< 120", solved["cpu"] < 120),
        Bar("GiB to fit EASE", memory, None, "< 8", memory < 8),
        Bar("CPU seconds of one ALS pass", turn, None, "< 60", turn < 60),
    ]
    name = "times implicit's ALS speed, CPU time"
    if not peers.PYTHON.exists():
        return Part({"scale": figures}, [*made, Bar(name, None, None, peers.MISSING, False)])
    asked = {"factors": WIDTH, "regularization": config.penalty, "alpha": config.confidence, "rounds": size.rounds}
    _, theirs = peers.run("als_turns", peers.parts(read), **asked)
    progress(f"implicit  {theirs}")
    ratio = min(theirs["cpu"]) / turn
    return Part({"scale": figures | {"implicit": theirs}}, [*made, Bar(name, ratio, None, ">= 1", ratio >= 1)])


def synthetic(size: Size, generator: np.random.Generator) -> csr_array:
    """[readers, articles + 1] float32: ``size.reads`` ones."""
    worth = np.cumsum(np.arange(1, size.articles + 1) ** -POWER)
    share = np.cumsum(generator.lognormal(0.0, SPREAD, size.readers))
    pairs = np.zeros(0, np.int64)
    while len(pairs) < size.reads:  # what was drawn twice is drawn again, of anybody
        missing = int(1.15 * (size.reads - len(pairs))) + 1
        reader = np.searchsorted(share / share[-1], generator.random(missing))
        article = 1 + np.searchsorted(worth / worth[-1], generator.random(missing))
        pairs = np.unique(np.concatenate([pairs, reader * (size.articles + 1) + article]))
    pairs = np.sort(generator.choice(pairs, size.reads, replace=False, shuffle=False))
    reader, article = np.divmod(pairs, size.articles + 1)
    ones = np.ones(len(pairs), np.float32)
    return csr_array((ones, (reader, article)), (size.readers, size.articles + 1))


def clocked(work: Callable) -> tuple[dict[str, float], object]:  # type: ignore[type-arg]
    """What ``work`` takes, in seconds, and what it returns."""
    began = time.perf_counter(), time.process_time()
    found = work()
    return {"wall": time.perf_counter() - began[0], "cpu": time.process_time() - began[1]}, found
