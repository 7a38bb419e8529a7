"""A million logged slates: how long do all estimators with their intervals take, and how much memory?

Slates of five out of 20 candidates, the policy in question's probability and the model's prediction of each candidate
at each place given. The contextual estimators take the first place, with both hyper-parameters chosen by SLOPE. A
process of its own, so that its largest memory is known; it holds the log, which took the most of it.
"""

import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.results import Bar, Part
from newsrec.evaluation.off_policy import contextual, slate, slope
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.slate import SlateLog
from newsrec.evaluation.off_policy.terms import Terms
from newsrec.evaluation.off_policy.uncertainty import bootstrap

SEEDS = [65]
MOST_SECONDS, MOST_GIB = 60.0, 4.0


@dataclass(frozen=True)
class Size:
    """The log, and how often its readers are drawn again."""

    slates: int = 1_000_000
    places: int = 5
    candidates: int = 20
    draws: int = 200


FULL, QUICK = Size(), Size(slates=10_000)


class Run(NamedTuple):
    """What one run took."""

    seconds: dict[str, float]
    """By the clock on the wall, which others on the machine slow down."""
    cpu_seconds: float
    """Of the processor, all threads."""
    gib: float
    """Largest resident memory of the process."""
    intervals: int


def protocol(size: Size) -> str:
    return (
        f"{size.slates:,} slates of {size.places} from {size.candidates} candidates, {size.slates:,} readers drawn "
        f"with replacement; 7 contextual and 7 slate estimators, {size.draws} resamples; one run."
    )


def measure(size: Size) -> Part:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(run, size).result()
    seconds, name = sum(found.seconds.values()), f"{size.slates:,} slates, 14 estimators, {size.draws} resamples"
    cores = len(os.sched_getaffinity(0))
    return Part(
        {"speed": {**found._asdict(), "seconds_in_all": seconds, "cores": cores}},
        [
            Bar(f"seconds, {name}", seconds, None, f"under {MOST_SECONDS:g}", seconds < MOST_SECONDS),
            Bar(
                f"seconds, if a core were ours alone, {name}",
                found.cpu_seconds,
                None,
                f"under {MOST_SECONDS:g}",
                found.cpu_seconds < MOST_SECONDS,
            ),
            Bar(f"GiB, {name}", found.gib, None, f"under {MOST_GIB:g}", found.gib < MOST_GIB),
        ],
    )


def run(size: Size) -> Run:
    """All estimators on one log."""
    log, predicted, chances = drawn(size)
    begun, cpu, seconds = time.perf_counter(), time.process_time(), {}

    def lap(name: str) -> None:
        seconds[name] = time.perf_counter() - begun - sum(seconds.values())

    log = log._replace(v=contextual.value_under(chances, predicted))
    lap("predictions")
    first = ContextualLog(
        log.reader, log.reward[:, 0], log.behaviour[:, 0], log.target[:, 0], log.q[:, 0], log.v[:, 0], log.request
    )
    estimates: dict[str, Terms] = {
        "IPS": contextual.ips(first),
        "SNIPS": contextual.snips(first),
        "DM": contextual.direct_method(first),
        "DR": contextual.doubly_robust(first),
        "SNDR": contextual.self_normalised_doubly_robust(first),
        "Switch-DR": slope.switch_doubly_robust(first).terms,
        "DRos": slope.shrunk_doubly_robust(first).terms,
    }
    lap("contextual")
    estimates |= {
        "standard IPS": slate.standard_ips(log),
        "standard SNIPS": slate.self_normalised_standard_ips(log),
        "reward-interaction IPS": slate.reward_interaction_ips(log),
        "reward-interaction SNIPS": slate.self_normalised_reward_interaction_ips(log),
        "independent IPS": slate.independent_ips(log),
        "independent SNIPS": slate.self_normalised_independent_ips(log),
        "cascade-DR": slate.cascade_doubly_robust(log),
    }
    lap("slates")
    found = bootstrap(estimates, np.random.default_rng(SEEDS[0]), draws=size.draws)
    lap("bootstrap")
    told = sum(low < high for _, low, high in found.values())
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB
    return Run(seconds, time.process_time() - cpu, largest, told)


def drawn(size: Size) -> tuple[SlateLog, np.ndarray, np.ndarray]:
    """A log without v, and the predictions and the target probabilities [n, K, C], float32, from which v is made."""
    generator, n, k = np.random.default_rng(SEEDS[0]), size.slates, size.places
    shape = n, k, size.candidates
    predicted = generator.random(shape, np.float32)
    chances = generator.random(shape, np.float32)
    chances /= chances.sum(-1, keepdims=True)
    even = 1.0 / size.candidates

    def near() -> np.ndarray:
        return generator.uniform(0.7 * even, 1.3 * even, (n, k))

    reward = (generator.random((n, k)) < 0.05).astype(float)
    return SlateLog(
        generator.integers(n, size=n), reward, near(), near(), np.ones((n, k), bool), near(), near(),
        predicted[:, :, 0].astype(float), None, generator.permutation(n),
    ), predicted, chances  # fmt: skip
