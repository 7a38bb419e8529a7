"""Parameters of a simulated world: each says what it means, what it can be, and where its value comes from.

A field of a configuration is either *set* (how much is simulated; no claim about readers) or a claim about readers and
newsrooms, which is *assumed* until a log tells otherwise. The marks stand in the fields' metadata, so that the table in
the documentation is made of them.
"""

import dataclasses
import math
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Range(NamedTuple):
    """What a value can be: in words, and as a test."""

    expected: str
    holds: Callable[[Any], bool]


ANY = Range("a finite number", math.isfinite)
POSITIVE = Range("more than 0", lambda x: 0 < x < math.inf)
NOT_NEGATIVE = Range("0 or more", lambda x: 0 <= x < math.inf)
PROBABILITY = Range("a probability in [0, 1]", lambda x: 0 <= x <= 1)
SHARE = Range("a share in [0, 1)", lambda x: 0 <= x < 1)
BETWEEN = Range("a value in (0, 1)", lambda x: 0 < x < 1)
COUNT = Range("1 or more", lambda x: x >= 1)


class Parameter(NamedTuple):
    """One field of a configuration or of one nested in it."""

    path: str
    value: Any
    origin: str
    meaning: str


def assumed(value: T, meaning: str, within: Range = ANY) -> T:
    """The field of a dataclass with the default ``value``, which no log has shown."""
    return _field(value, meaning, within, "assumed")


def chosen(value: T, meaning: str, within: Range | None = None) -> T:
    """The field of a dataclass that says what to simulate."""
    return _field(value, meaning, within, "set")


def refuse_impossible(config: Any) -> None:
    """Raise ValueError naming the first field of the dataclass ``config`` whose value is out of its range."""
    for field in dataclasses.fields(config):
        within, value = field.metadata.get("within"), getattr(config, field.name)
        if within is not None and not within.holds(value):
            raise ValueError(f"{field.name} is {value}, expected {within.expected}")


def parameters(config: type, prefix: str = "") -> Iterator[Parameter]:
    """All fields of the dataclass ``config`` and of the dataclasses in it, with their defaults.

    Raises ValueError for a field that does not say where its value comes from.
    """
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        path = prefix + field.name
        if dataclasses.is_dataclass(hints[field.name]):
            yield from parameters(typing.cast(type, hints[field.name]), f"{path}.")
        elif "origin" not in field.metadata:
            raise ValueError(f"{path} has no origin, expected assumed(...) or chosen(...)")
        else:
            yield Parameter(path, field.default, field.metadata["origin"], field.metadata["meaning"])


def _field(value: T, meaning: str, within: Range | None, origin: str) -> T:
    return dataclasses.field(default=value, metadata={"origin": origin, "meaning": meaning, "within": within})
