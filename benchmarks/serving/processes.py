"""Servers of a benchmark: started on free ports of 127.0.0.1, pinned to a core, read from /proc, ended by their ids.

A server is its own session, so that Ctrl-C reaches the benchmark alone, which then ends each; should the benchmark
itself be killed, the kernel ends them.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import ROOT
from benchmarks.serving.load import Outcome, Plan
from benchmarks.serving.void import Void

HOST = "127.0.0.1"
START_SECONDS, END_SECONDS = 180, 20
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
WITH_PARENT = [sys.executable, "-m", "benchmarks.serving.with_parent"]


class ServerFailed(Void):
    """A server ended, or never answered; the message quotes what it said."""


class Command(NamedTuple):
    """How a server is started."""

    name: str
    arguments: Sequence[str]
    port: int
    environment: Mapping[str, str] = {}


class Server(NamedTuple):
    """A running one."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    said: Path
    """What it wrote to stdout and stderr."""

    def pids(self) -> list[int]:
        """Its processes: itself and all that it started."""
        return [self.process.pid, *_children(self.process.pid)]

    def pin(self, core: int) -> None:
        """Let every thread run on ``core`` alone; threads that they start later inherit it."""
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {core})

    def last_words(self) -> str:
        """The end of what it wrote."""
        return self.said.read_text(encoding="utf-8", errors="replace")[-2000:]

    def cpu_seconds(self) -> float:
        """User and system time so far, in steps of 10 ms."""
        return sum(sum(map(int, _stat(pid)[11:13])) for pid in self.pids()) / TICKS

    def resident_bytes(self) -> int:
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in self.pids())


def cores() -> tuple[int, int]:
    """One for all servers and one for the generator; the same where the machine has no other."""
    free = sorted(os.sched_getaffinity(0))
    return free[0], free[-1]


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def running(commands: Sequence[Command], folder: Path) -> Iterator[dict[str, Server]]:
    """Name -> server, from the moment all ``commands`` listen until they end. Raises ServerFailed."""
    servers: dict[str, Server] = {}
    try:
        for command in commands:
            servers[command.name] = _start(command, folder)
        for server in servers.values():
            _wait(server)
        yield servers
    finally:
        for server in servers.values():
            server.process.terminate()
        for server in servers.values():
            _end(server.process)


def redis(folder: Path, port: int) -> Command:
    """A private Redis that keeps nothing on disk. Raises ServerFailed where none is installed."""
    if shutil.which("redis-server") is None:
        raise ServerFailed("redis-server is not found; apt-get install redis-server")
    bound = ["--bind", HOST, "--port", str(port), "--dir", str(folder)]
    return Command("redis", ["redis-server", *bound, "--save", "", "--appendonly", "no"], port)


def _start(command: Command, folder: Path) -> Server:
    said = folder / f"{command.name}.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **command.environment}
    with said.open("wb") as out:
        process = subprocess.Popen(
            [*WITH_PARENT, *command.arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(command.name, command.port, process, said)


def _wait(server: Server) -> None:
    """Until something listens on its port."""
    end = time.monotonic() + START_SECONDS
    while True:
        if server.process.poll() is not None or time.monotonic() > end:
            raise ServerFailed(f"{server.name} does not listen on port {server.port}; it said:\n{server.last_words()}")
        with socket.socket() as probe:
            if probe.connect_ex((HOST, server.port)) == 0:
                return
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *_children(child)]
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class Generator:
    """The load generator, on ``core``."""

    def __init__(self, core: int) -> None:
        self._process = subprocess.Popen(
            [*WITH_PARENT, sys.executable, "-m", "benchmarks.serving.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._answer()
        os.sched_setaffinity(self._process.pid, {core})

    def __enter__(self) -> "Generator":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def drive(self, plan: Plan) -> Outcome:
        assert self._process.stdin
        print(json.dumps(plan._asdict()), file=self._process.stdin, flush=True)
        return Outcome(**self._answer())  # type: ignore[arg-type]

    def _answer(self) -> dict[str, object]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise ServerFailed(f"the load generator ended with code {self._process.wait()}")
        return json.loads(line)
