"""``python -m benchmarks.titles``: what titles as vectors are worth, on real logs, and how fast they are made.

The full run takes five minutes of one core the first time, of which two make the teacher's vectors; they are kept.
``--quick`` takes half a minute, on so little that its figures mean nothing. Only full runs write
``benchmarks/results``.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import track

from benchmarks import running
from benchmarks.results import machine
from benchmarks.titles import chinese, english, korean_table, speed

PARTS = {"speed": speed, "english": english, "chinese": chinese, "korean": korean_table}


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Part to run: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick or partial run.")] = None,
) -> None:
    """Measure titles as vectors against their bars."""
    parts = running.chosen(PARTS, only)
    torch.set_num_threads(1)
    sizes = {name: part.QUICK if quick else part.FULL for name, part in parts.items()}
    begun, console = machine(), Console(stderr=True)
    steps = track(parts.items(), "parts", console=console, disable=not console.is_terminal)
    found = [part.measure(sizes[name]) for name, part in steps]
    results = running.gathered("titles", parts, sizes, begun, found)
    running.publish("titles", results, not quick and not only, out)


if __name__ == "__main__":
    typer.run(main)
