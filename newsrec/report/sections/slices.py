"""For whom each policy is good: kinds of readers and categories."""

from typing import Any

from newsrec.evaluation.plots import label
from newsrec.report import figures
from newsrec.report.blocks import Block, Cell, Figure, Figures, Folded, Section, Table, Text, missing
from newsrec.report.figures import Value
from newsrec.report.numbers import counted, interval, told_apart
from newsrec.report.sections.comparison import Number

TITLES = {"readers": "New readers and heavy readers", "categories": "Categories"}
DRAWN = 3
"""Slices of a group that get a plot; all of them stand in the table."""


def slices(found: dict[str, Any] | None, group: str, number: Number) -> Section:
    """The group ``readers`` or ``categories``."""
    title, parts = TITLES[group], (found or {}).get("groups", {}).get(group, [])
    if not found or not parts:
        why = "No decision with a click falls into any of these slices."
        return missing(
            group,
            title,
            why
            if found
            else "There are no slices here (slices.json): this is no run of the pipeline, or an older one.",
        )
    metric, baseline = label(found["metric"]), found["baseline"]
    names = list(parts[0]["policies"])
    plots = []
    for part in parts[:DRAWN]:
        lifts = {name: Value(v["mean"], v["low"], v["high"]) for name, v in part["lifts"].items()}
        if lifts:
            alt = "; ".join(f"{name} {interval(value, '+')}" for name, value in part["lifts"].items())
            svg = figures.dots(lifts, names, number(), 0.0)
            plots.append(Figure(svg, part["slice"], f"Lift in {metric}, {part['slice']}: {alt}."))
    blocks: list[Block] = []
    if plots:
        caption = f"Lift in {metric} over {baseline} with {found['confidence']:.0%} intervals by reader."
        blocks.append(Figures(plots, caption))
    lifted = [name for name in names if name != baseline]
    rows = [
        [part["slice"], f"{part['decisions']:,}", f"{part['readers']:,}"]
        + [Cell(interval(part["lifts"][name], "+"), told_apart(part["lifts"][name])) for name in lifted]
        for part in parts
    ]
    head = ("slice", "decisions", "readers", *lifted)
    blocks.append(Table(f"Lift in {metric} over {baseline}; coloured where the interval excludes zero", head, rows))
    rows = [[part["slice"], *(interval(part["policies"][name]) for name in names)] for part in parts]
    blocks.append(Folded(f"{metric} of every policy", [Table(f"{metric} by slice", ("slice", *names), rows)]))
    blocks.append(Text(_meaning(parts, group), "quiet"))
    return Section(group, title, blocks)


def _meaning(parts: list[dict[str, Any]], group: str) -> str:
    if group == "readers":
        meanings = "; ".join(f"{part['slice']}: {part['meaning']}" for part in parts)
        return f"{meanings[:1].upper()}{meanings[1:]}. Decisions without a click define no figure and do not count."
    shown = counted(len(parts), "category", "categories")
    return (
        f"A category holds the decisions with a click on an article of it; {shown} with the most of them. With so many "
        "intervals of 95 %, one in twenty excludes zero by chance."
    )
