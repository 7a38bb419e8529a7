"""Fixtures that every test may use: real logs where they are found, a Redis, seeded generators."""

import gc
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.distribution import Distribution, order
from tests.warm_python import warm_python

if TYPE_CHECKING:
    import torch  # seconds: the process that deals the tests out needs it not

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = set(filter(None, os.environ.get("REQUIRE", "").split(",")))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests' own distribution where whole files are asked for (``--dist loadfile``)."""
    if config.getvalue("dist") == "loadfile":
        return Distribution(config, log)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: order(item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """The garbage collector need not look again and again through the thousands of modules that tests import."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """``real_data("mind-5k")``: that folder of real logs, or a skip that says where it was looked for."""

    def find(name: str) -> Path:
        path = Path(os.environ.get("NEWSREC_DATA", ROOT.parent / "shared" / "data")) / name
        if not path.exists():
            unavailable("data", f"real log {name} not found at {path}; set NEWSREC_DATA to a folder that holds it")
        return path

    return find


def unavailable(what: str, reason: str) -> None:
    """Skip with ``reason``, or fail where the environment variable REQUIRE lists ``what``."""
    if what in REQUIRED:
        pytest.fail(f"REQUIRE={what}: {reason}")
    pytest.skip(reason)


@pytest.fixture
def generator() -> "torch.Generator":
    import torch

    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def python() -> Iterator[Path]:
    """A ``python`` for tests that start processes; the libraries are imported already, our own modules are not."""
    with warm_python() as command:
        yield command


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of this session's own on a free port of 127.0.0.1, as host:port."""
    program = shutil.which("redis-server")
    if program is None:
        unavailable("redis", "redis-server not found; apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder), "--logfile", "redis.log"]
    process = subprocess.Popen([program, *options])
    try:
        wait_for_port(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def redis_server(redis_process: str) -> str:
    """An empty Redis, as host:port."""
    from redis import Redis

    host, port = redis_process.split(":")
    Redis(host, int(port)).flushall()
    return redis_process


def wait_for_port(port: int, process: subprocess.Popen) -> None:
    """Return once ``process`` accepts connections on ``port`` of 127.0.0.1; fail when it ends or after 20 s."""
    for _ in range(400):
        assert process.poll() is None, f"{process.args[0]} ended with code {process.returncode} before it listened"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"{process.args[0]} does not listen on port {port} after 20 s")
