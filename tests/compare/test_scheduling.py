"""Jobs that are killed, stopped or fail, and those that go on from there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newsrec import artifact
from newsrec.compare import work
from newsrec.compare.jobs import RECORD, Job, Plan, plan
from newsrec.compare.scheduling import Allowed, Step, run
from newsrec.compare.work import read_lives
from newsrec.compare.workers import FailedJob
from tests.compare.studies import POPULARITY, Free, study, to_toml

WHOLE = plan(study())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study, done by one process."""
    folder = tmp_path_factory.mktemp("finished")
    costs = Free()
    assert not run(WHOLE.jobs, folder, costs)
    assert costs.learnt == [job.name for job in WHOLE.jobs]
    return folder


def records(folder: Path) -> dict[str, int]:
    """Each job that is done, and when."""
    return {str(path.parent.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob(f"*/*/{RECORD}")}


def nothing_half(folder: Path) -> bool:
    return set(folder.glob("[lpt]*/*")) == {path.parent for path in folder.glob(f"*/*/{RECORD}")}


def same_lives(found: Plan, one: Path, other: Path) -> bool:
    pairs = [(read_lives(job.at(one)), read_lives(job.at(other))) for job in found.plays.values()]
    return all(np.array_equal(a, b) for first, second in pairs for a, b in zip(first, second, strict=True))


def never(*_: Any) -> Any:
    raise AssertionError("a job is done again")


def test_what_is_done_is_not_done_again(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = records(finished)
    monkeypatch.setattr(work, "_WORK", dict.fromkeys(work._WORK, never))
    steps: list[Step] = []
    assert not run(WHOLE.jobs, finished, Free(), progress=steps.append)
    assert (records(finished), steps) == (before, [])
    assert nothing_half(finished)


def test_the_results_are_what_they_are_called(finished: Path) -> None:
    loaded = artifact.load(WHOLE.trainings["popularity", 1].at(finished) / work.ARTEFACT)
    assert (loaded.name, loaded.provenance["run"]["seed"]) == ("popularity", 1)
    popularity, lottery = (
        read_lives(WHOLE.plays[name, "nominal", 1].at(finished)) for name in ("popularity", "lottery")
    )
    assert popularity.active_days.shape == lottery.active_days.shape == (40,)
    assert np.count_nonzero(lottery.shown) > np.count_nonzero(popularity.shown)  # who draws at random shows more


@pytest.mark.slow
def test_a_run_killed_at_once_loses_only_what_was_in_work(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(to_toml(study()))
    out = tmp_path / "out"
    command = ["compare", str(tmp_path / "study.toml"), "--out", str(out), "--workers", "2", "--yes"]
    with (tmp_path / "told").open("w") as told:
        process = subprocess.Popen([sys.executable, "-m", "newsrec.cli", *command], stderr=told, stdout=told)
        wait_until(lambda: any(job.done(out) for job in WHOLE.plays.values()), process, tmp_path / "told")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait()
    assert len(children) >= 2
    wait_until(lambda: not any(alive(int(child)) for child in children))
    done = records(out)
    run(WHOLE.jobs, out, Free())
    assert done == {name: moment for name, moment in records(out).items() if name in done}
    assert all(job.done(out) for job in WHOLE.jobs)
    assert nothing_half(out)
    assert same_lives(WHOLE, finished, out)  # by two processes as by one


def wait_until(true: Callable[[], bool], process: subprocess.Popen | None = None, told: Path | None = None) -> None:
    for _ in range(4_800):
        if true():
            return
        assert process is None or process.poll() is None, told and told.read_text()
        time.sleep(0.05)
    raise AssertionError("waited for four minutes")


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_job_that_is_interrupted_leaves_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = work._WORK["log"]

    def interrupted(*arguments: Any) -> Any:
        done(*arguments)  # all is written when the key is pressed
        raise KeyboardInterrupt

    monkeypatch.setitem(work._WORK, "log", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(WHOLE.jobs, tmp_path, Free())
    assert not list(tmp_path.glob("*/*"))
    assert not list(tmp_path.glob("*/.*"))


def test_what_a_killed_job_has_left_is_removed(tmp_path: Path) -> None:
    half = tmp_path / "play" / ".0123456789abcdef.01234567"
    half.mkdir(parents=True)
    (half / "lives.npz").write_bytes(b"half")
    run([], tmp_path, Free())
    assert not half.exists()


def test_the_time_stops_a_run_between_jobs_and_the_next_one_goes_on(finished: Path, tmp_path: Path) -> None:
    def seconds() -> float:
        return len(records(tmp_path)) + 0.0  # each job takes the second that it was expected to take

    left = run(WHOLE.jobs, tmp_path, Free(), allowed=Allowed(2.5, seconds))
    assert [job.name for job in left] == [job.name for job in WHOLE.jobs[2:]]
    before = records(tmp_path)
    assert len(before) == 2
    assert run(WHOLE.jobs, tmp_path, Free(), allowed=Allowed(2.5, seconds)) == left
    assert records(tmp_path) == before
    assert not run(WHOLE.jobs, tmp_path, Free(), allowed=Allowed(4.0, seconds))
    assert {name: records(tmp_path)[name] for name in before} == before
    assert same_lives(WHOLE, finished, tmp_path)


def test_a_job_of_which_nobody_knows_how_long_it_takes_does_not_begin_in_a_limited_time(tmp_path: Path) -> None:
    class Unknown(Free):
        def expected(self, job: Job) -> float:
            return float("nan")

    assert run(WHOLE.jobs, tmp_path, Unknown(), allowed=Allowed(1e9, lambda: 0.0)) == WHOLE.jobs


def test_progress_tells_what_is_left(tmp_path: Path) -> None:
    steps: list[Step] = []
    run(WHOLE.jobs[:2], tmp_path, Free(), progress=steps.append)
    told = [(step.job.kind, step.done, step.jobs, step.seconds_left, len(step.working)) for step in steps]
    assert told == [("log", 0, 2, 2.0, 1), ("log", 1, 2, 1.0, 0), ("train", 1, 2, 1.0, 1), ("train", 2, 2, 0.0, 0)]


def test_a_job_that_fails_is_named_and_stops_the_run(tmp_path: Path) -> None:
    nobody = {"popularity": POPULARITY | {"training": {"validation": 1e-6}}}
    found = r"^train popularity, seed 1 failed: InvalidConfig: the log is too small: .* \(where: .*\)$"
    with pytest.raises(FailedJob, match=found) as raised:
        run(plan(study(contenders=nobody)).jobs, tmp_path, Free())
    where = Path(str(raised.value).partition("(where: ")[2].removesuffix(")"))
    assert "Traceback" in where.read_text()
    assert nothing_half(tmp_path)


def test_a_process_that_dies_is_named_by_its_job(tmp_path: Path) -> None:
    def kill(step: Step) -> None:
        (child,) = active_children()
        os.kill(child.pid or 0, signal.SIGKILL)

    with pytest.raises(FailedJob, match="log, seed 1 failed: its process ended with exit code -9"):
        run(WHOLE.jobs, tmp_path, Free(), workers=2, progress=kill)
    assert not active_children()


def test_nobody_else_works_in_the_same_folder(tmp_path: Path) -> None:
    def also(step: Step) -> None:
        run(WHOLE.jobs, tmp_path, Free())

    with pytest.raises(BlockingIOError, match=r"another run works in .*; expected to be alone"):
        run(WHOLE.jobs[:1], tmp_path, Free(), progress=also)
