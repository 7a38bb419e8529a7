"""A machine with stand-ins for kind, Docker and kubectl on its PATH, and a server with the files to download."""

import hashlib
import http.server
import io
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from scripts.kind_cluster import commands, host, up
from scripts.kind_cluster.downloads import Downloads
from scripts.kind_cluster.versions import KUSTOMIZATION, read
from tests.conftest import unavailable
from tests.scripts.kind_cluster.releases import FILES

OWN_IMAGES = {"newsrec-serving:0.1.0": None, "newsrec-pipeline:0.1.0": None}
VERSIONS = """\
[versions]
kind = "0.30.0"
kubernetes = "1.34.0"
argo-workflows = "4.0.8"
# a remark that stays
[downloads.kind-linux-amd64]
url = "URL/v{kind}/kind-linux-amd64"
file = "kind-{kind}"
sha256 = "KIND"

[downloads.cert-manager]
url = "URL/cert-manager.yaml"
file = "cert-manager.yaml"
[downloads.kserve]
url = "URL/kserve.yaml" # the controllers
file = "kserve-1.yaml"

[downloads.pipelines]
url = "URL/pipelines.tar.gz"
file = "pipelines.tar.gz"

[downloads.argo-workflows]
url = "URL/argo-workflows.tar.gz"
file = "argo-workflows.tar.gz"

# Ours.
[images.node]
name = "kindest/node:v{kubernetes}"
[images.redis]

[images.postgres]
"""


class _Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = FILES.get(self.path.rsplit("/", 1)[1])
        self.server.asked.append(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("content-length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def file_server() -> Iterator[http.server.ThreadingHTTPServer]:
    """A server with FILES; ``asked`` are the paths so far."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@dataclass
class Machine:
    """Where the stand-ins keep what they know, and what kind-up works with."""

    state: Path
    tools: Path
    downloads: Downloads
    output: io.StringIO

    def up(self) -> None:
        up.up(self.downloads, Console(file=self.output, width=200))

    def calls(self, *beginning: str) -> list[list[str]]:
        """The commands so far, those of kubectl without their context, that begin so."""
        lines = (self.state / "calls.jsonl").read_text().splitlines()
        calls = [[word for word in json.loads(line) if word not in ("--context", "kind-newsrec")] for line in lines]
        return [call for call in calls if call[: len(beginning)] == list(beginning)]

    def objects(self) -> dict[str, dict]:
        """What is in the cluster, by NAMESPACE/KIND/NAME."""
        return json.loads((self.state / "objects.json").read_text())

    def write(self, name: str, value: object) -> None:
        (self.state / name).write_text(json.dumps(value))

    def fail(self, pattern: str) -> None:
        """Let the next command that ``pattern`` is found in fail."""
        (self.state / "fail").write_text(pattern)


@pytest.fixture
def files() -> Iterator[http.server.ThreadingHTTPServer]:
    with file_server() as server:
        yield server


@pytest.fixture
def versions_file(tmp_path: Path, files: http.server.ThreadingHTTPServer) -> Path:
    return write_versions(tmp_path, files)


@pytest.fixture
def machine(tmp_path: Path, versions_file: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return make_machine(tmp_path, versions_file, monkeypatch)


@pytest.fixture(scope="session")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine on which kind-up has been, for tests that only look at it."""
    folder = tmp_path_factory.mktemp("machine")
    with file_server() as server, pytest.MonkeyPatch.context() as patch:
        made = make_machine(folder, write_versions(folder, server), patch)
        made.up()
    return made


@pytest.fixture
def running(left_alone: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The same for tests that change it; nothing serves its downloads any more."""
    folder = shutil.copytree(left_alone.state.parent, tmp_path / "machine")
    use(folder, monkeypatch)
    downloads = Downloads(left_alone.downloads.versions, folder / "build")
    return Machine(folder / "state", folder / "tools", downloads, io.StringIO())


def write_versions(folder: Path, files: http.server.ThreadingHTTPServer) -> Path:
    path = folder / "versions.toml"
    url = f"http://127.0.0.1:{files.server_port}"
    sha256 = hashlib.sha256(FILES["kind-linux-amd64"]).hexdigest()
    path.write_text(VERSIONS.replace("URL", url).replace("KIND", sha256))
    return path


def require_kubectl() -> None:
    if shutil.which("kubectl") is None:
        unavailable("kubectl", "kubectl not found; https://kubernetes.io/docs/tasks/tools/ says how to install it")


def make_machine(folder: Path, versions: Path, patch: pytest.MonkeyPatch) -> Machine:
    require_kubectl()
    state, tools = folder / "state", folder / "tools"
    state.mkdir()
    tools.mkdir()
    source = Path(__file__).with_name("fake_tool.py").read_text()
    for name in ("kind", "docker", "kubectl"):
        (tools / name).write_text(f"#!{sys.executable} -I\n{source}")
        (tools / name).chmod(0o755)
    use(folder, patch)
    made = Machine(state, tools, Downloads(read(versions, KUSTOMIZATION), folder / "build"), io.StringIO())
    made.write("images.json", OWN_IMAGES)
    return made


def use(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Have the stand-ins in ``folder`` on the PATH, on a machine of the sort that they are for."""
    patch.setenv("PATH", f"{folder / 'tools'}{os.pathsep}{os.environ['PATH']}")
    patch.setenv("STATE", str(folder / "state"))
    patch.setattr(commands, "PAUSE_SECONDS", 0.01)
    patch.setattr(host.platform, "system", lambda: "Linux")
    patch.setattr(host.platform, "machine", lambda: "x86_64")
