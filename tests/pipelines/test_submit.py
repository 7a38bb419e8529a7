"""A run on a cluster through KFP's own client: what arrives at the API, and what its refusals say."""

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig

from newsrec.config import InvalidConfig
from pipelines.api import ApiFailed, api, link
from pipelines.cluster import ClusterConfig
from pipelines.submit import submit
from tests.pipelines.kubeflow import Kubeflow

CLUSTER = ClusterConfig(service_account="runner", pipeline_root="s3://bucket/runs", claim="shared")
ARGUMENTS = {
    "expected": "v1",
    "releases": "/mnt/newsrec/releases",
    "storage": "s3://bucket/releases",
    "service": "newsrec/newsrec",
    "run": "0123456789abcdef",
}
RUNS = "/apis/v2beta1/runs"
FORWARD = "kubectl -n kubeflow port-forward service/ml-pipeline 8888:8888"


def submitted(kubeflow: Kubeflow, cluster: ClusterConfig = CLUSTER) -> str:
    return submit("roll-back", ARGUMENTS, cluster, kubeflow.host).run_id


def test_the_run_arrives_whole(kubeflow: Kubeflow) -> None:
    run_id, where = submit("roll-back", ARGUMENTS, CLUSTER, kubeflow.host)
    assert where == f"{kubeflow.host}/#/runs/details/{run_id}"
    run = kubeflow.runs[run_id]
    assert run["display_name"] == "roll-back-0123456789abcdef"
    assert run["service_account"] == "runner"
    assert run["runtime_config"] == {"parameters": ARGUMENTS, "pipeline_root": "s3://bucket/runs"}
    assert run["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "newsrec-roll-back"


def test_the_run_has_its_kubernetes_options(kubeflow: Kubeflow) -> None:
    documents = kubeflow.runs[submitted(kubeflow)]["pipeline_spec"]
    executors = documents["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == {"exec-report", "exec-roll-back"}
    for options in executors.values():
        (mount,) = json_format.ParseDict(options, KubernetesExecutorConfig()).pvc_mount
        assert (mount.constant, mount.mount_path) == ("shared", "/mnt/newsrec")


def test_what_is_never_cached_is_not_cached_on_the_way(kubeflow: Kubeflow) -> None:
    """KFP's client would override it in the root graph where it is asked for caching."""
    spec = kubeflow.runs[submitted(kubeflow)]["pipeline_spec"]["pipeline_spec"]
    assert "report" in spec["root"]["dag"]["tasks"]
    assert not spec["root"]["dag"]["tasks"]["report"].get("cachingOptions", {}).get("enableCache", False)


def test_the_clusters_default_is_where_artefacts_go_without_a_root(kubeflow: Kubeflow) -> None:
    run = kubeflow.runs[submitted(kubeflow, replace(CLUSTER, pipeline_root=""))]
    assert "pipeline_root" not in run["runtime_config"]


def test_the_experiment_is_made_once(kubeflow: Kubeflow) -> None:
    runs = [kubeflow.runs[submitted(kubeflow)] for _ in range(2)]
    (experiment,) = kubeflow.experiments.values()
    assert experiment["display_name"] == "newsrec"
    assert {run["experiment_id"] for run in runs} == {experiment["experiment_id"]}


def test_the_client_prints_nothing_of_its_own(kubeflow: Kubeflow, capfd: pytest.CaptureFixture[str]) -> None:
    submitted(kubeflow)
    assert capfd.readouterr() == ("", "")


def test_the_link_leads_to_the_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://kubeflow.example.org/pipeline/")
    assert link("http://localhost:8888", "r1") == "https://kubeflow.example.org/pipeline/#/runs/details/r1"


def test_no_api_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        host = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(ApiFailed) as raised:
        submit("roll-back", ARGUMENTS, CLUSTER, host)
    expected = "expected the API of Kubeflow Pipelines; reach it with"
    assert str(raised.value) == f"no answer (Connection refused) from {host}, {expected}: {FORWARD}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("request_", "answer", "message"),
    [
        ("GET /apis/v2beta1/healthz", (401, "Unauthorized"), rf"access refused \(401\) .* with: {FORWARD} and --host"),
        ("GET /apis/v2beta1/healthz", (404, "Not Found"), rf"not found \(404\) from .*; reach it with: {FORWARD}$"),
        ("GET /apis/v2beta1/healthz", (200, "<html>Log in</html>"), "perhaps a log-in page from .* expected the API"),
        (
            f"POST {RUNS}",
            (500, {"message": "database is locked"}),
            r"refused \(500\): database is locked; look at: kub",
        ),
        (f"POST {RUNS}", (503, "<html>"), r"refused \(503\): Service Unavailable; look at"),
        (f"POST {RUNS}", (403, {"message": "user may not"}), r"access refused \(403\)"),
        (f"POST {RUNS}", (400, {"message": "Experiment is archived"}), r"refused \(400\): Experiment is archived$"),
    ],
)
def test_a_refusal_is_one_sentence(kubeflow: Kubeflow, request_: str, answer: tuple, message: str) -> None:
    kubeflow.fails[request_] = answer
    with pytest.raises(ApiFailed, match=message):
        submitted(kubeflow)
    assert not kubeflow.runs


@pytest.mark.parametrize("host", ["localhost:8888", "ml-pipeline.kubeflow", ""])
def test_a_host_that_is_no_url_is_refused(host: str) -> None:
    with pytest.raises(InvalidConfig, match="expected a URL such as http://localhost:8888"), api(host):
        pass


@pytest.mark.parametrize(
    "change",
    [
        lambda arguments: arguments.pop("service"),
        lambda arguments: arguments.update(surprise=1),
    ],
)
def test_the_stand_in_refuses_other_parameters(kubeflow: Kubeflow, change: Callable[[dict], object]) -> None:
    arguments = dict(ARGUMENTS)
    change(arguments)
    with pytest.raises(ApiFailed, match="parameters differ"):
        submit("roll-back", arguments, CLUSTER, kubeflow.host)
