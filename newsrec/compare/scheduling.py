"""Jobs in order, in some processes, until they are done or the time is over."""

import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from newsrec.compare.jobs import Job
from newsrec.compare.workers import crew


class Expectation(Protocol):
    """What ``newsrec.compare.cost.Costs`` is."""

    def expected(self, job: Job) -> float:
        """Seconds; NaN where nobody knows."""

    def learn(self, job: Job) -> None:
        """``job`` is done."""


class Step(NamedTuple):
    """A job has just been done, or begun."""

    job: Job
    done: int
    """Jobs of those that were asked for."""
    jobs: int
    seconds_left: float
    """Expected, in all processes together."""
    working: tuple[Job, ...]
    """What is being done now."""


class Allowed(NamedTuple):
    """Until when."""

    seconds: float
    """No job begins that would not be expected to end by then."""
    clock: Callable[[], float]
    """The seconds until now."""


def run(
    jobs: Sequence[Job],
    folder: str | Path,
    costs: Expectation,
    workers: int = 1,
    allowed: Allowed | None = None,
    progress: Callable[[Step], None] | None = None,
) -> list[Job]:
    """Do those of ``jobs``, whose needs are among them, that are not done; return what the time did not allow.

    Their results stand below ``folder``. Raises FailedJob, which ends the other processes, and BlockingIOError where
    another run works in ``folder``.
    """
    with _alone(Path(folder)), crew(workers, folder) as members:
        waiting = [job for job in jobs if not job.done(folder)]
        working: list[Job] = []
        number, done = len(waiting), 0

        def tell(job: Job) -> None:
            if progress:
                left = sum(costs.expected(other) for other in (*working, *waiting))
                progress(Step(job, done, number, left, tuple(working)))

        while True:
            while members.free and (job := _next(waiting, folder, costs, allowed)):
                waiting.remove(job)
                working.append(job)
                members.begin(job)
                tell(job)
            if not working:
                return waiting
            job = members.finished()
            working.remove(job)
            costs.learn(job)
            done += 1
            tell(job)


def _next(waiting: list[Job], folder: str | Path, costs: Expectation, allowed: Allowed | None) -> Job | None:
    """The first that can begin now and be expected to end in time."""
    for job in waiting:
        late = allowed and not allowed.clock() + costs.expected(job) <= allowed.seconds
        if not late and all(need.done(folder) for need in job.needs):
            return job
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else works in ``folder``; what killed jobs have left there is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"another run works in {folder}; expected to be alone, wait for its end") from None
        try:
            _sweep(folder)
            yield
        finally:
            _sweep(folder)


def _sweep(folder: Path) -> None:
    for partial in folder.glob("*/.*"):
        shutil.rmtree(partial, ignore_errors=True)
