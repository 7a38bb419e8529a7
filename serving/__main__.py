"""``python -m serving`` serves slates, ``python -m serving collector`` takes feedback and articles."""

import gc
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from serving import logs

if TYPE_CHECKING:
    from newsrec.artifact import Artifact
    from newsrec.mixture import Mixture
    from serving.backends import Backends
    from serving.live_articles import Refresher
    from serving.reload import Follower
    from serving.tower import Tower

HOST = "127.0.0.1"
KEY_VARIABLE = "NEWSREC_READER_KEY"
STORE, EVENT_LOG = Path("runs/store"), "sqlite:///runs/events.db"
"""Where ``python -m pipelines run`` leaves the store, and an event log beside it."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Serve slates (predictor, what runs without a command), take feedback and articles (collector).",
)
log = logging.getLogger("serving")

Store = Annotated[Path, typer.Option(help="Folder of the feature store.")]
EventLog = Annotated[str, typer.Option(help="sqlite:///FILE or postgresql://USER@HOST/NAME")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 in a container.")]
ReaderKey = Annotated[
    Path | None,
    typer.Option(
        help=f"File with the key under which reader ids are hashed before they are stored (or {KEY_VARIABLE})."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the token that callers must bear (or NEWSREC_TOKEN): of the collector, to load models."
    ),
]
State = Annotated[
    Path | None,
    typer.Option(help="Folder where slates are counted over a crash; else beside SQLite's file, or a temporary one."),
]
BelowHorizon = Annotated[
    bool, typer.Option("--below-horizon", help="Delete decisions, too, whose 28 days of returns are not over.")
]
LogFormat = Annotated[logs.Format, typer.Option(help="Of log lines; json is one object a line.")]
Method = Literal["epsilon", "plackett_luce", "greedy"]
Inference = Literal["online", "nearline", "batch"]
ShelfLife = Annotated[float, typer.Option(help="Age at which an article expires.")]
Shortlist = Annotated[int, typer.Option(min=1, max=500, help="Articles that are scored, where more are live.")]
SlateHours = Annotated[float, typer.Option(min=0.0, help="Age beyond which a slate scored in advance is not used.")]


@app.command()
def predictor(
    artifact: Annotated[
        Path, typer.Option(help="An artefact, a mixture, or a releases folder: its current is served.")
    ],
    store: Store = STORE,
    event_log: EventLog = EVENT_LOG,
    host: Host = HOST,
    http_port: Port = 8080,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="0: no gRPC.")] = 8081,
    model_name: str = "newsrec",
    method: Annotated[Method, typer.Option(help="How scores become a slate.")] = "epsilon",
    epsilon: Annotated[float, typer.Option(help="Share of positions that explore, with method epsilon.")] = 0.05,
    temperature: Annotated[float, typer.Option(help="Of method plackett_luce.")] = 1.0,
    shelf_life_hours: ShelfLife = 72.0,
    shortlist: Shortlist = 100,
    inference: Annotated[
        Inference, typer.Option(help="What is computed before the request: nothing, readers' vectors, or slates.")
    ] = "nearline",
    slate_hours: SlateHours = 24.0,
    store_timeout_ms: Annotated[
        int, typer.Option(min=1, help="How long the online store may take; then readers are served as unknown.")
    ] = 50,
    refresh_seconds: Annotated[float, typer.Option(min=1.0, help="How often article counts are read again.")] = 60.0,
    log_slates: Annotated[bool, typer.Option("--log/--no-log", help="Write every slate to the event log.")] = True,
    max_concurrency: Annotated[
        int, typer.Option(min=1, help="Requests that may be at work at a time; beyond, 503 at once.")
    ] = 64,
    log_capacity: Annotated[
        int, typer.Option(min=1, help="Slates that may wait for the event log; then 503.")
    ] = 10_000,
    log_patience_seconds: Annotated[
        float, typer.Option(min=0.0, help="Not ready once the event log has taken nothing for this long.")
    ] = 30.0,
    state: State = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Serve what becomes the current release, without a restart.")
    ] = True,
    reader_key_file: ReaderKey = None,
    token_file: TokenFile = None,
    log_format: LogFormat = "text",
) -> None:
    """Answer requests for slates over KServe's V1 and V2 protocols."""
    logs.configure(log_format)
    listening = _listen(host, http_port)
    if grpc_port:
        _listen(host, grpc_port).close()
    import torch  # seconds: not before the ports are known to be free

    from feature_repo.store import open_store
    from newsrec.artifact import InvalidArtifact
    from newsrec.config import from_mapping
    from serving.bundle import make_bundle
    from serving.live_articles import Refresher
    from serving.precompute import BatchConfig
    from serving.predictor import Predictor
    from serving.recommend import ServingConfig
    from serving.reload import Follower
    from serving.security import read_token
    from serving.server import Server
    from serving.slate_counter import default_folder
    from serving.slate_log import SlateLog

    torch.set_num_threads(1)
    options = {
        "slate": {"method": method, "epsilon": epsilon, "temperature": temperature},
        "shelf_life_hours": shelf_life_hours,
        "retrieval": {"size": shortlist},
    }
    with _one_sentence(InvalidArtifact):
        config = from_mapping(ServingConfig, options, "options")
        batch = from_mapping(BatchConfig, {"oldest_hours": slate_hours}, "options") if inference == "batch" else None
        token = read_token(token_file)
        released, backends = _released(artifact), _connect(store, event_log, reader_key_file)
        bundle = make_bundle(released, backends, config)
        slate_log = None
        if log_slates:
            folder = state or default_folder(backends.database.engine.url)
            slate_log = SlateLog(
                backends.database, _clock, log_capacity, state=folder, patience_seconds=log_patience_seconds
            )
        hasty = open_store(store, store_timeout_ms / 1000)
        model = Predictor(
            model_name, bundle, backends._replace(store=hasty), config, slate_log, inference == "nearline", batch
        )
    refresher = Refresher(lambda: model.bundle.live, refresh_seconds)
    refresher.start()
    root = artifact if follow and (artifact / "CURRENT").exists() else None
    follower = Follower(model, backends.database, backends.store, lambda new: make_bundle(new, backends, config), root)
    follower.look()
    model.warm_up()
    gc.collect()
    gc.freeze()  # a full collection over the imported libraries would hold a request up for 200 ms
    where = f"http://{host}:{listening.getsockname()[1]}/v1/models/{model_name}:predict"
    log.info("%s, %d articles, at %s", bundle.arms, bundle.articles, where)
    follower.start()
    Server(listening, grpc_port, max_concurrency, token).start([model])
    follower.stop()
    refresher.stop()
    if slate_log is not None:
        slate_log.close()
    backends.database.close()


