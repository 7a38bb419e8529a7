"""Every parameter says where its value comes from, and refuses what is impossible by its name."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from newsrec import config as configs
from newsrec.config import InvalidConfig
from newsrec.simulator.cascade import Cascade
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.parameters import (
    POSITIVE,
    Estimate,
    Parameter,
    assumed,
    chosen,
    parameters,
    refuse_impossible,
)
from newsrec.simulator.self_exciting import SelfExciting
from newsrec.simulator.world import World


@dataclass(frozen=True)
class Inner:
    speed: float = assumed(2.0, "of light", POSITIVE)

    def __post_init__(self) -> None:
        refuse_impossible(self)


@dataclass(frozen=True)
class Outer:
    size: int = chosen(3, "how many")
    pause_seconds: float = assumed(1.5, "of silence")
    words_per_second: float = assumed(3.5, "of speech")
    inner: Inner = field(default_factory=Inner)


@dataclass(frozen=True)
class Silent:
    size: int = chosen(3, "how many")
    weight: float = 1.0


def test_parameters_are_those_of_the_whole_tree() -> None:
    assert list(parameters(Outer())) == [
        Parameter("size", 3, "", "set", "how many"),
        Parameter("pause_seconds", 1.5, "s", "assumed", "of silence"),
        Parameter("words_per_second", 3.5, "per second", "assumed", "of speech"),
        Parameter("inner.speed", 2.0, "", "assumed", "of light"),
    ]


def test_what_a_log_told_is_estimated_until_the_value_is_another() -> None:
    told = Estimate("inner.speed", 7.0, 5.5, 8.25, 0.95, 31, "a log")
    (speed,) = (p for p in parameters(Outer(inner=Inner(7.0)), [told]) if p.path == "inner.speed")
    assert (speed.value, speed.origin, speed.estimate) == (7.0, "estimated", told)
    (speed,) = (p for p in parameters(Outer(inner=Inner(7.5)), [told]) if p.path == "inner.speed")
    assert (speed.value, speed.origin, speed.estimate) == (7.5, "assumed", None)


@pytest.mark.parametrize("name", ["population.height", "readers"])
def test_an_estimate_of_what_is_no_claim_is_refused(name: str) -> None:
    """Height is no parameter, and how many readers are simulated is not for a log to tell."""
    told = {"parameter": name, "value": 1.0, "low": 0.5, "high": 2.0, "confidence": 0.95, "readers": 3, "log": "a log"}
    with pytest.raises(InvalidConfig, match=f"estimated names {name}, expected a parameter that else is assumed"):
        configs.from_mapping(SimulationConfig, {"estimated": [told]})


def test_a_field_without_an_origin_is_found() -> None:
    with pytest.raises(ValueError, match=r"weight has no origin"):
        list(parameters(Silent()))


def test_every_parameter_of_a_world_has_an_origin_and_a_meaning() -> None:
    found = {p.path: p for p in parameters(SimulationConfig())}
    assert found["readers"].origin == "set"
    assert found["newsroom.clickbait"] == Parameter(
        "newsroom.clickbait", 0.25, "", "assumed", "mean clickbait; most articles have little and a few much"
    )
    assert {p.origin for p in found.values()} == {"set", "assumed"}
    assert all(p.origin == "assumed" for path, p in found.items() if "." in path)
    assert all(p.meaning for p in found.values())


def numbers(config: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all floats in the configuration."""
    found = []
    for name, value in vars(config).items():
        if isinstance(value, float):
            found.append((*path, name))
        elif hasattr(value, "__dataclass_fields__"):
            found += numbers(value, (*path, name))
    return found


@pytest.mark.parametrize("path", numbers(SimulationConfig()), ids=".".join)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_parameter_can_be_what_is_no_number(path: tuple[str, ...], value: float) -> None:
    config: Any = SimulationConfig()
    for name in path[:-1]:
        config = getattr(config, name)
    with pytest.raises(ValueError, match=f"^{path[-1]} is {value}, expected"):
        replace(config, **{path[-1]: value})


def test_the_range_holds_in_a_file_too() -> None:
    with pytest.raises(InvalidConfig, match=r"inner: speed is 0\.0, expected more than 0"):
        configs.from_mapping(Outer, {"inner": {"speed": 0}})


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("response_family", "bandit", "utility or cascade"),
        ("return_family", "never", "hazard or self_exciting"),
        ("readers", 2**28 + 1, "at most 268435456"),
        ("clickbait_cost", -0.5, "0 or more"),
    ],
)
def test_an_impossible_world_is_refused_by_name(field: str, value: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=rf"{field} is '?{value}'?, expected {expected}"):
        SimulationConfig(**{field: value})


def test_the_world_is_chosen_by_the_configuration_alone() -> None:
    table = {"response_family": "cascade", "return_family": "self_exciting", "elasticity": -1, "cascade": {"haste": 2}}
    world = World(configs.from_mapping(SimulationConfig, {"readers": 2, "days": 1, **table}))
    assert isinstance(world.response, Cascade)
    assert isinstance(world.returns, SelfExciting)
    assert world.response.config.haste == 2.0
    assert world.returns.elasticity == -1.0
