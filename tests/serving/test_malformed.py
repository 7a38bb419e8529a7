"""Malformed requests that no OpenAPI document leads to: each is refused in one sentence, as the documents say.

Hypothesis makes them, the same ones every time: broken JSON and UTF-8, depths, what is no object at all, wrong headers,
over V1, V2 and to the collector, and wrong tensors over gRPC. Wrong fields and values are in test_openapi.py.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import grpc
import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as v2
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests.serving.conftest import Process, Site, serving, start
from tests.serving.test_predictor import V1, V2, tensor

pytestmark = pytest.mark.usefixtures("warm")
SLATE = {
    "user_id": "ann",
    "k": 3,
    "candidates": ["a01", "a02"],
    "exclude": ["a03"],
    "context": {"device": "phone", "utc_offset_minutes": 60},
    "time": "2024-05-01T08:30:00Z",
    "seed": 1,
}
EVENT = {
    "event_id": "e",
    "request_id": "r",
    "user_id": "ann",
    "article_id": "a01",
    "position": 0,
    "kind": "dwell",
    "dwell_seconds": 3.5,
    "time": 1_714_552_200_000_000,
}
ARTICLE = {"article_id": "n", "published_at": 1_714_552_200_000_000, "title": "News", "category": "sport"}
EXPLAIN = V1.replace(":predict", ":explain")
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("predictor", V1): {"instances": [SLATE]},
    ("predictor", EXPLAIN): {"instances": [SLATE]},
    ("predictor", V2): tensor(SLATE),
    ("collector", "/v1/feedback"): {"events": [EVENT]},
    ("collector", "/v1/articles"): {"articles": [ARTICLE]},
}
TEMPLATES = {
    V1: "/v1/models/{model_name}:predict",
    EXPLAIN: "/v1/models/{model_name}:explain",
    V2: "/v2/models/{model_name}/infer",
}
"""Of the paths that have a variable in them."""
CODES = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
}
"""How a call of gRPC may be refused: nothing of these is the server's failure."""


class Servers(NamedTuple):
    predictor: Process
    collector: Process

    def http(self, name: str) -> httpx.Client:
        return getattr(self, name).http


@pytest.fixture(scope="module")
def servers(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """On a store and a log of their own: what is not malformed enough is stored."""
    folder = tmp_path_factory.mktemp("malformed")
    shutil.copytree(site.untouched_store, folder / "store")
    options = [f"--store={folder / 'store'}", f"--event-log=sqlite:///{folder / 'events.db'}"]
    both = Servers(
        start(folder, "predictor", f"--artifact={site.folder / 'artifact'}", *options),
        start(folder, "collector", "collector", *options),
    )
    with serving(*both):
        yield both


@pytest.fixture(scope="module")
def documents(servers: Servers) -> dict[str, dict[str, Any]]:
    return {name: servers.http(name).get("/openapi.json").json() for name in Servers._fields}


def check(document: dict[str, Any], path: str, answer: httpx.Response) -> None:
    """That ``document`` announces this status for the route ``path``, and that the answer is what it says."""
    declared = document["paths"][TEMPLATES.get(path, path)][answer.request.method.lower()]["responses"]
    assert str(answer.status_code) in declared, f"{path} answers {answer.status_code}: {answer.text}"
    schema = declared[str(answer.status_code)]["content"]["application/json"]["schema"]
    body = answer.json()
    if "specversion" in body:  # a CloudEvent is answered with one
        body = body["data"]
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(body)


SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 2**31, 2**63, 10**30, 1e300, -0.5]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", "\0", "x" * 300, "ü" * 200, "2024-05-01", "9999-12-31T23:59:59Z", "\ud800"]),
)
ANY = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner), max_leaves=6
)
HEADERS = st.sampled_from(
    [
        {},
        {},
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/octet-stream"},
        {"content-type": "application/cloudevents+json"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "nonsense"},
        {"content-type": "application/octet-stream", "inference-header-content-length": "x"},
        {"content-type": "application/octet-stream", "inference-header-content-length": "-5"},
        {"content-type": "application/octet-stream", "inference-header-content-length": "9999999"},
        {"content-encoding": "gzip"},
        {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "x", "ce-type": "y"},
        {"ce-specversion": "9", "ce-contenttype": "x"},
    ]
)


