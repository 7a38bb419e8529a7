"""Policies on the same decisions: metrics with intervals, differences, variety of the lists, and how it was made."""

from collections.abc import Callable, Mapping
from typing import Any

from newsrec.evaluation.plots import label
from newsrec.report import figures
from newsrec.report.blocks import Block, Cell, Figure, Figures, Folded, Points, Row, Section, Table, Text, missing
from newsrec.report.figures import Value
from newsrec.report.numbers import clock, counted, interval, told_apart

Number = Callable[[], int]
"""Gives the next plot of the page its number."""
CAVEAT = (
    "Readers could only click what another policy showed them, so these figures favour policies that agree with it: "
    "they rank policies for the gate and promise nothing about readers."
)


def policies(found: dict[str, Any] | None, number: Number) -> Section:
    title = "Policies on the same decisions"
    if found is None:
        return missing("policies", title, "There is no comparison of policies on logged decisions here.")
    k, names = found["protocol"]["k"], list(found["policies"])
    metrics = [m for m in (f"ndcg_at_{k}", f"hit_at_{k}", "mrr", "impression_auc") if m in found["definitions"]]
    plots = [_dots(label(m), {name: found["policies"][name].get(m) for name in names}, names, number) for m in metrics]
    for baseline, others in found["differences"].items():
        lifts = {name: other["metrics"][f"ndcg_at_{k}"] for name, other in others.items()}
        if lifts:
            plots.append(_dots(f"{label(f'ndcg_at_{k}')}, lift over {baseline}", lifts, names, number, 0.0))
    blocks: list[Block] = [
        Text(_protocol(found)),
        Figures(plots, f"Each policy with its {found['protocol']['confidence']:.0%} interval; right is better."),
        _metrics(found),
        Text(CAVEAT, "quiet"),
    ]
    for baseline, others in found["differences"].items():
        if others:
            blocks.append(Folded(f"All differences from {baseline}", [_differences(baseline, others)]))
    meanings = [Cell(f"{label(name)}: {text}.") for name, text in found["definitions"].items()]
    blocks.append(Folded("What the metrics mean", [Points(meanings)]))
    return Section("policies", title, blocks)


def variety(found: dict[str, Any] | None, number: Number) -> Section:
    """How much of the catalogue appears in the lists, and how alike they are."""
    if found is None:
        return missing(
            "variety", "Variety of the lists", "There is no comparison of policies on logged decisions here."
        )
    k, names = found["protocol"]["k"], list(found["policies"])
    metrics = [m for m in (f"coverage_at_{k}", f"same_list_at_{k}", f"new_at_{k}") if m in found["definitions"]]
    plots = [_dots(label(m), {name: found["policies"][name].get(m) for name in names}, names, number) for m in metrics]
    rows = [[name, *(interval(found["policies"][name].get(m)) for m in metrics)] for name in names]
    return Section(
        "variety",
        "Variety of the lists",
        [
            Figures(plots, "Coverage is a count over all lists and has no interval."),
            Table("Variety of the lists", ("policy", *(label(m) for m in metrics)), rows),
            Points([Cell(f"{label(m)}: {found['definitions'][m]}.") for m in metrics]),
        ],
    )


def choice(found: dict[str, Any] | None) -> Section:
    """How the winner was chosen, and what was trained."""
    title = "How the winner was chosen"
    if found is None or "selection" not in found:
        return missing("choice", title, "Nothing was chosen here.")
    selection, p = found["selection"], found["selection"]["protocol"]
    objective = selection.get("objective")
    metric, winner, lifts = label(selection["metric"]), selection["winner"], selection["lifts"]
    when = f"On {counted(p['decisions'], 'validation decision')} before those above, {clock(p['from'])} to "
    why = f"has the highest {metric} of those whose lift over popularity has an interval above zero, or is popularity."
    if objective:
        why = f"has the best {objective['metric']}, as the log tells it of each policy; rankings choose nobody here."
    rows: list[Row] = []
    for name, value in selection["policies"].items():
        lift = lifts.get(name)
        own = Cell(f"{name} (winner)", "good") if name == winner else Cell(name)
        told = [interval(objective["policies"].get(name))] if objective else []
        rows.append([own, interval(value), Cell(interval(lift, "+") if lift else "", told_apart(lift)), *told])
    head = ["policy", metric, "lift over popularity", *([objective["metric"]] if objective else [])]
    blocks: list[Block] = [Text(f"{when}{clock(p['to'])} UTC, {winner} {why}")]
    blocks.append(Table("On validation decisions", head, rows))
    models = [[name, str(model["policy"]), str(model["version"])] for name, model in found.get("models", {}).items()]
    if models:
        blocks.append(Folded("Versions of the policies", [Table("Policies", ("name", "policy", "version"), models)]))
    return Section("choice", title, blocks)


def _protocol(found: dict[str, Any]) -> str:
    p = found["protocol"]
    sizes = f"{counted(p['decisions'], 'decision')} of {counted(p['readers'], 'reader')}, {clock(p['from'])} to "
    sizes += f"{clock(p['to'])} UTC. Brackets are {p['confidence']:.0%} intervals from {p['draws']:,} resamples of the "
    return " ".join([f"{sizes}readers (seed {p['seed']}).", *found.get("notes", ())])


def _dots(title: str, values: Mapping[str, Any], order: list[str], number: Number, line: float | None = None) -> Figure:
    sign = "+" if line is not None else ""
    plain = {
        name: Value(v["mean"], v["low"], v["high"]) if v else Value(None, None, None) for name, v in values.items()
    }
    told = "; ".join(f"{name} {interval(value, sign)}" for name, value in values.items())
    return Figure(figures.dots(plain, order, number(), line), title, f"{title}: {told}.")


def _metrics(found: dict[str, Any]) -> Table:
    """Policies down, metrics across: a table that is too wide scrolls, and its first column stays."""
    names, definitions = list(found["policies"]), list(found["definitions"])
    rows = [[name, *(interval(found["policies"][name].get(m)) for m in definitions)] for name in names]
    counts = [max(found["policies"][name][m]["decisions"] for name in names) for m in definitions]
    rows.append(["decisions", *(f"{count:,}" for count in counts)])
    return Table("All metrics", ("policy", *(label(m) for m in definitions)), rows)


def _differences(baseline: str, others: dict[str, Any]) -> Table:
    metrics = list(next(iter(others.values()))["metrics"])
    rows: list[Row] = []
    for name, found in others.items():
        lifts = (found["metrics"][m] for m in metrics)
        cells = [Cell(interval(lift, "+"), told_apart(lift)) for lift in lifts]
        rows.append([name, *cells, f"{found['same_lists']:.1%}"])
    head = ("policy", *(label(m) for m in metrics), "decisions with the same list")
    return Table(f"Paired differences from {baseline}; coloured where the interval excludes zero", head, rows)
