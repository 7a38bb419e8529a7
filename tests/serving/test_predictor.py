"""The predictor over HTTP and gRPC, as ``python -m serving`` starts it."""

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as v2
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from newsrec import events, releases
from newsrec.event_log import EventDatabase
from newsrec.features import HOUR, feature_hash
from tests.serving.conftest import Process, Site, clock, wait_for

V1, V2 = "/v1/models/newsrec:predict", "/v2/models/newsrec/infer"


def ask(predictor: Process, **request: Any) -> dict[str, Any]:
    """The answer to one V1 request."""
    answer = predictor.http.post(V1, json={"instances": [request]})
    assert answer.status_code == 200, answer.text
    (prediction,) = answer.json()["predictions"]
    return prediction


def shown(prediction: dict[str, Any]) -> list[str]:
    return [item["article_id"] for item in prediction["slate"]]


def logged(database: EventDatabase, request_id: str) -> dict[str, Any]:
    wait_for(lambda: database.has_request(request_id))
    (row,) = (r for r in database.export().recommendations.to_pylist() if r["request_id"] == request_id)
    return row


def tensor(*requests: dict[str, Any], **more: Any) -> dict[str, Any]:
    data = [json.dumps(request) for request in requests]
    return {"inputs": [{"name": "request", "shape": [len(data)], "datatype": "BYTES", "data": data} | more]}


def test_ready(predictor: Process) -> None:
    for path in ("/v1/models/newsrec", "/v2/health/ready", "/v2/models/newsrec/ready", "/v2/health/live", "/"):
        assert predictor.http.get(path).status_code == 200
    metadata = predictor.http.get("/v2/models/newsrec").json()
    assert metadata["inputs"] == [{"name": "request", "datatype": "BYTES", "shape": [-1]}]


def test_it_listens_on_its_host_alone(predictor: Process, collector: Process) -> None:
    for port in (predictor.http.base_url.port, predictor.grpc_port, collector.http.base_url.port):
        assert port
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))


def test_a_slate(predictor: Process, site: Site, database: EventDatabase) -> None:
    prediction = ask(predictor, user_id="bob", k=4, context={"device": "phone", "utc_offset_minutes": 540})
    assert len(set(shown(prediction))) == 4
    assert "a05" not in shown(prediction)  # read
    assert not {"old", "gone", "next"} & set(shown(prediction))
    assert [item["position"] for item in prediction["slate"]] == [0, 1, 2, 3]
    assert (prediction["user_id"], prediction["policy"], prediction["cold"]) == ("bob", "transformer", False)
    assert prediction["feature_version"] == feature_hash()
    row = logged(database, prediction["request_id"])
    assert row["slate"] == shown(prediction)
    assert row["propensities"] == [item["propensity"] for item in prediction["slate"]]
    assert set(row["candidates"]) - {"wrong"} == {f"a{i:02}" for i in range(40)} - {"a05"}
    assert row["context"] == {"device": "phone", "surface": None, "locale": None, "utc_offset_minutes": 540}
    released = releases.current(site.folder / "releases")
    assert released
    assert row["policy_version"] == prediction["policy_version"] == released.version
    assert row["feature_version"] == feature_hash()
    assert abs(events.microseconds(database.export().recommendations["time"])[-1] - clock()) < HOUR


def test_one_seed_gives_one_slate_over_every_protocol(predictor: Process, site: Site) -> None:
    request = {"user_id": "cid", "k": 30, "seed": 11, "time": site.now}
    first = ask(predictor, **request)
    rest = predictor.http.post(V2, json=tensor(request, request | {"seed": 12}) | {"id": "mine"}).json()
    assert (rest["id"], rest["model_name"], rest["outputs"][0]["shape"]) == ("mine", "newsrec", [2])
    contents = v2.InferTensorContents(bytes_contents=[json.dumps(request).encode()])
    sent = v2.ModelInferRequest.InferInputTensor(name="request", datatype="BYTES", shape=[1], contents=contents)
    with grpc.insecure_channel(f"127.0.0.1:{predictor.grpc_port}") as channel:
        over_grpc = GRPCInferenceServiceStub(channel).ModelInfer(
            v2.ModelInferRequest(model_name="newsrec", inputs=[sent]), timeout=30
        )
    answers = [json.loads(rest["outputs"][0]["data"][0]), json.loads(over_grpc.outputs[0].contents.bytes_contents[0])]
    assert [answer["slate"] for answer in answers] == [first["slate"]] * 2
    assert len({first["request_id"], *(answer["request_id"] for answer in answers)}) == 3
    assert json.loads(rest["outputs"][0]["data"][1])["slate"] != first["slate"]


