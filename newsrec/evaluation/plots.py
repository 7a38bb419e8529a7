"""Plots of a comparison: policies with intervals, slices of time and readers, variety of the lists."""

from datetime import datetime
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
"""Okabe and Ito (2008): told apart by colour-blind readers too."""
_WORDS = {"ndcg": "nDCG", "mrr": "MRR", "auc": "AUC"}


def label(metric: str) -> str:
    """A metric's name for people: ``impression_ndcg_at_5`` becomes ``impression nDCG@5``."""
    name, _, cut = metric.partition("_at_")
    return " ".join(_WORDS.get(word, word) for word in name.split("_")) + (f"@{cut}" if cut else "")


def captions(comparison: dict[str, Any]) -> dict[str, str]:
    """The plots of a comparison: file name and caption of each."""
    k, share = comparison["protocol"]["k"], f"{comparison['protocol']['confidence']:.0%}"
    found = {"policies.png": f"Each policy with its {share} interval; further right is better."}
    if any(comparison["differences"].values()):
        found["lifts.png"] = f"Paired difference in nDCG@{k}; an interval beyond the line is a difference."
    return found | {
        "lists.png": "Variety of the lists: how much of the catalogue appears, how alike they are, how new.",
        "slices.png": f"nDCG@{k} over time (UTC) and by what is known of the reader, {share} intervals.",
    }


def write_plots(directory: Path, comparison: dict[str, Any]) -> None:
    """Writes the PNG files that ``captions`` names into ``directory``."""
    draw = {"policies.png": _policies, "lifts.png": _lifts, "lists.png": _lists, "slices.png": _slices}
    for name in captions(comparison):
        draw[name](comparison).savefig(directory / name, dpi=110)


def _policies(comparison: dict[str, Any]) -> Figure:
    k, policies = comparison["protocol"]["k"], comparison["policies"]
    figure = Figure(figsize=(10, 1.8 + 0.7 * len(policies)), layout="constrained")
    metrics = (f"ndcg_at_{k}", f"hit_at_{k}", "mrr", "impression_auc")
    for axes, metric in zip(figure.subplots(2, 2, sharey=True).flat, metrics, strict=True):
        _dots(axes, {name: values[metric] for name, values in policies.items()}, list(policies))
        axes.set_title(label(metric), fontsize=11)
        if metric == "impression_auc":
            axes.axvline(0.5, color="#999999", linewidth=1, linestyle=":")
    return figure


def _lifts(comparison: dict[str, Any]) -> Figure:
    metric, names = f"ndcg_at_{comparison['protocol']['k']}", list(comparison["policies"])
    against = {baseline: policies for baseline, policies in comparison["differences"].items() if policies}
    figure = Figure(figsize=(10, 1.2 + 0.4 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(against), squeeze=False, sharey=True)[0]
    for axes, (baseline, policies) in zip(panels, against.items(), strict=True):
        _dots(axes, {name: found["metrics"][metric] for name, found in policies.items()}, names)
        axes.axvline(0, color="#999999", linewidth=1)
        axes.set_title(f"{label(metric)}, lift over {baseline}", fontsize=11)
    return figure


def _lists(comparison: dict[str, Any]) -> Figure:
    k, policies = comparison["protocol"]["k"], comparison["policies"]
    figure = Figure(figsize=(10, 1.2 + 0.4 * len(policies)), layout="constrained")
    metrics = (f"coverage_at_{k}", f"same_list_at_{k}", f"new_at_{k}")
    for axes, metric in zip(figure.subplots(1, 3, sharey=True), metrics, strict=True):
        _dots(axes, {name: values[metric] for name, values in policies.items()}, list(policies))
        axes.set_xlim(-0.03, 1.03)
        axes.set_title(label(metric), fontsize=11)
    return figure


def _slices(comparison: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    over_time, by_reads = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    names = list(comparison["policies"])
    times = comparison["slices"]["time"]
    _series(over_time, times, _moments([part["slice"] for part in times]), names)
    reads = comparison["slices"]["reads"]
    _series(by_reads, reads, [f"{part['slice']}\nn = {part['decisions']:,}" for part in reads], names)
    over_time.set_ylabel(label(f"ndcg_at_{comparison['protocol']['k']}"))
    over_time.tick_params("x", rotation=35)
    for text in over_time.get_xticklabels():
        text.set_ha("right")
    figure.legend(*over_time.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _dots(axes: Axes, values: dict[str, dict[str, Any]], names: list[str]) -> None:
    """One row a policy, the first on top, with its interval where it has one."""
    for row, name in enumerate(names):
        value = values.get(name, {})
        if value.get("mean") is not None:
            axes.errorbar(value["mean"], row, xerr=_arms(value), fmt="o", color=_colour(row), capsize=3, markersize=6)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.locator_params("x", nbins=6)
    _plain(axes, "x")


def _series(axes: Axes, slices: list[dict[str, Any]], ticks: list[str], names: list[str]) -> None:
    """One line a policy over the slices, side by side so that intervals do not hide one another."""
    for row, name in enumerate(names):
        at = [i for i, part in enumerate(slices) if part["policies"][name]["mean"] is not None]
        values = [slices[i]["policies"][name] for i in at]
        arms = [[_arms(value)[end][0] for value in values] for end in (0, 1)]
        shifted = [i + 0.5 * (row + 0.5 - len(names) / 2) / len(names) for i in at]
        means = [value["mean"] for value in values]
        axes.errorbar(
            shifted, means, yerr=arms, fmt="o-", color=_colour(row), label=name, capsize=2, markersize=4, linewidth=1
        )
    axes.set_xticks(range(len(slices)), ticks)
    axes.set_xlim(-0.6, len(slices) - 0.4)
    _plain(axes, "y")


def _arms(value: dict[str, Any]) -> list[list[float]]:
    """What errorbar draws below and above a mean; nothing for a value without an interval."""
    if value["low"] is None:
        return [[0.0], [0.0]]
    return [[max(0.0, value["mean"] - value["low"])], [max(0.0, value["high"] - value["mean"])]]


def _moments(times: list[str]) -> list[str]:
    """Short dates, with the hour where the slices are shorter than a day."""
    moments = [datetime.fromisoformat(time) for time in times]
    hours = any(moment.hour for moment in moments)
    return [f"{moment.day} {moment:%b %H:%M}" if hours else f"{moment.day} {moment:%b %Y}" for moment in moments]


def _colour(row: int) -> str:
    return COLOURS[row % len(COLOURS)]


def _plain(axes: Axes, grid: str) -> None:
    axes.grid(axis=grid, color="#e5e5e5")  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
