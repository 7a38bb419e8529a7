"""A pipeline on this machine: KFP's own local runner, with a line a task on the terminal and everything else in a log.

The components run as subprocesses of this environment and the cache lies beside the runs.
"""

import builtins
import contextlib
import json
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import psutil
from kfp import local
from rich.console import Console

from newsrec.releases import record_run
from pipelines.compile import PIPELINES

_COLOUR = re.compile(r"\x1b\[\d+m")
_STARTED = re.compile(r"Executing task '(.+?)'")
_ENDED = re.compile(r"Task '(.+?)' finished with status (SUCCESS|FAILURE)")
_CACHED = re.compile(r"Task (\S+) cache hit \(key=(\w+)\)")
_ERROR = re.compile(r"^\s*([A-Za-z_][\w.]*: .+)$")
TRAIN, MODEL = "train", "model"
"""The task that trains a policy, and its output."""


class RunFailed(RuntimeError):
    """A pipeline that did not end well; the message names the task and its own error."""


@dataclass
class RunResult:
    """What a finished run left. ``executed`` and ``cached`` name the tasks, once for each time."""

    directory: Path
    """KFP's: the output NAME of a task is ``TASK/NAME`` in it."""
    executed: list[str]
    cached: list[str]
    log: Path
    trained: list[Path]
    """Folders of the artefacts that the policies of this run are, those from the cache too, in no particular order."""

    @property
    def verdict_directory(self) -> Path:
        """Verdict and report of the gate, where the run had one."""
        return self.directory / "gate" / "verdict"

    @property
    def verdict(self) -> dict[str, Any] | None:
        """The gate's verdict, None where the run had none: nothing was trained."""
        path = self.verdict_directory / "verdict.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


@dataclass
class _TaskLines(logging.Filter):
    """Watches KFP's log records for the life of each task. A filter, since KFP replaces the root logger's handlers."""

    console: Console
    started: dict[str, list[float]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # beginnings of the cache's keys of trainings taken from there
    failed: list[str] = field(default_factory=list)

    def filter(self, record: logging.LogRecord) -> bool:
        message = _COLOUR.sub("", record.getMessage())
        if match := _STARTED.search(message):
            self.started.setdefault(match[1], []).append(time.monotonic())
            self.console.print(f"  [dim]· {match[1]} …[/dim]")
        elif match := _ENDED.search(message):
            seconds = time.monotonic() - self.started[match[1]].pop(0)
            good = match[2] == "SUCCESS"
            (self.executed if good else self.failed).append(match[1])
            self.console.print(f"  {'[green]✓' if good else '[red]✗'}[/] {match[1]}  {seconds:.1f} s")
        elif match := _CACHED.search(message):
            self.cached.append(match[1])
            self.keys += [match[2]] * (match[1] == TRAIN)
            self.console.print(f"  [cyan]=[/] {match[1]}  unchanged, taken from the cache")
        return True


@dataclass
class _LogFile:
    """A text stream that keeps everything in a file, and the error at the end of the last traceback."""

    file: TextIO
    error: str = ""
    in_traceback: bool = False

    def write(self, text: str) -> int:
        for line in filter(str.strip, text.splitlines()):
            if "Traceback (most recent call last)" in line:
                self.in_traceback = True
            elif self.in_traceback and (match := _ERROR.match(line)):
                self.error, self.in_traceback = match[1], False
        return self.file.write(text)

    def flush(self) -> None:
        self.file.flush()


def run(name: str, arguments: dict[str, Any], root: str | Path, console: Console | None = None) -> RunResult:
    """Run the pipeline ``name`` of ``PIPELINES`` under ``root`` and return what it left. Raises RunFailed."""
    root = Path(root).absolute()
    runs = root / "pipelines" / arguments["run"]
    runs.mkdir(parents=True, exist_ok=True)
    before = set(runs.iterdir())
    log = root / f"{arguments['run']}.log"
    job = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    recorded = partial(record_run, arguments["releases"], f"{arguments['run']}/{job}")
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(runs),
        enable_caching=True,
        cache_root=str(root / "cache"),
        raise_on_error=True,
    )
    console = console or Console()
    console.file = console.file  # the stream of this moment: KFP's output is redirected below
    tasks = _TaskLines(console)
    stopped = partial(recorded, "INTERRUPTED", f"see {log}")
    with _ends_at_once(stopped), log.open("a", encoding="utf-8") as file, _observed(tasks, _LogFile(file)) as stream:
        try:
            PIPELINES[name](None, job)(**arguments)
        except RuntimeError as error:
            what = tasks.failed[0] if tasks.failed else name
            message = f"task {what} failed: {stream.error or error}; the whole log is {log}"
            recorded("FAILED", message)
            raise RunFailed(message) from None
    directory = max(set(runs.iterdir()) - before)
    trained = [*directory.rglob(f"{TRAIN}/{MODEL}"), *(_stored(root / "cache", key) for key in tasks.keys)]
    return RunResult(directory, tasks.executed, tasks.cached, log, trained)


def _stored(cache: Path, key: str) -> Path:
    """The model of the training whose entry in ``cache`` begins with ``key``: it stays where an earlier run left it."""
    (entry,) = cache.glob(f"{key}*.json")
    return Path(json.loads(entry.read_text(encoding="utf-8"))[MODEL]["uri"])


@contextlib.contextmanager
def _ends_at_once(stopped: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM end this process and its tasks: KFP would first let tasks that still wait run to their end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        for task in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                task.kill()
        stopped()
        os._exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _observed(tasks: _TaskLines, stream: _LogFile) -> Iterator[_LogFile]:
    """KFP's output into ``stream``, its log records past ``tasks``."""
    logger = logging.getLogger()
    level, handlers, plain_print = logger.level, list(logger.handlers), builtins.print
    logger.setLevel(logging.INFO)
    logger.addFilter(tasks)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):  # type: ignore[type-var]
            yield stream
    finally:
        logger.removeFilter(tasks)
        logger.setLevel(level)
        logger.handlers[:] = handlers  # tasks that run side by side leave KFP's handlers and its print behind
        builtins.print = plain_print
