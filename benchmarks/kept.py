"""Pieces of a run that are done, in one folder: who comes again finds them there, so a run may be made in slices."""

import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.results import versions
from newsrec.config import digest
from newsrec.files import write_whole


class TimeOver(Exception):
    """The slice is used; nothing is lost."""


@dataclass
class Kept:
    """Figures of pieces below ``folder``; None: nothing is kept."""

    folder: Path | None = None
    hours: float | None = None
    """Of the slice, after which no piece is begun; None: until all is done."""
    began: float = field(default_factory=time.monotonic)
    commits: set[str] = field(default_factory=set)
    """Of the code that made the pieces that were asked for."""
    cpu_seconds: float = 0.0
    """That they took, whenever that was."""

    def of(self, piece: str, about: Any, work: Callable[[], dict[str, Any]], whole: bool = True) -> dict[str, Any]:
        """What ``work`` finds, or found before under ``piece`` and ``about``, all that it depends on but the code.

        What is not ``whole`` is not kept. Raises TimeOver where the slice ends before the work begins.
        """
        path = self.folder and self.folder / f"{piece}-{digest(about)}.json"
        if path and path.exists():
            done = json.loads(path.read_text(encoding="utf-8"))
        else:
            if self.hours is not None and time.monotonic() - self.began > 3600 * self.hours:
                raise TimeOver(piece)
            began = _cpu_seconds()
            done = {"found": work(), "cpu_seconds": _cpu_seconds() - began, "commit": versions()["commit"]}
            if path and whole:
                write_whole(path, json.dumps(done))
        self.commits.add(done["commit"])
        self.cpu_seconds += done["cpu_seconds"]
        return done["found"]

    def made_by(self) -> str:
        """``commits`` in a line."""
        return " ".join(sorted(self.commits))


def _cpu_seconds() -> float:
    """Of this process and of those that it has ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)
