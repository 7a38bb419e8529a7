"""Ten million synthetic interactions of 100,000 readers with 10,000 articles: how long, and how much memory.

How much a reader reads is log-normal, what is read follows a power law; nothing else, since time does not depend on it.
implicit's ALS takes its turns in the same call, with the same width, confidence and penalty. Its steps are three plain
ones a row, ours two preconditioned ones, so speed counts only where the loss after as many turns is no higher.
Everything has one thread and is judged by its CPU time, which is what the clock would say on an idle core; the clock's
own seconds stand in the figures.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.sparse import csr_array

from benchmarks.accuracy import peers
from benchmarks.kept import Kept
from benchmarks.results import Bar, Part
from newsrec.baselines import als, ease
from newsrec.encoders.co_reading import gram
from newsrec.training import seeded

SEEDS = [7]
WIDTH, TURNS = 64, 2
"""Of ALS: numbers in a factor, and turns after which the losses are compared."""
ROWS = 4096
"""Readers whose loss is summed up together."""
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


Found = TypeVar("Found")
FULL, QUICK = Size(), Size(readers=300, articles=80, reads=6_000, rounds=1)


def protocol(size: Size) -> str:
    return (
        f"Scale: {size.reads:,} synthetic interactions of {size.readers:,} readers with {size.articles:,} articles; "
        f"CPU seconds of one thread, EASE from interactions to weights, one turn of ALS {WIDTH} wide for both sides; "
        f"the fastest of {size.rounds} turns of ours and of implicit's; the loss of both is that after {TURNS} turns; "
        f"memory is the most that the process ever held."
    )


def measured(size: Size, kept: Kept | None = None, progress: Callable[[str], None] = print) -> Part:
    """Seconds of EASE and ALS, memory, and the ratio to implicit."""
    whole = peers.PYTHON.exists()
    figures = (kept or Kept()).of("scale", [size, SEEDS, WIDTH, SPREAD, POWER], lambda: _figures(size, progress), whole)
    turn, solved, memory = min(took["cpu"] for took in figures["als"]), figures["ease"], figures["memory_gib"]
    made = [
        Bar("CPU seconds to fit EASE", solved["cpu"], None, "< 120", solved["cpu"] < 120),
        Bar("GiB to fit EASE", memory, None, "< 8", memory < 8),
        Bar("CPU seconds of one ALS pass", turn, None, "< 60", turn < 60),
    ]
    speed, loss = "times implicit's ALS speed, CPU time", "ALS' loss over implicit's"
    if not whole:
        return Part(
            {"scale": figures}, [*made, *(Bar(name, None, None, peers.MISSING, False) for name in (speed, loss))]
        )
    ratio, worse = min(figures["implicit"]["cpu"]) / turn, figures["loss"] / figures["implicit"]["loss"]
    made += [Bar(speed, ratio, None, ">= 1", ratio >= 1), Bar(loss, worse, None, "<= 1", worse <= 1)]
    return Part({"scale": figures}, made)


def _figures(size: Size, progress: Callable[[str], None]) -> dict[str, Any]:
    read = synthetic(size, np.random.default_rng(SEEDS[0]))
    config = als.Config(width=WIDTH)
    seeded(SEEDS[0])
    policy = als.AlsPolicy(config, size.articles)
    readers, turns = policy.turn(read), []  # this turn has no readers to start from
    for turn in range(2, size.rounds + 2):
        took, readers = clocked(partial(policy.turn, read, readers))
        turns.append(took)
        if turn == TURNS:
            items = policy.memory.article(torch.arange(size.articles + 1)).numpy()  # type: ignore[operator]
            reached = loss(read, readers, items, config)
    progress(f"ALS  {turns}  loss {reached:.6g}")
    solver = ease.EasePolicy(ease.Config(penalty=400.0, reader_weight=0.0), size.articles)
    solved, _ = clocked(lambda: solver.solve(gram(read)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    progress(f"EASE  {solved}  {memory:.1f} GiB")
    figures = {"interactions": read.nnz, "ease": solved, "als": turns, "loss": reached, "memory_gib": memory}
    if not peers.PYTHON.exists():
        return figures
    asked = {"factors": WIDTH, "regularization": config.penalty, "alpha": config.confidence, "rounds": size.rounds}
    found, theirs = peers.run("als_turns", peers.parts(read), **asked)
    theirs["loss"] = loss(read, found["readers"], found["items"], config)
    progress(f"implicit  {theirs}")
    return figures | {"implicit": theirs}


def loss(read: csr_array, readers: np.ndarray, items: np.ndarray, config: als.Config) -> float:
    """What ALS minimises, for the factors ``readers`` [R, W] and ``items`` [N, W]."""
    squares = [np.float64(side.T @ side) for side in (readers, items)]
    found = (squares[0] * squares[1]).sum() + config.penalty * sum(np.trace(square) for square in squares)
    for start in range(0, read.shape[0], ROWS):
        some = read[start : start + ROWS]
        row = np.repeat(np.arange(some.shape[0]), np.diff(some.indptr))
        said = np.vecdot(readers[start : start + ROWS][row], items[some.indices]).astype(np.float64)  # [reads]
        found += ((1 + config.confidence) * (1 - said) ** 2 - said**2).sum()
    return float(found)


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


def clocked(work: Callable[[], Found]) -> tuple[dict[str, float], Found]:
    """What ``work`` takes, in seconds, and what it returns."""
    began = time.perf_counter(), time.process_time()
    found = work()
    return {"wall": time.perf_counter() - began[0], "cpu": time.process_time() - began[1]}, found
