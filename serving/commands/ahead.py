"""What is computed before anybody asks: readers' vectors and slates, for all known readers."""

from pathlib import Path
from typing import Annotated

import typer

from serving.commands.opening import connect, one_sentence, released_in, tower_of
from serving.commands.options import EVENT_LOG, STORE, EventLog, ShelfLife, Shortlist, SlateHours, Store


def vectors(
    artifact: Annotated[Path, typer.Option(help="What is served: an artefact, a mixture, or a releases folder.")],
    store: Store = STORE,
    event_log: EventLog = EVENT_LOG,
) -> None:
    """Compute the vectors of all known readers, after a release: until then requests do it, one at a time."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    from newsrec.artifact import InvalidArtifact
    from serving.back_fill import back_fill

    columns = SpinnerColumn(), "{task.completed:,.0f} readers", TimeElapsedColumn()
    with one_sentence(InvalidArtifact), Progress(*columns, console=Console(stderr=True)) as progress:
        backends = connect(store, event_log, None)
        (tower, _), task = tower_of(artifact, backends), progress.add_task("", total=None)
        done = back_fill(backends.store, tower, lambda readers: progress.advance(task, readers))
    print(f"{done.written:,} vectors are new, {done.fresh:,} were fresh, {done.none:,} readers have none")
    backends.database.close()


def precompute(
    artifact: Annotated[Path, typer.Option(help="What is served: an artefact, a mixture, or a releases folder.")],
    store: Store = STORE,
    event_log: EventLog = EVENT_LOG,
    shelf_life_hours: ShelfLife = 72.0,
    shortlist: Shortlist = 100,
    slate_hours: SlateHours = 24.0,
) -> None:
    """Score the slate of every known reader in advance, for predictors with --inference batch."""
    import torch
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    from newsrec.artifact import InvalidArtifact
    from newsrec.config import from_mapping
    from serving.bundle import make_bundle
    from serving.precompute import precompute
    from serving.recommend import ServingConfig

    torch.set_num_threads(1)
    options = {"shelf_life_hours": shelf_life_hours, "retrieval": {"size": shortlist}}
    columns = SpinnerColumn(), "{task.completed:,.0f} readers", TimeElapsedColumn()
    with one_sentence(InvalidArtifact), Progress(*columns, console=Console(stderr=True)) as progress:
        config = from_mapping(ServingConfig, options, "options")
        released, backends = released_in(artifact), connect(store, event_log, None)
        bundle, task = make_bundle(released, backends, config), progress.add_task("", total=None)
        done = precompute(bundle, backends, config, slate_hours, lambda readers: progress.advance(task, readers))
    print(f"{done:,} readers have slates of {bundle.arms}")
    backends.database.close()
