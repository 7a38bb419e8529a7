"""Real against simulated distributions: one panel a curve, with the log's band and both sample sizes."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from newsrec.evaluation.log_statistics import Statistic
from newsrec.evaluation.plots import COLOURS

LOG, SIMULATED = COLOURS[0], COLOURS[1]
COLUMNS = 3
Y_LABELS = {"shares": "share at most", "survival": "share not back yet", "rates": "clicks an article", "cycle": "share"}
WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


def curves(log: dict[str, Statistic], simulated: dict[str, Statistic], confidence: float) -> Figure:
    """Every curve that the log tells; the band holds ``confidence`` at each point."""
    told = [name for name, found in log.items() if found.question.shape != "figure" and not found.refusal]
    rows = max(1, math.ceil(len(told) / COLUMNS))
    figure = Figure(figsize=(4.2 * COLUMNS, 0.5 + 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, name in zip(panels, told, strict=False):
        _panel(axes, log[name], simulated[name], confidence)
    for axes in panels[len(told) :]:
        axes.set_axis_off()
    if told:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def _panel(axes: Axes, log: Statistic, simulated: Statistic, confidence: float) -> None:
    axes.fill_between(
        log.at, log.low, log.high, color=LOG, alpha=0.2, linewidth=0, label=f"{confidence:.0%} of the log"
    )
    axes.plot(log.at, log.value, "o-", color=LOG, markersize=3, linewidth=1, label="log")
    sizes = f"log: {_size(log)}"
    if not simulated.refusal:
        axes.plot(simulated.at, simulated.value, "s--", color=SIMULATED, markersize=3, linewidth=1, label="simulator")
        sizes += f"\nsimulator: {_size(simulated)}"
    axes.set_title(f"{log.question.meaning}\n{sizes}", fontsize=9)
    axes.set_ylabel(Y_LABELS[log.question.shape], fontsize=9)
    axes.set_ylim(0.0, 1.02 if log.question.shape in ("shares", "survival") else None)
    _x_axis(axes, log)
    axes.grid(color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _x_axis(axes: Axes, log: Statistic) -> None:
    unit = {"s": "seconds", "h": "hours"}.get(log.question.unit, "")
    if log.question.name == "weekdays":
        axes.set_xticks(range(7), WEEKDAYS)
    elif log.question.shape in ("shares", "survival"):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(unit if log.question.name != "weekdays" else "", fontsize=9)


def _size(found: Statistic) -> str:
    return f"n = {found.rows:,}, {found.readers:,} readers"
