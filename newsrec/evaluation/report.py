"""A comparison for people: ``report.md`` with tables, and the plots beside it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from newsrec.evaluation.plots import captions, label, write_plots
from newsrec.files import whole_directory

CAVEAT = (
    "Clicks come from slates that another policy chose. What it never showed could not be clicked, so these figures "
    "favour policies that agree with it; they rank policies for the gate and do not promise an effect on readers."
)


def write_report(directory: str | Path, comparison: dict[str, Any], more: Mapping[str, Any] | None = None) -> Path:
    """Writes ``directory`` whole, replacing an older report, and returns the path of its ``report.md``.

    What else was found, ``more``, stands beside it: NAME.json each.
    """
    directory = Path(directory)
    with whole_directory(directory) as partial:
        write_plots(partial, comparison)
        for name, found in (more or {}).items():
            (partial / f"{name}.json").write_text(json.dumps(found, indent=1, allow_nan=False), encoding="utf-8")
        (partial / "report.md").write_text(to_markdown(comparison), encoding="utf-8")
    return directory / "report.md"


class Told(Protocol):
    """A verdict, whatever it was made of."""

    def to_markdown(self) -> str: ...

    def to_json(self) -> str: ...


def write_verdict(directory: str | Path, report: str | Path, comparison: dict[str, Any], verdict: Told) -> None:
    """Writes ``directory`` whole: ``report`` with the verdict on top, and ``verdict.json`` and ``verdict.md`` alone.

    The latter holds the table of metrics too: all that a terminal needs. JSON beside the report, and ``comparison`` as
    comparison.json, come along: with the verdict they are all that ``newsrec report`` reads.
    """
    sections = [verdict.to_markdown().strip(), _protocol(comparison), _metrics(comparison)]
    with whole_directory(directory) as partial:
        for name in captions(comparison):
            shutil.copy2(Path(report) / name, partial / name)
        for path in Path(report).glob("*.json"):
            shutil.copy2(path, partial / path.name)
        (partial / "comparison.json").write_text(json.dumps(comparison, indent=1, allow_nan=False), encoding="utf-8")
        (partial / "report.md").write_text(to_markdown(comparison, verdict), encoding="utf-8")
        (partial / "verdict.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
        (partial / "verdict.json").write_text(verdict.to_json(), encoding="utf-8")


def to_markdown(comparison: dict[str, Any], verdict: Told | None = None) -> str:
    """The report; the plots that it shows stand beside it."""
    sections = ["# Policies compared"]
    if verdict:
        sections += ["## Verdict", verdict.to_markdown().strip()]
    sections += [_protocol(comparison), "## Metrics", _metrics(comparison), CAVEAT]
    for baseline, policies in comparison["differences"].items():
        if policies:
            sections += [f"## Difference from {baseline}", _differences(policies)]
    sections += ["## Plots", *(f"![{caption}]({name})\n\n{caption}" for name, caption in captions(comparison).items())]
    if "selection" in comparison:
        sections += ["## How the winner was chosen", _selection(comparison["selection"])]
    sections += ["## What the metrics mean", _definitions(comparison)]
    return "\n\n".join(sections) + "\n"


def _protocol(comparison: dict[str, Any]) -> str:
    p = comparison["protocol"]
    sizes = f"{p['decisions']:,} decisions of {p['readers']:,} readers, {_clock(p['from'])} to {_clock(p['to'])} UTC."
    intervals = f"{p['confidence']:.0%} intervals from {p['draws']:,} resamples of the readers (seed {p['seed']})"
    return "\n\n".join([f"{sizes} Brackets are {intervals}.", *comparison.get("notes", ())])


def _metrics(comparison: dict[str, Any]) -> str:
    """Metrics down, policies across; the last column counts the decisions that define the metric."""
    policies = comparison["policies"]
    rows = []
    for metric in comparison["definitions"]:
        cells = [_cell(policy[metric]) for policy in policies.values()]
        decisions = max(policy[metric]["decisions"] for policy in policies.values())
        rows.append([label(metric), *cells, f"{decisions:,}"])
    return _table(["", *policies, "decisions"], rows)


def _differences(policies: dict[str, Any]) -> str:
    """Bold where the interval excludes zero."""
    rows = []
    for metric in next(iter(policies.values()))["metrics"]:
        rows.append([label(metric), *(_cell(found["metrics"][metric], "+") for found in policies.values())])
    rows.append(["decisions with the same list", *(f"{found['same_lists']:.1%}" for found in policies.values())])
    return _table(["", *policies], rows) + "\n\nBold: the interval excludes zero."


def _selection(selection: dict[str, Any]) -> str:
    p, metric = selection["protocol"], selection["metric"]
    lifts = selection["lifts"]
    rows = [
        [name, _cell(value), _cell(lifts[name], "+") if name in lifts else ""]
        for name, value in selection["policies"].items()
    ]
    when = (
        f"On {p['decisions']:,} validation decisions before those above, {_clock(p['from'])} to {_clock(p['to'])} UTC, "
    )
    header = ["", label(metric), "lift over popularity"]
    if objective := selection.get("objective"):
        found, name = objective["policies"], objective["metric"]
        rows = [[*row, _cell(found[row[0]]) if row[0] in found else "not defined"] for row in rows]
        chosen = f"{when}{selection['winner']} has the best {name} as the log tells it of each policy."
        return f"{chosen}\n\n{_table([*header, name], rows)}"
    return (
        f"{when}{selection['winner']} has the highest {label(metric)} of the policies whose lift over popularity has "
        "an interval above zero; popularity wins where there is none.\n\n"
        f"{_table(header, rows)}"
    )


def _definitions(comparison: dict[str, Any]) -> str:
    return "\n".join(f"- {label(name)} (`{name}`): {text}." for name, text in comparison["definitions"].items())


def _cell(value: dict[str, float | None], sign: str = "") -> str:
    mean, low, high = value["mean"], value["low"], value["high"]
    if mean is None:
        return "not defined"
    if low is None or high is None:
        return f"{mean:{sign}.3f}"
    text = f"{mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
    return f"**{text}**" if sign and low * high > 0 else text


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _clock(moment: str) -> str:
    return moment.replace("T", " ").removesuffix("+00:00")
