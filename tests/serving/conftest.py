"""Predictor and collector as users start them: two processes on free ports, a real artefact and Feast store."""

import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import torch

from feature_repo.store import Store, create_store, open_store
from newsrec import artifact, catalogue, dataset, releases
from newsrec.event_log import EventDatabase
from newsrec.registry import REGISTRY
from serving.backends import Backends
from tests.conftest import ROOT
from tests.serving import small_log

START_SECONDS = 90
PYTHON = sys.executable
"""What servers and commands are started with; ``warm`` puts another one here."""


@contextmanager
def logging_put_back() -> Iterator[None]:
    """What is configured within writes to a stream of this test, which the next one finds closed."""
    loggers = [logging.getLogger(name) for name in ("", "serving", "kserve", "uvicorn", "psycopg")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers = list(logger.handlers)
    try:
        yield
    finally:
        for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.level, logger.propagate = handlers, level, propagate


class Site(NamedTuple):
    """What a site has on disk when it starts to serve: the folder, and the moment its log ends."""

    folder: Path
    now: int

    @property
    def options(self) -> list[str]:
        return [f"--store={self.folder / 'store'}", f"--event-log={self.event_log}"]

    @property
    def event_log(self) -> str:
        return f"sqlite:///{self.folder / 'events.db'}"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def untouched_store(self) -> Path:
        """A copy of ``store`` from before anything was served."""
        return self.folder / "untouched_store"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def clock() -> int:
    return time.time_ns() // 1_000


def make_site(folder: Path, policy: str = "transformer", **config: Any) -> Site:
    """A store with the small log materialised, and an artefact trained on it for a few steps, which is released."""
    now = clock()
    log = small_log.log(now)
    make_store(folder / "untouched_store", now)
    sqlite3.connect(folder / "untouched_store" / "online_store.db").execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    shutil.copytree(folder / "untouched_store", folder / "store")
    decisions = dataset.from_log(log)
    torch.manual_seed(0)
    entry = REGISTRY[policy]
    trained = entry.policy(entry.config(**config), log.articles.num_rows)
    learner = entry.learner(trained, torch.Generator().manual_seed(0))
    batch = decisions.batch(torch.arange(len(decisions)).numpy())
    for _ in range(30):
        learner.update(batch)
    artifact.save(artifact.create(policy, trained, catalogue.from_articles(log.articles)), folder / "artifact")
    releases.publish_artifact(folder / "releases", folder / "artifact", incumbent="", run="test")
    return Site(folder, now)


def make_store(root: Path, now: int) -> Store:
    store = create_store(root)
    store.write_offline(small_log.log(now))
    store.materialize(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now))
    return store


class Process(NamedTuple):
    http: httpx.Client
    process: subprocess.Popen
    log: Path
    grpc_port: int


def start(folder: Path, name: str, *arguments: str, python: str = "", **environment: str) -> Process:
    """``python -m serving ARGUMENTS`` on free ports, not yet answering; its output goes to ``folder/name.log``."""
    port, grpc_port, log = free_port(), free_port(), folder / f"{name}.log"
    ports = [f"--port={port}"] if "collector" in arguments else [f"--http-port={port}", f"--grpc-port={grpc_port}"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [python or PYTHON, "-m", "serving", *arguments, *ports],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return Process(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30), process, log, grpc_port)


def ended(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """``python -m serving ARGUMENTS``, once it has ended."""
    return subprocess.run(
        [PYTHON, "-m", "serving", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def serving(*processes: Process) -> Iterator[None]:
    """From the moment all of ``processes`` answer HTTP until they end, with exit code 0, on the SIGTERM after it."""
    try:
        for started in processes:
            wait_for(lambda started=started: answers(started))
        yield
        for started in processes:
            started.process.terminate()
        assert [started.process.wait(timeout=20) for started in processes] == [0] * len(processes)
    finally:
        for started in processes:
            started.http.close()
            started.process.kill()
            started.process.wait()


def answers(started: Process) -> bool:
    assert started.process.poll() is None, started.log.read_text()
    try:
        started.http.get("/metrics", timeout=1)
    except httpx.TransportError:
        return False
    return True


def wait_for(condition: Callable[[], object], seconds: float = START_SECONDS) -> None:
    """Return when ``condition`` holds; fail where it does not within ``seconds``, far more than it ever takes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="session", autouse=True)
def sqlite_alone() -> Iterator[None]:
    """These tests spoil files of the online store, and share no Redis."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NEWSREC_REDIS", raising=False)
        yield


@pytest.fixture(scope="package")
def warm(python: Path) -> Iterator[None]:
    """Servers and commands are programs of ``python``: they start in a second, where imports take nine.

    From a Python of their own they start in ``tests/faults``, in the demo and in containers.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "PYTHON", str(python))
        yield


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), width=16, layers=1)


@pytest.fixture(scope="session")
def both(site: Site, python: Path) -> Iterator[tuple[Process, Process]]:
    """The predictor and the collector of ``site``, started side by side."""
    warm = {"python": str(python)}
    predictor = start(site.folder, "predictor", f"--artifact={site.folder / 'releases'}", *site.options, **warm)
    collector = start(site.folder, "collector", "collector", *site.options, **warm)
    with serving(predictor, collector):
        yield predictor, collector


@pytest.fixture(scope="session")
def predictor(both: tuple[Process, Process]) -> Process:
    return both[0]


@pytest.fixture(scope="session")
def collector(both: tuple[Process, Process]) -> Process:
    return both[1]


@pytest.fixture
def database(site: Site) -> Iterator[EventDatabase]:
    opened = EventDatabase(site.event_log)
    yield opened
    opened.close()


@contextmanager
def own_backends(site: Site, folder: Path, reader_key: bytes | None = None) -> Iterator[Backends]:
    """In ``folder``, a copy of the site's store before anything happened, and an empty event log."""
    shutil.copytree(site.untouched_store, folder / "store")
    database = EventDatabase(f"sqlite:///{folder / 'events.db'}")
    yield Backends(open_store(folder / "store"), database, reader_key, clock)
    database.close()


@pytest.fixture
def backends(site: Site, tmp_path: Path) -> Iterator[Backends]:
    """A store and an event log of this test alone."""
    with own_backends(site, tmp_path) as made:
        yield made
