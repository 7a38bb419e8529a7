"""Hyperparameters by a tree-structured Parzen estimator (Bergstra et al. 2011), with as many trials for each policy.

The first trial is the run as it is, so that tuning never chooses what is worse by its own figure than no tuning. The
next few are random; then values are drawn where good trials lie more densely than others. The sequence follows from
run, space and seed: a record of the trials that were made is told again to a new sampler, which then asks for the next
one as if it had never stopped. A training whose best epoch so far is behind the median of the earlier ones at that
epoch is given up (``optuna.pruners.MedianPruner``); it counts as a trial like others.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from rich.table import Table

from newsrec import config
from newsrec.config import InvalidConfig
from newsrec.files import write_whole
from newsrec.search_space import Choice, Range, Space, values_of, with_values
from newsrec.training import Progress, RunConfig, Watch

RANDOM_TRIALS = 4
"""Before the estimator takes over, the first trial included. On quadratics of five numbers eight trials win a quarter
more over the first one than with ten of these, which are random throughout."""
WHOLE_EPOCHS = 3
"""That every training has before it can be given up."""
DIGITS = 3
"""Of a number that is tried, so that a person can write it down: what the search asks for is rounded to so many."""

Value = Callable[[RunConfig, Watch], float]
"""What is to become large, told to the watch epoch by epoch where that can be: it raises where to give up.

InvalidConfig says that a run cannot be made, such as one whose loss is no number."""


class Trial(NamedTuple):
    """A run that was tried."""

    values: dict[str, Any]
    """Of each key of the space."""
    value: float
    """Minus infinity where it failed; the best so far where it was given up."""
    failure: str = ""
    """Why."""
    epochs: tuple[float, ...] = ()
    """What the watch was told."""
    given_up: bool = False


class Tuned(NamedTuple):
    """The best run and how it was found."""

    best: RunConfig
    trials: list[Trial]

    @property
    def best_trial(self) -> Trial:
        """The first one with the largest value; what was given up is none."""
        return max((trial for trial in self.trials if not trial.given_up), key=lambda trial: trial.value)


def tune(
    run: RunConfig,
    space: Space,
    trials: int,
    seed: int,
    value: Value,
    record: Path | None = None,
    progress: Progress = print,
    judged_by: str = "",
) -> Tuned:
    """The run with the largest ``value`` of ``trials`` in ``space``, the first of equal ones; ``run`` is tried first.

    ``record``, a file with a line of JSON for each finished trial, is continued where it exists; whatever stops the
    process costs the trial in work. ``judged_by`` says what ``value`` is, and of what. A failed trial counts. Raises
    InvalidConfig where all fail, and for the record of another search.
    """
    if trials < 1:
        raise InvalidConfig(f"trials is {trials}, expected 1 or more")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
    pruner = optuna.pruners.MedianPruner(RANDOM_TRIALS, WHOLE_EPOCHS)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    study.enqueue_trial(values_of(run, space))
    distributions = {key: _distribution(entry) for key, entry in space.items()}
    head = {
        "search": config.digest(run, {key: repr(entry) for key, entry in space.items()}, seed),
        "policy": run.policy,
        "judged_by": judged_by,
    }
    made = _read(record, head) if record else []
    for number in range(trials):
        asked = study.ask(distributions)
        values = {key: _rounded(found) if number else found for key, found in asked.params.items()}
        if number == len(made):
            made.append(_try(run, values, value, asked))
            if record:
                write_whole(record, "".join(json.dumps(line) + "\n" for line in [head, *map(_to_line, made)]))
        elif made[number].values != values:
            found = f"trial {number + 1} of {record} had {made[number].values}, expected {values}"
            raise InvalidConfig(f"{found}; another version of optuna made it: begin a new record")
        else:
            for epoch, seen in enumerate(made[number].epochs, 1):
                asked.report(seen, epoch)
        progress(f"{run.policy} trial {number + 1}/{trials}  {_written(made[number])}")
        if made[number].given_up:
            study.tell(asked, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(asked, made[number].value)
    searched = Tuned(run, made[:trials])
    if searched.best_trial.failure:
        raise InvalidConfig(f"{run.policy}: all {trials} trials failed, the first one because {made[0].failure}")
    return searched._replace(best=with_values(run, searched.best_trial.values))


def table(tuned: Tuned) -> Table:
    """The trials, best first."""
    shown = Table("trial", *tuned.trials[0].values, "value")
    order = sorted(range(len(tuned.trials)), key=lambda number: -tuned.trials[number].value)
    for number in order:
        trial = tuned.trials[number]
        values = (_short(value) for value in trial.values.values())
        shown.add_row(str(number + 1), *values, trial.failure or _short(trial.value) + " given up" * trial.given_up)
    return shown


def _try(run: RunConfig, values: dict[str, Any], value: Value, asked: optuna.Trial) -> Trial:
    seen: list[float] = []

    def watch(score: float) -> None:
        seen.append(score)
        asked.report(score, len(seen))
        if asked.should_prune():
            raise optuna.TrialPruned

    try:
        found = value(with_values(run, values), watch)
    except InvalidConfig as error:
        return Trial(values, -math.inf, str(error), tuple(seen))
    except optuna.TrialPruned:
        return Trial(values, max(seen), "", tuple(seen), given_up=True)
    failure = "" if math.isfinite(found) else f"its value is {found}"
    return Trial(values, -math.inf if failure else float(found), failure, tuple(seen))


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
        made = [_from_line(line) for line in rest]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidConfig(f"{record} is no record of trials: {error}; expected lines of JSON") from None
    if found != head:
        raise InvalidConfig(
            f"{record} is the record of another search ({found}, expected {head}): run, space, seed or judgement "
            "differ; name another file or go back to them"
        )
    return made


def _to_line(trial: Trial) -> dict[str, Any]:
    return trial._asdict() | {"value": None if trial.failure else trial.value}


def _from_line(line: dict[str, Any]) -> Trial:
    value = -math.inf if line["value"] is None else line["value"]
    return Trial(line["values"], value, line["failure"], tuple(line["epochs"]), line["given_up"])


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _written(trial: Trial) -> str:
    values = "  ".join(f"{key} {_short(value)}" for key, value in trial.values.items())
    return f"{values}  " + (f"failed: {trial.failure}" if trial.failure else _value(trial))


def _value(trial: Trial) -> str:
    return f"value {_short(trial.value)}" + f", given up after {len(trial.epochs)} epochs" * trial.given_up


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
