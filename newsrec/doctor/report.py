"""A diagnosis as two tables: what each part can do with the log, and what was found."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from newsrec.doctor.finding import Diagnosis, Verdict

STYLES: dict[Verdict, str] = {"fine": "green", "limited": "yellow", "unfit": "red"}


def tables(diagnosis: Diagnosis) -> Group:
    """Parts above, findings below."""
    parts = [(part.name, part.verdict, part.sentence) for part in diagnosis.parts]
    findings = [(found.name, found.verdict, found.sentence) for found in diagnosis.findings]
    return Group(_table("part of the product", parts), "", _table("finding", findings))


def _table(what: str, rows: list[tuple[str, Verdict, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(what, no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("why")
    for name, verdict, sentence in rows:
        table.add_row(name, Text(verdict, STYLES[verdict]), Text(sentence))
    return table
