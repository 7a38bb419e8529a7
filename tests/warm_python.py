"""A Python that has imported its libraries already: tests of processes start many, and Feast alone takes 5 CPU seconds.

One process imports ``LIBRARIES``, none of the project's own modules, and forks for each program that is run through the
command of ``warm_python``. As far as its caller can tell, the command is that program: it takes Python's own options
``-m MODULE`` and ``-c CODE``; folder, environment and standard streams are the caller's; SIGTERM and SIGINT reach the
program; its end is the command's end, and it does not survive the command.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

LIBRARIES = (
    "prometheus_client",  # before Feast, which would have it keep its numbers in files that all programs shared
    "torch",
    "torch._dynamo",  # which the first optimiser imports, in two seconds
    "kfp.dsl.executor_main",
    "scipy.stats",
    "sqlalchemy",
    "safetensors.torch",
    "typer",
    "rich.progress",
    "rich.table",
    "feast",
    "feast.infra.offline_stores.duckdb",
    "feast.infra.online_stores.sqlite",
    "feast.infra.online_stores.redis",
    "kserve",
    "uvloop",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)
COMMAND = """#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps({{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}).encode()
socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
server.sendall(asked)
program = int.from_bytes(server.recv(8, socket.MSG_WAITALL), "big")
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: os.kill(program, number))
ended = server.recv(8, socket.MSG_WAITALL)
code = int.from_bytes(ended, "big", signed=True) if ended else 70
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
    signal.signal(number, signal.SIG_DFL)
if code < 0:
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class Program(NamedTuple):
    """What is to be run."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]


@contextmanager
def warm_python() -> Iterator[Path]:
    """The command, as long as the process behind it lives."""
    folder = tempfile.TemporaryDirectory()  # short: a socket's name has at most 107 letters
    address, command = (Path(folder.name) / name for name in ("socket", "python"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen(64)
    command.write_text(COMMAND.format(python=sys.executable, address=str(address)))
    command.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__)), str(listener.fileno())],
        pass_fds=[listener.fileno()],
        stdin=subprocess.PIPE,
        env=environment | {"_KFP_RUNTIME": "true", "OMP_NUM_THREADS": "1"},  # a pool of threads would be lost
    )
    listener.close()
    try:
        yield command
    finally:
        server.stdin.close()
        server.wait(20)
        folder.cleanup()


def serve(listener: socket.socket) -> Program:
    """Fork for each program that is asked for, and return it in the child; SystemExit once standard input ends."""
    programs: dict[int, socket.socket] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while True:
        ready, _, _ = select.select([0, woken, listener, *programs.values()], [], [])
        if woken in ready:
            os.read(woken, 4096)
        for pid, asker in list(programs.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with asker, suppress(OSError):  # a command that is gone
                    asker.sendall(os.waitstatus_to_exitcode(status).to_bytes(8, "big", signed=True))
                del programs[pid]
            elif asker in ready:  # its command was killed
                os.kill(pid, signal.SIGKILL)
        if listener in ready:
            asker, _ = listener.accept()
            size, streams, _, _ = socket.recv_fds(asker, 8, 3)
            asked = asker.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
            assert _other_threads() <= {"jemalloc_bg_thd"}, "a fork loses its threads; jemalloc starts its own anew"
            if pid := os.fork():
                programs[pid] = asker
                for stream in streams:
                    os.close(stream)
                asker.sendall(pid.to_bytes(8, "big"))
                continue
            for each in (listener, asker, *programs.values()):
                each.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for standard, stream in enumerate(streams):
                os.dup2(stream, standard)
            for descriptor in (woken, wake, *streams):
                os.close(descriptor)
            return Program(**json.loads(asked))
        if 0 in ready:
            for pid in programs:
                os.kill(pid, signal.SIGKILL)
            raise SystemExit


def _other_threads() -> set[str]:
    """What the threads of this process are called, but for the main one."""
    threads = Path("/proc/self/task").iterdir()
    return {(thread / "comm").read_text().strip() for thread in threads if thread.name != str(os.getpid())}


def become(program: Program, libraries: list[str]) -> None:
    """Run ``program`` as Python would, with its own search path before that of ``libraries``."""
    os.chdir(program.folder)
    os.environ.clear()
    os.environ.update(program.environment)
    time.tzset()
    option, what, *rest = program.arguments
    first = program.folder if option == "-m" else ""
    sys.path[:] = [first, *filter(None, program.environment.get("PYTHONPATH", "").split(os.pathsep)), *libraries]
    sys.argv[:] = [option, *rest]
    if option == "-m":
        sys.modules.pop(what, None)  # a library's program was imported, not run
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif option == "-c":
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), main.__dict__)
    else:
        sys.exit(f"warm Python takes -m MODULE or -c CODE, found {program.arguments}")


def exit_code(program: Program, libraries: list[str]) -> int:
    """What Python would end with after ``program``."""
    try:
        become(program, libraries)
    except SystemExit as left:
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    codes = []

    @atexit.register  # the first: it is called last
    def leave() -> None:
        """Without taking thousands of modules apart, which takes longer than most programs do."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(codes[0] if codes else 0)

    found = sys.path[1:]
    sys.path[:] = found
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    codes.append(exit_code(serve(socket.socket(fileno=int(sys.argv[1]))), found))
