"""Our predictor, the usual designs of stock KServe and Feast, KServe's no-op and the bare limit, round by round.

All stand side by side on one site and answer the same requests with the same scores, which is checked before the first
round and behind the last. In a round each design is asked with one connection, then with eight; the order of the
designs moves on by one from round to round and is turned around in every other. Servers, Redis among them, have one
core, the generator the other.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rich.console import Console
from rich.progress import track

from benchmarks.results import Part
from benchmarks.serving import site
from benchmarks.serving.load import Outcome
from benchmarks.serving.processes import Generator, cores
from benchmarks.serving.stage import Backend, Stage, body, staged
from benchmarks.serving.verdict import Rounds, judged
from benchmarks.serving.void import Void

T = TypeVar("T")
SEEDS = [site.SEED]
CONNECTIONS = (1, 8)
WARM_SECONDS, MOST_BUSY = 0.5, 0.8
TOLERANCE = 1e-4
"""Of two designs' scores of one candidate, absolute: scores are float32 of about 1, summed in another order."""


@dataclass(frozen=True)
class Size:
    """How long and where it is measured."""

    rounds: int = 5
    seconds: float = 10.0
    """With each number of connections."""
    backends: tuple[Backend, ...] = ("redis", "sqlite")
    strict: bool = True
    """A peer that is not as fast beside the no-op as in the table voids the run."""


FULL, QUICK = Size(), Size(rounds=1, seconds=1.0, backends=("redis",), strict=False)


class Taken(NamedTuple):
    """One design in one round."""

    outcome: Outcome
    cpu: dict[str, float]
    """Server -> CPU seconds."""


def protocol(size: Size) -> str:
    return (
        f"{site.READERS} readers of 50 reads, {site.LIVE} live articles of 20 features and a content vector, history "
        f"transformer of two layers, 64 wide; slates of {site.SLATE}. {size.rounds} rounds of {size.seconds:g} s a "
        f"design with 1 and with 8 connections, designs in turn, online store {' and then '.join(size.backends)}; all "
        f"servers on one core, the load generator on another. Medians of rounds, in brackets the least and the most of "
        f"them. Scores of all designs agree within {TOLERANCE:g}."
    )


def measure(size: Size) -> Part:
    figures, bars = {}, []
    for backend in size.backends:
        with (
            tempfile.TemporaryDirectory() as folder,
            Generator(cores()[1]) as generator,
            staged(Path(folder) / "site", backend, time.time_ns() // 1_000) as stage,
        ):
            rounds = taken(stage, generator, size)
        found = judged(rounds, backend, size.strict)
        figures[backend] = found.figures
        bars += found.bars
    return Part({"designs": figures}, bars)


def taken(stage: Stage, generator: Generator, size: Size) -> Rounds:
    """All rounds. Raises Void for other scores, and for any answer that is no 200."""
    compared = agree(stage)
    for name in stage.designs:
        refuse_outcome(name, generator.drive(stage.plan(name, CONNECTIONS[-1], WARM_SECONDS)))
    rounds: Rounds = []
    console = Console(stderr=True)
    for number in track(range(size.rounds), "rounds", console=console, disable=not console.is_terminal):
        of_round: dict[int, dict[str, Taken]] = {}
        for connections in CONNECTIONS:
            of_round[connections] = {}
            for name in order(list(stage.designs), number):
                of_round[connections][name] = turn(stage, generator, name, connections, size.seconds)
        rounds.append(of_round)
    if agree(stage) != compared:
        raise Void("other designs could be compared behind the rounds than before them")
    if degraded := stage.degraded():
        raise Void(f"{degraded:.0f} slates of our predictor were made without the reader's features")
    return rounds


def turn(stage: Stage, generator: Generator, name: str, connections: int, seconds: float) -> Taken:
    """The design ``name``, asked for ``seconds``. Raises Void for any answer that is no 200."""
    before = stage.cpu_seconds(name)
    outcome = generator.drive(stage.plan(name, connections, seconds))
    after = stage.cpu_seconds(name)
    refuse_outcome(name, outcome)
    return Taken(outcome, {server: after[server] - before[server] for server in after})


def order(names: Sequence[T], number: int) -> list[T]:
    """``names`` in the turn of round ``number``."""
    at = number % len(names)
    turned = [*names[at:], *names[:at]]
    return turned[::-1] if number % 2 else turned


def agree(stage: Stage, readers: int = 3) -> list[str]:
    """The designs whose scores of all candidates were compared, reader by reader. Raises Void where they differ."""
    compared = [name for name, design in stage.designs.items() if design.scores]
    for reader in stage.site.readers[:readers]:
        request = body(reader, time=time.time_ns() // 1_000, k=len(stage.site.candidates))
        given = {}
        for name in compared:
            read = stage.designs[name].scores
            assert read
            given[name] = read(stage.ask(name, request), stage.site.candidates)
        refuse_other_scores(given, stage.site.candidates)
    return compared


def refuse_other_scores(given: Mapping[str, Mapping[str, float]], candidates: Sequence[str]) -> None:
    """Raise Void unless all designs gave each of ``candidates`` the same score."""
    (first, expected), *others = given.items()
    for name, scores in given.items():
        if set(scores) != set(candidates):
            raise Void(f"{name} scored {len(scores)} articles, expected the {len(candidates)} candidates")
    for name, scores in others:
        for article in candidates:
            if not abs(scores[article] - expected[article]) <= TOLERANCE:  # NaN, too
                found = f"{name} gives {article} {scores[article]:.6f}, {first} {expected[article]:.6f}"
                raise Void(f"designs do not answer the same: {found}")


def refuse_outcome(name: str, outcome: Outcome) -> None:
    """Raise Void for an answer that is no 200, for none, and where the generator was what took the time."""
    if outcome.errors or not outcome.requests:
        told: Any = outcome.errors or "no answer at all"
        raise Void(f"{name}: {told} beside {outcome.requests} answers")
    if outcome.cpu_seconds > MOST_BUSY * outcome.seconds:
        busy = outcome.cpu_seconds / outcome.seconds
        raise Void(f"{name}: the load generator was busy for {busy:.0%} of the time, so it measured itself")
