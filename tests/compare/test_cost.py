"""What a study is said to cost, before it has."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from newsrec import transitions
from newsrec.compare import cost
from newsrec.compare.cost import Costs, calibration, hours
from newsrec.compare.jobs import RECORD, Job, plan
from newsrec.compare.work import perform
from newsrec.config import InvalidConfig
from newsrec.simulator.world import World
from tests.compare.studies import POPULARITY, study

DQN = {"policy": "dqn", "training": {"epochs": 5}}


def record(folder: Path, job: Job, key: str = "", **values: float) -> None:
    """``job`` is said to be done, as ``key``."""
    target = folder / job.kind / (key or job.key)
    target.mkdir(parents=True)
    told = {"sort": job.sort, "days": job.days, "rounds_at_most": job.rounds, "once": 0.0, "round": 1.0, "rounds": 1}
    (target / RECORD).write_text(json.dumps(told | values))


def test_seconds_grow_with_days_and_epochs(tmp_path: Path) -> None:
    short = plan(study(contenders={"popularity": DQN | {"training": {"epochs": 2}}}, log={"readers": 80, "days": 2}))
    whole = plan(study(contenders={"popularity": DQN}, log={"readers": 80, "days": 8}))
    record(tmp_path, short.trainings["popularity", 1], once=3.0, round=10.0, rounds=2)
    costs = Costs(tmp_path)
    assert costs.expected(whole.trainings["popularity", 1]) == 4 * (3.0 + 5 * 10.0)
    assert costs.expected(short.trainings["popularity", 1]) == 23.0
    assert costs.expected(whole.logs[1]) != costs.expected(whole.logs[1])  # nobody told
    assert not costs.knows(whole.logs[1])


def test_longer_jobs_are_believed_and_their_mean_taken(tmp_path: Path) -> None:
    long, short = (plan(study(days=days)).plays["popularity", "nominal", 1] for days in (20, 2))
    record(tmp_path, short, round=100.0)
    record(tmp_path, long, "a", round=30.0)
    costs = Costs(tmp_path)
    assert costs.expected(long) == pytest.approx(30.0)
    record(tmp_path, long, round=50.0)
    costs.learn(long)
    assert costs.expected(long) == pytest.approx(40.0)


def test_a_training_that_stops_early_is_expected_to_do_so_again(tmp_path: Path) -> None:
    job = plan(study(contenders={"popularity": DQN})).trainings["popularity", 1]
    record(tmp_path, job, once=1.0, round=10.0, rounds=3)
    assert Costs(tmp_path).expected(job) == pytest.approx(31.0)


def test_hours_are_those_of_all_jobs_shared_out_or_of_the_longest_chain(tmp_path: Path) -> None:
    whole = plan(study())  # log, training and two plays that wait for it
    for job, seconds in zip(whole.jobs, (600.0, 1200.0, 1800.0, 1800.0), strict=True):
        if job.sort not in Costs(tmp_path)._known:
            record(tmp_path, job, round=seconds)
    costs = Costs(tmp_path)
    assert hours(whole.jobs, costs, 1) == pytest.approx(1.5)
    assert hours(whole.jobs, costs, 2) == pytest.approx(1.0)
    assert hours(whole.jobs[2:], costs, 2) == pytest.approx(0.5)
    assert hours([], costs, 2) == 0.0


def test_the_calibration_has_what_nobody_knows_and_what_that_needs(tmp_path: Path) -> None:
    found = study(contenders={"popularity": POPULARITY, "dqn": DQN}, oracles=True, seeds=[1, 2], days=28)
    whole = plan(found)
    short = calibration(found, whole.jobs, Costs(tmp_path))
    assert [job.name for job in short] == [job.name for job in plan(study(**_of_one_seed(found))).jobs]
    assert max(job.days for job in short) == cost.CALIBRATED_DAYS
    for job in whole.jobs:
        if job.subject != "dqn" and not job.done(tmp_path):
            record(tmp_path, job)
    record(tmp_path, whole.trainings["dqn", 1])
    short = calibration(found, whole.jobs, Costs(tmp_path))
    assert [job.name for job in short] == ["log, seed 1", "train dqn, seed 1", "play dqn in nominal, seed 1"]
    record(tmp_path, whole.plays["dqn", "nominal", 1])
    assert not calibration(found, whole.jobs, Costs(tmp_path))


def _of_one_seed(found: Any) -> dict[str, Any]:
    return {"contenders": found.contenders, "oracles": True, "days": found.days}


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "log" / "abc").mkdir(parents=True)
    (tmp_path / "log" / "abc" / RECORD).write_text("{")
    with pytest.raises(InvalidConfig, match=r"is no record of a job; expected one, remove .*abc"):
        Costs(tmp_path)


@pytest.mark.slow
def test_the_calibration_tells_what_is_done_within_a_factor_of_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock counts the articles that are scored, learnt from or faced, so that the machine does not matter."""
    done = 0

    def counting(function: Any, of: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            done += of(*arguments)
            return function(*arguments, **named)

        return counted

    encoded = counting(transitions.candidates, lambda rows, *_: rows.size)
    monkeypatch.setattr(transitions, "candidates", encoded)
    monkeypatch.setattr(World, "encounter", counting(World.encounter, lambda world, readers, articles: articles.size))
    found = study(
        contenders={"popularity": POPULARITY, "dqn": DQN},
        oracles=True,
        days=6,
        log={"readers": 80, "days": 6, "articles_per_day": 20},
    )
    whole = plan(found)
    for job in calibration(found, whole.jobs, Costs(tmp_path)):
        perform(job, tmp_path, lambda: float(done))
    costs = Costs(tmp_path)
    expected, taken = Counter[str](), Counter[str]()
    for job in whole.jobs:
        expected[job.kind] += costs.expected(job)
        before = done
        perform(job, tmp_path, lambda: float(done))
        taken[job.kind] += done - before
    assert expected.keys() == taken.keys() == {"log", "train", "play"}
    for kind in taken:
        assert taken[kind] / 2 < expected[kind] < 2 * taken[kind], (kind, expected, taken)
