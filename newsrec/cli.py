"""The command ``newsrec``. Whatever the input did wrong ends as one sentence on stderr and exit code 2."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from newsrec import config as configs
from newsrec import events
from newsrec.compare import command as comparison
from newsrec.config import InvalidConfig
from newsrec.datasets import ebnerd, interactions, mind, obd
from newsrec.doctor.evidence import HORIZON_DAYS
from newsrec.encoders.text.command import titles
from newsrec.evaluation.abtest import command as testing
from newsrec.events import EventLog, InvalidEvents
from newsrec.explain_command import explain
from newsrec.files import write_whole
from newsrec.gate_command import gate
from newsrec.report.command import report
from newsrec.simulator import parameter_table
from newsrec.simulator.config import SimulationConfig
from newsrec.tuning.command import tune

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data = typer.Typer(no_args_is_help=True, help="Turn a public or foreign log into an event log.")
app.add_typer(data, name="data")
simulation = typer.Typer(invoke_without_command=True)
app.add_typer(simulation, name="simulate")
app.add_typer(titles, name="titles")
app.command("tune")(tune)
app.command("compare")(comparison.compare)
app.command("explain")(explain)
app.command("gate")(gate)
app.command("report")(report)
app.command("plan-test")(testing.plan_test)
app.command("experiment")(testing.experiment)

Source = Annotated[Path, typer.Argument(help="Folder (or file) of the original log.", metavar="PATH")]
Out = Annotated[Path, typer.Option(help="Folder to write the event log to; an older log there is replaced.")]
Timezone = Annotated[str | None, typer.Option(help="What naive times are local to, such as Europe/Copenhagen.")]

World = Annotated[Path | None, typer.Option(help="TOML with what differs from the defaults.")]
Values = Annotated[list[str] | None, typer.Option("--set", help="One value, such as readers=500 or elasticity=0.")]

FLAG_MEANINGS = {
    events.ORDINAL_TIME: "no clock: times only give the order, what needs time refuses this log",
    events.HISTORY_TIME_MADE_UP: "reads before the log have an order but no clock",
    events.FIRST_SIGHT: "articles appear when the log first shows them",
    events.CANDIDATES_CUT: f"slates over {events.MAX_CANDIDATES} lost articles without a click",
    events.NO_READER_IDS: "readers are unknown: each decision is a reader of its own",
}


@app.callback()
def newsrec() -> None:
    """A news recommender that learns what brings readers back."""


@data.command("mind")
def data_mind(
    path: Source,
    out: Out,
    timezone: Timezone = None,
    titles: Annotated[str, typer.Option(help="File with the titles, in PATH.")] = "news.tsv",
) -> None:
    """MIND layout: behaviors.tsv, with or without the time column, and news.tsv."""
    _import(lambda: mind.read(path, timezone, titles), out)


@data.command("ebnerd")
def data_ebnerd(path: Source, out: Out, timezone: Timezone = None) -> None:
    """EB-NeRD: behaviors.parquet, history.parquet and, where there is one, articles.parquet."""
    _import(lambda: ebnerd.read(path, timezone), out)


@data.command("interactions")
def data_interactions(
    path: Source,
    out: Out,
    timezone: Timezone = None,
    items: Annotated[Path | None, typer.Option(help="Table with the articles' titles and categories.")] = None,
    min_rating: Annotated[float | None, typer.Option(help="Leave out interactions rated below this.")] = None,
    user: Annotated[str | None, typer.Option(help="Column of the reader, where it is not guessed.")] = None,
    item: Annotated[str | None, typer.Option(help="Column of the article.")] = None,
    rating: Annotated[str | None, typer.Option(help="Column of the rating.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of the time.")] = None,
) -> None:
    """Reader, item, perhaps rating and time: CSV, TSV, Parquet, or RecBole's .inter."""
    columns = interactions.Columns(user, item, rating, time)
    _import(lambda: interactions.read(path, items, columns, min_rating, timezone), out)


@data.command("obd")
def data_obd(path: Source, out: Out) -> None:
    """Open Bandit Dataset: folders random and bts with one campaign's CSV and item_context.csv."""
    _import(lambda: obd.read(path), out)


@simulation.callback()
def simulate(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write the event log to; an older log there is replaced.  [required]")
    ] = None,
    config: World = None,
    set_: Values = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the readers out.  [default: one a core]")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the readers live: cpu, or such as cuda:0.")] = "cpu",
) -> None:
    """Write the log of a simulated newsroom: random slates with their propensities, and what readers did."""
    if context.invoked_subcommand:
        if out or config or set_ or workers:
            raise typer.BadParameter(f"options stand behind {context.invoked_subcommand}")
        return
    if out is None:
        raise typer.BadParameter("missing, expected a folder to write to", param_hint="--out")
    from newsrec.simulator import shards  # takes seconds to import, which the other commands need not wait for

    settings = configs.load(SimulationConfig, config, set_ or ())
    workers = workers or len(os.sched_getaffinity(0))
    with _progress(f"{settings.readers:,} readers, {settings.days} days") as advance:
        written = shards.write(settings, out, workers=workers, progress=advance, device=device)
    rows = {
        "decisions": f"{written.decisions:,}",
        "readers": f"{written.users:,}",
        "articles": f"{written.articles:,} (all with a title)",
        "events": f"{written.events:,}",
        "time": f"{settings.days} days from {settings.start}",
        "click rate": _click_rate(written.clicks, written.impressions),
        "propensities": "logged",
    }
    console = Console()
    console.print(_table(rows))
    console.print(f"written to {out}", highlight=False, soft_wrap=True)


