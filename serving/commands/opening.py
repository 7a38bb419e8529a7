"""What commands open before they do anything, and the one sentence with which they end where they cannot."""

import math
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from serving.commands.options import KEY_VARIABLE

if TYPE_CHECKING:
    from newsrec.artifact import Artifact
    from newsrec.mixture import Mixture
    from serving.backends import Backends
    from serving.live_articles import Refresher
    from serving.reload import Follower
    from serving.tower import Tower


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, bound before anything is loaded."""
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise end(f"cannot listen on {host} port {port}: {error.strerror}; choose another") from None
    # asyncio sets this only on sockets that it made itself; without it every answer waits 40 ms for the client's ACK
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


@contextmanager
def one_sentence(*kinds: type[Exception]) -> Iterator[None]:
    """End with one sentence where an input cannot be used: ``kinds``, configuration, store, event log, files."""
    from feature_repo.store import FeatureStoreError
    from newsrec.config import InvalidConfig
    from serving.failures import EVENT_LOG_FAILURES, one_line

    try:
        yield
    except (*kinds, FeatureStoreError, InvalidConfig, OSError, *EVENT_LOG_FAILURES) as error:
        raise end(one_line(error)) from None


def end(sentence: str) -> SystemExit:
    print(f"serving: {sentence}", file=sys.stderr)
    return SystemExit(2)


def connect(store: Path, event_log: str, key_file: Path | None) -> "Backends":
    from feature_repo.store import open_store
    from newsrec.event_log import EventDatabase
    from serving.backends import Backends

    key = reader_key(key_file)
    backends = Backends(open_store(store), EventDatabase(event_log), key, clock)
    backends.stored_id("")  # refuses an empty key
    return backends


def reader_key(file: Path | None) -> bytes | None:
    """The key of reader ids in ``file``, else in the environment; None where there is neither. Raises InvalidConfig."""
    from newsrec.config import InvalidConfig

    if file is None:
        return os.environ[KEY_VARIABLE].encode() if KEY_VARIABLE in os.environ else None
    try:
        return file.read_bytes().strip()
    except OSError as error:
        raise InvalidConfig(f"the key of reader ids cannot be read from {file}: {error.strerror}") from None


def released_in(directory: Path) -> "Artifact | Mixture":
    """What is in ``directory``: an artefact, a mixture, or the current release of a releases folder."""
    from newsrec import releases

    release = releases.current(directory)
    return releases.load(directory if release is None else release.directory)


def tower_of(artifact: Path, backends: "Backends") -> "tuple[Tower, list[Refresher | Follower]]":
    """The history towers of what is in ``artifact``, and the threads that keep articles and releases up to date."""
    import torch

    from serving.bundle import make_bundle
    from serving.live_articles import Refresher
    from serving.recommend import ServingConfig
    from serving.reload import Follower
    from serving.tower import Tower

    torch.set_num_threads(1)
    config = ServingConfig()
    tower = Tower(make_bundle(released_in(artifact), backends, config))
    root = artifact if (artifact / "CURRENT").exists() else None
    refresher = Refresher(lambda: tower.bundle.live, refresh_seconds=math.inf)  # nobody counts here
    follower = Follower(tower, backends.database, backends.store, lambda new: make_bundle(new, backends, config), root)
    follower.look()
    return tower, [refresher, follower]


def clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000
