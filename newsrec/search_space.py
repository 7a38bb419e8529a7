"""What tuning may change of a run, and within which bounds: one TOML a policy in ``configs/spaces``.

A key is the path of a value in RunConfig, such as ``model.learning_rate``; it takes ``low`` and ``high``, on a
logarithmic scale with ``log``, or ``choices``. What decides how a run is judged (its seed, the share of validation
decisions) and what it starts from cannot be searched. The value that the run has anyway lies in its space.
"""

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newsrec import config
from newsrec.config import InvalidConfig
from newsrec.registry import REGISTRY
from newsrec.training import RunConfig

SEARCHED = (
    "model.",
    "distillation.",
    "reward.",
    "training.epochs",
    "training.patience",
    "training.batch_size",
    "steps",
)
"""Beginnings of the keys that a space may hold."""


@dataclass(frozen=True)
class Range:
    """Every number from ``low`` to ``high``, whole ones where the key takes no others."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}, expected a lower one first")
        if self.log and not self.low > 0:
            raise ValueError(f"low is {self.low}, expected more than 0 on a logarithmic scale")

    def __contains__(self, value: Any) -> bool:
        return self.low <= value <= self.high

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.choices) < 2 or any(isinstance(value, list | dict) for value in self.choices):
            raise ValueError(f"choices is {list(self.choices)}, expected two or more plain values")

    def __contains__(self, value: Any) -> bool:
        return value in self.choices

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.choices


Space = Mapping[str, Range | Choice]
"""Key of RunConfig -> what it may be."""


def read_space(path: str | Path, run: RunConfig) -> Space:
    """The space in a TOML file, for ``run``. Raises InvalidConfig and FileNotFoundError."""
    return space_from_mapping(config.read_toml(path), run, str(path))


def space_from_mapping(values: Mapping[str, Any], run: RunConfig, where: str = "space") -> Space:
    """The space in nested tables or dotted keys, checked against ``run``'s policy. Raises InvalidConfig."""
    known = _known(run)
    space: dict[str, Range | Choice] = {}
    for key, table in _entries(values):
        if key not in known:
            raise InvalidConfig(f"{where}: unknown key {key}; {run.policy} knows {', '.join(known)}")
        if not isinstance(table, Mapping):
            raise InvalidConfig(f"{where}.{key}: found {table!r}, expected a table with low and high, or with choices")
        kind, taken = known[key]
        entry = _entry(table, kind, f"{where}.{key}")
        if taken not in entry:
            found = f"{where}.{key}: found {_written(entry)}, but the run has {taken}"
            raise InvalidConfig(f"{found}; expected a space that holds it, since the first trial is the run as it is")
        for value in entry.ends:
            try:
                with_values(run, {key: value})
            except InvalidConfig as error:
                raise InvalidConfig(f"{where}.{key}: {value} is impossible: {error}") from None
        space[key] = entry
    if not space:
        raise InvalidConfig(f"{where}: found nothing to search, expected some of {', '.join(known)}")
    return space


def with_values(run: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """``run`` with the value of each key in ``values`` put in its place. Raises InvalidConfig."""
    tables = config.to_mapping(run)
    for key, value in values.items():
        *parents, last = key.split(".")
        table = tables
        for parent in parents:
            table = table.setdefault(parent, {})
        table[last] = value
    return config.from_mapping(RunConfig, tables)


def values_of(run: RunConfig, keys: Iterable[str]) -> dict[str, Any]:
    """The value that ``run`` has for each of ``keys``, such as those of a space."""
    known = _known(run)
    return {key: known[key][1] for key in keys}


def _known(run: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Key -> type and the value in ``run``, of all that can be searched."""
    model: Any = config.from_mapping(REGISTRY[run.policy].config, run.model, "model")
    found = {f"model.{key}": known for key, known in _leaves(model)} | dict(_leaves(run))
    return {key: known for key, known in found.items() if key.startswith(SEARCHED)}


def _leaves(settings: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from ((f"{field.name}.{key}", known) for key, known in _leaves(value))
        else:
            yield field.name, (hints[field.name], value)


def _entries(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The tables that hold bounds or choices, by their full key; whatever else is no table, too."""
    for name, value in values.items():
        if isinstance(value, Mapping) and not {"low", "high", "choices"} & value.keys():
            yield from _entries(value, f"{above}{name}.")
        else:
            yield above + name, value


def _entry(table: Mapping[str, Any], kind: Any, where: str) -> Range | Choice:
    """``table`` for a key that takes values of type ``kind``. Raises InvalidConfig."""
    if "choices" in table:
        return config.from_mapping(Choice, table, where)
    entry = config.from_mapping(Range, table, where)
    if kind not in (int, float):
        raise InvalidConfig(f"{where}: found {_written(entry)}, expected choices, since it takes no numbers")
    if kind is int and not (entry.low.is_integer() and entry.high.is_integer()):
        raise InvalidConfig(f"{where}: found {_written(entry)}, expected whole numbers")
    return Range(kind(entry.low), kind(entry.high), entry.log)


def _written(entry: Range | Choice) -> str:
    return f"{entry.low} to {entry.high}" if isinstance(entry, Range) else f"choices {list(entry.choices)}"
