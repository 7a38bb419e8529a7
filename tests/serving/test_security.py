"""Who may call, what a request cannot reach, and what never stands in a log."""

import ast
import functools
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from feature_repo.errors import FeatureStoreMissing
from feature_repo.repository import connect as connect_store
from feature_repo.store import create_store
from newsrec.config import InvalidConfig
from newsrec.database import connect, without_password
from newsrec.event_log import EventDatabase
from newsrec.ingestion import ingest
from serving.backends import Backends
from serving.collector import create_app
from serving.group_commit import GroupCommit
from serving.security import BearerToken, read_token
from tests.serving.conftest import Site, clock, ended, serving, start, wait_for
from tests.serving.test_replay import _answers
from tests.test_architecture import sources

TOKEN, SECRET = "a-token-that-nobody-guesses", "pa55word-of-the-database"
EVENT = {"event_id": "e", "request_id": "r", "user_id": "u", "article_id": "a", "kind": "click"}


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    folder = tmp_path_factory.mktemp("security")
    database = EventDatabase(f"sqlite:///{folder / 'events.db'}")
    yield Backends(create_store(folder / "store"), database, None, clock)
    database.close()


ROUTES = [
    ("POST", "/v1/feedback"),
    ("POST", "/v1/articles"),
    ("DELETE", "/v1/articles/a"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/nowhere"),
]


def test_every_route_of_the_collector_but_health_wants_the_token(backends: Backends) -> None:
    with TestClient(create_app(backends, TOKEN)) as client:
        for given in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN}, {"Authorization": "Bearer"}):
            for method, path in ROUTES:
                answer = client.request(method, path, headers=given)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (path, given)
                assert list(answer.json()) == ["error"]
        assert [client.get(path).status_code for path in ("/healthz", "/metrics")] == [200, 200]
        borne = {"Authorization": f"bearer {TOKEN}"}
        found = [client.request(method, path, headers=borne).status_code for method, path in ROUTES]
        assert found == [400, 400, 404, 200, 200, 404]
        answer = client.post("/v1/feedback", json={"events": [EVENT]}, headers=borne)
        assert answer.json() == {"accepted": 0, "repeated": 0, "quarantined": 1, "history": "pending"}


def test_the_collectors_routes_are_all_known_here(backends: Backends) -> None:
    described = create_app(backends).openapi()["paths"]
    known = {path.replace("/articles/a", "/articles/{article_id}") for _, path in ROUTES}
    assert set(described) - known == {"/healthz", "/metrics"}


def test_without_a_token_the_routes_are_open(backends: Backends) -> None:
    with TestClient(create_app(backends)) as client:
        assert client.post("/v1/feedback", json={"events": [EVENT]}).status_code == 200