@st.composite
def bodies(draw: st.DrawFn, good: dict[str, Any]) -> bytes:
    """``good`` as it is, or broken in one way or another."""
    kind = draw(st.sampled_from(["good", "whole", "cut", "bytes", "deep"]))
    text = json.dumps(draw(ANY) if kind == "whole" else good).encode()
    if kind == "cut":
        return text[: draw(st.integers(0, len(text) - 1))]
    if kind == "bytes":
        place = draw(st.integers(0, len(text)))
        return text[:place] + draw(st.binary(min_size=1, max_size=4)) + text[place:]
    if kind == "deep":
        return b'{"a":' * draw(st.sampled_from([10, 1_000, 100_000]))
    return text


counted: Counter[tuple[str, int | grpc.StatusCode]] = Counter()


@pytest.mark.parametrize(("server", "path"), BODIES)
def test_over_http(servers: Servers, documents: dict[str, dict[str, Any]], server: str, path: str) -> None:
    http, document = servers.http(server), documents[server]

    @settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(body=bodies(BODIES[server, path]), headers=HEADERS)
    def refused(body: bytes, headers: dict[str, str]) -> None:
        answer = http.post(path, content=body, headers={"content-type": "application/json"} | headers)
        check(document, path, answer)
        counted[path, answer.status_code] += 1

    refused()
    assert counted[path, 400] > 60, counted


def test_over_grpc(servers: Servers) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{servers.predictor.grpc_port}") as channel:
        stub = GRPCInferenceServiceStub(channel)

        @settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(
            element=bodies({"instances": [SLATE]}) | st.binary(max_size=20),
            name=st.sampled_from(["request"] * 4 + ["", "other"]),
            datatype=st.sampled_from(["BYTES"] * 4 + ["", "FP32", "INT64", "BOOL", "nonsense"]),
            shape=st.sampled_from([[1]] * 4 + [[], [2], [-1], [0], [1, 1, 1], [2**40]]),
            raw=st.booleans(),
            model=st.sampled_from(["newsrec"] * 5 + ["", "other\nmodel"]),
            metadata=st.sampled_from([(), (), (("x-request-id", "a b"),), (("x-request-id", "m"),)]),
        )
        def refused(
            element: bytes, name: str, datatype: str, shape: list[int], raw: bool, model: str, metadata: Any
        ) -> None:
            contents = None if raw else v2.InferTensorContents(bytes_contents=[element])
            sent = v2.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape, contents=contents)
            request = v2.ModelInferRequest(
                model_name=model, inputs=[sent], raw_input_contents=[element] if raw else None
            )
            call = stub.ModelInfer.future(request, timeout=60, metadata=metadata)
            counted["grpc", call.code()] += 1
            if call.code() is not grpc.StatusCode.OK:
                assert call.code() in CODES, (call.code(), call.details(), request)
                assert call.details()
                assert "\n" not in call.details()

        refused()
    assert counted["grpc", grpc.StatusCode.INVALID_ARGUMENT] > 60, counted


def test_what_the_documents_do_not_name_is_refused_in_one_sentence_too(servers: Servers) -> None:
    for server in Servers._fields:
        http = servers.http(server)
        for method, path in (
            ("GET", "/nowhere"),
            ("PUT", V1),
            ("PATCH", "/v1/feedback"),
            ("POST", "/v2/models/x%0Ay/infer"),
            ("POST", "/v2/repository/models/x/load"),
        ):
            answer = http.request(method, path, content=b"{}")
            assert answer.status_code in (400, 404, 405), (method, path)
            assert list(answer.json()) == ["error"]
            assert "\n" not in answer.json()["error"]
    for path in ("/v2/models/newsrec/versions/7", f"{V2}?model_version=7", "/v2/models/newsrec/versions/7/ready"):
        method = "POST" if "infer" in path else "GET"
        answer = servers.predictor.http.request(method, path, json=tensor(SLATE) if method == "POST" else None)
        assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_the_servers_are_well_after_it(servers: Servers) -> None:
    assert servers.predictor.http.get("/v2/health/ready").status_code == 200
    assert servers.collector.http.get("/healthz").status_code == 200
    for server in servers:
        assert "Traceback" not in server.log.read_text()


def test_right_requests_are_answered_as_the_documents_say(
    servers: Servers, documents: dict[str, dict[str, Any]]
) -> None:
    for (server, path), body in BODIES.items():
        answer = servers.http(server).post(path, json=body)
        assert answer.status_code == 200, answer.text
        check(documents[server], path, answer)
    slate = servers.predictor.http.post(V2, json=tensor({"user_id": "ann"})).json()
    elements = slate["outputs"][0]["data"]
    schema = {"$ref": "#/components/schemas/Prediction", "components": documents["predictor"]["components"]}
    for element in elements:
        jsonschema.Draft202012Validator(schema).validate(json.loads(element))
