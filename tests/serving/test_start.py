"""Starting, not starting, not being ready, and ending."""

import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from newsrec.artifact import load, save
from newsrec.features import feature_hash
from serving import __main__ as command
from tests.serving.conftest import Process, Site, logging_put_back, serving, start
from tests.serving.test_predictor import V1, V2, tensor


@pytest.fixture(scope="module")
def unready(site: Site, warm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A predictor whose artefact was trained on other features."""
    folder = tmp_path_factory.mktemp("other")
    other = relabelled(site.folder / "artifact", folder / "artifact")
    options = [f"--store={site.store}", f"--event-log=sqlite:///{folder / 'events.db'}"]
    predictor = start(folder, "predictor", f"--artifact={other}", *options)
    with serving(predictor):
        yield predictor


def relabelled(artifact: Path, copy: Path) -> Path:
    """``artifact`` as if it had been trained on features of another hash."""
    made = load(artifact)
    return save(made._replace(feature_hash="0123456789abcdef"), copy)


def test_an_artefact_of_other_features_is_not_ready_and_says_both_hashes(unready: Process) -> None:
    http = unready.http
    request = {"user_id": "ann"}
    answers = [
        http.get("/v1/models/newsrec"),
        http.get("/v2/health/ready"),
        http.get("/v2/models/newsrec/ready"),
        http.post(V1, json={"instances": [request]}),
        http.post(V2, json=tensor(request)),
        http.post("/v2/repository/models/newsrec/load"),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert feature_hash() in answer.json()["error"]
        assert "0123456789abcdef" in answer.json()["error"]
    assert http.get("/v2/health/live").status_code == 200
    assert "0123456789abcdef" in unready.log.read_text()


def test_sigterm_ends_the_predictor_with_exit_code_zero(unready: Process) -> None:
    unready.process.send_signal(signal.SIGTERM)
    assert unready.process.wait(timeout=20) == 0
    assert "Traceback" not in unready.log.read_text()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """The exit code of ``python -m serving ARGUMENTS``, run in this process."""
    monkeypatch.setattr(sys, "argv", ["serving", *arguments])
    with logging_put_back(), pytest.raises(SystemExit) as ended:
        command.main()
    return ended.value.code


PORTS = ("--http-port=0", "--grpc-port=0")
Captured = pytest.CaptureFixture[str]


def one_line(capfd: Captured) -> str:
    error = capfd.readouterr().err
    assert error.count("\n") == 1, error
    return error.strip()


def test_a_missing_store_ends_with_one_sentence(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    options = [f"--store={tmp_path / 'none'}", f"--event-log=sqlite:///{tmp_path / 'e.db'}"]
    assert run(monkeypatch, f"--artifact={site.folder / 'artifact'}", *options, *PORTS) == 2
    assert one_line(capfd).startswith(f"serving: no feature store in {tmp_path / 'none'}")
    assert run(monkeypatch, "collector", *options, "--port=0") == 2
    assert one_line(capfd).startswith(f"serving: no feature store in {tmp_path / 'none'}")
    assert not list(tmp_path.iterdir())


def test_a_missing_foreign_or_corrupted_artefact_ends_with_one_sentence(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "policy.json").write_text("{}")
    shutil.copytree(site.folder / "artifact", tmp_path / "corrupted")
    with (tmp_path / "corrupted" / "weights.safetensors").open("r+b") as weights:
        weights.seek(-1, os.SEEK_END)
        weights.write(b"?")
    for artifact in (tmp_path / "none", tmp_path / "foreign", tmp_path / "corrupted"):
        assert run(monkeypatch, f"--artifact={artifact}", *site.options, *PORTS) == 2
        assert str(artifact) in one_line(capfd)


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ("--epsilon=2", "options.slate: epsilon is 2.0, expected a probability in [0, 1]"),
        ("--shelf-life-hours=0", "options: shelf_life_hours is 0.0, expected more than 0"),
        ("--event-log=mysql://x/y", "event log 'mysql://x/y' cannot be shared or is unknown"),
        ("--event-log=sqlite:////dev/null/e.db", "[Errno 17] File exists: '/dev/null'"),
        ("--reader-key-file=/nowhere", "the key of reader ids cannot be read from /nowhere"),
        ("--reader-key-file=/dev/null", "the key of reader pseudonyms is empty"),
    ],
)
def test_a_wrong_option_ends_with_one_sentence(
    site: Site, option: str, error: str, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    assert run(monkeypatch, f"--artifact={site.folder / 'artifact'}", *site.options, *PORTS, option) == 2
    assert one_line(capfd).startswith(f"serving: {error}")


def test_an_empty_key_in_the_environment_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    monkeypatch.setenv("NEWSREC_READER_KEY", "")
    assert run(monkeypatch, "collector", *site.options, "--port=0") == 2
    assert one_line(capfd).startswith("serving: the key of reader pseudonyms is empty")


def test_a_busy_port_is_said(site: Site, monkeypatch: pytest.MonkeyPatch, capfd: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options in ((f"--http-port={port}",), ("--http-port=0", f"--grpc-port={port}")):
            assert run(monkeypatch, f"--artifact={site.folder / 'artifact'}", *site.options, *options) == 2
            assert one_line(capfd).startswith(f"serving: cannot listen on 127.0.0.1 port {port}")
