"""Processes that do jobs: one at a time each, with one thread, and never longer than the process that gives them."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import torch

from newsrec.compare.jobs import Job
from newsrec.compare.work import perform, warm_up
from newsrec.files import write_whole


class FailedJob(ChildProcessError):
    """A job that raised an error or whose process ended; the message names it and says where to read more."""


class Crew(Protocol):
    """Who does jobs."""

    @property
    def free(self) -> bool:
        """Whether one more can begin."""

    def begin(self, job: Job) -> None: ...

    def finished(self) -> Job:
        """Waits for the next of those that have begun. Raises FailedJob."""


@contextmanager
def crew(workers: int, folder: str | Path) -> Iterator[Crew]:
    """One worker is this process; more are processes of their own, which end with the block."""
    if workers == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            warm_up()
            yield _Alone(folder)
        finally:
            torch.set_num_threads(threads)
        return
    processes = _Processes(workers, folder)
    try:
        yield processes
    finally:
        processes.end()


class _Alone:
    def __init__(self, folder: str | Path) -> None:
        self._folder, self._jobs = folder, list[Job]()

    @property
    def free(self) -> bool:
        return not self._jobs

    def begin(self, job: Job) -> None:
        self._jobs.append(job)

    def finished(self) -> Job:
        job = self._jobs.pop()
        if found := _attempt(job, self._folder):
            raise FailedJob(found)
        return job


class _Processes:
    """They start when they are needed."""

    def __init__(self, workers: int, folder: str | Path) -> None:
        self._workers, self._folder = workers, folder
        self._context = multiprocessing.get_context("spawn")  # a fork would take over locks of threads it does not have
        self._idle: list[tuple[Connection, BaseProcess]] = []
        self._busy: dict[Connection, tuple[BaseProcess, Job]] = {}

    @property
    def free(self) -> bool:
        return len(self._busy) < self._workers

    def begin(self, job: Job) -> None:
        pipe, process = self._idle.pop() if self._idle else self._start()
        self._busy[pipe] = process, job
        pipe.send(job)

    def finished(self) -> Job:
        pipe = wait(list(self._busy))[0]
        assert isinstance(pipe, Connection)
        process, job = self._busy[pipe]
        try:
            found = pipe.recv()
        except (EOFError, ConnectionError):
            process.join()
            raise FailedJob(f"{job.name} failed: its process ended with exit code {process.exitcode}") from None
        if found:
            raise FailedJob(found)
        self._idle.append((pipe, self._busy.pop(pipe)[0]))
        return job

    def end(self) -> None:
        for process in [process for _, process in self._idle] + [process for process, _ in self._busy.values()]:
            process.terminate()
            process.join()

    def _start(self) -> tuple[Connection, BaseProcess]:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(self._folder, there), daemon=True)
        process.start()
        there.close()
        return here, process


def _work(folder: str | Path, pipe: Connection) -> None:
    """Do what comes through ``pipe`` until nobody is there any more; in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    warm_up()
    while True:
        pipe.send(_attempt(pipe.recv(), folder))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _attempt(job: Job, folder: str | Path) -> str:
    """Empty, or what went wrong in one sentence; where it did stands in a file below ``folder``."""
    try:
        perform(job, folder)
    except Exception as error:
        told = Path(folder) / "failures" / f"{job.key}.txt"
        write_whole(told, traceback.format_exc())
        return f"{job.name} failed: {type(error).__name__}: {error} (where: {told})"
    return ""
