"""A comparison for people and programs: tables for the terminal, ``report.md`` with plots, ``results.json``."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from newsrec import config
from newsrec.compare.jobs import Plan
from newsrec.compare.outcomes import COVERAGE, Judged, Outcomes
from newsrec.compare.plots import captions, write_plots
from newsrec.compare.study import ORACLES, Study
from newsrec.compare.work import ARTEFACT
from newsrec.evaluation.contrast import Contrast, Share
from newsrec.files import whole_directory

FOLDER, REPORT, RESULTS = "report", "report.md", "results.json"
PRIMARY = ("policy", "active days", "lift over the baseline", "share of the headroom")
SECONDARY = ("visits", "dwell_minutes", "return_within_week", "hides", "click_rate", COVERAGE)
HEADROOM = (
    "The headroom is what the planner, who knows readers and articles, wins over a perfect click model; a share of it "
    "is a contender's difference to the baseline. Unknown is what is divided by something not told from 0."
)


def write(study: Study, plan: Plan, outcomes: Outcomes, folder: str | Path) -> Path:
    """Write ``report`` in ``folder`` whole: report.md, results.json and plots; an older one is replaced."""
    with whole_directory(Path(folder) / FOLDER) as partial:
        figures = to_mapping(study, plan, outcomes)
        (partial / RESULTS).write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        write_plots(partial, study, outcomes)
        (partial / REPORT).write_text(to_markdown(study, outcomes), encoding="utf-8")
    return Path(folder) / FOLDER


def tables(study: Study, outcomes: Outcomes) -> Group:
    """Of each world the outcome that counts, then the others."""
    parts = []
    for world, found in outcomes.worlds.items():
        title = title_of(study, world)
        parts += [_table(PRIMARY, _primary(study, found), title), _table(("policy", *SECONDARY), _secondary(found))]
    return Group(*parts)


def to_markdown(study: Study, outcomes: Outcomes) -> str:
    """The same tables, how they were made, and the plots."""
    log, seeds = study.log, ", ".join(map(str, study.seeds))
    parts = [
        "# Simulated comparison",
        f"Training seeds {seeds}. Each contender was trained on logs of {log.readers:,} simulated readers and "
        f"{log.days} days, in which {study.actor.policy} acted, and then followed {study.readers:,} other simulated "
        f"readers a seed for {study.days} days. Readers, articles and luck of a seed are the same for all. "
        f"The baseline is {study.baseline}.",
        _reading(study),
        HEADROOM * study.oracles,
    ]
    for world, found in outcomes.worlds.items():
        parts += [f"## {title_of(study, world)}", _markdown(PRIMARY, _primary(study, found))]
        parts.append(_markdown(("policy", *SECONDARY), _secondary(found)))
    if outcomes.curves:
        parts += ["## Simulated lift over the elasticity of returns", _markdown(*_curve_rows(outcomes))]
    parts += [f"![{caption}]({name})\n\n{caption}" for name, caption in captions(study, outcomes).items()]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_mapping(study: Study, plan: Plan, outcomes: Outcomes) -> dict[str, Any]:
    """``results.json``; what is no number is null."""
    artefacts: dict[str, dict[str, str]] = {}
    for (name, seed), job in plan.trainings.items():
        artefacts.setdefault(name, {})[str(seed)] = str(job.at("") / ARTEFACT)
    plain = {"simulated": True, "study": config.to_mapping(study), "artefacts": artefacts}
    return _plain({**plain, "worlds": outcomes.worlds, "curves": outcomes.curves})


def title_of(study: Study, world: str) -> str:
    """Of what belongs to one world."""
    return f"Simulated active days in {study.days} days from assignment: {world}"


def _reading(study: Study) -> str:
    if len(study.seeds) == 1:
        return "One training seed: the 95 % intervals are about readers and say nothing about another training."
    return (
        f"95 % intervals are Student's over {len(study.seeds)} training seeds. Those of lifts are of paired readers; "
        "those of active days are not, so two that overlap say nothing about the difference."
    )


def _primary(study: Study, found: Judged) -> Iterator[tuple[str, ...]]:
    for name, levels in found.levels.items():
        days, contrast, share = levels["active_days"], found.contrasts.get(name), found.headroom.get(name)
        told = f"{name} (oracle)" if name in ORACLES else f"{name} (baseline)" if name == study.baseline else name
        active = f"{days.value:.3f} [{days.low:.3f}, {days.high:.3f}]"
        yield told, active, _lift(contrast) if contrast else "", _percent(share) if share else ""


def _secondary(found: Judged) -> Iterator[tuple[str, ...]]:
    for name, levels in found.levels.items():
        values = (levels[outcome].value for outcome in SECONDARY)
        yield name, *("unknown" if math.isnan(value) else f"{value:.3g}" for value in values)


def _curve_rows(outcomes: Outcomes) -> tuple[tuple[str, ...], Iterator[tuple[str, ...]]]:
    curves = outcomes.curves
    at = [point.elasticity for point in next(iter(curves.values())).points]
    head = ("policy", *(f"{elasticity:g}" for elasticity in at), "may never fall", "rises")
    return head, (
        (name, *(_lift(point.contrast) for point in points), *("yes" if told else "no" for told in (monotone, rising)))
        for name, (points, monotone, rising) in curves.items()
    )


def _lift(found: Contrast) -> str:
    return _percent(Share(found.lift, found.lift_low, found.lift_high))


def _percent(found: Share) -> str:
    """Where the denominator is not told from 0, neither is what stands over it."""
    value, low, high = found
    return f"{value:+.1%} [{low:+.1%}, {high:+.1%}]" if math.isfinite(low) else "unknown"


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column.replace("_", " "), no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (tuple(column.replace("_", " ") for column in columns), ("---",) * len(columns), *rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