def test_only_guarded_paths_want_it() -> None:
    app = FastAPI()
    app.add_middleware(BearerToken, token=TOKEN, guarded=lambda path: path.startswith("/v2/repository/"))
    with TestClient(app) as client:
        assert client.post("/v2/repository/models/newsrec/unload").status_code == 401
        assert client.post("/v1/models/newsrec:predict").status_code == 404
        odd = {"Authorization": "Bearer größe".encode("latin-1").decode("latin-1").encode("latin-1")}
        assert client.post("/v2/repository/index", headers=odd).status_code == 401


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr("serving.security.hmac.compare_digest", lambda *given: bool(compared.append(given)))
    app = FastAPI()
    app.add_middleware(BearerToken, token=TOKEN)
    with TestClient(app) as client:
        assert client.get("/x", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 401
    assert compared == [(f"bearer {TOKEN}".encode(),) * 2]


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEWSREC_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("NEWSREC_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}-of-the-file\n")
    assert read_token(file) == f"{TOKEN}-of-the-file"
    for bad in ("", "short", "größer als sechzehn Zeichen", "with a space in the middle", "line\nbreak-in-the-middle"):
        file.write_text(bad)
        with pytest.raises(InvalidConfig, match=r"the token in .* is no 16 or more") as refused:
            read_token(file)
        assert not bad or bad not in str(refused.value)
    with pytest.raises(InvalidConfig, match=r"cannot be read from .*: FileNotFoundError"):
        read_token(tmp_path / "none")


def test_beyond_the_places_there_is_an_early_503_and_health_still_answers(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go, real = threading.Semaphore(0), threading.Event(), GroupCommit.append

    def slow(commit: GroupCommit, rows: list[dict], now: int) -> Any:
        inside.release()
        assert go.wait(60)
        return real(commit, rows, now)

    monkeypatch.setattr(GroupCommit, "append", slow)
    with TestClient(create_app(backends, max_concurrency=2)) as client, ThreadPoolExecutor(2) as threads:
        sent = [{"events": [EVENT | {"event_id": f"held {n}"}]} for n in range(3)]
        held = [threads.submit(client.post, "/v1/feedback", json=body) for body in sent[:2]]
        for _ in held:
            assert inside.acquire(timeout=60)
        for method, path in ROUTES[:3]:
            refused = client.request(method, path, json=sent[2])
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["error"].startswith("2 requests are at work")
        assert [client.get(path).status_code for path in ("/healthz", "/metrics")] == [200, 200]
        go.set()
        assert [each.result().status_code for each in held] == [200, 200]
        assert client.post("/v1/feedback", json=sent[2]).status_code == 200


@pytest.mark.usefixtures("warm")
def test_loading_and_unloading_models_wants_the_token(site: Site) -> None:
    """Over REST and gRPC; slates and health are asked for without."""
    options = (f"--artifact={site.folder / 'artifact'}", *site.options)
    predictor = start(site.folder, "guarded", *options, NEWSREC_TOKEN=TOKEN)
    with serving(predictor), grpc.insecure_channel(f"127.0.0.1:{predictor.grpc_port}") as channel:
        wait_for(lambda: predictor.http.get("/v2/health/ready").status_code == 200)
        unload, borne = "/v2/repository/models/newsrec/unload", f"Bearer {TOKEN}"
        assert predictor.http.post(unload).status_code == 401
        assert predictor.http.post(unload, headers={"Authorization": borne}).status_code == 405
        asked = {"instances": [{"user_id": "ann", "k": 3}]}
        assert predictor.http.post("/v1/models/newsrec:predict", json=asked).status_code == 200
        stub = GRPCInferenceServiceStub(channel)
        wait_for(lambda: _ready(stub))
        with pytest.raises(grpc.RpcError) as refused:
            stub.RepositoryModelUnload(messages.RepositoryModelUnloadRequest(model_name="newsrec"), timeout=30)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.RpcError) as refused:
            stub.RepositoryModelUnload(
                messages.RepositoryModelUnloadRequest(model_name="newsrec"),
                metadata=[("authorization", borne)],
                timeout=30,
            )
        assert refused.value.code() is not grpc.StatusCode.UNAUTHENTICATED
    assert TOKEN not in predictor.log.read_text()


def _ready(stub: GRPCInferenceServiceStub) -> bool:
    try:
        return stub.ServerReady(messages.ServerReadyRequest(), timeout=30).ready
    except grpc.RpcError:
        return False


FILES = {
    "serving/commands/opening.py": "options of the command line",
    "serving/commands/options.py": "options of the command line",
    "serving/commands/predictor.py": "options of the command line",
    "serving/commands/collector.py": "options of the command line",
    "serving/commands/ahead.py": "options of the command line",
    "serving/commands/experiment.py": "options of the command line",
    "serving/forget.py": "the store's folder, an option of the command line",
    "serving/security.py": "the token's file, an option of the command line",
    "serving/slate_counter.py": "the folder of --state",
    "serving/slate_log.py": "hands that folder on",
    "serving/reload.py": "the releases folder, an option of the command line",
    "serving/precompute.py": "options of its command line",
}
"""What in serving touches files at all, and where their names come from: from no request."""
OPENING = {"open", "Path", "os", "shutil", "glob", "tempfile", "fcntl", "mmap", "subprocess"}
TOUCHING = {
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "unlink",
    "mkdir",
    "glob",
    "rglob",
    "touch",
    "rename",
}


def test_no_code_that_answers_requests_touches_files() -> None:
    found = {
        f"{path}, line {node.lineno}: {ast.unparse(node)[:60]}"
        for path, tree in sources("serving").items()
        if path not in FILES
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in OPENING)
            or (isinstance(node.func, ast.Attribute) and node.func.attr in TOUCHING)
            or (isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value).partition(".")[0] in OPENING)
        )
    }
    assert not found


OPENED: list[str] = []
WATCHING = threading.Event()


@functools.cache
def watch() -> None:
    """Once, and not on import: a hook stays, and every event of this process goes through it from then on."""
    sys.addaudithook(
        lambda event, arguments: OPENED.append(str(arguments[0])) if event == "open" and WATCHING.is_set() else None
    )


@contextmanager
def watched() -> Iterator[list[str]]:
    watch()
    OPENED.clear()
    WATCHING.set()
    yield OPENED
    WATCHING.clear()


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "..%2f..%2fetc%2fpasswd"])
def test_no_identifier_of_a_request_is_a_path(backends: Backends, name: str) -> None:
    article = {"article_id": name, "published_at": 5, "title": name, "category": name}
    sent = EVENT | {"event_id": name, "request_id": name, "user_id": name, "article_id": name}
    with TestClient(create_app(backends)) as client, watched() as opened:
        assert client.post("/v1/articles", json={"articles": [article]}).status_code == 200
        assert client.post("/v1/feedback", json={"events": [sent]}).status_code == 200
        assert client.request("DELETE", f"/v1/articles/{name.lstrip('/')}").status_code in (200, 404)
    assert not [path for path in opened if "passwd" in path]


