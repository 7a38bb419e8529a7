"""Requests for the whole of a large catalogue, beside the same of a hundred articles: two sites, round by round.

The same predictor, by the same command, with the same readers; nobody names candidates, so that all live articles that
the reader has not read are what it chooses from.
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import Bar, Part
from benchmarks.serving import site as sites
from benchmarks.serving.designs import Taken, order, turn
from benchmarks.serving.processes import Generator, cores
from benchmarks.serving.stage import OURS, Backend, Stage, staged
from benchmarks.serving.verdict import middle
from benchmarks.serving.void import Void

SEEDS = [sites.SEED]
CONNECTIONS, WARM_SECONDS, LEAST_SHARE = 8, 1.0, 0.5


@dataclass(frozen=True)
class Size:
    """Live articles of the large site, and how long is measured."""

    articles: int = 10_000
    rounds: int = 5
    seconds: float = 10.0
    backend: Backend = "redis"


FULL, QUICK = Size(), Size(articles=1_000, rounds=1, seconds=1.0, backend="sqlite")


def protocol(size: Size) -> str:
    return (
        f"Slates of {sites.SLATE} for {sites.READERS} readers of 50 reads from {sites.LIVE} and from "
        f"{size.articles:,} live articles, a predictor each, {CONNECTIONS} connections, {size.rounds} rounds of "
        f"{size.seconds:g} s in turns, online store {size.backend}; servers on one core, the load generator on another."
    )


def measure(size: Size) -> Part:
    """Requests a second and CPU time of a request by live articles."""
    now = time.time_ns() // 1_000
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        generator = stack.enter_context(Generator(cores()[1]))
        stages = {
            articles: stack.enter_context(
                staged(folder / str(articles), size.backend, now, [OURS.name], articles=articles)
            )
            for articles in (sites.LIVE, size.articles)
        }
        return judged(_rounds(stages, generator, size), size)


def _rounds(stages: Mapping[int, Stage], generator: Generator, size: Size) -> list[dict[int, Taken]]:
    """Raises Void for an answer that is no 200, or that was made without the reader's features."""

    def asked(articles: int, seconds: float) -> Taken:
        return turn(stages[articles], generator, OURS.name, CONNECTIONS, seconds)

    for articles in stages:
        asked(articles, WARM_SECONDS)
    rounds = [
        {articles: asked(articles, size.seconds) for articles in order(list(stages), number)}
        for number in range(size.rounds)
    ]
    if degraded := sum(stage.degraded() for stage in stages.values()):
        raise Void(f"{degraded:.0f} slates were made without the reader's features")
    return rounds


def judged(rounds: list[dict[int, Taken]], size: Size) -> Part:
    """Figures, medians with the least and the most of the rounds, and the bar."""
    figures: dict[str, Any] = {}
    for articles in (sites.LIVE, size.articles):
        taken = [of[articles] for of in rounds]
        figures[f"{articles:,}"] = {
            "requests_a_second": middle([one.outcome.rate for one in taken]),
            "p50_ms": middle([one.outcome.p50 for one in taken]),
            "p99_ms": middle([one.outcome.p99 for one in taken]),
            "cpu_microseconds": middle([1e6 * sum(one.cpu.values()) / one.outcome.requests for one in taken]),
        }
    share = middle([of[size.articles].outcome.rate / of[sites.LIVE].outcome.rate for of in rounds])
    figures["share"] = share
    name = f"requests/s from {size.articles:,} articles beside those from {sites.LIVE}"
    met = share.value >= LEAST_SHARE
    return Part({"whole": figures}, [Bar(name, share.value, share.interval, f"at least {LEAST_SHARE}", met)])
