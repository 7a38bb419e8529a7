"""What a space may hold, and that each policy has one."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from newsrec import config
from newsrec.config import InvalidConfig
from newsrec.registry import REGISTRY
from newsrec.search_space import Choice, Range, read_space, space_from_mapping, values_of, with_values
from newsrec.training import RunConfig
from tests.conftest import ROOT

SPACES = sorted((ROOT / "configs" / "spaces").glob("*.toml"))


def test_every_space_fits_the_run_of_its_policy_and_nobody_has_more_to_choose_than_others() -> None:
    sizes = {}
    for path in SPACES:
        run = config.load(RunConfig, ROOT / "configs" / path.name)
        assert run.policy in REGISTRY
        sizes[path.stem] = len(read_space(path, run))
    assert set(sizes) == set(REGISTRY)
    assert sizes.pop("popularity") == 3, "of a handful of weights"
    assert max(sizes.values()) <= 7
    assert max(sizes.values()) - min(sizes.values()) <= 2


@pytest.mark.parametrize("key", ["learning_rate", "value_learning_rate", "continuation", "return_weight"])
def test_what_decides_over_values_is_searched_wherever_a_policy_has_it(key: str) -> None:
    having = {name for name, entry in REGISTRY.items() if any(field.name == key for field in fields(entry.config))}
    searching = {path.stem for path in SPACES if f"model.{key}" in read_space(path, RunConfig(path.stem))}
    assert len(having) >= 4
    assert searching == having


def test_a_space_reads_bounds_scales_and_choices(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(
        "steps = {choices = [1, 4]}\n[model]\nlearning_rate = {low = 1e-4, high = 1e-2, log = true}\n"
        "network.dropout = {low = 0, high = 0.5}\n[model.network.layers]\nlow = 1\nhigh = 3\n"
    )
    assert read_space(tmp_path / "space.toml", RunConfig("dqn")) == {
        "steps": Choice((1, 4)),
        "model.learning_rate": Range(1e-4, 1e-2, log=True),
        "model.network.dropout": Range(0.0, 0.5),
        "model.network.layers": Range(1, 3),
    }


def test_dotted_keys_are_the_same_as_tables() -> None:
    entry = {"low": 0.0, "high": 0.4}
    run = RunConfig("cql")
    nested = space_from_mapping({"model": {"network": {"dropout": entry}}}, run)
    assert space_from_mapping({"model.network.dropout": entry}, run) == nested


def test_whole_numbers_stay_whole_and_others_are_made_so() -> None:
    space = space_from_mapping(
        {"training.epochs": {"low": 4.0, "high": 24}, "model.forget_rate": {"low": 0, "high": 1}}, RunConfig("cql")
    )
    assert [type(end) for entry in space.values() for end in entry.ends] == [int, int, float, float]


def test_values_are_put_in_their_places_and_found_there() -> None:
    run = RunConfig("transformer", {"width": 32}, seed=5)
    values = {"model.dropout": 0.3, "training.epochs": 7, "reward.click": 2.0, "steps": 2}
    made = with_values(run, values)
    assert (made.model, made.seed, made.training.epochs) == ({"width": 32, "dropout": 0.3}, 5, 7)
    assert (made.reward.click, made.steps, made.training.batch_size) == (2.0, 2, run.training.batch_size)
    space: dict[str, Any] = dict.fromkeys(values, Range(0.0, 9.0))
    assert values_of(made, space) == values
    assert values_of(run, space) == {"model.dropout": 0.2, "training.epochs": 20, "reward.click": 1.0, "steps": 1}
    assert run.model == {"width": 32}, "not changed in place"


@pytest.mark.parametrize(
    ("policy", "values", "message"),
    [
        ("cql", {"model": {"tau": {"low": 0.1, "high": 0.9}}}, "space: unknown key model.tau; cql knows model."),
        ("cql", {"model": {"alpha": {"lo": 0.1, "high": 0.9}}}, "space.model.alpha: unknown key lo; did you mean low?"),
        ("cql", {"seed": {"choices": [0, 1]}}, "unknown key seed"),
        ("cql", {"training": {"validation": {"low": 0.1, "high": 0.2}}}, "unknown key training.validation"),
        ("cql", {"model": {"alpha": 0.5}}, "model.alpha: found 0.5, expected a table with low and high, or with choic"),
        (
            "cql",
            {"model": {"alpha": {"low": 2.0, "high": 1.0}}},
            "low is 2.0 and high is 1.0, expected a lower one fir",
        ),
        (
            "cql",
            {"model": {"alpha": {"low": 0.0, "high": 1.0, "log": True}}},
            "low is 0.0, expected more than 0 on a l",
        ),
        (
            "cql",
            {"model": {"alpha": {"low": 1.0, "high": 2.0}}},
            "found 1.0 to 2.0, but the run has 0.25; expected a s",
        ),
        (
            "cql",
            {"model": {"forget_rate": {"low": 0.0, "high": 1.5}}},
            "forget_rate: 1.5 is impossible: model: forget_",
        ),
        ("cql", {"training": {"epochs": {"low": 4, "high": 24.5}}}, "found 4.0 to 24.5, expected whole numbers"),
        ("imitation", {"model": {"imitate": {"low": 0, "high": 1}}}, "expected choices, since it takes no numbers"),
        ("imitation", {"model": {"imitate": {"choices": ["reads", "all"]}}}, "imitate: all is impossible"),
        ("cql", {"steps": {"choices": [1]}}, "choices is [1], expected two or more plain values"),
        ("cql", {}, "space: found nothing to search, expected some of model.network.width"),
    ],
)
def test_an_impossible_space_is_refused(policy: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(message)):
        space_from_mapping(values, RunConfig(policy))


def test_an_unknown_key_is_answered_with_all_that_are_known() -> None:
    with pytest.raises(InvalidConfig) as refused:
        space_from_mapping({"model": {"rate": {"low": 0, "high": 1}}}, RunConfig("popularity"))
    keys = str(refused.value).partition("popularity knows ")[2].split(", ")
    assert keys[0] == "model.learning_rate"
    assert {"steps", "training.epochs", "training.patience", "training.batch_size", "reward.half_life_hours"} < {*keys}
    assert not {"seed", "policy", "model", "warm_start", "teacher", "training.test", "model.width"} & {*keys}
