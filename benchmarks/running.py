"""How every benchmark begins and ends: which parts run, what they found as one run, and where it is written."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from benchmarks.results import FOLDER, Part, Results, tables, versions, write


def chosen(parts: Mapping[str, Any], only: list[str] | None) -> dict[str, Any]:
    """The ``parts`` that ``only`` names, all of them where it names none. Raises typer.BadParameter."""
    if unknown := set(only or ()) - set(parts):
        raise typer.BadParameter(f"found {sorted(unknown)}, expected some of {list(parts)}", param_hint="--only")
    return {name: part for name, part in parts.items() if not only or name in only}


def gathered(
    name: str, parts: Mapping[str, Any], sizes: Mapping[str, Any], begun: dict[str, Any], found: list[Part]
) -> Results:
    """What ``parts``, modules with ``protocol`` and SEEDS, ``found`` at ``sizes``; ``begun`` is the machine before."""
    return Results(
        command=command(name),
        protocol={part: module.protocol(sizes[part]) for part, module in parts.items()},
        seeds={part: module.SEEDS for part, module in parts.items()},
        machine=begun | load_after(),
        versions=versions(),
        figures={what: figures for part in found for what, figures in part.figures.items()},
        bars=[bar for part in found for bar in part.bars],
    )


def command(name: str) -> str:
    """What was typed to run the benchmark ``name``."""
    return " ".join([f"python -m benchmarks.{name}", *sys.argv[1:]])


def load_after() -> dict[str, float]:
    return {"load_after": round(os.getloadavg()[0], 2)}


def publish(name: str, results: Results, whole: bool, out: Path | None) -> None:
    """Print ``results`` and write them to ``out``; without one, those of a ``whole`` run to the folder of results."""
    console = Console()
    console.print(tables(results))
    if whole:
        out = out or FOLDER / f"{name}.json"
    if out:
        write(results, out)
        console.print(f"written to {out}", highlight=False, soft_wrap=True)
