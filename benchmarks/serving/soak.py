"""Ten minutes at 70 % of the peak: no error, no growth of memory, no slower at the end than at the beginning.

The peak is the closed loop's rate with eight connections. Then requests are due at fixed moments, so that a stall
counts for all that wait behind it.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import Bar, Part
from benchmarks.serving import site as sites
from benchmarks.serving.load import Outcome
from benchmarks.serving.processes import Generator, cores
from benchmarks.serving.stage import OURS, Backend, staged
from benchmarks.serving.verdict import middle
from benchmarks.serving.void import Void

SEEDS = [sites.SEED]
SHARE, SEGMENTS, CONNECTIONS = 0.7, 10, 32
MOST_GROWTH, MOST_SLOWER = 0.05, 1.5


@dataclass(frozen=True)
class Size:
    """How long."""

    minutes: float = 10.0
    peak_seconds: float = 10.0
    backend: Backend = "redis"


FULL, QUICK = Size(), Size(minutes=0.1, peak_seconds=1.0, backend="sqlite")


class Segment(NamedTuple):
    """A tenth of the time."""

    outcome: Outcome
    resident_bytes: int
    """Of the predictor at its end."""


def protocol(size: Size) -> str:
    return (
        f"{size.minutes:g} minutes at {SHARE:.0%} of the closed loop's rate at c=8, open loop over {CONNECTIONS} "
        f"connections, online store {size.backend}, every slate logged. Memory of the predictor from the end of the "
        f"first tenth to that of the last; p99 of tenths, the median of the later five beside that of the first five."
    )


def measure(size: Size) -> Part:
    with (
        tempfile.TemporaryDirectory() as folder,
        Generator(cores()[1]) as generator,
        staged(Path(folder) / "site", size.backend, time.time_ns() // 1_000, [OURS.name]) as stage,
    ):
        peak = generator.drive(stage.plan(OURS.name, 8, size.peak_seconds))
        if peak.errors:
            raise Void(f"at the peak: {peak.errors}")
        rate = SHARE * peak.rate
        plan = stage.plan(OURS.name, CONNECTIONS, 60.0 * size.minutes / SEGMENTS, rate)
        segments = [
            Segment(generator.drive(plan), stage.servers[OURS.server].resident_bytes()) for _ in range(SEGMENTS)
        ]
        degraded = stage.degraded()
    return judged(segments, rate, degraded)


def judged(segments: Sequence[Segment], rate: float, degraded: float) -> Part:
    """Figures and bars."""
    errors = sum(sum(segment.outcome.errors.values()) for segment in segments)
    growth = segments[-1].resident_bytes / segments[0].resident_bytes - 1.0
    p99 = [segment.outcome.p99 for segment in segments]
    half = len(p99) // 2
    slower = middle(p99[half:]).value / middle(p99[:half]).value
    figures = {
        "requests_a_second": rate,
        "requests": sum(segment.outcome.requests for segment in segments),
        "errors": [segment.outcome.errors for segment in segments],
        "degraded": degraded,
        "resident_mib": [segment.resident_bytes / 2**20 for segment in segments],
        "p50_ms": [segment.outcome.p50 for segment in segments],
        "p99_ms": p99,
    }
    bars = [
        Bar("soak: errors and degraded answers", errors + degraded, None, "0", errors + degraded == 0),
        Bar("soak: growth of the predictor's memory", growth, None, f"at most {MOST_GROWTH}", growth <= MOST_GROWTH),
        Bar("soak: p99 of the later half beside the first", slower, None, f"at most {MOST_SLOWER:g} times",
            slower <= MOST_SLOWER),
    ]  # fmt: skip
    return Part({"soak": figures}, bars)
