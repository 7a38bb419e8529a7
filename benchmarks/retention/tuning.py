"""The same number of trials for every contender, supervised or long-term, on readers who judge nobody later."""

from dataclasses import replace
from typing import Any

from benchmarks.retention.contenders import spaces, study, untuned
from benchmarks.retention.runner import Runner, Work
from benchmarks.retention.size import Size
from newsrec.compare import cost
from newsrec.compare.jobs import Job, in_order, shortened, tunings
from newsrec.compare.study import Study
from newsrec.compare.work import read_tuned
from newsrec.slate import SlateConfig

SLATES = (SlateConfig("plackett_luce", temperature=0.25), SlateConfig("plackett_luce", temperature=1.0))
"""The best trial of each contender is played with these, too."""


def jobs(size: Size) -> dict[str, Job]:
    """Contender -> the job that tunes it, none where nothing is tuned."""
    if not size.trials:
        return {}
    return tunings(_study(size), spaces(size), size.trials, SLATES)


def work(size: Size) -> Work:
    if not size.trials:
        return Work([], [])
    short = replace(shortened(_study(size), cost.CALIBRATED_DAYS), contenders=_study(size).contenders)  # same epochs
    short = replace(short, days=max(1, round(size.tuning_days * short.log.days / size.log_days)))  # days shrink alike
    return Work(in_order(jobs(size).values()), in_order(tunings(short, spaces(size), 1, SLATES).values()))


def tables(size: Size, runner: Runner) -> dict[str, dict[str, Any]]:
    """Contender -> its tuned table; as in the file where its tuning is not done."""
    found = untuned(size)
    for name, job in jobs(size).items():
        if job.done(runner.folder):
            tuned = read_tuned(job.at(runner.folder))
            found[name] = {key: value for key, value in tuned["run"].items() if key != "seed"} | {
                "slate": tuned["slate"]
            }
    return found


def figures(size: Size, runner: Runner) -> dict[str, Any]:
    """Active days before and after tuning, and what was chosen."""
    tuned = {name: read_tuned(job.at(runner.folder)) for name, job in jobs(size).items()}
    chosen = ("model", "reward", "training", "steps")
    return {
        name: {
            "active_days": found["active_days"],
            "slate": found["slate"],
            **{key: found["run"][key] for key in chosen},
        }
        for name, found in tuned.items()
    }


def _study(size: Size) -> Study:
    found = study(size, untuned(size), (size.tuning_seed,), readers=size.tuning_readers, days=size.tuning_days)
    return replace(found, log=replace(found.log, readers=size.tuning_log_readers))