@app.command()
def collector(
    store: Store,
    event_log: EventLog,
    artifact: Annotated[
        Path | None, typer.Option(help="What is served: readers' vectors are computed as their feedback comes.")
    ] = None,
    host: Host = HOST,
    port: Port = 8090,
    reader_key_file: ReaderKey = None,
    token_file: TokenFile = None,
    max_concurrency: Annotated[
        int, typer.Option(min=1, max=32, help="Requests that may be at work at a time; beyond, 503 at once.")
    ] = 32,
    retain_days: Annotated[
        int | None, typer.Option(min=1, help="Keep decisions and feedback this long; forever where left out.")
    ] = None,
    below_horizon: BelowHorizon = False,
    log_format: LogFormat = "text",
) -> None:
    """Take feedback and articles into the event log and the feature store."""
    logs.configure(log_format)
    listening = _listen(host, port)
    import uvicorn

    from newsrec.artifact import InvalidArtifact
    from serving.collector import create_app
    from serving.retention import check_days
    from serving.security import read_token

    with _one_sentence(InvalidArtifact):
        if retain_days is not None:
            check_days(retain_days, below_horizon)
        token = read_token(token_file)
        backends = _connect(store, event_log, reader_key_file)
        tower, followers = (None, []) if artifact is None else _tower(artifact, backends)
    routes = logs.RequestIds(create_app(backends, token, max_concurrency, retain_days, tower))
    config = uvicorn.Config(routes, log_config=None, access_log=False, timeout_graceful_shutdown=10)
    for ended_by in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ended_by, lambda *_: None)  # uvicorn ends on the signal, then raises it again
    log.info("collector at http://%s:%d", host, listening.getsockname()[1])
    for follower in followers:
        follower.start()
    uvicorn.Server(config).run(sockets=[listening])
    for follower in followers:
        follower.stop()
    backends.database.close()


def _tower(artifact: Path, backends: "Backends") -> "tuple[Tower, list[Refresher | Follower]]":
    """The history towers of what is in ``artifact``, and the threads that keep articles and releases up to date."""
    import torch

    from serving.bundle import make_bundle
    from serving.live_articles import Refresher
    from serving.recommend import ServingConfig
    from serving.reload import Follower
    from serving.tower import Tower

    torch.set_num_threads(1)
    config = ServingConfig()
    tower = Tower(make_bundle(_released(artifact), backends, config))
    root = artifact if (artifact / "CURRENT").exists() else None
    refresher = Refresher(lambda: tower.bundle.live, refresh_seconds=math.inf)  # nobody counts here
    follower = Follower(tower, backends.database, backends.store, lambda new: make_bundle(new, backends, config), root)
    follower.look()
    return tower, [refresher, follower]