@simulation.command("calibrate")
def simulate_calibrate(
    log: Annotated[str, typer.Option(metavar="LOG", help="Folder of an event log, or such as ebnerd:PATH, log:URL.")],
    out: Annotated[Path, typer.Option(help="Folder for world.toml, report.md, curves.png and calibration.json.")],
    config: World = None,
    set_: Values = None,
    timezone: Timezone = None,
    readers: Annotated[int, typer.Option(help="Readers of each world that is simulated on the way.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Of those worlds and of the resamples.")] = 1,
) -> None:
    """Fit a simulated newsroom to a log, and say where the two differ and what the log cannot tell."""
    from newsrec.calibration import report  # takes seconds to import
    from newsrec.calibration.comparison import calibrate
    from newsrec.calibration.fitting import FittingConfig
    from newsrec.doctor import diagnosis

    base = configs.load(SimulationConfig, config, set_ or ())
    fitting = configs.from_mapping(FittingConfig, {"readers": readers, "seed": seed}, "calibrate")
    report.refuse_foreign(out)
    with _progress("worlds") as advance:
        found = calibrate(diagnosis.read(log, timezone), base, fitting, advance)
    report.write(out, log, found)
    console = Console()
    console.print(report.tables(found))
    console.print(f"written to {out}", highlight=False, soft_wrap=True)


@simulation.command("parameters")
def simulate_parameters(config: World = None, set_: Values = None) -> None:
    """Print every parameter of a simulated newsroom: its value, what it means, and whether a log told it (Markdown)."""
    print(parameter_table.to_markdown(configs.load(SimulationConfig, config, set_ or ())), end="")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, moved by calls with what is done and how much there is."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@app.command("doctor")
def doctor(
    source: Annotated[
        str, typer.Argument(metavar="LOG", help="Folder of an event log, or such as mind:PATH, log:URL.")
    ],
    timezone: Timezone = None,
    horizon_days: Annotated[float, typer.Option(help="Days within which a return counts.")] = HORIZON_DAYS,
    json_file: Annotated[Path | None, typer.Option("--json", help="File to write the findings to.")] = None,
) -> None:
    """Say which questions a log can answer, and what each part of the product can do with it."""
    from newsrec.doctor import diagnosis, report  # takes seconds to import

    found = diagnosis.diagnose(diagnosis.read(source, timezone), horizon_days, time.time_ns() // 1000)
    if json_file:
        write_whole(json_file, json.dumps(found.to_mapping(), indent=1, allow_nan=False))
    Console().print(report.tables(found))


def _import(read: Callable[[], EventLog], out: Path) -> None:
    log = read()
    events.write(log, out)
    _report(log, out)


def _report(log: EventLog, out: Path) -> None:
    console = Console()
    console.print(_summary(log))
    for flag in sorted(log.flags):
        console.print(f"[yellow]{flag}[/yellow]: {FLAG_MEANINGS[flag]}", highlight=False)
    console.print(f"written to {out}", highlight=False, soft_wrap=True)


def _summary(log: EventLog) -> Table:
    """What the log holds, counted; the click rate is that of its decisions alone."""
    decisions = log.decisions
    own = log.feedback.filter(pc.is_in(log.feedback["request_id"], value_set=decisions["request_id"].combine_chunks()))
    shown, clicks = (pc.sum(pc.equal(own["kind"], kind)).as_py() or 0 for kind in ("impression", "click"))
    titled = log.articles.num_rows - log.articles["title"].null_count
    times = pc.min_max(own["time"] if decisions.num_rows else log.feedback["time"]).as_py()
    rows = {
        "decisions": f"{decisions.num_rows:,}",
        "imported visits": f"{log.recommendations.num_rows - decisions.num_rows:,}",
        "readers": f"{pc.count_distinct(log.recommendations['user_id']).as_py():,}",
        "articles": f"{log.articles.num_rows:,} ({titled:,} with a title)",
        "events": f"{log.feedback.num_rows:,}",
        "time": f"{times['min']:%Y-%m-%d %H:%M} to {times['max']:%Y-%m-%d %H:%M} UTC",
        "click rate": _click_rate(clicks, shown),
        "propensities": "logged" if log.has_propensities else "not logged",
    }
    return _table(rows)


def _click_rate(clicks: int, shown: int) -> str:
    return f"{clicks / shown:.2%} ({clicks:,} of {shown:,} shown)" if shown else "unknown: no slates"


def _table(rows: dict[str, str]) -> Table:
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def guarded(program: str, run: Callable[[], object], *errors: type[Exception]) -> None:
    """Run a command line; errors of input, and ``errors``, become one sentence on stderr and exit code 2."""
    known: tuple[type[Exception], ...] = (InvalidEvents, InvalidConfig, OSError, *errors)
    try:
        run()
    except known as error:
        print(f"{program}: {_sentence(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{program}: stopped", file=sys.stderr)
        sys.exit(130)


def _sentence(error: Exception) -> str:
    """One line; of an error of the operating system the file and what is wrong with it."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def main() -> None:
    """The command ``newsrec``."""
    guarded("newsrec", app)


if __name__ == "__main__":
    main()
