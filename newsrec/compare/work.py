"""What the kinds of job do. The result of a job is a folder that appears whole or not at all."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch

from newsrec import artifact, config, dataset, events
from newsrec.artifact import Artifact
from newsrec.compare.jobs import RECORD, Job
from newsrec.compare.permutation import permuted
from newsrec.compare.study import ActorConfig
from newsrec.files import whole_directory
from newsrec.registry import REGISTRY
from newsrec.search_space import space_from_mapping
from newsrec.simulator import oracle
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import Lives, live, live_under
from newsrec.simulator.rollout import RANDOM, Actor, simulate
from newsrec.slate import SlateConfig
from newsrec.training import RunConfig, Watch, train
from newsrec.tuning.figures import active_days, reader
from newsrec.tuning.search import tune

ARTEFACT, LIVES, TUNED, TRIALS = "artefact", "lives.npz", "tuned.json", "trials.jsonl"
Clock = Callable[[], float]


class Spent(NamedTuple):
    """Seconds of a job."""

    once: float
    round: float
    """The mean of its rounds."""
    rounds: int = 1
    """That it took: no more than those of the job."""


def perform(job: Job, folder: str | Path, clock: Clock = time.perf_counter) -> None:
    """Do ``job``, whose ``needs`` are done, and put its result below ``folder``."""
    needs = [need.at(folder) for need in job.needs]
    with whole_directory(job.at(folder)) as partial:
        spent = _WORK[job.kind](job, needs, partial, clock)
        record = {"name": job.name, "sort": job.sort, "days": job.days, "rounds_at_most": job.rounds}
        record |= {**spent._asdict(), "what": job.what, "needs": [need.key for need in job.needs]}
        (partial / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


@cache
def warm_up() -> None:
    """What the first job of a process would have to wait for, so that its seconds tell of others: late imports."""
    entry = REGISTRY["popularity"]
    policy = entry.policy(entry.config(), 0)
    entry.learner(policy, torch.Generator())
    live_under(SimulationConfig(readers=2, days=1), Actor(policy))  # type: ignore[arg-type]


def read_lives(folder: str | Path) -> Lives:
    """What became of the readers of a play whose result is ``folder``."""
    with np.load(Path(folder) / LIVES) as stored:
        return Lives(**stored)


def _write_log(job: Job, needs: list[Path], partial: Path, clock: Clock) -> Spent:
    """A training set: log/, readers.parquet and articles.parquet, which ``dataset.read`` takes."""
    began = clock()
    log = simulate(config.from_mapping(SimulationConfig, job.what["world"]), _actor(job, needs))
    events.write(log, partial / "log")
    for name, rows in zip(("readers", "articles"), dataset.point_in_time_features(log), strict=True):
        pq.write_table(rows, partial / f"{name}.parquet")
    return Spent(0.0, clock() - began)


def _train(job: Job, needs: list[Path], partial: Path, clock: Clock) -> Spent:
    log, *taught_by = needs
    run = config.from_mapping(RunConfig, job.what["run"])
    folders = [str(folder / ARTEFACT) for folder in taught_by]
    run = replace(run, **dict(zip(job.what["taught_by"], folders, strict=True)))
    times = [clock()]  # and one before the first epoch and after each
    decisions = dataset.read(log, run.reward, run.use_time)
    if "permuted" in job.what:
        decisions = permuted(decisions, job.what["permuted"], np.random.default_rng(run.seed))
    made = train(decisions, run, lambda line: times.append(clock()))
    artifact.save(made, partial / ARTEFACT)
    rounds = len(times) - 2
    return Spent(times[1] - times[0], (clock() - times[1]) / rounds, rounds)


def _tune(job: Job, needs: list[Path], partial: Path, clock: Clock) -> Spent:
    """The best run of some trials and how it acts best: tuned.json."""
    run = config.from_mapping(RunConfig, job.what["run"])
    world = config.from_mapping(SimulationConfig, job.what["world"])
    first, *others = (config.from_mapping(SlateConfig, slate) for slate in job.what["slates"])
    read, kept, times = reader(needs[0]), list[tuple[float, Artifact]](), [clock()]

    def value(tried: RunConfig, watch: Watch) -> float:
        made = train(read(tried), tried, lambda line: None)
        days = float(active_days(made, world, first).mean())
        if not kept or days > kept[0][0]:
            kept[:] = [(days, made)]
        return days

    space = space_from_mapping(job.what["space"], run)
    found = tune(run, space, job.what["trials"], run.seed, value, partial / TRIALS, lambda line: times.append(clock()))
    (days, made), played = kept[0], [first, *others]
    by_slate = [days, *(float(active_days(made, world, slate).mean()) for slate in others)]
    best = int(np.argmax(by_slate))
    tuned = {
        "run": config.to_mapping(found.best),
        "slate": config.to_mapping(played[best]),
        "active_days": {"first": found.trials[0].value, "best": days, "with_slate": by_slate[best]},
    }
    (partial / TUNED).write_text(json.dumps(tuned, indent=1), encoding="utf-8")
    trials = len(found.trials)
    return Spent(clock() - times[-1], (times[-1] - times[0]) / trials, trials)


def read_tuned(folder: str | Path) -> dict[str, Any]:
    """What came of a tuning whose result is ``folder``: ``run``, ``slate`` and ``active_days``."""
    return json.loads((Path(folder) / TUNED).read_text(encoding="utf-8"))


def _play(job: Job, needs: list[Path], partial: Path, clock: Clock) -> Spent:
    began, world = clock(), config.from_mapping(SimulationConfig, job.what["world"])
    if "oracle" in job.what:
        lives = live(world, getattr(oracle, job.what["oracle"]))
    else:
        lives = live_under(world, _actor(job, needs))
    np.savez_compressed(partial / LIVES, **lives._asdict())
    return Spent(0.0, clock() - began)


def _actor(job: Job, needs: list[Path]) -> Actor:
    """Who chooses slates: the artefact that ``job`` names or needs, or the actor that it names."""
    if "artefact" in job.what:
        return actor_of(job.what["artefact"], config.from_mapping(SlateConfig, job.what["slate"]))
    if needs:
        return actor_of(needs[0] / ARTEFACT, config.from_mapping(SlateConfig, job.what["slate"]))
    settings = config.from_mapping(ActorConfig, job.what["actor"])
    if settings.policy == "random":
        return RANDOM
    entry = REGISTRY[settings.policy]
    return Actor(entry.policy(entry.config(), 0), settings.slate, settings.policy)  # type: ignore[arg-type]


def actor_of(folder: str | Path, slate: SlateConfig) -> Actor:
    """The artefact in ``folder`` as it acts in a world. Raises InvalidArtifact."""
    loaded = artifact.load(folder)
    return Actor(loaded.policy, slate, loaded.name, loaded.catalogue)  # type: ignore[arg-type]


_WORK: dict[str, Callable[[Job, list[Path], Path, Clock], Spent]] = {
    "log": _write_log,
    "tune": _tune,
    "train": _train,
    "play": _play,
}
"""Kind of job -> job, the folders of what it needs, a folder to write into and a clock -> seconds."""