@app.command("vectors")
def vectors_command(
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
    with _one_sentence(InvalidArtifact), Progress(*columns, console=Console(stderr=True)) as progress:
        backends = _connect(store, event_log, None)
        (tower, _), task = _tower(artifact, backends), progress.add_task("", total=None)
        done = back_fill(backends.store, tower, lambda readers: progress.advance(task, readers))
    print(f"{done.written:,} vectors are new, {done.fresh:,} were fresh, {done.none:,} readers have none")
    backends.database.close()


@app.command("precompute")
def precompute_command(
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
    with _one_sentence(InvalidArtifact), Progress(*columns, console=Console(stderr=True)) as progress:
        config = from_mapping(ServingConfig, options, "options")
        released, backends = _released(artifact), _connect(store, event_log, None)
        bundle, task = make_bundle(released, backends, config), progress.add_task("", total=None)
        done = precompute(bundle, backends, config, slate_hours, lambda readers: progress.advance(task, readers))
    print(f"{done:,} readers have slates of {bundle.arms}")
    backends.database.close()


@app.command("forget")
def forget_command(
    reader: Annotated[str, typer.Argument(help="The reader's id as the application knows it.")],
    store: Store = STORE,
    event_log: EventLog = EVENT_LOG,
    reader_key_file: ReaderKey = None,
) -> None:
    """Delete everything that is stored of one reader, for good; docs/privacy.md says what that cannot reach."""
    from serving.forget import forget

    with _one_sentence():
        backends = _connect(store, event_log, reader_key_file)
        print(forget(backends, reader))
    backends.database.close()


@app.command("retain")
def retain_command(
    days: Annotated[int, typer.Option(min=1, help="Decisions and their feedback are kept this long.")],
    event_log: EventLog = EVENT_LOG,
    below_horizon: BelowHorizon = False,
) -> None:
    """Delete decisions, with their feedback, that are older than DAYS; the collector does it with --retain-days."""
    from newsrec.event_log import EventDatabase
    from serving.retention import check_days, retain

    with _one_sentence():
        check_days(days, below_horizon)
        database = EventDatabase(event_log)
        removed = retain(database, days, _clock())
    print(
        f"deleted: {removed.recommendations} recommendations, {removed.feedback} feedback events and "
        f"{removed.quarantined} waiting ones"
    )
    database.close()


Served = Annotated[Path, typer.Argument(help="What is served: a mixture, or a releases folder.")]


@app.command()
def stop_experiment(served: Served, event_log: EventLog = EVENT_LOG) -> None:
    """Give everybody the incumbent of the served mixture, within seconds, whatever their arm."""
    _switch(served, event_log, off=True)


@app.command()
def resume_experiment(served: Served, event_log: EventLog = EVENT_LOG) -> None:
    """Let a stopped experiment go on: everybody has the policy of their arm again."""
    _switch(served, event_log, off=False)


def _switch(served: Path, event_log: str, off: bool) -> None:
    from newsrec import mixture, releases, stopped_experiments
    from newsrec.artifact import InvalidArtifact
    from newsrec.event_log import EventDatabase

    with _one_sentence(InvalidArtifact):
        release = releases.current(served)
        name = mixture.read_manifest(served if release is None else release.directory)["experiment"]
        database = EventDatabase(event_log)
        if off:
            changed = stopped_experiments.stop(database.engine, name, _clock())
        else:
            changed = stopped_experiments.resume(database.engine, name)
        database.close()
    print(f"experiment {name} {'is' if changed else 'was'} {'stopped' if off else 'running'}")


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, bound before anything is loaded."""
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise _end(f"cannot listen on {host} port {port}: {error.strerror}; choose another") from None
    # asyncio sets this only on sockets that it made itself; without it every answer waits 40 ms for the client's ACK
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


@contextmanager
def _one_sentence(*kinds: type[Exception]) -> Iterator[None]:
    """End with one sentence where an input cannot be used: ``kinds``, configuration, store, event log, files."""
    from feature_repo.store import FeatureStoreError
    from newsrec.config import InvalidConfig
    from serving.failures import EVENT_LOG_FAILURES, one_line

    try:
        yield
    except (*kinds, FeatureStoreError, InvalidConfig, OSError, *EVENT_LOG_FAILURES) as error:
        raise _end(one_line(error)) from None


def _end(sentence: str) -> SystemExit:
    print(f"serving: {sentence}", file=sys.stderr)
    return SystemExit(2)


def _connect(store: Path, event_log: str, key_file: Path | None) -> "Backends":
    from feature_repo.store import open_store
    from newsrec.config import InvalidConfig
    from newsrec.event_log import EventDatabase
    from serving.backends import Backends

    key = os.environ[KEY_VARIABLE].encode() if KEY_VARIABLE in os.environ else None
    if key_file is not None:
        try:
            key = key_file.read_bytes().strip()
        except OSError as error:
            raise InvalidConfig(f"the key of reader ids cannot be read from {key_file}: {error.strerror}") from None
    backends = Backends(open_store(store), EventDatabase(event_log), key, _clock)
    backends.stored_id("")  # refuses an empty key
    return backends


def _released(directory: Path) -> "Artifact | Mixture":
    """What is in ``directory``: an artefact, a mixture, or the current release of a releases folder."""
    from newsrec import releases

    release = releases.current(directory)
    return releases.load(directory if release is None else release.directory)


def _clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


def main() -> None:
    arguments = sys.argv[1:]
    if arguments and arguments[0].startswith("--") and arguments[0] != "--help":
        arguments = ["predictor", *arguments]
    logs.configure("text")  # until the option is read
    app(arguments)


if __name__ == "__main__":
    main()
