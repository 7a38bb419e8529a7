"""The health check of the serving image: what Docker learns from its exit code and its one sentence."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from inspect import signature
from urllib.parse import urlsplit

import pytest

from serving import __main__ as command
from serving import health
from tests.conftest import ROOT
from tests.serving.conftest import Process, free_port


def check(*urls: str) -> subprocess.CompletedProcess:
    program = [sys.executable, "-m", "serving.health", *urls]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)


class Unready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b"other features")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def unready() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Unready) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_ready_server_is_healthy(predictor: Process, collector: Process) -> None:
    for server, asked in ((predictor, health.PREDICTOR), (collector, health.COLLECTOR)):
        path = asked.split("/", 3)[3]
        assert check(f"{server.http.base_url}/{path}").returncode == 0


def test_the_collector_is_asked_where_there_is_no_predictor(collector: Process) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    assert health.complaint(nobody, f"{collector.http.base_url}/healthz") is None


def test_a_server_that_is_not_ready_is_unhealthy_and_says_why(unready: str, collector: Process) -> None:
    assert health.complaint(unready, f"{collector.http.base_url}/healthz") == f"{unready} answers 503: other features"
    checked = check(unready)
    assert (checked.returncode, checked.stderr) == (1, f"{unready} answers 503: other features\n")


def test_nothing_listening_is_unhealthy() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    assert health.complaint(url) == f"nothing listens at {url}"


def test_a_server_that_hangs_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        assert health.complaint(url) == f"{url} does not answer: timed out"


def test_it_asks_the_ports_that_the_servers_listen_on_by_default() -> None:
    predictor, collector = (signature(server).parameters for server in (command.predictor, command.collector))
    assert urlsplit(health.PREDICTOR).port == predictor["http_port"].default
    assert urlsplit(health.COLLECTOR).port == collector["port"].default
