"""The parts of the benchmark, and how they share the machine."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.results import ROOT, Part
from benchmarks.simulator import click_model, headroom, known_hazard, meaning, return_law, speed

PARTS = {
    "click_model": click_model,
    "return_law": return_law,
    "meaning": meaning,
    "headroom": headroom,
    "known_hazard": known_hazard,
    "speed": speed,
}
LONGEST_FIRST = ("headroom", "click_model", "meaning", "return_law", "known_hazard")


def measured(sizes: dict[str, Any]) -> list[Part]:
    """The parts in the order of ``sizes``: one a core, the longest first, but for the speed, which needs them all."""
    console, found = Console(stderr=True), {}
    together = sorted((name for name in sizes if name != "speed"), key=LONGEST_FIRST.index)
    spawn = multiprocessing.get_context("spawn")  # a fork would take over locks of threads that it does not have
    columns = TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn()
    with (
        Progress(*columns, console=console) as bar,
        ProcessPoolExecutor(len(os.sched_getaffinity(0)), spawn) as pool,
    ):
        task = bar.add_task("parts", total=len(sizes))
        for done in as_completed([pool.submit(_measure, name, sizes[name]) for name in together]):
            name, part = done.result()
            found[name] = part
            bar.update(task, advance=1, description=f"{name} done")
        if "speed" in sizes:
            found["speed"] = _measure("speed", sizes["speed"])[1]
            bar.update(task, advance=1, description="speed done")
    return [found[name] for name in sizes]


def _measure(name: str, size: Any) -> tuple[str, Part]:
    torch.set_num_threads(1)
    if name == "return_law":
        data = Path(os.environ.get("NEWSREC_DATA", ROOT.parent / "shared" / "data"))
        return name, return_law.measure(size, data)
    return name, PARTS[name].measure(size)
