"""What became of readers under each contender, and what that says of the contenders.

Active days from assignment, per reader, those who never came with zero, are the outcome that counts. It is compared
with the baseline's in each world; a training seed is what is independent (``newsrec.evaluation.contrast``).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from newsrec.compare.jobs import Plan
from newsrec.compare.study import HEADROOM, ORACLES, Study
from newsrec.compare.work import read_lives
from newsrec.evaluation.contrast import (
    Arm,
    Contrast,
    Point,
    Share,
    contrast,
    monotone_within_intervals,
    rises,
    share_of_headroom,
)
from newsrec.simulator.lives import Lives

OfSeeds = Mapping[int, Lives]
"""Training seed -> the lives of its readers."""
PER_READER = ("active_days", "visits", "clicks", "dwell_minutes", "hides")
RATIOS = {"return_within_week": ("week_returns", "week_visits"), "click_rate": ("clicks", "impressions")}
"""Outcome -> what is counted, and of what; visits of the last week are left out of both, since nobody saw them end."""
COVERAGE = "coverage"
"""Share of the newsroom's articles that were shown to anybody; a mean over the training seeds."""


class Level(NamedTuple):
    """A mean of readers, or a ratio of two, with its interval (NaN where it has none)."""

    value: float
    low: float
    high: float


class Judged(NamedTuple):
    """One world."""

    levels: dict[str, dict[str, Level]]
    """Contender or oracle -> outcome -> level."""
    contrasts: dict[str, Contrast]
    """Contender or oracle but the baseline -> active days against the baseline's."""
    headroom: dict[str, Share]
    """Contender but the baseline -> its contrast as a share of the planner's against the perfect click model's."""


class Curve(NamedTuple):
    """A contender's contrast in worlds that differ by nothing but elasticity."""

    points: list[Point]
    """In rising order of elasticity."""
    monotone: bool
    """Whether the intervals of the lifts allow a curve that never falls."""
    rises: bool
    """Whether the lift at the last elasticity is beyond that at the first."""


class Outcomes(NamedTuple):
    """Of a whole study."""

    worlds: dict[str, Judged]
    curves: dict[str, Curve]
    """Contender -> curve; empty without two worlds for one."""


def read(study: Study, plan: Plan, folder: str | Path, confidence: float = 0.95) -> Outcomes:
    """What the plays of ``plan``, all done in ``folder``, say."""
    worlds = {world: judged(lives_in(world, plan, folder), study.baseline, confidence) for world in study.worlds}
    return Outcomes(worlds, curves_of(study, worlds))


def lives_in(world: str, plan: Plan, folder: str | Path) -> dict[str, dict[int, Lives]]:
    """Contender, oracle or behaviour -> training seed -> the lives of its readers in ``world``."""
    lives: dict[str, dict[int, Lives]] = {}
    for (subject, where, seed), job in plan.plays.items():
        if where == world:
            lives.setdefault(subject, {})[seed] = read_lives(job.at(folder))
    return lives


def judged(lives: Mapping[str, OfSeeds], baseline: str, confidence: float = 0.95) -> Judged:
    """The outcomes of contenders and, where they are among ``lives``, oracles in one world, by the same seeds."""
    active = {name: arm(of_seeds, "active_days") for name, of_seeds in lives.items()}
    others = [name for name in lives if name != baseline]
    headroom = {}
    if set(HEADROOM) <= lives.keys():
        planner, greedy = (active[name] for name in HEADROOM)
        for name in (name for name in others if name not in ORACLES):
            headroom[name] = share_of_headroom(active[name], active[baseline], planner, greedy, confidence)
    return Judged(
        {name: levels(of_seeds, confidence) for name, of_seeds in lives.items()},
        {name: contrast(active[name], active[baseline], confidence) for name in others},
        headroom,
    )


def levels(lives: OfSeeds, confidence: float = 0.95) -> dict[str, Level]:
    """All outcomes of one policy."""
    result = {name: _mean(arm(lives, name), confidence) for name in PER_READER}
    result |= {name: _ratio(arm(lives, a), arm(lives, b), confidence) for name, (a, b) in RATIOS.items()}
    covered = float(np.mean([np.count_nonzero(of_seed.shown) / len(of_seed.shown) for of_seed in lives.values()]))
    return result | {COVERAGE: Level(covered, float("nan"), float("nan"))}


def arm(lives: OfSeeds, name: str) -> Arm:
    """The field ``name`` of ``lives``."""
    return {seed: getattr(of_seed, name) for seed, of_seed in lives.items()}


def _mean(values: Arm, confidence: float) -> Level:
    found = contrast(values, {seed: np.zeros(len(of_seed)) for seed, of_seed in values.items()}, confidence)
    return Level(found.difference, found.low, found.high)


def _ratio(above: Arm, below: Arm, confidence: float) -> Level:
    """The lift of ``above`` over ``below`` is their ratio less one."""
    found = contrast(above, below, confidence)
    return Level(1.0 + found.lift, 1.0 + found.lift_low, 1.0 + found.lift_high)


def curves_of(study: Study, worlds: Mapping[str, Judged]) -> dict[str, Curve]:
    """Contender but the baseline -> its curve."""
    elasticity, result = elasticities(study), {}
    for name in study.contenders:
        if name != study.baseline and len(elasticity) > 1:
            points = [Point(value, worlds[world].contrasts[name]) for value, world in sorted(elasticity.items())]
            result[name] = Curve(points, monotone_within_intervals(points), rises(points))
    return result


def elasticities(study: Study) -> dict[float, str]:
    """Elasticity -> the first world with it, of those that differ from the log's by nothing else."""
    found: dict[float, str] = {}
    for world in study.worlds:
        settings = study.world(world, study.seeds[0])
        same = {"seed": settings.seed, "readers": settings.readers, "days": settings.days}
        if settings == replace(study.log, **same, elasticity=settings.elasticity):  # type: ignore[arg-type]
            found.setdefault(settings.elasticity, world)
    return found