def test_binary_tensors_are_answered_in_binary(predictor: Process) -> None:
    request = json.dumps({"user_id": "cid", "seed": 11, "k": 2}).encode()
    raw = len(request).to_bytes(4, "little") + request
    sent = v2.ModelInferRequest.InferInputTensor(name="request", datatype="BYTES", shape=[1])
    with grpc.insecure_channel(f"127.0.0.1:{predictor.grpc_port}") as channel:
        answer = GRPCInferenceServiceStub(channel).ModelInfer(
            v2.ModelInferRequest(model_name="newsrec", inputs=[sent], raw_input_contents=[raw]), timeout=30
        )
    assert len(json.loads(answer.raw_output_contents[0][4:])["slate"]) == 2


def test_an_unknown_reader_gets_a_slate_of_fresh_and_popular_articles(predictor: Process) -> None:
    prediction = ask(predictor, user_id="stranger", k=40, seed=1)
    assert prediction["cold"]
    assert "degraded" not in prediction
    assert set(shown(prediction)) <= {"wrong", *(f"a{i:02}" for i in range(40))}
    assert shown(prediction).index("a05") < 5  # the article that everybody clicks


def test_a_request_without_a_seed_draws_anew(predictor: Process) -> None:
    slates = {tuple(shown(ask(predictor, user_id="dot", k=20))) for _ in range(12)}
    assert len(slates) > 1


def test_exclusions_candidates_and_time(predictor: Process, site: Site) -> None:
    only = ["a01", "a02", "a03", "old", "gone", "next"]
    assert set(shown(ask(predictor, user_id="new", candidates=only, exclude=["a02"]))) == {"a01", "a03"}
    tomorrow = ask(predictor, user_id="new", candidates=only, time=site.now + 24 * HOUR)
    assert set(shown(tomorrow)) == {"a01", "a02", "a03", "next"}
    assert shown(ask(predictor, user_id="new", candidates=["old"])) == []


def test_several_readers_in_one_call(predictor: Process) -> None:
    body = {"instances": [{"user_id": f"r{i}", "k": i} for i in range(1, 5)]}
    predictions = predictor.http.post(V1, json=body).json()["predictions"]
    assert [(p["user_id"], len(p["slate"])) for p in predictions] == [("r1", 1), ("r2", 2), ("r3", 3), ("r4", 4)]


def test_requests_side_by_side_are_all_answered_and_logged(predictor: Process, database: EventDatabase) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda i: ask(predictor, user_id=f"crowd{i}"), range(64)))
    requests = {answer["request_id"] for answer in answers}
    assert len(requests) == 64
    wait_for(lambda: requests <= set(database.export().recommendations["request_id"].to_pylist()))


