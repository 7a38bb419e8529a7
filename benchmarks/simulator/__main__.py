"""``python -m benchmarks.simulator``: what a simulator has to prove before a policy may be judged in it.

The full run takes about nine minutes of CPU time, on as many cores as there are, and the speed alone at the end;
``--quick`` half a minute, on so little that its figures mean nothing. Only full runs write ``benchmarks/results``.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import running
from benchmarks.results import machine
from benchmarks.simulator.parts import PARTS, measured


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A minute, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Part to run: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick or partial run.")] = None,
) -> None:
    """Measure the simulator against its bars."""
    parts = running.chosen(PARTS, only)
    sizes = {name: part.QUICK if quick else part.FULL for name, part in parts.items()}
    begun = machine()
    found = measured(sizes)
    results = running.gathered("simulator", parts, sizes, begun, found)
    running.publish("simulator", results, not quick and not only, out)


if __name__ == "__main__":
    typer.run(main)
