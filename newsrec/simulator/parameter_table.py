"""The parameters of a world as Markdown: value, unit, meaning, and whether a log told them."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.parameters import Parameter, parameters

COLUMNS = ("parameter", "value", "unit", "origin", "meaning")


def to_markdown(config: SimulationConfig) -> str:
    """A table for each table of the configuration, under what that is about, and how many parameters are known how."""
    claims = [claim for claim in parameters(config, config.estimated) if claim.path != "estimated"]
    defaults = {default.path: default.value for default in parameters(SimulationConfig())}
    origins = Counter(claim.origin for claim in claims)
    counts = ", ".join(f"{origins[origin]} {origin}" for origin in ("estimated", "assumed", "set") if origins[origin])
    sections = [f"{len(claims)} parameters: {counts}."]
    for name, rows in groupby(claims, lambda claim: claim.path.rpartition(".")[0]):
        about = (type(getattr(config, name)) if name else type(config)).__doc__ or ""
        title = [f"**`{name}`**: {about.splitlines()[0]}"] if name else []
        sections += [*title, "\n".join(_lines(rows, defaults))]
    return "\n\n".join(sections) + "\n"


def _lines(rows: Iterator[Parameter], defaults: dict[str, object]) -> Iterator[str]:
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|---" * len(COLUMNS) + "|"
    for row in rows:
        default = "" if row.value == defaults[row.path] else f" (default {defaults[row.path]})"
        name = row.path.rpartition(".")[2]
        yield f"| `{name}` | {row.value}{default} | {row.unit} | {_origin(row)} | {row.meaning} |"


def _origin(row: Parameter) -> str:
    found = row.estimate
    if found is None:
        return row.origin
    interval = f"{found.confidence:.0%} interval {found.low:g} to {found.high:g}"
    return f"estimated: {found.log}, {found.readers:,} readers, {interval}"
