"""Plots of an observation: the stability index of each feature, and what two releases are worth day by day."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from newsrec.evaluation.plots import COLOURS
from newsrec.monitoring.drift import Drift
from newsrec.monitoring.live_value import LiveValue

SERVED, BEFORE, GREY = COLOURS[0], COLOURS[1], COLOURS[6]
EDGE = 1.0
"""Where the axis of the stability index ends: nobody asks how much more than a large change it is."""


def drift_plot(drifts: Mapping[str, Drift]) -> Figure:
    """A row a feature, those that are judged on top: PSI, and the limit that it would have to exceed."""
    measured = [(name, drift, drift.psi) for name, drift in drifts.items() if drift.psi is not None]
    measured.sort(key=lambda row: (not row[1].judged, -row[2]))
    figure = Figure(figsize=(8, 1.4 + 0.3 * len(measured)), layout="constrained")
    axes = figure.subplots()
    for row, (_, drift, psi) in enumerate(measured):
        colour = BEFORE if drift.drifted else SERVED if drift.judged else GREY
        axes.plot(min(drift.limit, EDGE), row, "|", color="#999999", markersize=12)
        marker = "o" if psi <= EDGE else ">"
        axes.plot(min(psi, EDGE), row, marker, color=colour, fillstyle="full" if drift.judged else "none")
    axes.set_yticks(range(len(measured)), [name for name, _, _ in measured])
    axes.set_ylim(len(measured) - 0.5, -0.5)
    axes.set_xlim(-0.01, EDGE + 0.03)
    axes.set_xlabel(f"PSI today; line: limit; hollow: not judged; arrow: above {EDGE:g}")
    _plain(axes, "x")
    return figure


def value_plot(value: LiveValue) -> Figure:
    """Reward per decision of each day, with intervals, of the served release and the one before it."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    days = range(len(value.days))
    for label, colour, side, shift in (("served", SERVED, "live", 0.08), ("before it", BEFORE, "previous", -0.08)):
        found = [getattr(day, side) for day in value.days]
        at = [day for day in days if not math.isnan(found[day].mean)]
        means = [found[day].mean for day in at]
        low = [max(0.0, found[day].mean - found[day].low) for day in at]
        high = [max(0.0, found[day].high - found[day].mean) for day in at]
        places = [day + shift for day in at]
        axes.errorbar(places, means, yerr=[low, high], fmt="o-", color=colour, label=label, capsize=2, markersize=4)
    ends = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=day.end) for day in value.days]
    axes.set_xticks(days, [f"{end.day} {end:%b}" for end in ends], rotation=35, ha="right")
    axes.set_xlim(-0.6, len(value.days) - 0.4)
    axes.set_ylabel("reward per decision, clicks")
    axes.set_xlabel("day up to")
    axes.legend(frameon=False)
    _plain(axes, "y")
    return figure


def _plain(axes: Axes, grid: str) -> None:
    axes.grid(axis=grid, color="#e5e5e5")  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
