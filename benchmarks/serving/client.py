"""What the load generator itself costs: an answer that takes next to nothing, with 1 and 8 connections.

Every design's latency holds the generator's share, and a generator that is busy all the time would measure itself.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Bar, Part
from benchmarks.serving.load import Plan
from benchmarks.serving.processes import Command, Generator, cores, free_port, running

SEEDS: list[int] = []
MOST_MICROSECONDS = 100.0


@dataclass(frozen=True)
class Size:
    """How long it is measured."""

    seconds: float = 10.0


FULL, QUICK = Size(), Size(seconds=1.0)


def protocol(size: Size) -> str:
    return (
        f"One thread, epoll on kept-alive sockets of 127.0.0.1, on a core of its own; {size.seconds:g} s each with 1 "
        "and 8 connections against a socket that answers 1,100 bytes to whatever comes; CPU time of the generator."
    )


def measure(size: Size) -> Part:
    """CPU microseconds of the generator a request."""
    port = free_port()
    command = Command("answers", [sys.executable, "-m", "benchmarks.serving.peers.constant", str(port)], port)
    server_core, own_core = cores()
    figures = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        running([command], Path(folder)) as servers,
        Generator(own_core) as generator,
    ):
        servers["answers"].pin(server_core)
        for connections in (1, 8):
            outcome = generator.drive(Plan(port, "/", ['{"instances": []}'], connections, size.seconds))
            figures[f"c={connections}"] = {
                "requests_a_second": outcome.rate,
                "p50_ms": outcome.p50,
                "cpu_microseconds": 1e6 * outcome.cpu_seconds / max(outcome.requests, 1),
                "errors": outcome.errors,
            }
    most = max(of["cpu_microseconds"] for of in figures.values())
    bar = f"at most {MOST_MICROSECONDS:.0f}"
    name = "load generator, CPU microseconds a request"
    return Part({"client": figures}, [Bar(name, most, None, bar, most <= MOST_MICROSECONDS)])
