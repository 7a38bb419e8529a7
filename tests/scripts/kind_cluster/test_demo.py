"""kind-demo against a stand-in for the cluster, whose predictor and collector are a server of this test."""

import copy
import http.server
import json
import shutil
import sys
import threading
from collections.abc import Iterator

import pytest
import typer
from rich.console import Console

from newsrec import artifact, mixture
from pipelines.__main__ import app
from scripts import demo as local_demo
from scripts.kind_cluster import demo
from scripts.kind_cluster.commands import Cluster, Failed, StepFailed
from tests.conftest import ROOT
from tests.logs import MONDAY
from tests.scripts.kind_cluster.conftest import Machine
from tests.trained import made

HERE = Cluster("kind", "newsrec")
MINUTE = 60_000_000
PIPELINES = f"""#!{sys.executable} -I
import json, os, pathlib, shutil, sys, urllib.request
state = pathlib.Path(os.environ["STATE"])
with (state / "calls.jsonl").open("a") as file:
    file.write(json.dumps(["pipelines", *sys.argv[1:]]) + "\\n")
urllib.request.urlopen(sys.argv[-1] + "/healthz").read()
shutil.copy(state / "after.json", state / "objects.json")
sys.exit((state / "run-fails").exists())
"""
"""In the place of Python: ``-m pipelines submit``, whose run leaves the cluster as after.json has it."""


