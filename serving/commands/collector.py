"""``python -m serving collector``: feedback and articles come in."""

import logging
import signal
from pathlib import Path
from typing import Annotated

import typer

from serving import logs
from serving.commands.opening import connect, listen, one_sentence, tower_of
from serving.commands.options import HOST, BelowHorizon, EventLog, Host, LogFormat, Port, ReaderKey, Store, TokenFile

log = logging.getLogger("serving")


def collector(
    store: Store,
    event_log: EventLog,
    artifact: Annotated[
        Path | None, typer.Option(help="What is served: readers' vectors are computed as their feedback comes.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="s3://BUCKET/PREFIX, from which the folder --artifact is kept up to date.")
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
    listening = listen(host, port)
    import uvicorn

    from newsrec.artifact import InvalidArtifact
    from newsrec.config import InvalidConfig
    from serving.collector import create_app
    from serving.mirror import Mirror
    from serving.retention import check_days
    from serving.security import read_token

    with one_sentence(InvalidArtifact):
        if retain_days is not None:
            check_days(retain_days, below_horizon)
        if storage is not None and artifact is None:
            raise InvalidConfig(f"--storage {storage} has no folder to go to; name one by --artifact")
        token = read_token(token_file)
        backends = connect(store, event_log, reader_key_file)
        if artifact is None:
            tower, followers = None, []
        elif storage is None:
            tower, followers = tower_of(artifact, backends)
        else:
            tower = Mirror(storage, artifact, lambda root: tower_of(root, backends))
            followers = [tower]
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
