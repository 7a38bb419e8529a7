"""How the benchmark speaks with its two processes: a request is a line of JSON on stdin, the answer one on stdout.

Each process has one thread. They take turns, so that whatever else the machine does meets both alike; what counts is
their own CPU time, which a busy machine stretches far less than the clock on the wall.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SETTINGS, ARRAYS = "settings.json", "log.npz"
"""In the folder that both processes know: what is asked for, and the log."""
BATCHES = 4
"""That lie ready where drawing them is not measured."""

Steps = dict[str, Callable[[], None]]
"""Mode -> one step of training."""


class Spent(NamedTuple):
    """What steps of training took, in seconds."""

    cpu: float
    wall: float


def serve(about: dict[str, Any], steps: Steps) -> None:
    """Say ``about``, then take steps as asked until stdin ends."""
    _say(about)
    for line in sys.stdin:
        asked = json.loads(line)
        step = steps[asked["mode"]]
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(asked["steps"]):
            step()
        _say(Spent(time.process_time() - cpu, time.perf_counter() - wall)._asdict())


class Worker:
    """A process that serves."""

    def __init__(self, python: str | Path, module: str, folder: Path, root: Path) -> None:
        command, pipe = [str(python), "-m", module, str(folder)], subprocess.PIPE
        self._said = folder / f"{module}.txt"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, stderr=said, text=True)
        self.about = self._answer()

    def take(self, mode: str, steps: int) -> Spent:
        """What ``steps`` steps of ``mode`` took."""
        assert self._process.stdin
        print(json.dumps({"mode": mode, "steps": steps}), file=self._process.stdin, flush=True)
        return Spent(**self._answer())

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            code, said = self._process.wait(), self._said.read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{self._process.args} ended with code {code}:\n{said}")
        return json.loads(line)


def _say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)
