"""``python -m benchmarks.serving``: our predictor beside stock KServe and Feast, and beside what the machine can do.

The full run takes about an hour and wants two cores for itself, one for all servers and one for the load generator.
Each part that is done stands below ``--folder`` and is not measured again: the same command goes on from there, and a
new measurement, of other code too, wants a new folder. ``--quick`` takes about a minute, on so little that its figures
mean nothing, and keeps none unless told where. Only full runs write ``benchmarks/results``. A run in which a request
failed, designs gave other scores, or a peer is not as fast beside KServe's no-op as it was when the bars were set, is
void: it says so, writes nothing more and ends with 3, with the table as far as there is one.
"""

from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from benchmarks import running
from benchmarks.kept import Kept
from benchmarks.results import ROOT, Bar, Part, machine, plain
from benchmarks.serving import (
    catalogue,
    client,
    designs,
    feedback,
    inference,
    materialisation,
    memory,
    soak,
    truth,
    whole,
)
from benchmarks.serving.table import tables
from benchmarks.serving.void import Void

STOCK = ("kserve", "feast", "uvicorn", "uvloop", "httptools", "redis")
"""Packages that the designs are made of."""
PARTS: dict[str, Any] = {
    "client": client,
    "designs": designs,
    "feedback": feedback,
    "truth": truth,
    "whole": whole,
    "catalogue": catalogue,
    "inference": inference,
    "materialisation": materialisation,
    "memory": memory,
    "soak": soak,
}
"""Name -> module with ``protocol(size)``, SEEDS, FULL, QUICK and ``measure(size)``; measured in this order."""
RUNS = ROOT / "runs" / "serving"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="About a minute, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Part to run: {', '.join(PARTS)}.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where what is done stands; a quick run keeps nothing.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick or partial run.")] = None,
) -> None:
    """Measure serving against its bars."""
    parts = running.chosen(PARTS, only)
    torch.set_num_threads(1)
    sizes = {name: part.QUICK if quick else part.FULL for name, part in parts.items()}
    begun, console, found = machine(), Console(stderr=True), []
    kept = Kept(folder or (None if quick else RUNS))
    for name, part in parts.items():
        console.print(f"{name}: {part.protocol(sizes[name])}", highlight=False)
        try:
            done = kept.of(name, sizes[name], partial(measured, part, sizes[name]))
            found.append(Part(done["figures"], [Bar(**bar) for bar in done["bars"]]))
        except Void as void:
            console.print(f"[red]void[/red]: {void}", highlight=False)
            print(tables(void.designs))
            raise typer.Exit(3) from None
    begun["commits"] = kept.made_by()
    results = running.gathered("serving", parts, sizes, begun, found)
    results = results._replace(versions=results.versions | {name: metadata.version(name) for name in STOCK})
    running.publish("serving", results, not quick and not only, out)
    if "designs" in results.figures:
        print(tables(results.figures["designs"]))


def measured(part: Any, size: Any) -> dict[str, Any]:
    """What ``part`` finds, as JSON knows it."""
    return plain(part.measure(size))


if __name__ == "__main__":
    typer.run(main)
