"""Contenders that do not learn from the study's log, and the policy of the log where it is played, too."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newsrec import artifact, events
from newsrec.compare.jobs import Plan, plan, shortened
from newsrec.compare.outcomes import read
from newsrec.compare.scheduling import run
from newsrec.compare.study import BEHAVIOUR, Study
from newsrec.compare.work import ARTEFACT
from newsrec.config import InvalidConfig
from tests.compare.studies import POPULARITY, Free, study

ONLINE = {"popularity": POPULARITY, "online": {**POPULARITY, "log": "own"}}
OWN = {"own": {"by": "popularity", "world": {"readers": 50}, "market": 2}}


def of_logs(**differences: Any) -> Study:
    return study(**{"contenders": ONLINE, "logs": OWN} | differences)


@pytest.mark.parametrize(
    ("differences", "message"),
    [
        ({"logs": {}}, "contenders.online.log is 'own', expected one of logs, which is empty"),
        ({"logs": {"own": {"by": "dqn"}}}, "logs.own.by is 'dqn', expected one of popularity, online"),
        ({"logs": {"own": {"world": {"seed": 3}}}}, "world has a seed, expected none"),
        ({"logs": {"own": {"market": -1}}}, "market is -1, expected 0 or more"),
        ({"logs": {"own": {"world": {"reader": 3}}}}, "logs.own.world: unknown key reader"),
        ({"logs": {"own": {"by": "online"}}}, "online from online: found a circle"),
        ({"seeds": [1_000_000]}, "expected less than 1000000"),
        ({"baseline": BEHAVIOUR}, "baseline is 'behaviour', expected one of popularity, online"),
        ({"contenders": ONLINE | {BEHAVIOUR: POPULARITY}}, "has the name of the policy of the log"),
        (
            {
                "contenders": ONLINE | {"dqn": {"policy": "dqn", "log": "own"}},
                "logs": {"own": OWN["own"] | {"slate": {"method": "greedy"}}},
            },
            "found a log without chance, expected logs.own.slate to be drawn",
        ),
        ({"contenders": ONLINE | {"x": POPULARITY | {"permuted": "all"}}}, "expected one of , rewards, outcomes"),
    ],
)
def test_an_impossible_study_is_refused(differences: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        of_logs(**differences)


def test_a_log_of_its_own_comes_behind_whoever_writes_it() -> None:
    found = plan(of_logs())
    log, writer = found.further_logs["own", 1], found.trainings["popularity", 1]
    assert log.needs == (writer,)
    assert found.trainings["online", 1].needs == (log,)
    names = [job.name for job in found.jobs]
    assert names.index("log own, seed 1") == names.index("train popularity, seed 1") + 1
    assert names.index("train online, seed 1") == names.index("log own, seed 1") + 1
    assert (log.what["world"]["readers"], log.what["world"]["days"]) == (50, 3)  # the rest is as in the study's log
    short = plan(shortened(of_logs(logs={"own": {"world": {"days": 9}, "by": "popularity"}}), 1))
    assert short.further_logs["own", 1].days == 1


def test_markets_share_nothing_and_the_logs_of_one_share_readers() -> None:
    found = of_logs(seeds=[1, 2], logs=OWN | {"few": {"world": {"readers": 10}}})
    seeds = {(name, seed): found.log_world(seed, name).seed for name in ("", "own", "few") for seed in (1, 2)}
    assert seeds["few", 1] == seeds["", 1]
    assert len({*seeds.values(), found.world("nominal", 1).seed, found.world("nominal", 2).seed}) == 6


@pytest.mark.parametrize(
    "differences",
    [
        {"logs": {"own": OWN["own"] | {"market": 3}}},
        {"logs": {"own": OWN["own"] | {"slate": {"method": "plackett_luce", "temperature": 2.0}}}},
        {"contenders": ONLINE | {"online": ONLINE["online"] | {"permuted": "rewards"}}},
    ],
)
def test_what_a_contender_learns_from_makes_another_job_of_it(differences: dict[str, Any]) -> None:
    before, after = plan(of_logs()), plan(of_logs(**differences))
    assert before.trainings["popularity", 1].key == after.trainings["popularity", 1].key
    assert before.trainings["online", 1].key != after.trainings["online", 1].key


DWELL = {"policy": "dwell", "training": {"epochs": 1}}  # keeps its last weights, whatever validation says
PLAYED = of_logs(
    behaviour=True,
    baseline=BEHAVIOUR,
    contenders=ONLINE | {"dwell": DWELL, "null": DWELL | {"permuted": "outcomes"}},
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("further")
    run(plan(PLAYED).jobs, folder, Free())
    return folder


def test_the_writer_of_a_log_is_the_one_that_the_study_names(played: Path) -> None:
    found: Plan = plan(PLAYED)
    own, first = (events.read(job.at(played) / "log") for job in (found.further_logs["own", 1], found.logs[1]))
    assert set(own.recommendations["policy"].to_pylist()) == {"popularity"}
    assert len(set(own.recommendations["user_id"].to_pylist())) <= 50
    assert not set(own.articles["article_id"].to_pylist()) & set(first.articles["article_id"].to_pylist())
    trained = artifact.load(found.trainings["online", 1].at(played) / ARTEFACT)
    assert set(trained.catalogue.ids[1:]) <= set(own.articles["article_id"].to_pylist())


def test_a_permuted_log_teaches_something_else(played: Path) -> None:
    found = plan(PLAYED)
    told, null = (artifact.load(found.trainings[name, 1].at(played) / ARTEFACT) for name in ("dwell", "null"))
    weights = zip(told.policy.parameters(), null.policy.parameters(), strict=True)
    assert any(not np.array_equal(*(side.detach().numpy() for side in both)) for both in weights)


def test_the_policy_of_the_log_is_played_beside_the_contenders(played: Path) -> None:
    found = read(PLAYED, plan(PLAYED), played).worlds["nominal"]
    assert found.levels.keys() == {BEHAVIOUR, "popularity", "online", "dwell", "null"}
    assert found.contrasts.keys() == {"popularity", "online", "dwell", "null"}
    assert found.levels[BEHAVIOUR]["visits"].value > 0
