"""The ids of requests, and lines that carry them."""

import asyncio
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from kserve.protocol.grpc import grpc_predict_v2_pb2 as v2
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from serving import logs
from serving.logs import HEADER, REQUEST, Format, Json, RequestIds, Text, configure
from tests.serving.conftest import Process, logging_put_back
from tests.serving.test_predictor import V1, V2


@pytest.fixture
def client() -> TestClient:
    """An application whose routes tell the id by which they know their request, one from a thread, one by failing."""
    app = FastAPI()

    @app.get("/loop")
    async def in_loop() -> str:
        await asyncio.sleep(0.01)
        return REQUEST.get()

    @app.get("/thread")
    def in_thread() -> str:
        return REQUEST.get()

    @app.get("/failure")
    def failure() -> str:
        raise RuntimeError("a failure")

    return TestClient(RequestIds(app), raise_server_exceptions=False)


@pytest.mark.parametrize("path", ["/loop", "/thread"])
def test_a_request_has_the_callers_name_and_the_answer_repeats_it(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"X-Request-Id": "order-66/a.b:c@d=+_"})
    assert (answer.json(), answer.headers[HEADER]) == ("order-66/a.b:c@d=+_",) * 2


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, 'a"b', "é", "a\tb", "{}"])
def test_without_a_plain_name_it_gets_a_new_one(client: TestClient, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-Id": given.encode()}
    names = {client.get("/loop", headers=headers).headers[HEADER] for _ in range(2)}
    assert len(names) == 2
    assert given not in names
    assert all(len(name) == 32 and name.isalnum() for name in names)


def test_a_failure_of_the_application_and_an_unknown_route_have_the_header_too(client: TestClient) -> None:
    for path, status in (("/failure", 500), ("/nowhere", 404)):
        answer = client.get(path, headers={HEADER: "mine"})
        assert (answer.status_code, answer.headers[HEADER]) == (status, "mine")


def test_requests_at_the_same_time_keep_their_own_names(client: TestClient) -> None:
    async def crowd() -> list[httpx.Response]:
        transport = httpx.ASGITransport(client.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            return await asyncio.gather(*(http.get("/loop", headers={HEADER: f"n{i}"}) for i in range(20)))

    assert [answer.json() for answer in asyncio.run(crowd())] == [f"n{i}" for i in range(20)]


def record(message: str, *arguments: object, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("serving.x", logging.ERROR, "x.py", 1, message, arguments, more.get("exc_info"))
    made.created = 1_714_552_200.125
    return made


@pytest.fixture
def named() -> Iterator[None]:
    token = REQUEST.set("r-1")
    yield
    REQUEST.reset(token)


@pytest.mark.usefixtures("named")
def test_a_line_carries_the_id_of_its_request() -> None:
    assert Text().format(record("the %s is down", "store")).endswith("ERROR serving.x: the store is down [request r-1]")
    line = Json().format(record("the store says\n%s", "ü"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2024-05-01T08:30:00.125+00:00",
        "level": "ERROR",
        "logger": "serving.x",
        "message": "the store says\nü",
        "request_id": "r-1",
    }


def test_a_line_of_no_request_has_none() -> None:
    assert Text().format(record("started")).endswith("serving.x: started")
    assert "request_id" not in json.loads(Json().format(record("started")))


def test_a_traceback_stays_within_its_object() -> None:
    try:
        raise ValueError("deep")
    except ValueError as error:
        line = Json().format(record("failed", exc_info=(ValueError, error, error.__traceback__)))
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("ValueError: deep")


@pytest.mark.parametrize("form", ["text", "json"])
def test_our_lines_are_written_once_from_info_on_and_those_of_libraries_from_warning_on(
    form: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_put_back():
        configure(form)
        for name in ("serving.x", "uvicorn.access", "feast"):
            logging.getLogger(name).info("an info of %s", name)
            logging.getLogger(name).warning("a warning of %s", name)
    lines = capsys.readouterr().err.splitlines()
    said = [json.loads(line)["message"] if form == "json" else line.split(": ", 1)[1] for line in lines]
    assert said == [
        "an info of serving.x",
        *(f"a warning of {name}" for name in ("serving.x", "uvicorn.access", "feast")),
    ]


def test_a_thread_that_works_for_a_request_knows_its_id() -> None:
    async def ask() -> tuple[str, str]:
        REQUEST.set("mine")
        with ThreadPoolExecutor(1) as threads:
            loop = asyncio.get_running_loop()
            return await logs.in_thread(threads, REQUEST.get), await loop.run_in_executor(threads, REQUEST.get)

    assert asyncio.run(ask()) == ("mine", "")


def test_the_pattern_lets_no_line_break_through() -> None:
    assert len(logs.request_id(b"a\n")) == len(logs.request_id(b"a\r\nset-cookie:x")) == 32


def test_both_servers_name_requests_over_every_protocol(predictor: Process, collector: Process) -> None:
    for http, path in ((predictor.http, V1), (predictor.http, V2), (collector.http, "/v1/feedback")):
        answer = http.post(path, json={}, headers={HEADER: "mine"})
        assert (answer.status_code, answer.headers[HEADER]) == (400, "mine")
    assert predictor.http.get("/v2/health/ready", headers={HEADER: "no name"}).headers[HEADER] != "no name"
    contents = v2.InferTensorContents(bytes_contents=[b'{"user_id": "u"}'])
    sent = v2.ModelInferRequest.InferInputTensor(name="request", datatype="BYTES", shape=[1], contents=contents)
    with grpc.insecure_channel(f"127.0.0.1:{predictor.grpc_port}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        for inputs in ([sent], []):
            call = stub.ModelInfer.future(
                v2.ModelInferRequest(model_name="newsrec", inputs=inputs), timeout=30, metadata=[(HEADER, "mine")]
            )
            assert (call.code() is grpc.StatusCode.OK) == bool(inputs)
            assert dict(call.trailing_metadata())[HEADER] == "mine"
