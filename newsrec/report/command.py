"""The command ``newsrec report``."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of the training pipeline, or a study of compare.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    study: Annotated[Path | None, typer.Option(help="The --out of a study to tell on the same page.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="verdicts.jsonl, where it is not beside the run.")] = None,
) -> None:
    """Write one HTML page of a run: verdict, policies, slices of readers, slates side by side, active days."""
    from newsrec.report.page import write  # matplotlib takes a second, which the other commands need not wait for

    write(out, run, study, ledger)
    typer.echo(f"written to {out}")
