"""The command ``newsrec tune``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from newsrec.config import InvalidConfig

if TYPE_CHECKING:
    from newsrec.training import RunConfig
    from newsrec.tuning.figures import Read
    from newsrec.tuning.search import Tuned, Value

TUNED = "# Tuned: "
"""How the line of a run's file begins that says what tuning found."""


def tune(
    run_file: Annotated[Path, typer.Argument(metavar="RUN", help="TOML of a training run, such as configs/nrms.toml.")],
    log: Annotated[str, typer.Option(metavar="LOG", help="Folder of an event log, or such as mind:PATH, log:URL.")],
    out: Annotated[
        Path | None, typer.Option(help="TOML to write the best run to, RUN itself too; nothing is written without.")
    ] = None,
    space: Annotated[
        Path | None, typer.Option(help="TOML of what may change.  [default: spaces/POLICY.toml beside RUN]")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="As many for each policy that is to be compared.")] = 16,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of a trial, whose mean counts.")] = 1,
    search_seed: Annotated[int, typer.Option(help="Of the search.")] = 0,
    record: Annotated[
        Path | None, typer.Option(help="File of finished trials; a search that was stopped goes on from it.")
    ] = None,
    world: Annotated[
        Path | None,
        typer.Option(help="TOML of a simulated newsroom: active days of its readers count, not validation decisions."),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One value of that newsroom: readers=500.")] = None,
    timezone: Annotated[str | None, typer.Option(help="What naive times are local to.")] = None,
) -> None:
    """Search better hyperparameters for a policy: the first trial is RUN as it is, the best one is written."""
    from newsrec import config  # the rest takes seconds to import
    from newsrec.doctor import diagnosis
    from newsrec.files import write_whole
    from newsrec.search_space import read_space
    from newsrec.training import RunConfig
    from newsrec.tuning import search
    from newsrec.tuning.figures import reader_of

    run = config.load(RunConfig, run_file)
    within = read_space(space or run_file.parent / "spaces" / f"{run.policy}.toml", run)
    _refuse_ranking(run, world, set_)
    value, judged_by = _value(run, reader_of(diagnosis.read(log, timezone)), seeds, world, set_ or ())
    exactly = f"{judged_by}, {seeds} seeds, {log}" + (f", {world} {' '.join(set_ or ())}" if world else "")
    with _progress(run.policy, trials) as tell:
        found = search.tune(run, within, trials, search_seed, value, record, tell, exactly)
    console = Console()
    console.print(search.table(found))
    if out:
        write_whole(out, to_toml(run_file.read_text(encoding="utf-8"), found, judged_by))
        console.print(f"written to {out}", highlight=False, soft_wrap=True)


def _refuse_ranking(run: "RunConfig", world: Path | None, set_: Sequence[str] | None) -> None:
    """Raise InvalidConfig where validation decisions say nothing of the policy, or a world's values have no world."""
    from newsrec.registry import REGISTRY

    if world is None and set_:
        raise InvalidConfig(
            f"found --set {' '.join(set_)} without --world, expected the newsroom that it is a value of"
        )
    if world is None and REGISTRY[run.policy].gives_clicks_away:
        wanted = "expected --world, a newsroom whose readers say how often they come back (docs/tuning.md)"
        raise InvalidConfig(f"{run.policy} gives clicks away on purpose, and nDCG would choose who does not: {wanted}")


def to_toml(text: str, tuned: "Tuned", judged_by: str) -> str:
    """A run's file with the best values in it where they are no defaults, its comments kept, and what was found."""
    import tomlkit

    from newsrec.search_space import values_of
    from newsrec.training import RunConfig

    best, trials = tuned.best_trial, tuned.trials
    defaults = values_of(RunConfig(tuned.best.policy), best.values)
    document: Any = tomlkit.parse(text)
    for key, value in best.values.items():
        *parents, last = key.split(".")
        table = document
        for parent in parents:
            table = table.setdefault(parent, tomlkit.table())
        table[last] = value
        if value == defaults[key]:
            del table[last]
    for name in [name for name, table in document.items() if table == {}]:
        del document[name]
    lines = [line for line in tomlkit.dumps(document).splitlines() if not line.startswith(TUNED)]
    after = next((row for row, line in enumerate(lines) if not line.startswith("#")), len(lines))
    was = "" if trials[0].failure else f", {trials[0].value:.4f} as it was"
    lines.insert(after, f"{TUNED}{judged_by} {best.value:.4f}{was}, the best of {len(trials)} trials.")
    return "\n".join(lines) + "\n"


def _value(run: "RunConfig", read: "Read", seeds: int, world: Path | None, set_: Sequence[str]) -> tuple["Value", str]:
    """What is to become large, and its name."""
    from newsrec import config
    from newsrec.simulator.config import SimulationConfig
    from newsrec.tuning.figures import simulated_active_days, validation_ranking

    def silent(line: str) -> None:
        """Trials are told, not their epochs."""

    if world is None:
        return validation_ranking(read, seeds, silent), f"validation nDCG@10 on a log of {len(read(run)):,} decisions"
    settings = config.load(SimulationConfig, world, set_)
    value = simulated_active_days(read, [settings], (), seeds=seeds, progress=silent)
    return value, f"active days of {settings.readers:,} simulated readers in {settings.days} days"


@contextmanager
def _progress(policy: str, trials: int) -> Iterator[Callable[[str], None]]:
    """A bar of trials on a terminal, and a line for each."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(policy, total=trials)

        def tell(line: str) -> None:
            console.print(line, highlight=False, soft_wrap=True)
            bar.advance(task)

        yield tell
