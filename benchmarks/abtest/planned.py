"""Is the power that was planned the power that is measured?

The plan is made from the population's mean, deviation and correlation with the past. Then experiments of its size are
run in which the treated arm's quiet days become active ones just so often that the mean rises by the planned lift.
Counted is how often the lift is told: by CUPED read once, and by the confidence sequence looked at daily until it ends.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.abtest.anytime import proportion
from benchmarks.abtest.population import DAYS, Population, lifted
from benchmarks.results import Bar, Part
from newsrec.evaluation.abtest.cuped import adjust
from newsrec.evaluation.abtest.effects import difference_of_means
from newsrec.evaluation.abtest.plan import PlanConfig, Traffic, plan
from newsrec.evaluation.abtest.sequential import look_daily

SEEDS = [53]
POWER, NEAREST = 0.8, 0.1


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    experiments: int = 1_000
    mde: float = 0.05


FULL, QUICK = Size(), Size(experiments=20, mde=0.1)


def protocol(size: Size) -> str:
    return (
        f"{size.experiments:,} experiments of the planned size each, for a lift of {size.mde:.0%} with power 80 %, "
        f"read once and looked at on each of {DAYS} days; how often the lift is told, with its binomial interval."
    )


def measure(size: Size, people: Population) -> Part:
    generator, figures, bars = np.random.default_rng(SEEDS[0]), {}, []
    traffic = {"mean": people.mean, "deviation": float(people.days.std()), "correlation": people.rho_squared**0.5}
    for daily in (False, True):
        config = PlanConfig(mde=size.mde, power=POWER, daily=daily)
        readers = plan(config, Traffic(arrivals=(1.0,), **traffic)).readers
        if daily:  # as many a day as fill the plan on the last of the days
            readers = plan(config, Traffic(arrivals=(readers / DAYS,), **traffic)).readers
        told, ended = [], []
        for _ in range(size.experiments):
            found, when = _run(people, readers, size.mde, daily, generator)
            told.append(found)
            ended.append(when)
        rate, ends = proportion(np.array(told, float))
        name = "looked at daily" if daily else "read once"
        near = abs(rate - POWER) <= NEAREST * POWER
        bars.append(Bar(f"power, {name}, planned 0.8", rate, ends, "within 10 %", near))
        figures["daily" if daily else "once"] = {
            "readers": readers,
            "power": {"value": rate, "low": ends[0], "high": ends[1]},
            "mean_readers_when_ended": float(np.mean(ended)),
        }
    return Part({"planned": figures}, bars)


def _run(
    people: Population, readers: int, gain: float, daily: bool, generator: np.random.Generator
) -> tuple[bool, int]:
    """Whether the lift is told, and of how many readers the windows were over by then."""
    drawn, treated = people.draw(readers, generator), generator.random(readers) < 0.5
    days = np.where(treated, lifted(drawn.days, gain, people.mean, generator), drawn.days)
    if not daily:
        cut = adjust(days, drawn.before, treated.astype(np.int64)).values
        return difference_of_means(cut[treated], cut[~treated]).low > 0.0, readers
    day = np.arange(readers) * DAYS // readers
    looks = look_daily(days, treated, day, readers, 0.05, drawn.before)
    told = np.flatnonzero(looks.low > 0.0)
    return bool(len(told)), int(looks.readers[told[0]]) if len(told) else readers
