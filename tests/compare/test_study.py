"""What a study says, and which studies cannot be."""

from pathlib import Path
from typing import Any

import pytest

from newsrec.compare.study import Study, load
from newsrec.config import InvalidConfig
from tests.compare.studies import LOTTERY, POPULARITY, study

DQN = {"policy": "dqn"}


@pytest.mark.parametrize(
    ("differences", "message"),
    [
        ({"baseline": "random"}, "baseline is 'random', expected one of popularity, lottery"),
        ({"seeds": [1, 1]}, r"seeds are \[1, 1\], expected different ones"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [-1]}, r"seeds are \[-1\], expected different ones of 0 or more"),
        ({"readers": 1}, "readers is 1"),
        ({"log": {"seed": 3}}, "log.seed is 3, expected none"),
        ({"log": {"elasticty": 3}}, "did you mean elasticity"),
        ({"worlds": {"flat": {"elasticty": 0.0}}}, "worlds.flat: unknown key elasticty; did you mean elasticity"),
        ({"worlds": {"other": {"readers": 5}}}, "worlds.other has its own readers, expected none"),
        ({"worlds": {"other": 3}}, "worlds.other: found 3, expected a table"),
        ({"contenders": {"popularity": {"policy": "populary"}}}, "policy is 'populary', expected one of popularity,"),
        ({"contenders": {"popularity": POPULARITY | {"seed": 3}}}, "contenders.popularity has a seed"),
        ({"contenders": {"popularity": POPULARITY | {"use_time": False}}}, "popularity.use_time is false"),
        ({"contenders": {"popularity": POPULARITY, "planner": POPULARITY}}, "planner has the name of an oracle"),
        (
            {"contenders": {"popularity": POPULARITY, "x": {"policy": "dqn", "model": {"worth": 1}}}},
            "unknown key worth",
        ),
        (
            {"contenders": {"popularity": POPULARITY, "dqn": DQN}, "actor": {"slate": {"method": "greedy"}}},
            "contenders.dqn: dqn corrects for how slates were chosen, found a log without chance",
        ),
        (
            {"contenders": {"popularity": POPULARITY, "a": DQN | {"warm_start": "b"}, "b": DQN | {"warm_start": "a"}}},
            "a from b from a: found a circle",
        ),
    ],
)
def test_an_impossible_study_is_refused(differences: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        study(**differences)


def test_a_log_of_random_slates_or_of_some_chance_teaches_every_policy() -> None:
    contenders = {"popularity": POPULARITY, "dqn": DQN}
    for actor in ({"policy": "random", "slate": {"method": "greedy"}}, {"slate": {"method": "epsilon"}}):
        assert study(contenders=contenders, actor=actor).actor.explores
    with pytest.raises(InvalidConfig, match="without chance"):
        study(contenders=contenders, actor={"slate": {"method": "epsilon", "epsilon": 0.0}})


def test_seeds_share_nothing_and_worlds_share_readers() -> None:
    found = study(seeds=[1, 2], worlds={"nominal": {}, "flat": {"elasticity": 0.0, "hazard": {"leak_hours": 3.0}}})
    used = [found.log_world(seed).seed for seed in found.seeds] + [found.world("flat", seed).seed for seed in (1, 2)]
    assert len(set(used)) == 4
    nominal, flat = found.world("nominal", 1), found.world("flat", 1)
    assert (nominal.seed, nominal.readers, nominal.days) == (flat.seed, flat.readers, flat.days) == (3, 40, 2)
    assert (nominal.elasticity, flat.elasticity, flat.hazard.leak_hours) == (1.5, 0.0, 3.0)
    assert flat.hazard.read_weight == nominal.hazard.read_weight
    assert flat.articles_per_day == 20  # as in the log's world


def test_a_world_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    fitted = 'readers = 33\ndays = 7\nstart = "2023-02-23"\nresponse_family = "cascade"\nelasticity = 0.5\n'
    (tmp_path / "fitted.toml").write_text(fitted)
    (tmp_path / "study.toml").write_text(
        'baseline = "popularity"\n[contenders.popularity]\npolicy = "popularity"\n[log]\nfile = "fitted.toml"\n'
        'days = 5\n[worlds.same]\n[worlds.other]\nfile = "fitted.toml"\nelasticity = -1.0\n'
    )
    found = load(tmp_path / "study.toml", ["readers=50"])
    assert isinstance(found, Study)
    assert (found.log.response_family, found.log.days, found.log.readers) == ("cascade", 5, 2_000)
    assert found.world("same", 1).elasticity == 0.5
    assert (found.world("other", 1).elasticity, found.world("other", 1).readers) == (-1.0, 50)


def test_how_a_contender_acts_is_not_how_it_is_trained() -> None:
    found = study()
    assert found.contender("popularity").run == found.contender("lottery").run
    assert (found.contender("popularity").slate.method, found.contender("lottery").slate.temperature) == ("greedy", 1e6)
    assert "slate" in LOTTERY
