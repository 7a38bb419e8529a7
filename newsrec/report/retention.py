"""How many active days readers have under each policy: not the mean alone but the whole curve, from a study's plays.

S(d), the share of readers with at least d active days, is a survival curve without censoring: all readers of a play are
followed for the same days, those who never came with zero. Its intervals are those of the study's own levels. When a
reader's gap ended is in no play, so a curve of gaps (Kaplan and Meier 1958) cannot be told from them.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Retention(NamedTuple):
    """One world: policy -> [days + 1] of share, low and high, NaN for an end that there is not."""

    shares: dict[str, np.ndarray]
    left_out: tuple[str, ...]
    """Policies whose plays are not all there."""


def retention(results: dict[str, Any], folder: Path) -> dict[str, Retention]:
    """World -> the curves of every policy that ``results`` (results.json) tells of, from the plays in ``folder``.

    Raises InvalidConfig where this version of the library reads another study from it.
    """
    from newsrec import config  # the study knows all policies: torch, which pages without a study do without
    from newsrec.compare.jobs import plan
    from newsrec.compare.study import Study
    from newsrec.compare.work import read_lives

    study = config.from_mapping(Study, results["study"], "the study in results.json")
    plays = plan(study).plays
    found = {}
    for world, judged in results["worlds"].items():
        shares, left_out = {}, []
        for name in judged["levels"]:
            jobs = {seed: job for (subject, where, seed), job in plays.items() if (subject, where) == (name, world)}
            if not jobs or not all(job.done(folder) for job in jobs.values()):
                left_out.append(name)
                continue
            lives = {seed: read_lives(job.at(folder)).active_days for seed, job in jobs.items()}
            shares[name] = at_least(lives, study.days)
        found[world] = Retention(shares, tuple(left_out))
    return found


def at_least(active_days: dict[int, np.ndarray], days: int) -> np.ndarray:
    """[days + 1, 3]: share of readers with at least 0, 1, ... ``days`` active days, with the ends of its interval.

    ``active_days`` are those of the readers of each training seed.
    """
    from newsrec.evaluation.contrast import contrast

    rows = []
    for day in range(days + 1):
        reached = {seed: (values >= day).astype(float) for seed, values in active_days.items()}
        found = contrast(reached, {seed: np.zeros(len(values)) for seed, values in reached.items()})
        rows.append((found.difference, max(0.0, found.low), min(1.0, found.high)))
    return np.array(rows)
