"""Frozen dataclasses read from TOML and ``key=value`` overrides; an unknown key is an error naming its neighbours."""

import dataclasses
import difflib
import hashlib
import json
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any, TypeVar

C = TypeVar("C")


class InvalidConfig(ValueError):
    """A configuration that cannot be used; the message names the key, what was found and what was expected."""


def from_mapping(cls: type[C], values: Mapping[str, Any], where: str = "config") -> C:
    """An instance of the frozen dataclass ``cls``; keys that are left out keep their defaults.

    Nested dataclasses take nested tables. Raises InvalidConfig for unknown keys, wrong types, and values that the
    dataclass's own ``__post_init__`` refuses with a ValueError.
    """
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    arguments = {}
    for key, value in values.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(names)}"
            raise InvalidConfig(f"{where}: unknown key {key}; {hint}")
        arguments[key] = _convert(hints[key], value, f"{where}.{key}")
    try:
        return cls(**arguments)
    except InvalidConfig:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidConfig(f"{where}: {error}") from None


def load(cls: type[C], path: str | Path | None = None, overrides: Iterable[str] = ()) -> C:
    """``cls`` from a TOML file (or the defaults alone), then ``overrides`` such as ``"training.epochs=3"``.

    Raises InvalidConfig; FileNotFoundError where ``path`` does not exist.
    """
    return from_mapping(cls, read_toml(path, overrides), str(path or "config"))


def read_toml(path: str | Path | None = None, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The nested tables of a TOML file with ``overrides`` put in their places. Raises InvalidConfig."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidConfig(f"{path} is not TOML: {error}") from None
    for override in overrides:
        key, sign, text = override.partition("=")
        if not sign or not key.strip():
            raise InvalidConfig(f"override {override!r}: expected key=value")
        table = values
        *parents, last = key.strip().split(".")
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise InvalidConfig(f"override {override!r}: {parent} is no table")
        table[last] = _parse(text)
    return values


def to_mapping(config: Any) -> dict[str, Any]:
    """The configuration as nested plain values, what ``from_mapping`` takes back."""
    return dataclasses.asdict(config)


def digest(*parts: Any) -> str:
    """Sixteen hex digits that change when any of ``parts`` (dataclasses or JSON values) changes."""
    plain = [to_mapping(p) if dataclasses.is_dataclass(p) and not isinstance(p, type) else p for p in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _parse(text: str) -> Any:
    """An override's value: TOML where it parses as such, else (a date too, which no field takes) the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 and not isinstance(parsed["value"], date | time) else text


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        (hint,) = [i for i in inner if i is not type(None)]
        return _convert(hint, value, where)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise InvalidConfig(f"{where}: found {value!r}, expected a table")
        return from_mapping(typing.cast(type, hint), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InvalidConfig(f"{where}: found {value!r}, expected a list")
        inner = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(value) != len(inner):
            raise InvalidConfig(f"{where}: found {value!r}, expected {len(inner)} values")
        return tuple(_convert(h, v, f"{where}[{i}]") for i, (h, v) in enumerate(zip(inner, value, strict=True)))
    if origin is typing.Literal:
        if value not in inner:
            raise InvalidConfig(f"{where}: found {value!r}, expected one of {', '.join(map(str, inner))}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = origin or hint
    if hint is not Any and (not isinstance(value, plain) or (isinstance(value, bool) and hint is not bool)):
        raise InvalidConfig(f"{where}: found {value!r}, expected {plain.__name__}")
    return value
