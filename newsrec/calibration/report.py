"""A calibration for people and programs: tables for the terminal, a report with plots, and the world as TOML."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from newsrec.calibration.comparison import Calibration
from newsrec.calibration.plots import curves
from newsrec.config import to_mapping
from newsrec.evaluation.log_statistics import Statistic, distance, inside, points_inside
from newsrec.files import whole_directory
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.parameters import Estimate

WORLD, REPORT, CURVES, FIGURES = "world.toml", "report.md", "curves.png", "calibration.json"
STATISTICS = ("statistic", "log", "interval", "readers", "rows", "simulator", "distance", "inside")
PARAMETERS = ("parameter", "value", "interval", "readers", "matched")
ONLY_CLICKED = "The log left out slates without a click, so those are left out of the simulated log too."
SESSIONS = "In both, a session begins where a reader had no slate for half an hour. Readers are those who were seen."


def write(directory: str | Path, source: str, calibration: Calibration) -> Path:
    """Write ``directory`` whole: world.toml, report.md, curves.png and calibration.json; an older one is replaced."""
    refuse_foreign(directory)
    with whole_directory(directory) as partial:
        (partial / WORLD).write_text(to_toml(source, calibration), encoding="utf-8")
        (partial / REPORT).write_text(to_markdown(source, calibration), encoding="utf-8")
        (partial / FIGURES).write_text(json.dumps(to_mapping_of(source, calibration), indent=1, allow_nan=False))
        curves(calibration.log, calibration.simulated, calibration.confidence).savefig(partial / CURVES, dpi=110)
    return Path(directory)


def refuse_foreign(directory: str | Path) -> None:
    """Raise FileExistsError where ``directory`` holds anything but an older calibration."""
    path, ours = Path(directory), {WORLD, REPORT, CURVES, FIGURES}
    if path.exists() and not (path.is_dir() and {file.name for file in path.iterdir()} <= ours):
        raise FileExistsError(f"{directory} exists and is no calibration; expected a new or an empty folder")


def tables(calibration: Calibration) -> Group:
    """What was fitted, then statistic by statistic the log and the simulator, then why the log does not tell others."""
    told = (row for row in _statistic_rows(calibration) if not calibration.log[row[0]].refusal)
    refused = [(name, found.refusal) for name, found in calibration.log.items() if found.refusal]
    parts = [_table(PARAMETERS, _parameter_rows(calibration)), _table(STATISTICS, told)]
    parts += [_table(("not told", "why"), refused)] * bool(refused)
    return Group(parts[0], *(part for table in parts[1:] for part in ("", table)))


def to_toml(source: str, calibration: Calibration) -> str:
    """What differs from the defaults, with how it is known; ``newsrec simulate --config`` takes it."""
    estimates, tables = _estimates(source, calibration), dict[str, list[str]]({"": []})
    known = dict.fromkeys((estimate.parameter for estimate in estimates), "estimated")
    known |= dict.fromkeys(calibration.read_off, "read off the log")
    for path, value in _differences(to_mapping(calibration.config), to_mapping(SimulationConfig())):
        table, _, name = path.rpartition(".")
        tables.setdefault(table, []).append(f"{name} = {_literal(value)}  # {known.get(path, 'given')}")
    tables[""] += ["estimated = [", *(f"  {_inline(to_mapping(estimate))}," for estimate in estimates), "]"]
    sections = ["\n".join([f"[{table}]"] * bool(table) + rows) for table, rows in tables.items()]
    return f"# Fitted to {' '.join(source.split())}\n" + "\n\n".join(sections) + "\n"


def to_markdown(source: str, calibration: Calibration) -> str:
    """The report; the plot that it shows stands beside it."""
    notes = [SESSIONS] + [ONLY_CLICKED] * calibration.only_clicked
    share = f"{calibration.confidence:.0%}"
    told = ", ".join(f"{name} = {value}" for name, value in calibration.read_off.items())
    assumed = [(f"`{path}`", why) for path, why in calibration.assumed.items()]
    sections = [
        f"# A simulated newsroom fitted to {source}",
        " ".join(notes),
        "## What the log tells",
        f"Brackets are {share} intervals over readers; *matched* says whether the fitted world measures like the log.",
        _markdown(PARAMETERS, _parameter_rows(calibration)),
        f"Read off as it stands: {told}.",
        "## Log against simulator",
        f"Brackets are {share} intervals that resample readers; in brackets behind the readers, how many readers with "
        "equally many rows would tell as much. The distance of a curve is its largest, that of hours and weekdays the "
        "mean way around the clock. *Inside* counts the points of a curve.",
        _markdown(STATISTICS, _statistic_rows(calibration)),
        f"![Real and simulated distributions]({CURVES})",
        "## What stays assumed",
        _markdown(("parameter", "why the log does not tell it"), assumed),
    ]
    return "\n\n".join(sections) + "\n"


def to_mapping_of(source: str, calibration: Calibration) -> dict[str, Any]:
    """The calibration as plain values, NaN as None."""
    statistics = {}
    for name, log in calibration.log.items():
        simulated = calibration.simulated[name]
        statistics[name] = {
            "meaning": log.question.meaning,
            "unit": log.question.unit,
            "log": _plain(log),
            "simulated": _plain(simulated),
            "distance": _number(distance(log, simulated)),
            "inside": inside(log, simulated),
        }
    return {
        "log": source,
        "confidence": calibration.confidence,
        "only_slates_with_a_click": calibration.only_clicked,
        "fitted": [fitted._asdict() for fitted in calibration.fitted],
        "read_off": calibration.read_off,
        "assumed": calibration.assumed,
        "statistics": statistics,
    }


def _parameter_rows(calibration: Calibration) -> Iterator[tuple[str, ...]]:
    for fitted in calibration.fitted:
        interval = f"[{fitted.low:.3g}, {fitted.high:.3g}]"
        readers, matched = f"{fitted.readers:,}", "yes" if fitted.matched else "no"
        yield fitted.parameter, f"{fitted.value:.3g}", interval, readers, matched


def _statistic_rows(calibration: Calibration) -> Iterator[tuple[str, ...]]:
    for name, log in calibration.log.items():
        simulated = calibration.simulated[name]
        if log.refusal:
            yield name, "not told", log.refusal, "", "", "", "", ""
            continue
        curve = len(log.value) > 1
        value = f"{len(log.value)} points" if curve else _measured(log.value[0], log)
        interval = "" if curve else f"[{log.low[0]:.3g}, {log.high[0]:.3g}]"
        readers = f"{log.readers:,} ({log.effective_readers:,.0f})"
        if simulated.refusal:
            yield name, value, interval, readers, f"{log.rows:,}", "not told", simulated.refusal, ""
            continue
        other = f"{len(simulated.value)} points" if curve else _measured(simulated.value[0], simulated)
        within = "yes" if inside(log, simulated) else "no"
        if curve and log.question.shape != "cycle":
            points = points_inside(log, simulated)
            within = f"{points.sum()} of {len(points)}"
        yield name, value, interval, readers, f"{log.rows:,}", other, f"{distance(log, simulated):.3g}", within


def _measured(value: float, statistic: Statistic) -> str:
    return f"{value:.3g} {statistic.question.unit}".strip()


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in ("statistic", "parameter", "not told"))
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(columns: tuple[str, ...], rows: Any) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _differences(values: dict[str, Any], defaults: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _differences(value, defaults[name], f"{prefix}{name}.")
        elif value != defaults[name] and name != "estimated":
            yield prefix + name, value


def _estimates(source: str, calibration: Calibration) -> list[Estimate]:
    """Those of this log, and what others had told of the world before."""
    found = [
        Estimate(*fitted[:4], calibration.confidence, fitted.readers, " ".join(source.split()))
        for fitted in calibration.fitted
    ]
    new = {estimate.parameter for estimate in found}
    return found + [estimate for estimate in calibration.config.estimated if estimate.parameter not in new]


def _inline(values: dict[str, Any]) -> str:
    """A TOML table on one line."""
    return "{" + ", ".join(f"{name} = {_literal(value)}" for name, value in values.items()) + "}"


def _literal(value: Any) -> str:
    """TOML; numbers with four digits, which is more than any of them is known to."""
    if isinstance(value, float):
        return repr(float(f"{value:.4g}"))
    return json.dumps(value)


def _plain(statistic: Statistic) -> dict[str, Any]:
    if statistic.refusal:
        return {"refusal": statistic.refusal}
    numbers = {name: list(map(_number, getattr(statistic, name))) for name in ("at", "value", "low", "high")}
    sizes = {"readers": statistic.readers, "effective_readers": statistic.effective_readers, "rows": statistic.rows}
    return numbers | sizes


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
