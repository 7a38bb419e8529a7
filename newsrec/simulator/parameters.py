"""Parameters of a simulated world: each says what it means, what it can be, and where its value comes from.

A field of a configuration is either *set* (how much is simulated; no claim about readers) or a claim about readers and
newsrooms, which is *assumed* until a log tells otherwise: a world that was fitted to one carries an ``Estimate`` for
each parameter that the log told. The marks stand in the fields' metadata, so that the table in the documentation is
made of them.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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


UNITS = {"seconds": "s", "minutes": "min", "hours": "h", "days": "d", "reads": "reads", "words": "words"}
"""By the last word of a name."""


@dataclass(frozen=True)
class Estimate:
    """How a log told a parameter."""

    parameter: str
    """Its path, such as ``population.patience``."""
    value: float
    low: float
    high: float
    confidence: float
    """Of the interval from ``low`` to ``high``."""
    readers: int
    """By whom it was told."""
    log: str


class Parameter(NamedTuple):
    """One field of a configuration or of one nested in it."""

    path: str
    value: Any
    unit: str
    """Empty for counts, shares and other numbers without one."""
    origin: str
    """``set``, ``assumed`` or ``estimated``."""
    meaning: str
    estimate: Estimate | None = None


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


def parameters(config: Any, estimated: Sequence[Estimate] = ()) -> Iterator[Parameter]:
    """All fields of the dataclass ``config`` and of the dataclasses in it, with their values.

    What is ``estimated`` is marked so where the configuration still has the value that was. Raises ValueError for a
    field that does not say where its value comes from.
    """
    of_path = {estimate.parameter: estimate for estimate in estimated}
    for path, field, value in _leaves(config):
        if "origin" not in field.metadata:
            raise ValueError(f"{path} has no origin, expected assumed(...) or chosen(...)")
        origin, estimate = field.metadata["origin"], of_path.get(path)
        if estimate is not None and estimate.value == value:
            origin = "estimated"
        else:
            estimate = None
        yield Parameter(path, value, _unit(field.name), origin, field.metadata["meaning"], estimate)


def _leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field, Any]]:
    for field in dataclasses.fields(config):
        path, value = prefix + field.name, getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, field, value


def _unit(name: str) -> str:
    _, per, each = name.rpartition("per_")
    return f"per {each}" if per else UNITS.get(name.rpartition("_")[2], "")


def _field(value: T, meaning: str, within: Range | None, origin: str) -> T:
    return dataclasses.field(default=value, metadata={"origin": origin, "meaning": meaning, "within": within})
