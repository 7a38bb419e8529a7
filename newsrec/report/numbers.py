"""Numbers as people read them."""

import math
from typing import Any


def interval(value: dict[str, Any] | None, sign: str = "", digits: int = 3) -> str:
    """``0.116 [0.106, 0.127]``; ``not defined`` for a mean that is null, and no brackets without ends.

    ``value`` has mean (or value), low and high.
    """
    mean = mean_of(value)
    if value is None or mean is None:
        return "not defined"
    if value["low"] is None or value["high"] is None:
        return f"{mean:{sign}.{digits}f}"
    return f"{mean:{sign}.{digits}f} [{value['low']:{sign}.{digits}f}, {value['high']:{sign}.{digits}f}]"


def percent(value: dict[str, Any] | None) -> str:
    """``+5.5% [+2.1%, +8.7%]``; ``unknown`` where the ends are null: what stands below is not told from 0."""
    if value is None or value["value"] is None or value["low"] is None or value["high"] is None:
        return "unknown"
    return f"{value['value']:+.1%} [{value['low']:+.1%}, {value['high']:+.1%}]"


def mean_of(value: dict[str, Any] | None) -> float | None:
    if value is None:
        return None
    return value["mean"] if "mean" in value else value["value"]


def told_apart(value: dict[str, Any] | None) -> str:
    """``good`` or ``bad`` where the interval of a difference lies beyond 0, else nothing."""
    if value is None or value.get("low") is None or value.get("high") is None:
        return ""
    return "good" if value["low"] > 0.0 else "bad" if value["high"] < 0.0 else ""


def clock(moment: str) -> str:
    """``2024-03-15 04:00`` of ``2024-03-15T04:00+00:00``."""
    return moment.replace("T", " ").removesuffix("+00:00")


def counted(n: int, one: str, more: str | None = None) -> str:
    """``1 reader``, ``2,000 readers``."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
