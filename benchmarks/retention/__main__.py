"""``python -m benchmarks.retention``: do long-term policies bring readers back, beyond what supervised ones do?

Everything about readers is simulated. What it costs stands in a table before it starts; the full run takes hours, so it
is made for slices: ``--hours 1`` ends within an hour, and the same command goes on from there. What is done stands
below ``--folder``, job by job. ``--brief`` is the same with fewer seeds and contenders, and nothing is tuned; it
writes ``benchmarks/results/retention_brief.json``, the full run ``retention.json``. ``--quick`` takes a minute, on so
little that its figures mean nothing, and writes nothing.
"""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import running
from benchmarks.results import ROOT, Results, machine, versions
from benchmarks.retention import parts
from benchmarks.retention.runner import Runner, TimeOver
from benchmarks.retention.size import BRIEF, FULL, QUICK, Size
from newsrec.compare.command import about, progress
from newsrec.compare.workers import FailedJob

RUNS = ROOT / "runs" / "retention"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A minute, to see that it runs.")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Fewer seeds and contenders, nothing tuned.")] = False,
    hours: Annotated[float | None, typer.Option(min=0.0, help="Begin nothing that would end later.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes, one core each: 2, a quick run 1.")] = None,
    only_cost: Annotated[bool, typer.Option("--cost", help="Say what is left and what it costs, and end.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where what is done stands; a quick run forgets it.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick run.")] = None,
) -> None:
    """Compare long-term policies with supervised ones in simulated worlds."""
    if quick and brief:
        raise typer.BadParameter("found --quick and --brief, expected one of them")
    size = QUICK if quick else BRIEF if brief else FULL
    console, begun, stamped = Console(), machine(), versions()
    forgotten = tempfile.TemporaryDirectory() if quick and folder is None else nullcontext(str(folder or RUNS))
    with forgotten as where:
        runner = Runner(Path(where), workers or (1 if quick else 2), progress, hours, priced=not quick)
        if not quick:
            _say_cost(size, runner, console)
        if only_cost:
            return
        try:
            found = parts.measured(size, runner)
        except TimeOver as over:
            console.print(f"the time is over in {over}; nothing is lost: the same command goes on from here")
            _say_cost(size, runner, console)
            return
        except (FailedJob, BlockingIOError) as error:
            Console(stderr=True).print(str(error), style="red", soft_wrap=True)
            raise typer.Exit(1) from None
        spent = runner.spent()
    results = Results(
        command=running.command("retention"),
        protocol=parts.protocol(size),
        seeds=parts.seeds(size),
        machine=begun | running.load_after() | {"hours_of_a_core": round(spent, 2)},
        versions=stamped,
        figures=found.figures,
        bars=found.bars,
    )
    running.publish("retention_brief" if brief else "retention", results, not quick, out)


def _say_cost(size: Size, runner: Runner, console: Console) -> None:
    asked = parts.works(size, runner)
    runner.calibrate(asked.values())
    table, hours = runner.cost(asked)
    console.print(table)
    processes = "one process" if runner.workers == 1 else f"{runner.workers} processes"
    console.print(f"{hours:.2f} hours ({about(hours)}) in {processes}, kept in {runner.folder}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
