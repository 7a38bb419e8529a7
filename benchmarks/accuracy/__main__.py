"""``python -m benchmarks.accuracy``: are the rankers to beat as good as the published ones, and fast enough?

``make rectools`` makes the environment of the libraries that run beside. The full run takes a bit more than an hour of
one core: ten minutes for each seed of ``collaborative``, ten for ``sequences``, three and 4 GB for ``scale``. So it may
be made in slices: each contender and seed that is done stands below ``--folder``, ``--hours 0.5`` begins nothing after
half an hour, and the same command goes on from there. ``--quick`` takes half a minute, on so little that its figures
mean nothing. Only full runs of all parts write ``benchmarks/results/accuracy.json``.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import running
from benchmarks.accuracy import collaborative, scale, sequences
from benchmarks.accuracy.table import to_markdown
from benchmarks.kept import Kept, TimeOver
from benchmarks.results import FOLDER, ROOT, machine

PARTS: dict[str, Any] = {"collaborative": collaborative, "sequences": sequences, "scale": scale}
RUNS = ROOT / "runs" / "accuracy"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Some of {', '.join(PARTS)}.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds of the part collaborative, fewer than all.")] = None,
    hours: Annotated[float | None, typer.Option(min=0.0, help="Begin nothing later than that.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where what is done stands; a quick run keeps nothing.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a run in part.")] = None,
) -> None:
    """Measure accuracy and speed."""
    parts, begun = running.chosen(PARTS, only), machine()
    sizes = {name: part.QUICK if quick else part.FULL for name, part in parts.items()}
    if seeds and "collaborative" in sizes:
        sizes["collaborative"] = replace(sizes["collaborative"], seeds=seeds)
    kept = Kept(folder or (None if quick else RUNS), hours)
    try:
        found = [part.measured(sizes[name], kept) for name, part in parts.items()]
    except TimeOver as over:
        print(f"the time is over before {over}; nothing is lost: the same command goes on from here")
        return
    begun |= {"hours_of_a_core": round(kept.cpu_seconds / 3600, 2), "commits": kept.made_by()}
    results = running.gathered("accuracy", parts, sizes, begun, found)
    whole = not (quick or only or seeds)
    running.publish("accuracy", results, whole, out)
    if whole:
        print(to_markdown(out or FOLDER / "accuracy.json"))


if __name__ == "__main__":
    typer.run(main)
