"""A simulated study: active days under each policy, over the elasticity of returns, and as a curve of readers."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from newsrec.config import InvalidConfig
from newsrec.report import figures
from newsrec.report.blocks import Block, Cell, Figure, Figures, Folded, Row, Section, Table, Text, missing
from newsrec.report.figures import Curve, Value
from newsrec.report.numbers import interval, percent, told_apart
from newsrec.report.retention import Retention, retention
from newsrec.report.sections.comparison import Number

NO_STUDY = "No simulated study was given: newsrec compare makes one, and --study joins it to this page."
ORACLES = {
    "planner": "knows readers and articles",
    "greedy_click": "a perfect click model",
    "greedy_dwell": "knows minutes read",
}
"""Policies of a study that know what no policy can; named so on the page."""
OTHERS = ("visits", "clicks", "dwell_minutes", "return_within_week", "hides", "click_rate", "coverage")
TOLD_DAYS = (1, 2, 4, 7, 14, 21, 28)
"""Of the curve of active days, in its table."""


def active_days(found: dict[str, Any] | None, number: Number) -> Section:
    title = "Active days"
    if found is None:
        return missing("active-days", title, NO_STUDY)
    study = found["study"]
    blocks: list[Block] = [Text(_made(study))]
    for world, judged in found["worlds"].items():
        blocks += _world(world, judged, study, number)
    return Section("active-days", f"Active days in {study['days']} days, simulated", blocks)


def elasticity(found: dict[str, Any] | None, number: Number) -> Section:
    """The lift over how much returns depend on what was read."""
    title = "Lift over the elasticity of returns"
    if found is None:
        return missing("elasticity", title, NO_STUDY)
    curves = found.get("curves") or {}
    if not curves:
        why = "The study has no two worlds that differ by elasticity alone, so there is no curve."
        return missing("elasticity", title, why)
    order = list(next(iter(found["worlds"].values()))["levels"])
    drawn = {name: _curve(curve["points"]) for name, curve in curves.items()}
    at = next(iter(drawn.values())).x
    rows = [
        [name, *(_lift(point["contrast"]) for point in curve["points"]), _yes(curve["monotone"]), _yes(curve["rises"])]
        for name, curve in curves.items()
    ]
    alt = "; ".join(f"{name} {', '.join(_percents(curve.values))}" for name, curve in drawn.items())
    baseline = found["study"]["baseline"]
    svg = figures.lines(drawn, order, number(), "elasticity of the return in what was read", 0.0, percent=True)
    figure = Figure(
        svg, f"Lift in active days over {baseline}", f"Lift by elasticity: {alt}.", figures.legend(list(drawn), order)
    )
    caption = (
        "How much returning depends on what was read is an assumption: a lift that holds only where it is strong is "
        f"worth less. The log was written at {found['study']['log']['elasticity']:g}."
    )
    head = ("policy", *(f"{value:g}" for value in at), "may never fall", "rises")
    return Section("elasticity", title, [Figures([figure], caption), Table("Lift by elasticity", head, rows)])


def retained(found: dict[str, Any] | None, plays: Path | None, number: Number) -> Section:
    """Readers by the active days that they reach."""
    title = "How many readers stay active"
    if found is None:
        return missing("retention", title, NO_STUDY)
    if plays is None:
        why = "The plays of this study are not beside its results, so only means are known: see active days."
        return missing("retention", title, why)
    try:
        worlds = retention(found, plays)
    except InvalidConfig as error:
        return missing("retention", title, f"The plays of this study cannot be read by this version: {error}.")
    blocks: list[Block] = []
    for world, of in worlds.items():
        if of.shares:
            blocks += _retained(world, of, list(found["worlds"][world]["levels"]), number)
        if of.left_out:
            blocks.append(Text(f"{world}: no plays are there of {', '.join(of.left_out)}.", "missing"))
    if not any(of.shares for of in worlds.values()):
        return missing("retention", title, f"The plays of this study are not in {plays.name}/play: see active days.")
    blocks.append(
        Text(
            "Everybody is followed for the same days, those who never came with zero, so nothing is censored. Plays "
            "hold days and not when each gap ended: a curve of gaps (Kaplan and Meier) cannot be told from them.",
            "quiet",
        )
    )
    return Section("retention", title, blocks)


def _made(study: Mapping[str, Any]) -> str:
    log, seeds = study["log"], ", ".join(map(str, study["seeds"]))
    intervals = (
        "95 % intervals are Student's over the training seeds."
        if len(study["seeds"]) > 1
        else "One training seed: the 95 % intervals are about readers and say nothing about another training."
    )
    return (
        f"Simulated. Each policy was trained (seeds {seeds}) on a log of {log['readers']:,} simulated readers and "
        f"{log['days']} days and then chose the slates of {study['readers']:,} other simulated readers a seed for "
        f"{study['days']} days, all policies of the same readers with the same luck. {intervals} The baseline is "
        f"{study['baseline']}."
    )


def _world(world: str, judged: dict[str, Any], study: Mapping[str, Any], number: Number) -> list[Block]:
    order, baseline = list(judged["levels"]), study["baseline"]
    days = {name: levels["active_days"] for name, levels in judged["levels"].items()}
    lifts = {
        name: {"value": c["lift"], "low": c["lift_low"], "high": c["lift_high"]}
        for name, c in judged["contrasts"].items()
    }
    plots = [
        _figure(days, order, number, f"Active days a reader: {world}", lambda value: interval(value, digits=2)),
        _figure(lifts, order, number, f"Lift over {baseline}, readers paired: {world}", percent, line=0.0),
    ]
    rows: list[Row] = [
        [
            _told(name, baseline),
            interval(days[name], digits=2),
            Cell(percent(lifts[name]) if name in lifts else "", told_apart(lifts.get(name))),
            percent(judged["headroom"][name]) if name in judged["headroom"] else "",
        ]
        for name in order
    ]
    head = ("policy", "active days", f"lift over {baseline}", "share of the headroom")
    known = [outcome for outcome in OTHERS if outcome in next(iter(judged["levels"].values()))]
    more = [[name, *(_value(levels[outcome]) for outcome in known)] for name, levels in judged["levels"].items()]
    other = Table(f"Other outcomes: {world}", ("policy", *(name.replace("_", " ") for name in known)), more)
    return [
        Figures(plots, "Intervals of active days are not paired: two that overlap say nothing about the difference."),
        Table(f"Active days: {world}", head, rows),
        Folded(f"Other outcomes: {world}", [other]),
    ]


def _figure(
    values: Mapping[str, Any], order: list[str], number: Number, title: str, say: Any, line: float | None = None
) -> Figure:
    plain = {name: Value(value["value"], value["low"], value["high"]) for name, value in values.items()}
    told = "; ".join(f"{name} {say(value)}" for name, value in values.items())
    return Figure(figures.dots(plain, order, number(), line, percent=line is not None), title, f"{title}: {told}.")


def _retained(world: str, of: Retention, order: list[str], number: Number) -> list[Block]:
    last = len(next(iter(of.shares.values()))) - 1
    at = [day for day in TOLD_DAYS if day < last] + [last]
    curves = {
        name: Curve(
            list(range(last + 1)), [Value(*(None if math.isnan(x) else x for x in row)) for row in shares.tolist()]
        )
        for name, shares in of.shares.items()
    }
    rows = [[name, *(f"{of.shares[name][day, 0]:.1%}" for day in at)] for name in curves]
    alt = "; ".join(f"{name} {', '.join(row[1:])}" for name, row in zip(curves, rows, strict=True))
    days = ", ".join(map(str, at))
    svg = figures.lines(curves, order, number(), "active days, at least", percent=True)
    title = f"Readers with at least so many active days: {world}"
    figure = Figure(svg, title, f"{title}. At {days} days: {alt}.", figures.legend(list(curves), order))
    caption = "The share of readers who reach each number of active days; bands are 95 % intervals."
    return [Figures([figure], caption), Table(title, ("policy", *(f"{day} or more" for day in at)), rows)]


def _told(name: str, baseline: str) -> str:
    if name == baseline:
        return f"{name} (baseline)"
    return f"{name} (oracle: {ORACLES[name]})" if name in ORACLES else name


def _curve(points: list[dict[str, Any]]) -> Curve:
    values = [Value(*(point["contrast"][end] for end in ("lift", "lift_low", "lift_high"))) for point in points]
    return Curve([point["elasticity"] for point in points], values)


def _percents(values: Any) -> list[str]:
    return ["unknown" if value.mean is None else f"{value.mean:+.1%}" for value in values]


def _lift(c: Mapping[str, Any]) -> Cell:
    value = {"value": c["lift"], "low": c["lift_low"], "high": c["lift_high"]}
    return Cell(percent(value), told_apart(value))


def _value(level: Mapping[str, Any]) -> str:
    return "unknown" if level["value"] is None else f"{level['value']:.3g}"


def _yes(told: bool) -> str:
    return "yes" if told else "no"
