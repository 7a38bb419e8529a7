"""Plots of a comparison: active days, lifts, shares of the headroom, and the lift over the elasticity."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from newsrec.compare.outcomes import Judged, Outcomes
from newsrec.compare.study import Study
from newsrec.evaluation.plots import COLOURS

COLUMNS = 3
"""Worlds side by side."""


class Interval(NamedTuple):
    """A value and what is drawn around it."""

    value: float
    low: float
    high: float


def captions(study: Study, outcomes: Outcomes) -> dict[str, str]:
    """The plots of a comparison: file name and caption of each."""
    found = {
        "active_days.png": f"Simulated active days a reader in {study.days} days from assignment, those who never came "
        "included, with 95 % intervals.",
        "lift.png": f"Simulated lift in active days over {study.baseline}, readers paired, with 95 % intervals.",
    }
    if any(world.headroom for world in outcomes.worlds.values()):
        found["headroom.png"] = (
            "Simulated lift as a share of what a planner who knows the truth wins over a perfect click model; an open "
            "interval means that the headroom itself is not told from 0."
        )
    if outcomes.curves:
        found["elasticity.png"] = (
            f"Simulated lift over {study.baseline} where returns depend more or less on what was read; the log was "
            f"written at {study.log.elasticity:g}."
        )
    return found


def write_plots(directory: Path, study: Study, outcomes: Outcomes) -> None:
    """Write the PNG files that ``captions`` names into ``directory``."""
    draw: dict[str, Callable[[Study, Outcomes], Figure]] = {
        "active_days.png": _active_days,
        "lift.png": _lift,
        "headroom.png": _headroom,
        "elasticity.png": _elasticity,
    }
    for name in captions(study, outcomes):
        draw[name](study, outcomes).savefig(directory / name, dpi=110)


def _active_days(study: Study, outcomes: Outcomes) -> Figure:
    def of(world: Judged) -> dict[str, Interval]:
        return {name: Interval(*levels["active_days"]) for name, levels in world.levels.items()}

    return _by_world(outcomes, of, f"Simulated active days in {study.days} days", None)


def _lift(study: Study, outcomes: Outcomes) -> Figure:
    def of(world: Judged) -> dict[str, Interval]:
        found = world.contrasts.items()
        return {name: _percent(c.lift, c.lift_low, c.lift_high) for name, c in found}

    return _by_world(outcomes, of, f"Simulated lift in active days over {study.baseline}, %", 0.0)


def _headroom(study: Study, outcomes: Outcomes) -> Figure:
    def of(world: Judged) -> dict[str, Interval]:
        return {name: _percent(*share) for name, share in world.headroom.items()}

    return _by_world(outcomes, of, f"Simulated share of the headroom over {study.baseline}, %", 0.0)


def _elasticity(study: Study, outcomes: Outcomes) -> Figure:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for row, (name, curve) in enumerate(outcomes.curves.items()):
        at = [point.elasticity for point in curve.points]
        apart = 0.015 * (max(at) - min(at)) * (row - (len(outcomes.curves) - 1) / 2)  # intervals do not hide each other
        lifts = [_percent(p.contrast.lift, p.contrast.lift_low, p.contrast.lift_high) for p in curve.points]
        _series(axes, [elasticity + apart for elasticity in at], lifts, name, row)
    axes.axhline(0.0, color="#999999", linewidth=1)
    axes.axvline(study.log.elasticity, color="#999999", linewidth=1, linestyle=":")
    axes.set_xlabel("elasticity of the return in what earlier reads have left (dotted: the log's)")
    axes.set_title(f"Simulated lift in active days over {study.baseline}, %", fontsize=11)
    axes.legend(frameon=False)
    _quiet(axes, "y")
    return figure


def _by_world(
    outcomes: Outcomes, of: Callable[[Judged], Mapping[str, Interval]], title: str, line: float | None
) -> Figure:
    """A panel for each world, in it a row for each policy."""
    found = {world: of(judged) for world, judged in outcomes.worlds.items()}
    names = list(dict.fromkeys(name for values in found.values() for name in values))
    columns = min(COLUMNS, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(4 + 3 * columns, (1.2 + 0.35 * len(names)) * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, (world, values) in zip(panels, found.items(), strict=False):
        _dots(axes, values, names)
        axes.set_title(f"simulated: {world}", fontsize=10)
        if line is not None:
            axes.axvline(line, color="#999999", linewidth=1)
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    figure.suptitle(title, fontsize=11)
    return figure


def _dots(axes: Axes, values: Mapping[str, Interval], names: Sequence[str]) -> None:
    """One row a policy, the first on top; an interval without ends is left out."""
    for row, name in enumerate(names):
        if name in values and math.isfinite(values[name].value):
            value, arms = values[name].value, _arms(values[name])
            axes.errorbar(value, row, xerr=[[arm] for arm in arms], fmt="o", color=_colour(row), capsize=3)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.locator_params("x", nbins=6)
    _quiet(axes, "x")


def _series(axes: Axes, at: Sequence[float], values: Sequence[Interval], name: str, row: int) -> None:
    arms = list(zip(*map(_arms, values), strict=True))
    means = [value.value for value in values]
    axes.errorbar(at, means, yerr=arms, fmt="o-", color=_colour(row), label=name, capsize=2, markersize=4, linewidth=1)


def _percent(value: float, low: float, high: float) -> Interval:
    return Interval(100 * value, 100 * low, 100 * high)


def _arms(interval: Interval) -> tuple[float, float]:
    """What errorbar draws below and above."""
    value, low, high = interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 0.0
    return max(0.0, value - low), max(0.0, high - value)


def _colour(row: int) -> str:
    return COLOURS[row % len(COLOURS)]


def _quiet(axes: Axes, grid: str) -> None:
    axes.grid(axis=grid, color="#e5e5e5")  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
