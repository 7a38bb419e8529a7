"""``python -m serving predictor``: slates over KServe's protocols."""

import gc
import logging
from pathlib import Path
from typing import Annotated

import typer

from serving import logs
from serving.commands.opening import clock, connect, listen, one_sentence, released_in
from serving.commands.options import (
    EVENT_LOG,
    HOST,
    STORE,
    EventLog,
    Host,
    Inference,
    LogFormat,
    Method,
    Port,
    ReaderKey,
    ShelfLife,
    Shortlist,
    SlateHours,
    State,
    Store,
    TokenFile,
)

log = logging.getLogger("serving")


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
    listening = listen(host, http_port)
    if grpc_port:
        listen(host, grpc_port).close()
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
    with one_sentence(InvalidArtifact):
        config = from_mapping(ServingConfig, options, "options")
        batch = from_mapping(BatchConfig, {"oldest_hours": slate_hours}, "options") if inference == "batch" else None
        token = read_token(token_file)
        released, backends = released_in(artifact), connect(store, event_log, reader_key_file)
        bundle = make_bundle(released, backends, config)
        slate_log = None
        if log_slates:
            folder = state or default_folder(backends.database.engine.url)
            slate_log = SlateLog(
                backends.database, clock, log_capacity, state=folder, patience_seconds=log_patience_seconds
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