class _Newsroom(http.server.BaseHTTPRequestHandler):
    """Pipelines' API, predictor and collector in one: other articles once something was read."""

    def do_GET(self) -> None:
        self.answer({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/feedback":
            self.server.events += body["events"]
            self.answer({"accepted": len(body["events"])})
            return
        self.server.requests += body["instances"]
        articles = "cd" if self.server.events else "ab"
        slate = [{"article_id": a, "propensity": 0.5, "position": i} for i, a in enumerate(articles)]
        made_by = {"policy": "matrix_factorization", "policy_version": self.server.version}
        answer = {"request_id": "r1", "user_id": body["instances"][0]["user_id"], "slate": slate, **made_by}
        self.answer({"predictions": [answer]})

    def answer(self, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def newsroom() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Newsroom)
    server.requests, server.events, server.version = [], [], made().version
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def with_release(objects: dict[str, dict], version: str, ready: str = "True") -> dict[str, dict]:
    """What the cluster knows once ``version`` is served."""
    objects = copy.deepcopy(objects)
    uri = f"s3://mlpipeline/newsrec/releases/{version}"
    service = objects["newsrec/InferenceService/newsrec"]
    service["spec"]["predictor"]["containers"][0]["env"][0]["value"] = uri
    service["status"] = {"conditions": [{"type": "Ready", "status": ready}]}
    objects["newsrec/Deployment/newsrec-predictor"] = {
        "kind": "Deployment",
        "metadata": {"name": "newsrec-predictor", "namespace": "newsrec", "generation": 2},
        "spec": {"template": {"spec": {"containers": service["spec"]["predictor"]["containers"]}}},
        "status": {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1},
    }
    return objects


@pytest.fixture
def published(running: Machine, newsroom: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose next run publishes ``made()``."""
    port = newsroom.server_port
    services = ("ml-pipeline", "newsrec-predictor", "collector")
    running.write("ports.json", {f"service/{name}": port for name in services})
    running.write("after.json", with_release(running.objects(), made().version))
    artifact.save(made(), running.state / "models")
    python = running.tools / "python"
    python.write_text(PIPELINES)
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(local_demo, "console", Console(file=running.output, width=200))
    return running


def run(machine: Machine) -> str:
    demo.demo(HERE, Console(file=machine.output, width=200))
    return machine.output.getvalue()


def test_the_release_of_the_run_is_served_and_reading_changes_the_slate(published: Machine, newsroom) -> None:
    text = run(published)
    assert f"s3://mlpipeline/newsrec/releases/{made().version}\n" in text
    (row,) = [line for line in text.splitlines() if line.startswith("│ 1 ")]
    assert [cell.strip() for cell in row.split("│")[2:6]] == ["a", "0.5000", "new: c", "0.5000"]
    moment = MONDAY + MINUTE
    assert [request["time"] for request in newsroom.requests] == [moment, moment + 3 * MINUTE]
    assert {event["kind"] for event in newsroom.events} == {"click", "dwell"}
    assert {(e["request_id"], e["article_id"], e["time"]) for e in newsroom.events} == {("r1", "a", moment + MINUTE)}


def test_the_ways_into_the_cluster_are_closed_again(published: Machine) -> None:
    run(published)
    ports = [int(call[-1].partition(":")[0]) for call in published.calls("kubectl", "-n") if "port-forward" in call]
    assert len(ports) == 3
    assert not [port for port in ports if demo.listens(port)]


def test_the_pipeline_is_submitted_to_the_forwarded_api(published: Machine) -> None:
    run(published)
    (call,) = published.calls("pipelines")
    assert call[:4] == ["pipelines", "-m", "pipelines", "submit"]
    assert call[-2] == "--host"
    (forwarded,) = [c for c in published.calls("kubectl", "-n", "kubeflow") if "port-forward" in c]
    assert forwarded[-1] == f"{call[-1].rpartition(':')[2]}:8888"


def test_the_command_line_of_pipelines_takes_the_options() -> None:
    submit = typer.main.get_command(app).commands["submit"]
    parsed = submit.make_context("submit", [*demo.SUBMIT[1:], "--host", "http://127.0.0.1:8888"]).params
    assert parsed["wait_for_it"] is True
    assert (ROOT / parsed["cluster"]).exists()
    assert (ROOT / parsed["simulation"]).exists()


def test_a_run_that_fails_ends_it(published: Machine) -> None:
    (published.state / "run-fails").touch()
    with pytest.raises(StepFailed, match="The run: not done\nthe run did not succeed"):
        run(published)


def test_a_run_that_publishes_nothing_is_said_so(published: Machine) -> None:
    published.write("after.json", published.objects())
    with pytest.raises(StepFailed, match="the run published nothing, and nothing was served before"):
        run(published)


def test_a_predictor_with_another_release_is_found(published: Machine) -> None:
    published.write("after.json", with_release(published.objects(), "fedcba9876543210"))
    with pytest.raises(StepFailed, match=rf"the predictor has {made().version}, expected the version of s3.*fedcba"):
        run(published)


def test_a_slate_of_another_version_is_found(published: Machine, newsroom) -> None:
    newsroom.version = "fedcba9876543210"
    with pytest.raises(StepFailed, match="the slate is from version fedcba9876543210"):
        run(published)


def test_a_broken_artefact_in_the_pod_is_found(published: Machine) -> None:
    (published.state / "models" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(StepFailed, match="the release in the predictor's pod"):
        run(published)


def test_of_a_mixture_either_policy_may_answer(published: Machine, newsroom) -> None:
    """The reader is new, and so of an arm that nobody chose."""
    arms = made(), made(seed=1, data_until=MONDAY + MINUTE)
    parts = [published.state / name for name in ("first", "second")]
    for arm, part in zip(arms, parts, strict=True):
        artifact.save(arm, part)
    shutil.rmtree(published.state / "models")
    version = mixture.write(published.state / "models", *parts, 0.5, "front-page")
    published.write("after.json", with_release(published.objects(), version))
    for arm in arms:
        newsroom.version, newsroom.events = arm.version, []
        assert f"s3://mlpipeline/newsrec/releases/{version}\n" in run(published)
        assert newsroom.requests[-2]["time"] == MONDAY + 2 * MINUTE
    newsroom.version = version
    with pytest.raises(StepFailed, match=f"from version {version}, expected {arms[0].version} or {arms[1].version}"):
        run(published)


def test_without_a_cluster_kind_up_comes_first(machine: Machine) -> None:
    with pytest.raises(StepFailed, match=r"What is served: not done(.|\n)*To do: make kind-up"):
        run(machine)


def test_a_service_without_pods_is_said_so(running: Machine) -> None:
    forwarded = demo.forwarded(HERE, "newsrec", "collector", 80, 8090)
    with pytest.raises(Failed, match="no way to collector in newsrec: error: unable to forward port"), forwarded:
        pass


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({}, set()),
        ({"availableReplicas": 0}, {"newsrec-predictor"}),
        ({"observedGeneration": 1}, {"newsrec-predictor"}),
        ({"updatedReplicas": 0}, {"newsrec-predictor"}),
    ],
)
def test_pods_of_the_old_release_are_waited_for(running: Machine, change: dict, missing: set[str]) -> None:
    objects = with_release(running.objects(), "aa")
    objects["newsrec/Deployment/newsrec-predictor"]["status"].update(change)
    running.write("objects.json", objects)
    assert demo.not_serving(HERE, "s3://mlpipeline/newsrec/releases/aa") == missing
    other = "s3://mlpipeline/newsrec/releases/bb"
    assert demo.not_serving(HERE, other) == {f"KServe, to take up {other}"}


def test_kserve_must_call_it_ready(running: Machine) -> None:
    running.write("objects.json", with_release(running.objects(), "aa", ready="False"))
    assert demo.not_serving(HERE, "s3://mlpipeline/newsrec/releases/aa") == {"the InferenceService"}
