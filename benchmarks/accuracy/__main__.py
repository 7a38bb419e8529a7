"""``python -m benchmarks.accuracy``: are the rankers to beat as good as the published ones, and fast enough?

``make rectools`` makes the environment of the libraries that run beside. The full run takes about an hour of CPU time,
``--quick`` seconds, on so little that its figures mean nothing. Only full runs of all parts write
``benchmarks/results/accuracy.json``.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import running
from benchmarks.accuracy import collaborative, scale, sequences
from benchmarks.results import machine

PARTS: dict[str, Any] = {"collaborative": collaborative, "sequences": sequences, "scale": scale}


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Seconds, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Some of {', '.join(PARTS)}.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds of the part collaborative, fewer than all.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a run in part.")] = None,
) -> None:
    """Measure accuracy and speed."""
    parts, begun = running.chosen(PARTS, only), machine()
    sizes = {name: part.QUICK if quick else part.FULL for name, part in parts.items()}
    if seeds and "collaborative" in sizes:
        sizes["collaborative"] = collaborative.Size(seeds=seeds)
    found = [part.measured(sizes[name]) for name, part in parts.items()]
    results = running.gathered("accuracy", parts, sizes, begun, found)
    running.publish("accuracy", results, not (quick or only or seeds), out)


if __name__ == "__main__":
    typer.run(main)
