"""What runs are tuned by.

The nDCG of validation decisions says nothing of long-term policies, who give clicks away on purpose: theirs are active
days of simulated readers, who judge nobody later.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from newsrec import dataset
from newsrec.artifact import Artifact
from newsrec.config import InvalidConfig
from newsrec.decisions import Decisions
from newsrec.events import EventLog
from newsrec.reward import RewardConfig
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live_under
from newsrec.simulator.rollout import Actor
from newsrec.slate import SlateConfig
from newsrec.training import Progress, RunConfig, Watch, train
from newsrec.tuning.search import Value

Read = Callable[[RunConfig], Decisions]
"""The decisions that a run learns from and is stopped by."""


def validation_ranking(read: Read, seeds: int = 1, progress: Progress = print) -> Value:
    """nDCG@10 of the validation decisions, as training says when to stop; the mean of ``seeds`` from the run's on.

    The first seed's epochs say whether to give up.
    """

    def value(run: RunConfig, watch: Watch) -> float:
        runs = [replace(run, seed=run.seed + number) for number in range(seeds)]
        made = [train(read(run), one, progress, watch if one is runs[0] else None) for one in runs]
        return float(np.mean([one.provenance["validation_ndcg"] for one in made]))

    return value


def simulated_active_days(
    read: Read,
    worlds: Sequence[SimulationConfig],
    taken: Collection[int],
    slate: SlateConfig | None = None,
    seeds: int = 1,
    progress: Progress = print,
) -> Value:
    """Mean active days of the readers of ``worlds`` under the policy trained with ``seeds`` seeds, zeros included.

    Epochs say nothing of them, so nothing is given up. ``taken`` are the seeds of the worlds that the log is from and
    that will judge. Raises InvalidConfig where one of ``worlds`` has such a seed: what is tuned on the readers who
    judge it is judged too well.
    """
    if shared := {world.seed for world in worlds} & set(taken):
        raise InvalidConfig(
            f"worlds to tune in have the seeds {sorted(shared)}, which the log or the judgement has, too"
        )
    if not worlds:
        raise InvalidConfig("found no worlds to tune in, expected one or more")

    def value(run: RunConfig, watch: Watch) -> float:
        made = [train(read(run), replace(run, seed=run.seed + number), progress) for number in range(seeds)]
        lived = [active_days(one, world, slate or SlateConfig()) for one in made for world in worlds]
        return float(np.mean(np.concatenate(lived)))

    return value


def active_days(made: Artifact, world: SimulationConfig, slate: SlateConfig) -> np.ndarray:
    """[N] of the readers of ``world`` under the policy ``made``, which acts as ``slate`` says."""
    return live_under(world, Actor(made.policy, slate, made.name, made.catalogue)).active_days  # type: ignore[arg-type]


def reader(training_set: str | Path) -> Read:
    """The decisions of a training set; reads again only where rewards or features differ from the trial before."""
    return _kept(partial(dataset.read, training_set))


def reader_of(log: EventLog) -> Read:
    """The decisions of ``log``, made anew only where rewards or features differ from the trial before."""
    return _kept(partial(dataset.build, log, *dataset.point_in_time_features(log)))


def _kept(read: Callable[[RewardConfig, bool], Decisions]) -> Read:
    kept = lru_cache(maxsize=1)(read)
    return lambda run: kept(run.reward, run.use_time)
