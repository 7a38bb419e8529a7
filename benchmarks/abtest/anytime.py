"""A/A: nothing differs between the arms, and everybody looks on each of 28 days.

Every day as many readers' windows close, and the confidence sequence, plain and CUPED, is looked at by the very
function that judges a live experiment. Plain intervals of the same looks are counted beside it, and so are those that
are read once, on the last day.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from benchmarks.abtest.population import DAYS, Population
from benchmarks.results import Bar, Part
from newsrec.evaluation.abtest.sequential import boundary, look_daily

SEEDS = [52]
ALPHA = 0.05


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    experiments: int = 1_000
    per_day: int = 250
    """Readers of both arms whose windows close on a day."""


FULL, QUICK = Size(), Size(experiments=20)


def protocol(size: Size) -> str:
    return (
        f"{size.experiments:,} A/A experiments on simulated readers, {size.per_day} windows of both arms closing on "
        f"each of {DAYS} days and a look on each; how often some look excludes 0, at 95 %, with its binomial interval."
    )


def measure(size: Size, people: Population) -> Part:
    generator = np.random.default_rng(SEEDS[0])
    readers = size.per_day * DAYS
    day, told = np.repeat(np.arange(DAYS), size.per_day), []
    for _ in range(size.experiments):
        drawn = people.draw(readers, generator)
        treated = generator.random(readers) < 0.5
        raw = look_daily(drawn.days, treated, day, readers, ALPHA)
        cut = look_daily(drawn.days, treated, day, readers, ALPHA, drawn.before)
        error = (raw.high - raw.low) / 2.0 / boundary(raw.readers, readers, ALPHA)
        plain = abs(raw.difference / error) > ndtri(1.0 - ALPHA / 2.0)
        told.append([raw.told, cut.told, bool(plain.any()), bool(plain[-1])])
    rates = {}
    names = ("sequence", "sequence_cuped", "plain_daily", "plain_once")
    for name, hits in zip(names, np.array(told, float).T, strict=True):
        rates[name] = proportion(hits)
    allowed = ALPHA + 1.96 * (ALPHA * (1.0 - ALPHA) / size.experiments) ** 0.5
    bars = []
    for name, words in (("sequence", "confidence sequence"), ("sequence_cuped", "the same with CUPED")):
        rate, ends = rates[name]
        bars.append(Bar(f"A/A, {words} excludes 0 on some day", rate, ends, f"at most {allowed:.3g}", rate <= allowed))
    rate, ends = rates["plain_daily"]
    bars.append(Bar("A/A, plain interval excludes 0 on some day", rate, ends, "about 0.28", 0.2 < rate < 0.36))
    rate, ends = rates["plain_once"]
    bars.append(
        Bar(
            "A/A, plain interval excludes 0 on the last day",
            rate,
            ends,
            "interval holds 0.05",
            ends[0] <= ALPHA <= ends[1],
        )
    )
    figures = {name: {"rate": rate, "low": ends[0], "high": ends[1]} for name, (rate, ends) in rates.items()}
    return Part({"anytime": figures}, bars)


def proportion(hits: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The share of ``hits`` [n] with Wilson's (1927) 95 % interval."""
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    middle, away = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return p, ((middle - away) / (1 + z * z / n), (middle + away) / (1 + z * z / n))
