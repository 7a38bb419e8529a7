"""``python -m benchmarks.off_policy``: what the estimators must show before a policy is shipped on their word.

The full run takes about three minutes of CPU time; ``--quick`` half a minute, on so little that its figures mean
nothing. Only full runs write ``benchmarks/results``.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.off_policy import assumptions, efficiency, open_bandit, speed
from benchmarks.results import FOLDER, Results, machine, tables, versions, write

PARTS = {"efficiency": efficiency, "assumptions": assumptions, "open_bandit": open_bandit, "speed": speed}


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute, to see that it runs.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Part to run: {', '.join(PARTS)}.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results, also of a quick or partial run.")] = None,
) -> None:
    """Measure off-policy evaluation against its bars."""
    if unknown := set(only or ()) - set(PARTS):
        raise typer.BadParameter(f"found {sorted(unknown)}, expected some of {list(PARTS)}", param_hint="--only")
    chosen = {name: part for name, part in PARTS.items() if not only or name in only}
    sizes = {name: part.QUICK if quick else part.FULL for name, part in chosen.items()}
    begun, found = machine(), []
    for name, part in chosen.items():
        Console(stderr=True).print(f"{name} ...")
        found.append(part.measure(sizes[name]))
    results = Results(
        command=" ".join(["python -m benchmarks.off_policy", *sys.argv[1:]]),
        protocol={name: part.protocol(sizes[name]) for name, part in chosen.items()},
        seeds={name: part.SEEDS for name, part in chosen.items()},
        machine=begun | {"load_after": round(os.getloadavg()[0], 2)},
        versions=versions(),
        figures={name: figures for part in found for name, figures in part.figures.items()},
        bars=[bar for part in found for bar in part.bars],
    )
    Console().print(tables(results))
    if not quick and not only:
        out = out or FOLDER / "off_policy.json"
    if out:
        write(results, out)
        Console().print(f"written to {out}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
