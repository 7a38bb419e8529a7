"""``python -m benchmarks.abtest``: do the statistics of experiments do what they say, on simulated readers?

The full run takes a minute of one core; ``--quick`` ten seconds, on so little that its figures mean
nothing. Only full runs write ``benchmarks/results``.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import track

from benchmarks.abtest import anytime, early, planned, variance
from benchmarks.abtest.population import SEED, population
from benchmarks.results import FOLDER, Results, machine, tables, versions, write

PARTS = {"anytime": anytime, "planned": planned, "variance": variance, "early": early}
READERS, QUICK_READERS = 6_000, 400


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Ten seconds, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Part to run: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick or partial run.")] = None,
) -> None:
    """Measure the statistics of experiments against their bars."""
    if unknown := set(only or ()) - set(PARTS):
        raise typer.BadParameter(f"found {sorted(unknown)}, expected some of {list(PARTS)}", param_hint="--only")
    torch.set_num_threads(1)
    chosen = {name: part for name, part in PARTS.items() if not only or name in only}
    sizes = {name: part.QUICK if quick else part.FULL for name, part in chosen.items()}
    readers, begun, console = QUICK_READERS if quick else READERS, machine(), Console(stderr=True)
    people = population(readers)
    steps = track(chosen.items(), "parts", console=console, disable=not console.is_terminal)
    found = [part.measure(sizes[name], people) for name, part in steps]
    about = f"{readers:,} simulated readers and 56 days, of whom {len(people):,} were known after 28."
    results = Results(
        command=" ".join(["python -m benchmarks.abtest", *sys.argv[1:]]),
        protocol={"population": about} | {name: part.protocol(sizes[name]) for name, part in chosen.items()},
        seeds={"population": [SEED]} | {name: part.SEEDS for name, part in chosen.items()},
        machine=begun | {"load_after": round(os.getloadavg()[0], 2)},
        versions=versions(),
        figures={"population": {"mean": people.mean, "rho_squared": people.rho_squared}}
        | {name: figures for part in found for name, figures in part.figures.items()},
        bars=[bar for part in found for bar in part.bars],
    )
    Console().print(tables(results))
    if not quick and not only:
        out = out or FOLDER / "abtest.json"
    if out:
        write(results, out)
        Console().print(f"written to {out}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
