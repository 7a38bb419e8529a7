"""Which jobs a study has, and what makes two of them the same."""

from pathlib import Path
from typing import Any

import pytest

from newsrec import config
from newsrec.compare.jobs import Job, Plan, plan, shortened
from newsrec.compare.study import ORACLES, Study
from newsrec.config import InvalidConfig
from tests.compare.studies import LOTTERY, POPULARITY, study

DQN = {"policy": "dqn", "training": {"epochs": 3}}


def keys(found: Study) -> dict[str, set[str]]:
    """Kind -> keys."""
    jobs = plan(found).jobs
    return {kind: {job.key for job in jobs if job.kind == kind} for kind in ("log", "train", "play")}


def test_contenders_that_learn_the_same_share_their_training_and_oracles_need_none() -> None:
    found = plan(study(oracles=True, worlds={"nominal": {}, "flat": {"elasticity": 0.0}}))
    assert [job.name for job in found.jobs] == [
        "log, seed 1",
        "train popularity, seed 1",
        *(f"play {who} in nominal, seed 1" for who in ("popularity", "lottery", *ORACLES)),
        *(f"play {who} in flat, seed 1" for who in ("popularity", "lottery", *ORACLES)),
    ]
    assert not found.plays["planner", "flat", 1].needs


@pytest.mark.parametrize(
    ("differences", "changed"),
    [
        ({}, set()),
        ({"log": {"readers": 81, "days": 3, "articles_per_day": 20}}, {"log", "train", "play"}),
        ({"actor": {"policy": "random"}}, {"log", "train", "play"}),
        ({"readers": 41}, {"play"}),
        ({"worlds": {"nominal": {"elasticity": 0.0}}}, {"play"}),
        ({"worlds": {"renamed": {}}}, set()),
        ({"contenders": {"popularity": POPULARITY | {"training": {"epochs": 2}}}}, {"train", "play"}),
        ({"contenders": {"popularity": POPULARITY | {"slate": {"method": "epsilon"}}}}, {"play"}),
        ({"contenders": {"popularity": POPULARITY | {"reward": {"like": 9.0}}}}, {"train", "play"}),
        ({"seeds": [2]}, {"log", "train", "play"}),
    ],
)
def test_a_key_changes_with_what_determines_the_result_and_with_nothing_else(
    differences: dict[str, Any], changed: set[str]
) -> None:
    before, after = keys(study()), keys(study(**differences))
    assert {kind for kind in before if not after[kind] <= before[kind]} == changed


def test_another_seed_adds_jobs_and_changes_none() -> None:
    one, two = keys(study()), keys(study(seeds=[1, 2]))
    assert {kind: len(two[kind] - one[kind]) for kind in two} == {"log": 1, "train": 1, "play": 2}
    assert all(one[kind] < two[kind] for kind in one)


def test_a_contender_may_start_from_another_one_of_the_same_seed() -> None:
    contenders = {
        "popularity": POPULARITY,
        "dqn": DQN | {"warm_start": "imitation"},
        "imitation": {"policy": "imitation"},
    }
    found = plan(study(contenders=contenders, seeds=[1, 2]))
    for seed in (1, 2):
        dqn, imitation = found.trainings["dqn", seed], found.trainings["imitation", seed]
        assert [need.key for need in dqn.needs] == [found.logs[seed].key, imitation.key]
        assert dqn.what["taught_by"] == ["warm_start"]
    positions = {job.key: place for place, job in enumerate(found.jobs)}
    assert all(positions[need.key] < positions[job.key] for job in found.jobs for need in job.needs)
    contenders["imitation"] = {"policy": "imitation", "training": {"epochs": 3}}
    changed = plan(study(contenders=contenders, seeds=[1, 2]))
    assert changed.trainings["dqn", 1].key != found.trainings["dqn", 1].key


def test_a_teacher_that_is_neither_a_contender_nor_an_artefact_is_refused(tmp_path: Path) -> None:
    contenders = {"popularity": POPULARITY, "dqn": DQN | {"warm_start": str(tmp_path / "imitaton")}}
    with pytest.raises(
        InvalidConfig, match=r"contenders.dqn.warm_start is neither a contender nor an artefact: .*policy.json"
    ):
        plan(study(contenders=contenders))


def test_seconds_are_compared_by_what_takes_them() -> None:
    contenders = {"popularity": POPULARITY, "lottery": LOTTERY, "dqn": DQN}
    found = plan(study(contenders=contenders, seeds=[1, 2], worlds={"nominal": {}, "flat": {"elasticity": 0.0}}))

    def sort_of(name: str, seed: int, world: str) -> str:
        return found.plays[name, world, seed].sort

    assert sort_of("dqn", 1, "nominal") == sort_of("dqn", 2, "flat") != sort_of("lottery", 1, "nominal")
    short = plan(shortened(study(contenders=contenders), 1))
    assert sorts(short) == sorts(found)
    assert {job.days for job in short.jobs} == {1}
    assert {job.rounds for job in short.jobs} == {1}
    assert sorts(plan(study(contenders=contenders, readers=41))) != sorts(found)


def sorts(found: Plan) -> set[str]:
    return {job.sort for job in found.jobs}


def test_a_job_says_what_it_was_told() -> None:
    job: Job = plan(study()).plays["lottery", "nominal", 1]
    assert job.what["slate"]["temperature"] == 1e6
    assert (job.what["world"]["readers"], job.what["world"]["days"], job.what["world"]["seed"]) == (40, 2, 3)
    assert job.needs[0].what["run"] == config.to_mapping(study().contender("lottery").run) | {
        "seed": 1,
        "warm_start_layers": list(study().contender("lottery").run.warm_start_layers),
    }
