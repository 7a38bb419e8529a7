"""Does CUPED cut the variance of the difference by what it says, ``1 - rho^2``?

Measured is the variance of the difference of arms over repeated experiments, not the one that a single experiment
estimates; rho is that of the population. The interval resamples experiments.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.abtest.population import Population
from benchmarks.results import Bar, Part
from newsrec.evaluation.abtest.cuped import adjust

SEEDS = [54]


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    experiments: int = 10_000
    readers: int = 1_000
    draws: int = 1_000


FULL, QUICK = Size(), Size(experiments=100, draws=100)


def protocol(size: Size) -> str:
    return (
        f"{size.experiments:,} experiments of {size.readers:,} readers; variance of CUPED's difference over that of "
        f"the plain one, less 1 - rho^2 of the population; interval resamples experiments."
    )


def measure(size: Size, people: Population) -> Part:
    generator = np.random.default_rng(SEEDS[0])
    differences = np.empty((size.experiments, 2))
    claimed = np.empty(size.experiments)
    for row in range(size.experiments):
        drawn, treated = people.draw(size.readers, generator), generator.random(size.readers) < 0.5
        cut = adjust(drawn.days, drawn.before, treated.astype(np.int64))
        differences[row] = [v[treated].mean() - v[~treated].mean() for v in (drawn.days, cut.values)]
        claimed[row] = cut.variance_left
    left = 1.0 - people.rho_squared
    picks = generator.integers(size.experiments, size=(size.draws, size.experiments))
    resampled = [np.divide(*differences[pick].var(axis=0)[::-1]) - left for pick in picks]
    raw, less = differences.var(axis=0)
    low, high = (float(end) for end in np.quantile(resampled, [0.025, 0.975]))
    off = float(less / raw - left)
    figures = {"left": less / raw, "one_less_rho_squared": left, "mean_claimed": claimed.mean()}
    figures |= {"error": {"value": off, "low": low, "high": high}}
    bar = Bar("variance left by CUPED less 1 - rho^2", off, (low, high), "interval holds 0", low <= 0.0 <= high)
    return Part({"variance": figures}, [bar])
