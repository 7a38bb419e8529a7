"""An event log that takes nothing for a while: what the callers of a predictor see, and that nothing is lost."""

import json
import sqlite3
from pathlib import Path

import grpc
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as v2
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from newsrec.event_log import EventDatabase
from tests.serving.conftest import Site, serving, start, wait_for
from tests.serving.test_predictor import V1, V2, tensor

pytestmark = pytest.mark.usefixtures("warm")
READY = "/v2/health/ready"


def test_slates_wait_then_requests_are_refused_and_all_is_well_again_afterwards(site: Site, tmp_path: Path) -> None:
    url, request = f"sqlite:///{tmp_path / 'events.db'}", {"user_id": "ann"}
    options = [f"--store={site.store}", f"--event-log={url}", "--log-capacity=1", "--log-patience-seconds=0"]
    server = start(tmp_path, "predictor", f"--artifact={site.folder / 'artifact'}", *options)
    contents = v2.InferTensorContents(bytes_contents=[json.dumps(request).encode()])
    sent = v2.ModelInferRequest.InferInputTensor(name="request", datatype="BYTES", shape=[1], contents=contents)
    with serving(server), sqlite3.connect(tmp_path / "events.db", isolation_level=None, timeout=30) as writer:
        assert server.http.get(READY).status_code == 200
        writer.execute("BEGIN IMMEDIATE")
        answer = server.http.post(V1, json={"instances": [request]})
        assert answer.status_code == 200
        for path, body in ((V1, {"instances": [request]}), (V2, tensor(request))):
            refused = server.http.post(path, json=body)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json() == {"error": "1 slates wait for the event log, at most 1 may"}
        channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
        with channel, pytest.raises(grpc.RpcError) as caught:
            GRPCInferenceServiceStub(channel).ModelInfer(
                v2.ModelInferRequest(model_name="newsrec", inputs=[sent]), timeout=30
            )
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ("retry-after", "1") in list(caught.value.trailing_metadata())
        unready = server.http.get(READY)
        assert unready.status_code == 503
        assert "The event log does not answer, 1 of at most 1 slates wait for it." in unready.json()["error"]
        assert server.http.get("/v2/health/live").status_code == 200
        writer.execute("ROLLBACK")
        wait_for(lambda: server.http.get(READY).status_code == 200)
        after = server.http.post(V1, json={"instances": [request]})
        assert after.status_code == 200
    database = EventDatabase(url)
    requests = [reply.json()["predictions"][0]["request_id"] for reply in (answer, after)]
    assert sorted(database.export().recommendations["request_id"].to_pylist()) == sorted(requests)
    database.close()
