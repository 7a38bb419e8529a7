"""Studies done job by job in one folder, in slices of time, and what they cost before they are done."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from newsrec.compare import cost, scheduling
from newsrec.compare.jobs import RECORD, Job, in_order, plan, shortened
from newsrec.compare.outcomes import lives_in
from newsrec.compare.scheduling import Step
from newsrec.compare.study import Study
from newsrec.simulator.lives import Lives

Progress = Callable[[str, int], AbstractContextManager[Callable[[Step], None]]]
"""What is done and the number of processes -> where each step is told."""


class TimeOver(Exception):
    """The slice is used; nothing is lost."""


class Work(NamedTuple):
    """Jobs, and short ones of the same sorts that tell how long they take."""

    jobs: list[Job]
    short: list[Job]


def work(*studies: Study) -> Work:
    """All that ``studies`` take."""
    whole = in_order(job for study in studies for job in plan(study).jobs)
    short = in_order(job for study in studies for job in plan(shortened(study, cost.CALIBRATED_DAYS)).jobs)
    return Work(whole, short)


@dataclass
class Runner:
    """Does jobs below ``folder``; who comes again finds there what is done."""

    folder: Path
    workers: int
    progress: Progress
    hours: float | None = None
    """Of the slice; None: until all is done."""
    priced: bool = True
    """Whether jobs nobody knows the seconds of are tried in short before: a slice cannot be kept without."""
    began: float = field(default_factory=time.monotonic)

    def run(self, what: str, asked: Work) -> None:
        """Raises TimeOver where the slice ends before."""
        if self.priced:
            self.calibrate([asked])
        costs, jobs = cost.Costs(self.folder), asked.jobs
        if self.priced:  # the longest first, or one process waits for the other's at the end
            jobs = sorted(jobs, key=costs.expected, reverse=True)
        with self.progress(what, self.workers) as tell:
            left = scheduling.run(jobs, self.folder, costs, self.workers, self._allowed, tell)
        if left:
            raise TimeOver(what)

    def lives(self, study: Study, world: str = "nominal") -> dict[str, dict[int, Lives]]:
        """Of the readers of ``study``, whose jobs are done: by contender and training seed."""
        return lives_in(world, plan(study), self.folder)

    def calibrate(self, asked: Iterable[Work]) -> None:
        """Do the short jobs of those in ``asked`` whose seconds nobody knows."""
        asked, costs = list(asked), cost.Costs(self.folder)
        left = [job for one in asked for job in one.jobs if not job.done(self.folder)]
        if short := cost.told_by([job for one in asked for job in one.short], left, costs):
            with self.progress("calibration", self.workers) as tell:
                scheduling.run(short, self.folder, costs, self.workers, progress=tell)

    def cost(self, asked: Mapping[str, Work]) -> tuple[Table, float]:
        """What is left of each part of ``asked``, and the hours of all of it in ``workers`` processes."""
        costs, seen = cost.Costs(self.folder), dict[str, Job]()
        table = Table("part", "jobs left", "hours of a core", title="Cost", title_justify="left")
        for part, of_part in asked.items():
            left = [job for job in of_part.jobs if job.key not in seen and not job.done(self.folder)]
            seen |= {job.key: job for job in left}
            table.add_row(part, f"{len(left):,}", f"{cost.hours(left, costs, 1):.2f}")
        hours = cost.hours(list(seen.values()), costs, self.workers)
        table.add_section()
        table.add_row("all", f"{len(seen):,}", f"{cost.hours(list(seen.values()), costs, 1):.2f}", style="bold")
        return table, hours

    def spent(self) -> float:
        """Hours of a core that all that is done below the folder took."""
        records = [json.loads(path.read_text(encoding="utf-8")) for path in self.folder.glob(f"*/*/{RECORD}")]
        return sum(record["once"] + record["rounds"] * record["round"] for record in records) / 3600.0

    @property
    def _allowed(self) -> scheduling.Allowed | None:
        if self.hours is None:
            return None
        return scheduling.Allowed(3600.0 * self.hours, lambda: time.monotonic() - self.began)
