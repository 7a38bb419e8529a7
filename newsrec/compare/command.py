"""The command ``newsrec compare``."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from newsrec.config import InvalidConfig

if TYPE_CHECKING:
    from newsrec.compare.scheduling import Step


def compare(
    study_file: Annotated[Path, typer.Argument(metavar="STUDY", help="TOML of contenders, worlds, seeds and readers.")],
    out: Annotated[Path, typer.Option(help="Folder for what is made on the way, and for report/.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes, one core each.")] = 1,
    hours: Annotated[float | None, typer.Option(min=0.0, help="Begin nothing that would end later.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Begin without asking whether the cost is right.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One value of the study, such as readers=500.")
    ] = None,
) -> None:
    """Train policies on simulated logs and play them over paired readers in simulated worlds; the cost comes first.

    What is done already is not done again: the same command goes on where it was stopped.
    """
    began = time.monotonic()
    from newsrec.compare import cost, outcomes, report, scheduling  # take seconds to import
    from newsrec.compare.jobs import plan
    from newsrec.compare.study import load

    study = load(study_file, set_ or ())
    whole, console = plan(study), Console()
    costs = cost.Costs(out)
    left = [job for job in whole.jobs if not job.done(out)]
    if short := cost.calibration(study, left, costs):
        with progress("calibration", workers) as advance:
            scheduling.run(short, out, costs, workers, progress=advance)
        left = [job for job in whole.jobs if not job.done(out)]
    if left:
        console.print(cost.table(whole, out, costs, workers))
        hours_left = cost.hours(left, costs, workers)
        console.print(f"{hours_left:.2f} hours ({about(hours_left)}) in {_processes(workers)}, results in {out}")
        _agree(yes)
        allowed = scheduling.Allowed(3600.0 * hours, lambda: time.monotonic() - began) if hours is not None else None
        with progress("comparison", workers) as advance:
            left = scheduling.run(whole.jobs, out, costs, workers, allowed, advance)
    if left:
        needed = about(cost.hours(left, costs, workers))
        console.print(f"the time is over: {len(left)} of {len(whole.jobs)} jobs are left, which take {needed}")
        console.print("nothing is lost: the same command goes on from here")
        return
    found = outcomes.read(study, whole, out)
    written = report.write(study, whole, found, out)
    console.print(report.tables(study, found))
    console.print(f"written to {written}", highlight=False, soft_wrap=True)


def _agree(yes: bool) -> None:
    """Raises InvalidConfig where nobody can be asked, and typer.Abort where the answer is no."""
    if not yes and not sys.stdin.isatty():
        raise InvalidConfig("nobody is there to agree to this cost; expected --yes to begin without asking")
    if not yes:
        typer.confirm("begin?", abort=True)


@contextmanager
def progress(what: str, workers: int) -> Iterator[Callable[["Step"], None]]:
    """A bar of jobs on a terminal, and a line for each job that is done."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, left="")

        def advance(step: "Step") -> None:
            left = f"{about(step.seconds_left / workers / 3600)} left" if step.seconds_left >= 0 else ""
            names = ", ".join(job.name for job in step.working) or what
            bar.update(task, completed=step.done, total=step.jobs, description=names, left=left)
            if step.job not in step.working:
                line = f"{step.done}/{step.jobs} {step.job.name}" + f"; {left}" * bool(left)
                console.print(line, highlight=False, soft_wrap=True)

        yield advance


def about(hours: float) -> str:
    return f"about {hours:.1f} hours" if hours >= 1 else f"about {max(1, round(60 * hours))} min"


def _processes(workers: int) -> str:
    return "one process" if workers == 1 else f"{workers} processes"
