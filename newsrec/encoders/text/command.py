"""The commands ``newsrec titles train`` and ``newsrec titles embed``."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from newsrec import config as configs
from newsrec import events
from newsrec.encoders import text
from newsrec.event_log import EventDatabase
from newsrec.features import ENCODER_VARIABLE, encoder_version

titles = typer.Typer(no_args_is_help=True, help="Turn titles into vectors: train a student, embed a catalogue.")
CHUNK = 2_000
"""Articles that are embedded and written at once."""

Log = Annotated[str, typer.Option(metavar="LOG", help="Folder of an event log, or the URL of a database.")]


@titles.command()
def train(
    log: Log,
    out: Annotated[Path, typer.Option(help="Folder of the student; an older one there is replaced.")],
    config: Annotated[Path | None, typer.Option(help="TOML, such as configs/titles/student.toml.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One value, such as teacher=lexical.")] = None,
    store: Annotated[Path, typer.Option(help="Folder where a teacher's vectors are kept.")] = Path("runs/titles"),
) -> None:
    """Distil a teacher's sense of the log's titles into a small int8 student."""
    import torch  # takes seconds to import

    from newsrec.encoders.text.distillation import StudentConfig, distil, save

    torch.set_num_threads(1)
    settings = configs.load(StudentConfig, config, set_ or ())
    found = _articles(log)["title"].to_pylist()
    with _progress(f"{settings.teacher}, then its student") as advance:
        trained = distil(settings, found, store, advance)
    version = save(trained, settings, out)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    rows = {
        "teacher": settings.teacher,
        "titles": f"{trained.titles:,} different ones of {len(found):,} articles",
        "agreement": f"mean cosine {trained.agreement:.3f} to the teacher over titles that it never saw",
        "student": f"{version}, {size:.1f} MB",
    }
    _print(rows)
    Console().print(f"written to {out}; use it with {ENCODER_VARIABLE}={out}", highlight=False, soft_wrap=True)


@titles.command()
def embed(
    log: Log,
    encoder: Annotated[Path | None, typer.Option(help="Folder of a student.  [default: hashed vectors]")] = None,
) -> None:
    """Give every article of a log the vector of one encoder, in place of whatever it has."""
    os.environ[ENCODER_VARIABLE] = str(encoder or "")
    version = encoder_version()
    articles = _articles(log)
    with _progress(version) as advance:
        parts = []
        for start in range(0, len(articles), CHUNK):
            parts.append(text.embedded_again(articles.slice(start, CHUNK)))
            advance(min(start + CHUNK, len(articles)), len(articles))
    made = events.validate(pa.concat_tables(parts), "articles") if parts else articles
    _write(log, made)
    blank = sum(not any(vector) for vector in made["embedding"].to_pylist())
    _print({"encoder": version, "articles": f"{len(made):,}, of which {blank:,} without any text: vectors of zeros"})
    switch = f"{ENCODER_VARIABLE}={encoder}" if encoder else f"without {ENCODER_VARIABLE}"
    Console().print(f"train, collect and serve it {switch}, with a new feature store", highlight=False, soft_wrap=True)


def _articles(log: str) -> pa.Table:
    """Raises InvalidEvents, FileNotFoundError."""
    if "://" not in log:
        return events.read(log).articles
    with _database(log) as database:
        return database.articles()[0]


def _write(log: str, articles: pa.Table) -> None:
    if "://" not in log:
        events.write(events.read(log)._replace(articles=articles), log)
        return
    with _database(log) as database:
        for start in range(0, len(articles), CHUNK):
            database.upsert_articles(articles.slice(start, CHUNK).to_pylist(), time.time_ns() // 1_000)


@contextmanager
def _database(url: str) -> Iterator[EventDatabase]:
    file = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not file.exists():
        raise FileNotFoundError(f"{file} does not exist; expected the event log of {url}")
    database = EventDatabase(url)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, moved by calls with what is done and how much there is."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(rows: dict[str, str]) -> None:
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)