def test_the_watch_sees_what_is_opened(tmp_path: Path) -> None:
    with watched() as opened:
        (tmp_path / "seen").write_text("")
    assert [path for path in opened if path.endswith("seen")]


@contextmanager
def postgres_that_refuses() -> Iterator[int]:
    """A server that asks for a password and says that it is wrong, as PostgreSQL does; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    first = connection.recv(1000)
                    if len(first) == 8:  # asks for TLS
                        connection.sendall(b"N")
                        connection.recv(1000)
                    connection.sendall(b"R" + (8).to_bytes(4) + (3).to_bytes(4))
                    connection.recv(1000)
                    fields = b'SFATAL\0C28P01\0Mpassword authentication failed for user "newsrec"\0\0'
                    connection.sendall(b"E" + (len(fields) + 4).to_bytes(4) + fields)

        threading.Thread(target=answer, daemon=True).start()
        yield listening.getsockname()[1]


def output(folder: Path, *arguments: str) -> str:
    done = ended(*arguments, f"--store={folder}", NEWSREC_TOKEN=TOKEN, NEWSREC_READER_KEY=SECRET)
    assert done.returncode == 2, done.stderr
    return done.stdout + done.stderr


@pytest.mark.usefixtures("warm")
def test_a_wrong_password_is_said_without_the_password(backends: Backends) -> None:
    with postgres_that_refuses() as port:
        url = f"postgresql://newsrec:{SECRET}@127.0.0.1:{port}/newsrec?connect_timeout=9"
        said = output(backends.store.root, "collector", "--port=0", f"--event-log={url}")
    assert "password authentication failed" in said
    assert said.count("\n") == 1
    assert SECRET not in said
    assert TOKEN not in said


URLS = [
    f"postgresql://newsrec:{SECRET}@host:no-port/newsrec",
    f"mysql://newsrec:{SECRET}@host/newsrec",
    f"newsrec:{SECRET}@host/newsrec",
    f"mysql://host/newsrec?password={SECRET}",
]


@pytest.mark.parametrize("url", URLS)
def test_a_wrong_url_is_said_without_its_password(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidConfig, match="expected sqlite:///FILE") as refused:
        connect(url)
    assert SECRET not in str(refused.value)
    assert "***" in str(refused.value)
    with pytest.raises(InvalidConfig, match="source is") as refused:
        ingest(url, tmp_path / "out")
    assert SECRET not in str(refused.value)
    monkeypatch.setenv("NEWSREC_REDIS", f"redis://:{SECRET}@127.0.0.1:1")
    with pytest.raises(FeatureStoreMissing, match="expected host:port") as missing:
        connect_store(tmp_path)
    assert SECRET not in str(missing.value)


def test_what_holds_no_password_stays_readable() -> None:
    for text in ("sqlite:///runs/events.db", "mind:PATH", "postgresql://newsrec@postgres/newsrec"[13:], "redis:6379"):
        assert without_password(text) == text


def test_statements_in_errors_show_no_readers(backends: Backends) -> None:
    row = {"request_id": "r", "user_id": "ann@example.org", "session_id": "s", "time": 1, "policy": "p"}
    with backends.database.engine.begin() as connection, pytest.raises(sa.exc.DBAPIError) as failed:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:user_id)"), row)
    assert "ann@example.org" not in str(failed.value)


@pytest.mark.usefixtures("warm")
def test_a_servers_log_holds_no_secret_whatever_happens(backends: Backends, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET)
    collector = start(
        tmp_path,
        "collector",
        "collector",
        f"--store={backends.store.root}",
        f"--event-log=sqlite:///{tmp_path / 'events.db'}",
        f"--reader-key-file={key}",
        NEWSREC_TOKEN=TOKEN,
    )
    try:
        wait_for(lambda: _answers(collector.http))
        borne = {"Authorization": f"Bearer {TOKEN}"}
        reader = "ann@example.org"
        sent = {"events": [EVENT | {"user_id": reader}]}
        assert collector.http.post("/v1/feedback", json=sent).status_code == 401
        assert collector.http.post(f"/v1/feedback?token={TOKEN}", json=sent).status_code == 401
        assert collector.http.post("/v1/feedback", json=sent, headers=borne).status_code == 200
        assert collector.http.post("/v1/feedback", content=TOKEN, headers=borne).status_code == 400
        with closing(sqlite3.connect(tmp_path / "events.db")) as other:
            other.execute("DROP TABLE feedback")
        assert collector.http.post("/v1/feedback", json=sent, headers=borne).status_code == 503
    finally:
        collector.process.terminate()
        collector.process.wait(20)
        collector.http.close()
    said = collector.log.read_text()
    assert "the event log does not answer" in said
    assert not [secret for secret in (TOKEN, SECRET, reader) if secret in said]
