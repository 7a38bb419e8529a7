"""The command ``newsrec explain``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from newsrec.explaining import Explained, Explanation, Move


def explain(
    artifacts: Annotated[
        list[Path],
        typer.Argument(metavar="ARTEFACT...", help="The policy; after it the same one trained with other seeds."),
    ],
    log: Annotated[str, typer.Option(metavar="LOG", help="Folder of an event log, or such as mind:PATH, log:URL.")],
    user: Annotated[str | None, typer.Option(help="Reader, whose latest decision is explained.")] = None,
    request: Annotated[str | None, typer.Option(help="Decision that is explained.")] = None,
    method: Annotated[
        str, typer.Option(help="integrated_gradients, rollout, pooled or leave_one_out.")
    ] = "integrated_gradients",
    size: Annotated[int, typer.Option(min=1, help="Articles of the slate.")] = 10,
    reads: Annotated[int, typer.Option(min=1, help="Reads that are named for each article.")] = 3,
    timezone: Annotated[str | None, typer.Option(help="What naive times are local to.")] = None,
) -> None:
    """Say which earlier reads drove each article of a slate, and why a policy moved it against its clicks."""
    if (user is None) == (request is None):
        raise typer.BadParameter("found both or neither, expected one of them", param_hint="--user / --request")
    from newsrec import artifact  # take seconds to import
    from newsrec.doctor import diagnosis
    from newsrec.explaining import CannotExplain, latest_request
    from newsrec.explaining import explain as explained

    try:
        loaded = [artifact.load(path) for path in artifacts]
    except artifact.InvalidArtifact as error:
        raise CannotExplain(str(error)) from None
    events = diagnosis.read(log, timezone)
    asked = latest_request(events, user) if user is not None else str(request)
    found = explained(loaded, events, asked, method, size, reads)
    Console().print(report(found, loaded[0].name, loaded[0].version, method))


def report(found: "Explanation", name: str, version: str, method: str) -> Group:
    """The slate, what was left out, and how to read both."""
    title = f"{name} {version} for {found.user_id} at {found.time:%Y-%m-%d %H:%M} UTC, {found.reads} reads known"
    parts: list[Table | Text] = [_table(title, found.slate)]
    if found.left_out:
        parts.append(_table("left out, though likelier clicked", found.left_out))
    parts += [Text(line, "dim") for line in _legend(found, name, method)]
    return Group(*parts)


def _table(title: str, rows: "list[Explained]") -> Table:
    table = Table(title=Text(title), title_justify="left", show_lines=True)
    moved = rows[0].move is not None
    table.add_column("rank", justify="right")
    table.add_column("article", ratio=2)
    table.add_column("score", justify="right")
    table.add_column("driven by", ratio=3)
    if moved:
        for heading in ("by clicks", "click value", "long-term", "difference"):
            table.add_column(heading, justify="right")
    for row in rows:
        article = Text(row.title)
        if row.logged:
            article.append(f"\n{row.logged}", "dim")
        reads = "\n".join(f"{read.share:.0%} {read.title}" for read in row.reads) or "no read speaks for it"
        cells: list[str | Text] = [str(row.rank), article, f"{row.score:.3f}", Text(reads)]
        table.add_row(*cells, *(_moved(row.move) if row.move is not None else ()))
    return table


def _moved(move: "Move") -> tuple[str, ...]:
    difference = f"{move.difference:+.4f}"
    if move.low == move.low:
        difference += f"\n({move.low:+.4f} to {move.high:+.4f})"
    return str(move.click_rank), f"{move.click_value:.4f}", f"{move.long_term_value:.4f}", difference


def _legend(found: "Explanation", name: str, method: str) -> list[str]:
    lines = [f"driven by ({method}): shares of all that the history does to the score, for and against"]
    if found.slate[0].move is None:
        return [*lines, f"{name} has no values beside its score: there is no long-term part that could move an article"]
    lines.append(
        "click value: what showing the article brings if its read is worth the average; long-term: its own worth"
    )
    if found.policies > 1:
        return [*lines, f"difference: mean and 95 % interval over {found.policies} trainings with their own seeds"]
    return [*lines, "difference: of one training, without an interval; add artefacts of other seeds for one"]
