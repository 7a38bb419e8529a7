"""Hyperparameters by a tree-structured Parzen estimator (Bergstra et al. 2011), with as many trials for each policy.

The first trial is the run as it is, so that tuning never chooses what is worse by its own figure than no tuning. The
next few are random; then values are drawn where good trials lie more densely than others. The sequence follows from
run, space and seed: a record of the trials that were made is told again to a new sampler, which then asks for the next
one as if it had never stopped.

Two figures to tune by stand here: the nDCG of validation decisions, which says nothing of long-term policies, who give
clicks away on purpose; and active days of simulated readers who judge nobody later.
"""

import json
import math
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from rich.table import Table

from newsrec import config, dataset
from newsrec.artifact import Artifact
from newsrec.config import InvalidConfig
from newsrec.decisions import Decisions
from newsrec.files import write_whole
from newsrec.search_space import Choice, Range, Space, values_of, with_values
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live_under
from newsrec.simulator.rollout import Actor
from newsrec.slate import SlateConfig
from newsrec.training import Progress, RunConfig, train

RANDOM_TRIALS = 4
"""Before the estimator takes over, the first trial included. On quadratics of five numbers eight trials win a quarter
more over the first one than with ten of these, which are random throughout."""

Value = Callable[[RunConfig], float]
"""What is to become large; InvalidConfig says that a run cannot be made, such as one whose loss is no number."""


class Trial(NamedTuple):
    """A run that was tried."""

    values: dict[str, Any]
    """Of each key of the space."""
    value: float
    """Minus infinity where it failed."""
    failure: str = ""
    """Why."""


class Tuned(NamedTuple):
    """The best run and how it was found."""

    best: RunConfig
    trials: list[Trial]


def tune(
    run: RunConfig,
    space: Space,
    trials: int,
    seed: int,
    value: Value,
    record: Path | None = None,
    progress: Progress = print,
) -> Tuned:
    """The run with the largest ``value`` of ``trials`` in ``space``, the first of equal ones; ``run`` is tried first.

    ``record``, a file with a line of JSON for each finished trial, is continued where it exists; whatever stops the
    process costs the trial in work. A failed trial counts. Raises InvalidConfig where all fail, and for the record of
    another search.
    """
    if trials < 1:
        raise InvalidConfig(f"trials is {trials}, expected 1 or more")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial(values_of(run, space))
    distributions = {key: _distribution(entry) for key, entry in space.items()}
    head = {
        "search": config.digest(run, {key: repr(entry) for key, entry in space.items()}, seed),
        "policy": run.policy,
    }
    made = _read(record, head) if record else []
    for number in range(trials):
        asked = study.ask(distributions)
        if number == len(made):
            made.append(_try(run, asked.params, value))
            if record:
                write_whole(record, "".join(json.dumps(line) + "\n" for line in [head, *map(_to_line, made)]))
            progress(f"{run.policy} trial {number + 1}/{trials}  {_written(made[-1])}")
        elif made[number].values != asked.params:
            found = f"trial {number + 1} of {record} had {made[number].values}, expected {asked.params}"
            raise InvalidConfig(f"{found}; another version of optuna made it: begin a new record")
        study.tell(asked, made[number].value)
    made = made[:trials]
    best = max(made, key=lambda trial: trial.value)
    if best.failure:
        raise InvalidConfig(f"{run.policy}: all {trials} trials failed, the first one because {made[0].failure}")
    return Tuned(with_values(run, best.values), made)


def table(tuned: Tuned) -> Table:
    """The trials, best first."""
    shown = Table("trial", *tuned.trials[0].values, "value")
    order = sorted(range(len(tuned.trials)), key=lambda number: -tuned.trials[number].value)
    for number in order:
        trial = tuned.trials[number]
        values = (_short(value) for value in trial.values.values())
        shown.add_row(str(number + 1), *values, trial.failure or _short(trial.value))
    return shown


def validation_ranking(training_set: str | Path, progress: Progress = print) -> Value:
    """nDCG@10 of the validation decisions of a training set, as training says when to stop."""
    read = reader(training_set)
    return lambda run: train(read(run), run, progress).provenance["validation_ndcg"]


def simulated_active_days(
    training_set: str | Path,
    worlds: Sequence[SimulationConfig],
    taken: Collection[int],
    slate: SlateConfig | None = None,
    progress: Progress = print,
) -> Value:
    """Mean active days of the readers of ``worlds`` under the policy trained on ``training_set``, zeros included.

    ``taken`` are the seeds of the worlds that the log is from and that will judge. Raises InvalidConfig where one of
    ``worlds`` has such a seed: what is tuned on the readers who judge it is judged too well.
    """
    if shared := {world.seed for world in worlds} & set(taken):
        raise InvalidConfig(
            f"worlds to tune in have the seeds {sorted(shared)}, which the log or the judgement has, too"
        )
    if not worlds:
        raise InvalidConfig("found no worlds to tune in, expected one or more")
    read = reader(training_set)

    def value(run: RunConfig) -> float:
        made = train(read(run), run, progress)
        return float(np.mean(np.concatenate([active_days(made, world, slate or SlateConfig()) for world in worlds])))

    return value


def active_days(made: Artifact, world: SimulationConfig, slate: SlateConfig) -> np.ndarray:
    """[N] of the readers of ``world`` under the policy ``made``, which acts as ``slate`` says."""
    return live_under(world, Actor(made.policy, slate, made.name, made.catalogue)).active_days  # type: ignore[arg-type]


def reader(training_set: str | Path) -> Callable[[RunConfig], Decisions]:
    """The decisions for a run; reads again only where rewards or features differ from those of the trial before."""
    read = lru_cache(maxsize=1)(lambda reward, use_time: dataset.read(training_set, reward, use_time))
    return lambda run: read(run.reward, run.use_time)


def _try(run: RunConfig, values: dict[str, Any], value: Value) -> Trial:
    try:
        found = value(with_values(run, values))
    except InvalidConfig as error:
        return Trial(values, -math.inf, str(error))
    return Trial(values, float(found)) if math.isfinite(found) else Trial(values, -math.inf, f"its value is {found}")


def _distribution(entry: Range | Choice) -> BaseDistribution:
    if isinstance(entry, Choice):
        return CategoricalDistribution(entry.choices)
    if isinstance(entry.low, int) and isinstance(entry.high, int):
        return IntDistribution(entry.low, entry.high, log=entry.log)
    return FloatDistribution(entry.low, entry.high, log=entry.log)


def _read(record: Path, head: dict[str, Any]) -> list[Trial]:
    """The trials in ``record``, none where there is no such file. Raises InvalidConfig for one of another search."""
    if not record.exists():
        return []
    lines = record.read_text(encoding="utf-8").splitlines()
    try:
        found, *rest = map(json.loads, lines)
        made = [Trial(line["values"], _number(line["value"]), line["failure"]) for line in rest]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidConfig(f"{record} is no record of trials: {error}; expected lines of JSON") from None
    if found != head:
        raise InvalidConfig(
            f"{record} is the record of another search ({found}, expected {head}): run, space or seed "
            "differ; name another file or go back to them"
        )
    return made


def _to_line(trial: Trial) -> dict[str, Any]:
    return trial._asdict() | {"value": None if trial.failure else trial.value}


def _number(value: float | None) -> float:
    return -math.inf if value is None else value


def _written(trial: Trial) -> str:
    values = "  ".join(f"{key} {_short(value)}" for key, value in trial.values.items())
    return f"{values}  " + (f"failed: {trial.failure}" if trial.failure else f"value {_short(trial.value)}")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
