"""Tuning as jobs of a study: the same trials for all, on readers who judge nobody later."""

import json
from pathlib import Path

import pytest

from newsrec import config
from newsrec.compare.jobs import in_order, tunings
from newsrec.compare.scheduling import run
from newsrec.compare.work import TRIALS, read_tuned
from newsrec.config import InvalidConfig
from newsrec.slate import SlateConfig
from newsrec.training import RunConfig
from tests.compare.studies import LOTTERY, POPULARITY, Free, study

SPACE = {"model": {"learning_rate": {"low": 0.002, "high": 0.2, "log": True}}}
LOTTERIES = {"popularity": LOTTERY}
"""Trials are played at random, so that another slate is likely better."""


def test_the_best_trial_is_kept_and_the_best_way_to_act(tmp_path: Path) -> None:
    jobs = tunings(study(contenders=LOTTERIES), {"popularity": SPACE}, 2, [SlateConfig()])
    run(in_order(jobs.values()), tmp_path, Free())
    folder = jobs["popularity"].at(tmp_path)
    tuned = read_tuned(folder)
    trials = [json.loads(line) for line in (folder / TRIALS).read_text().splitlines()[1:]]
    values = [trial["value"] for trial in trials]
    found = config.from_mapping(RunConfig, tuned["run"])
    best = trials[values.index(max(values))]["values"]
    assert found.model == {"learning_rate": best["model.learning_rate"]}
    assert found.seed == 1
    assert tuned["active_days"]["first"] == values[0]
    assert tuned["active_days"]["best"] == max(values)
    greedy = tuned["slate"]["method"] == "greedy"
    assert (tuned["active_days"]["with_slate"] > max(values)) is greedy
    record = json.loads((folder / "job.json").read_text())
    assert (record["rounds"], record["rounds_at_most"], record["days"]) == (2, 2, 3)
    assert record["round"] > 0.0


def test_what_is_tuned_is_part_of_the_key_and_the_number_of_trials_takes_its_time() -> None:
    def job(trials: int, contenders: dict, space: dict = SPACE) -> tuple[str, str]:
        found = tunings(study(contenders=contenders), {"popularity": space}, trials)["popularity"]
        return found.key, found.sort

    narrow = {"model": {"learning_rate": {"low": 0.01, "high": 0.2}}}
    base = job(2, {"popularity": POPULARITY})
    others = [
        job(3, {"popularity": POPULARITY}),
        job(2, {"popularity": POPULARITY}, narrow),
        job(2, {"popularity": LOTTERY}),
    ]
    assert len({base[0], *(key for key, _ in others)}) == 4
    assert {sort for _, sort in others} == {base[1]}  # seconds a trial


def test_a_space_that_does_not_fit_and_a_contender_with_a_teacher_are_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"spaces\.popularity: unknown key model\.learning_rat"):
        tunings(study(), {"popularity": {"model": {"learning_rat": {"low": 1.0, "high": 2.0}}}}, 1)
    taught = {"popularity": POPULARITY, "dqn": {"policy": "dqn", "warm_start": "popularity"}}
    with pytest.raises(InvalidConfig, match=r"contenders\.dqn learns from another one"):
        tunings(study(contenders=taught), {"popularity": SPACE, "dqn": SPACE}, 1)
