"""Configuration: what a user may write, and the sentence for what they may not."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsrec.config import InvalidConfig, digest, from_mapping, load, read_toml, to_mapping


@dataclass(frozen=True)
class Optimiser:
    rate: float = 1e-3
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"rate is {self.rate}, expected more than 0")


@dataclass(frozen=True)
class Training:
    name: str = "run"
    epochs: int = 1
    shuffle: bool = True
    loss: Literal["softmax", "bpr"] = "softmax"
    widths: tuple[int, ...] = (64, 64)
    span: tuple[int, float] = (0, 1.0)
    weights: dict[str, float] = field(default_factory=dict)
    optimiser: Optimiser = Optimiser()


configs = st.builds(
    Training,
    name=st.text(),
    epochs=st.integers(),
    shuffle=st.booleans(),
    loss=st.sampled_from(["softmax", "bpr"]),
    widths=st.lists(st.integers(), max_size=3).map(tuple),
    span=st.tuples(st.integers(), st.floats(allow_nan=False)),
    weights=st.dictionaries(st.text(), st.floats(allow_nan=False), max_size=2),
    optimiser=st.builds(Optimiser, st.floats(1e-9, 10), st.none() | st.floats(allow_nan=False)),
)


@given(configs)
def test_mapping_round_trip(config: Training) -> None:
    assert from_mapping(Training, to_mapping(config)) == config
    assert digest(from_mapping(Training, to_mapping(config))) == digest(config)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["name", "epochs", "widths", "span", "weights", "optimiser", "x"]), values))
def test_any_mapping_gives_a_config_or_invalid_config(mapping: dict[str, Any]) -> None:
    try:
        config = from_mapping(Training, mapping)
    except InvalidConfig:
        return
    assert set(mapping) <= set(to_mapping(config))


def test_toml_then_overrides(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('name = "a"\nwidths = [8]\n[optimiser]\nrate = 1\n')
    overrides = ["epochs=3", "optimiser.clip=0.5", "name=b c", "shuffle=false", "span=[1, 2]"]
    config = load(Training, path, overrides)
    assert config == Training(
        name="b c", epochs=3, shuffle=False, widths=(8,), span=(1, 2.0), optimiser=Optimiser(rate=1.0, clip=0.5)
    )
    assert isinstance(config.optimiser.rate, float)
    assert load(Training) == Training()


def test_override_that_reads_as_a_date_stays_text() -> None:
    assert load(Training, overrides=["name=2019-11-14"]).name == "2019-11-14"
    assert load(Training, overrides=["name=1\nepochs=2"]) == Training(name="1\nepochs=2")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"epoch": 3}, "config: unknown key epoch; did you mean epochs?"),
        ({"zzz": 3}, "config: unknown key zzz; known keys: name, epochs, shuffle, loss, widths, span, weights, optim"),
        ({"optimiser": {"rat": 1}}, "config.optimiser: unknown key rat; did you mean rate?"),
        ({"epochs": "3"}, "config.epochs: found '3', expected int"),
        ({"epochs": True}, "config.epochs: found True, expected int"),
        ({"epochs": 3.0}, "config.epochs: found 3.0, expected int"),
        ({"shuffle": 1}, "config.shuffle: found 1, expected bool"),
        ({"loss": "mse"}, "config.loss: found 'mse', expected one of softmax, bpr"),
        ({"widths": 3}, "config.widths: found 3, expected a list"),
        ({"widths": [1, "a"]}, "config.widths[1]: found 'a', expected int"),
        ({"span": [1]}, "config.span: found [1], expected 2 values"),
        ({"span": ["a", 1]}, "config.span[0]: found 'a', expected int"),
        ({"weights": [1]}, "config.weights: found [1], expected dict"),
        ({"optimiser": 3}, "config.optimiser: found 3, expected a table"),
        ({"optimiser": {"rate": 0}}, "config.optimiser: rate is 0.0, expected more than 0"),
    ],
)
def test_what_is_refused(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig) as error:
        from_mapping(Training, mapping)
    assert str(error.value).startswith(message)


def test_a_required_key_that_is_missing_is_named() -> None:
    @dataclass(frozen=True)
    class Required:
        market: str

    with pytest.raises(InvalidConfig, match="market"):
        from_mapping(Required, {})


def test_broken_files_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("epochs = ")
    with pytest.raises(InvalidConfig, match=r"run\.toml is not TOML"):
        read_toml(path)
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(InvalidConfig, match=r"run\.toml is not TOML"):
        read_toml(path)
    with pytest.raises(FileNotFoundError):
        read_toml(tmp_path / "absent.toml")
    for override in ("epochs", "=3", "  =3"):
        with pytest.raises(InvalidConfig, match="expected key=value"):
            read_toml(None, [override])
    with pytest.raises(InvalidConfig, match="epochs is no table"):
        read_toml(None, ["epochs=3", "epochs.a=1"])


def test_digest_sees_every_part() -> None:
    digests = {
        digest(Training()),
        digest(Training(epochs=2)),
        digest(Training(optimiser=Optimiser(clip=1.0))),
        digest(Training(), 1),
        digest(Training(), "1"),
        digest(Training(), None),
        digest(1, Training()),
    }
    assert len(digests) == 7
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(Training()) == digest(Training())
