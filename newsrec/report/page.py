"""The page: sections in their order, through one template, into one file that needs nothing else."""

from dataclasses import replace
from itertools import count
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from newsrec.files import write_whole
from newsrec.report.blocks import Cell, Points, Section
from newsrec.report.numbers import counted, interval
from newsrec.report.sections import comparison, study, verdict
from newsrec.report.sections.examples import examples
from newsrec.report.sections.slices import slices
from newsrec.report.sources import LEDGER, Sources, gather

TEMPLATE, STYLE = "page.html.jinja", "page.css"


def write(out: str | Path, run: str | Path, study: str | Path | None = None, ledger: str | Path | None = None) -> None:
    """Write the page of ``run`` (see ``sources``) to the file ``out``. Raises NothingToReport and OSError."""
    places = (Path(place) if place is not None else None for place in (study, ledger))
    write_whole(out, render(gather(Path(run), *places)))


def write_for_gate(out: str | Path, verdict: str | Path, releases: str | Path, name: str) -> None:
    """The page of the run ``name`` with the folder ``verdict`` and the ledger of ``releases``, if it has one yet."""
    ledger = Path(releases) / LEDGER
    found = gather(Path(verdict), ledger=ledger if ledger.is_file() else None)
    write_whole(out, render(replace(found, name=name)))


def render(found: Sources) -> str:
    """The page of ``found``: the same text at every call."""
    environment = Environment(
        loader=PackageLoader("newsrec.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.loader.get_source(environment, STYLE)[0]  # type: ignore[union-attr]
    return environment.get_template(TEMPLATE).render(
        name=found.name,
        headline=_headline(found),
        style=Markup(style),
        sections=sections(found),
    )


def sections(found: Sources) -> list[Section]:
    """Those that have something to tell, in order, and at the end one that says why the others have nothing."""
    everything = parts(found)
    empty = [section for section in everything if section.empty]
    told = [section for section in everything if not section.empty]
    why = Points([Cell(f"{section.title}: {section.blocks[0].text}") for section in empty])  # type: ignore[union-attr]
    return [*told, *([Section("missing", "What is not here", [why])] if empty else [])]


def parts(found: Sources) -> list[Section]:
    """All sections in order, empty or not."""
    numbers = count(1)

    def number() -> int:
        return next(numbers)

    return [
        verdict.verdict(found.verdict),
        comparison.policies(found.comparison, number),
        comparison.variety(found.comparison, number),
        slices(found.slices, "readers", number),
        slices(found.slices, "categories", number),
        examples(found.examples),
        study.active_days(found.study, number),
        study.elasticity(found.study, number),
        study.retained(found.study, found.plays, number),
        verdict.weights(found.verdict),
        comparison.choice(found.comparison),
        verdict.history(found.ledger),
    ]


def _headline(found: Sources) -> list[tuple[str, str]]:
    """What is looked for first: names and values."""
    facts = []
    if found.verdict is not None:
        facts.append(("decision", f"{found.verdict['decision']}: {found.verdict['candidate']}"))
        for bound in found.verdict.get("bounds", ())[:1]:
            ends = {"mean": bound["gain"], "low": bound["low"], "high": bound["high"]}
            facts.append((f"gain in {bound['metric']}", interval(ends, "+", 4)))
    if found.comparison is not None:
        p = found.comparison["protocol"]
        winner = found.comparison.get("selection", {}).get("winner")
        lift = found.comparison["differences"].get("popularity", {}).get(winner)
        if lift:
            facts.append((f"nDCG@{p['k']} over popularity", interval(lift["metrics"][f"ndcg_at_{p['k']}"], "+")))
        facts.append(("judged on", f"{counted(p['decisions'], 'decision')}, {counted(p['readers'], 'reader')}"))
    if found.study is not None:
        settings = found.study["study"]
        played = f"{settings['readers']:,} simulated readers × {counted(len(settings['seeds']), 'seed')}"
        facts.append(("study", f"{played}, {settings['days']} days"))
    return facts
