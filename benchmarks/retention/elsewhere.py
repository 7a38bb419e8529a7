"""Bars that have a benchmark of their own: explanations, and training speed. What it found is repeated here."""

import json
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import FOLDER, Bar, Part


class Other(NamedTuple):
    """A benchmark."""

    file: str
    """In benchmarks/results."""
    command: str
    title: str


OTHERS = (
    Other("explanation.json", "python -m benchmarks.explanation", "explanations"),
    Other("training_speed.json", "python -m benchmarks.training_speed", "training speed"),
)


def measured(folder: Path = FOLDER) -> Part:
    """The bars in the files that are there; one that is not met for each that is missing."""
    bars, commits = [], {}
    for other in OTHERS:
        path = folder / other.file
        if not path.exists():
            bars.append(Bar(other.title, None, None, f"not measured: {other.command}", False))
            continue
        read = json.loads(path.read_text(encoding="utf-8"))
        commits[other.file] = read["versions"]["commit"]
        bars += [Bar(**bar)._replace(interval=_interval(bar["interval"])) for bar in read["bars"]]
    return Part({"elsewhere": {"commits": commits}}, bars)


def _interval(told: list[float | None] | None) -> tuple[float | None, float | None] | None:
    return None if told is None else (told[0], told[1])


def protocol() -> str:
    return "; ".join(f"{other.title}: {other.command}" for other in OTHERS) + "; bars as these files hold them."
