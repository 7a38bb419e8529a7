"""``python -m benchmarks.abtest``: do the statistics of experiments do what they say, on simulated readers?

The full run takes a minute of one core; ``--quick`` ten seconds, on so little that its figures mean
nothing. Only full runs write ``benchmarks/results``.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import track

from benchmarks import running
from benchmarks.abtest import anytime, early, planned, variance
from benchmarks.abtest.population import SEED, population
from benchmarks.results import machine

PARTS = {"anytime": anytime, "planned": planned, "variance": variance, "early": early}
READERS, QUICK_READERS = 6_000, 400


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Ten seconds, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Part to run: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick or partial run.")] = None,
) -> None:
    """Measure the statistics of experiments against their bars."""
    parts = running.chosen(PARTS, only)
    torch.set_num_threads(1)
    sizes = {name: part.QUICK if quick else part.FULL for name, part in parts.items()}
    readers, begun, console = QUICK_READERS if quick else READERS, machine(), Console(stderr=True)
    people = population(readers)
    steps = track(parts.items(), "parts", console=console, disable=not console.is_terminal)
    found = [part.measure(sizes[name], people) for name, part in steps]
    about = f"{readers:,} simulated readers and 56 days, of whom {len(people):,} were known after 28."
    results = running.gathered("abtest", parts, sizes, begun, found)
    results = results._replace(
        protocol={"population": about} | results.protocol,
        seeds={"population": [SEED]} | results.seeds,
        figures={"population": {"mean": people.mean, "rho_squared": people.rho_squared}} | results.figures,
    )
    running.publish("abtest", results, not quick and not only, out)


if __name__ == "__main__":
    typer.run(main)
