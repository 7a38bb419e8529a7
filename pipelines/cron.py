"""When something recurs: the five fields of cron, checked here and written as Kubeflow Pipelines reads them.

Its scheduler (robfig/cron 1) has a field for seconds before the usual five, and takes five as six without the last:
``0 4 * * *`` would run each hour. It knows no day 7.
"""

import re
from typing import NamedTuple

from newsrec.config import InvalidConfig

EXAMPLE = "'0 4 * * *', which is every day at four"


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """Of the values from ``low`` on."""

    @property
    def values(self) -> str:
        named = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{named}"


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 6, _DAYS),
)
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/[1-9][0-9]*)?")


def with_seconds(cron: str) -> str:
    """``cron`` with its seconds, always 0, in front. Raises InvalidConfig."""
    values = cron.split()
    if len(values) != len(FIELDS):
        names = ", ".join(field.name for field in FIELDS)
        raise InvalidConfig(f"cron is {cron!r} with {len(values)} fields, expected 5 ({names}), such as {EXAMPLE}")
    for field, value in zip(FIELDS, values, strict=True):
        if not all(_valid(field, part) for part in value.split(",")):
            raise InvalidConfig(f"cron is {cron!r}: {field.name} {value!r}, expected {field.values}, as in {EXAMPLE}")
    return " ".join(["0", *values])


def _valid(field: _Field, part: str) -> bool:
    """Whether ``part`` is ``*``, a value or a range, perhaps with a step."""
    match = _PART.fullmatch(part)
    if match is None:
        return False
    ends = [_number(field, text) for text in (match["first"], match["last"]) if text is not None]
    return all(end is not None and field.low <= end <= field.high for end in ends) and ends == sorted(ends)


def _number(field: _Field, text: str) -> int | None:
    if text.lower() in field.names:
        return field.low + field.names.index(text.lower())
    return int(text) if text.isascii() and text.isdigit() else None