JSON, UTF8 = {"content-type": "application/json"}, {"content-type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        (V1, b"", 400, "Unrecognized request format: Input is a zero-length, empty document"),
        (V1, b"{nope", 400, "Unrecognized request format"),
        (V1, b"\xff\xfe", 400, "Unrecognized request format"),
        (V1, b"[" * 100_000, 400, "Unrecognized request format: depth limit exceeded"),
        (V1, b"3", 400, "the request: expected a JSON object, found 3"),
        (V1, b"{}", 400, "instances: a value is required"),
        (V1, b'{"instances": {}}', 400, 'Expected "instances" to be a list'),
        (V1, b'{"instances": []}', 400, "instances: List should have at least 1 item"),
        (V1, b'{"instances": [{"user_id": 7}]}', 400, "instances.0.user_id: Input should be a valid string, found 7"),
        (V1, b'{"instances": [{"user_id": "u", "k": 0}]}', 400, "instances.0.k: Input should be greater than or equal"),
        (
            V1,
            b'{"instances": [{"user_id": "u", "k": 10000}]}',
            400,
            "instances.0.k: Input should be less than or equal",
        ),
        (V1, b'{"instances": [{"user_id": "u", "candidates": ["a01", "?"]}]}', 400, "candidates: ? unknown (1 of 2)"),
        (V1, b"x" * 10_000_000, 413, "the body is longer than 1,000,000 bytes, the most that is accepted"),
        (V2, b"", 400, "the request: a value is required"),
        (V2, b"{nope", 400, "the body is no JSON"),
        (V2, b'{"inputs": []}', 400, "inputs: found [], expected one input 'request' of datatype BYTES"),
        (V2, json.dumps(tensor({}, datatype="INT32")).encode(), 400, "inputs: found datatype INT32, expected one"),
        (V2, json.dumps(tensor({}, shape=[3])).encode(), 400, "inputs: cannot reshape"),
        (V2, json.dumps(tensor({}, data=["{"])).encode(), 400, "inputs: an element is no JSON"),
        (V2, json.dumps(tensor({}, data=[3])).encode(), 400, "inputs: "),
        (V2, json.dumps(tensor({"user_id": "u", "k": 0})).encode(), 400, "instances.0.k: Input should be greater"),
        (V2, b"x" * 10_000_000, 413, "the body is longer than 1,000,000 bytes, the most that is accepted"),
        ("/v1/models/other:predict", b"{}", 404, "Model with name other does not exist."),
        ("/v2/repository/models/newsrec/unload", b"", 405, "newsrec is unloaded by stopping the server"),
    ],
)
def test_a_bad_request_gets_one_sentence(predictor: Process, path: str, body: bytes, status: int, error: str) -> None:
    answer = predictor.http.post(path, content=body, headers=JSON)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert answer.json()["error"].startswith(error)
    assert "\n" not in answer.json()["error"]
    assert predictor.http.get("/v2/health/ready").status_code == 200


def test_a_charset_in_the_content_type_is_fine(predictor: Process) -> None:
    body = json.dumps({"instances": [{"user_id": "ünïcode"}]})
    assert predictor.http.post(V1, content=body, headers=UTF8).status_code == 200
    assert predictor.http.post(V1, content="{nope", headers=UTF8).status_code == 400


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["user_id", "k", "candidates", "context", "time", "seed", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=ANYTHING, whole=st.booleans())
def test_no_request_is_a_server_error(predictor: Process, request: Any, whole: bool) -> None:
    assert predictor.http.post(V1, json=request if whole else {"instances": [request]}).status_code in (200, 400)
    body = {"inputs": request} if whole else tensor(request)
    assert predictor.http.post(V2, json=body).status_code in (200, 400)


def test_grpc_refuses_in_the_same_words(predictor: Process) -> None:
    contents = v2.InferTensorContents(bytes_contents=[b'{"user_id": "u", "k": 0}'])
    sent = v2.ModelInferRequest.InferInputTensor(name="request", datatype="BYTES", shape=[1], contents=contents)
    with grpc.insecure_channel(f"127.0.0.1:{predictor.grpc_port}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(v2.ModelInferRequest(model_name="newsrec", inputs=[sent]), timeout=30)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("instances.0.k: Input should be greater than or equal to 1, found 0")


def test_metrics_count_slates_and_cold_readers(predictor: Process) -> None:
    def count(name: str) -> float:
        found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", predictor.http.get("/metrics").text, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    slates, cold = count("newsrec_slates_total"), count("newsrec_cold_slates_total")
    ask(predictor, user_id="eve")
    ask(predictor, user_id="unheard-of")
    assert (count("newsrec_slates_total"), count("newsrec_cold_slates_total")) == (slates + 2, cold + 1)
    assert count("request_predict_seconds_count") > 0
    assert count("newsrec_degraded_slates_total") == 0


def test_requests_are_not_logged_line_by_line(predictor: Process) -> None:
    before = predictor.log.read_text()
    for _ in range(5):
        ask(predictor, user_id="eve")
    assert predictor.log.read_text() == before
