"""What a study costs in hours, from the seconds of jobs like its own.

The seconds of a job are proportional to the days that it simulates or trains on; a training has some before its first
epoch, and some for each. Jobs that are done say how many: in the same folder, from an earlier run, or those of the
calibration, which is the study cut short: all readers and contenders, but two days, one epoch, one seed and one world.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from newsrec.compare.jobs import RECORD, Job, Plan, in_order, plan, shortened
from newsrec.compare.study import Study
from newsrec.config import InvalidConfig

CALIBRATED_DAYS = 2


class Seconds(NamedTuple):
    """Of a job, for each day."""

    days: int
    """Of the job that told them."""
    once: float
    round: float
    """Of each round that a job may take: less than of one that it took, where it stopped earlier."""


class Costs:
    """The seconds that jobs take, as those told that are done in ``folder``."""

    def __init__(self, folder: str | Path) -> None:
        self._folder, self._known = Path(folder), dict[str, dict[str, Seconds]]()  # sort -> key -> seconds
        for record in sorted(self._folder.glob(f"*/*/{RECORD}")):
            self._read(record)

    def learn(self, job: Job) -> None:
        """``job`` is done."""
        self._read(job.at(self._folder) / RECORD)

    def knows(self, job: Job) -> bool:
        return job.sort in self._known

    def expected(self, job: Job) -> float:
        """Seconds of ``job`` by the mean of the longest jobs of its sort; NaN where there is none."""
        told = list(self._known.get(job.sort, {}).values())
        days = max((seconds.days for seconds in told), default=0)
        each = [seconds.once + job.rounds * seconds.round for seconds in told if seconds.days == days]
        return job.days * sum(each) / len(each) if each else float("nan")

    def _read(self, path: Path) -> None:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            days, taken = record["days"], record["rounds"] / record["rounds_at_most"]
            seconds = Seconds(days, record["once"] / days, taken * record["round"] / days)
            self._known.setdefault(record["sort"], {})[path.parent.name] = seconds
        except (ValueError, KeyError, TypeError):
            raise InvalidConfig(f"{path} is no record of a job; expected one, remove {path.parent}") from None


def calibration(study: Study, jobs: Iterable[Job], costs: Costs) -> list[Job]:
    """The short jobs that tell of each sort of ``jobs`` that ``costs`` does not know, and what these need."""
    return told_by(plan(shortened(study, CALIBRATED_DAYS)).jobs, jobs, costs)


def told_by(short: Sequence[Job], jobs: Iterable[Job], costs: Costs) -> list[Job]:
    """Those of ``short`` (each behind those that it needs) that tell of the sorts of ``jobs`` unknown to ``costs``."""
    unknown, first = {job.sort for job in jobs if not costs.knows(job)}, dict[str, Job]()
    for job in short:
        first.setdefault(job.sort, job)
    return in_order(job for sort, job in first.items() if sort in unknown)


def hours(jobs: Sequence[Job], costs: Costs, workers: int) -> float:
    """That ``workers`` processes take for ``jobs``: all of them shared out, or the longest chain of jobs."""
    seconds = {job.key: costs.expected(job) for job in jobs}
    ends: dict[str, float] = {}
    for job in jobs:
        ends[job.key] = seconds[job.key] + max((ends.get(need.key, 0.0) for need in job.needs), default=0.0)
    return max(sum(seconds.values()) / workers, max(ends.values(), default=0.0)) / 3600.0


def table(whole: Plan, folder: str | Path, costs: Costs, workers: int) -> Table:
    """What is to be done, by kind and subject, and the hours of it."""
    left = [job for job in whole.jobs if not job.done(folder)]
    result = Table("job", "there", "to do", "seconds each", "hours of a core", title="Cost", title_justify="left")
    kinds = Counter((job.kind, job.subject) for job in whole.jobs)
    for kind, subject in sorted(kinds, key=lambda of: ("log", "tune", "train", "play").index(of[0])):
        todo = [costs.expected(job) for job in left if (job.kind, job.subject) == (kind, subject)]
        each = f"{sum(todo) / len(todo):,.0f}" if todo else ""
        counts = f"{kinds[kind, subject] - len(todo):,}", f"{len(todo):,}"
        result.add_row(f"{kind} {subject}".strip(), *counts, each, f"{sum(todo) / 3600:.2f}", style=None)
    total = f"{hours(left, costs, 1):.2f}"
    result.add_section()
    result.add_row("all", f"{len(whole.jobs) - len(left):,}", f"{len(left):,}", "", total, style="bold")
    return result
