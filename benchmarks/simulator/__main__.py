"""``python -m benchmarks.simulator``: what a simulator has to prove before a policy may be judged in it.

The full run takes about fifteen minutes of one core, and of both for the speed of logs that several processes write;
``--quick`` a minute, on so little that its figures mean nothing. Only full runs write ``benchmarks/results``.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.results import FOLDER, ROOT, Part, Results, machine, tables, versions, write
from benchmarks.simulator import click_model, headroom, known_hazard, meaning, return_law, speed

PARTS = {
    "click_model": click_model,
    "return_law": return_law,
    "meaning": meaning,
    "headroom": headroom,
    "known_hazard": known_hazard,
    "speed": speed,
}


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A minute, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Part to run: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick or partial run.")] = None,
) -> None:
    """Measure the simulator against its bars."""
    if unknown := set(only or ()) - set(PARTS):
        raise typer.BadParameter(f"found {sorted(unknown)}, expected some of {list(PARTS)}", param_hint="--only")
    torch.set_num_threads(1)
    chosen = {name: part for name, part in PARTS.items() if not only or name in only}
    sizes = {name: part.QUICK if quick else part.FULL for name, part in chosen.items()}
    begun, console = machine(), Console(stderr=True)
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("", total=None)

        def advance(what: str) -> None:
            bar.update(task, description=what)
            if not console.is_terminal:
                console.print(what)

        found = [_measure(name, sizes[name], advance) for name in chosen]
    results = Results(
        command=" ".join(["python -m benchmarks.simulator", *sys.argv[1:]]),
        protocol={name: part.protocol(sizes[name]) for name, part in chosen.items()},
        seeds={name: part.SEEDS for name, part in chosen.items()},
        machine=begun | {"load_after": round(os.getloadavg()[0], 2)},
        versions=versions(),
        figures={name: figures for part in found for name, figures in part.figures.items()},
        bars=[bar for part in found for bar in part.bars],
    )
    Console().print(tables(results))
    if not quick and not only:
        out = out or FOLDER / "simulator.json"
    if out:
        write(results, out)
        Console().print(f"written to {out}", highlight=False, soft_wrap=True)


def _measure(name: str, size: object, advance: Callable[[str], None]) -> Part:
    if name == "return_law":
        data = Path(os.environ.get("NEWSREC_DATA", ROOT.parent / "shared" / "data"))
        return return_law.measure(size, data, advance)  # type: ignore[arg-type]
    return PARTS[name].measure(size, advance)


if __name__ == "__main__":
    typer.run(main)
