"""kind-up and kind-down against stand-ins for kind, Docker and the cluster, and the real ``kubectl kustomize``."""

import base64
import json
import re

import pytest

from scripts.kind_cluster import up
from scripts.kind_cluster.commands import Cluster, StepFailed
from tests.scripts.kind_cluster.conftest import OWN_IMAGES, Machine

NONE_YET = "s3://mlpipeline/newsrec/releases/none-yet"
PUBLISHED = "s3://mlpipeline/newsrec/releases/0123456789abcdef"


def secret(machine: Machine, namespace: str, name: str) -> dict[str, str]:
    data = machine.objects()[f"{namespace}/Secret/{name}"]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_a_fresh_machine_gets_everything_in_order(left_alone: Machine) -> None:
    objects = left_alone.objects()
    assert {name.partition("/")[0] for name in objects} == {"", "cert-manager", "kserve", "kubeflow", "newsrec"}
    assert json.loads((left_alone.state / "node.json").read_text()) == "kindest/node:v1.34.0"
    assert objects["kserve/ConfigMap/inferenceservice-config"]["data"] == {
        "deploy": '{"defaultDeploymentMode": "Standard"}',
        "router": "{}",
        "logger": '{"image": "kserve/agent:v0.21.0"}',
    }
    left_out = re.compile("llmisvc|llminferenceservice|localmodel")
    assert "kserve/Deployment/kserve-controller-manager" in objects
    assert not [name for name in objects if left_out.search(name)]
    storage_initializer = objects["/ClusterStorageContainer/default"]["spec"]["container"]
    assert storage_initializer["image"] == "kserve/storage-initializer:v0.21.0"
    assert storage_initializer["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"kubeflow/Deployment/workflow-controller", "kubeflow/Deployment/mysql"} < set(objects)
    assert {"/CustomResourceDefinition/workflows.argoproj.io", "newsrec/StatefulSet/redis"} < set(objects)
    assert (left_alone.state / "served.txt").read_text().split() == [NONE_YET]


def test_only_kserves_large_definitions_are_applied_by_the_server(left_alone: Machine) -> None:
    applied = [call[2:-1] for call in left_alone.calls("kubectl", "apply")]
    by_server = ["--server-side", "--force-conflicts"]
    assert applied == [[], by_server, by_server, [], [], [], []]


def test_it_says_how_to_reach_everything_and_that_nothing_is_published(left_alone: Machine) -> None:
    text = left_alone.output.getvalue()
    for service in ("ml-pipeline-ui", "ml-pipeline", "newsrec-predictor", "collector"):
        assert re.search(rf"kubectl --context kind-newsrec -n \w+ port-forward service/{service} \d+:\d+", text)
    assert NONE_YET in text


def test_secrets_are_random_and_agree(left_alone: Machine) -> None:
    password = secret(left_alone, "newsrec", "postgres")["password"]
    assert re.fullmatch("[0-9a-f]{48}", password)
    assert secret(left_alone, "kubeflow", "newsrec-postgres") == {"password": password}
    assert re.fullmatch("[0-9a-f]{64}", secret(left_alone, "newsrec", "reader-key")["reader-key"])
    keys = secret(left_alone, "newsrec", "object-store")
    assert keys == {"AWS_ACCESS_KEY_ID": "minio", "AWS_SECRET_ACCESS_KEY": "minio123"}
    annotations = left_alone.objects()["newsrec/Secret/object-store"]["metadata"]["annotations"]
    assert annotations == {
        "serving.kserve.io/s3-endpoint": "seaweedfs.kubeflow:8333",
        "serving.kserve.io/s3-usehttps": "0",
        "serving.kserve.io/s3-region": "us-east-1",
    }


def test_no_secret_is_on_a_command_line(left_alone: Machine) -> None:
    calls = (left_alone.state / "calls.jsonl").read_text()
    assert secret(left_alone, "newsrec", "postgres")["password"] not in calls
    assert secret(left_alone, "newsrec", "reader-key")["reader-key"] not in calls


def test_a_second_time_nothing_changes_and_nothing_is_downloaded(running: Machine) -> None:
    before = running.objects()
    running.up()
    assert running.objects() == before
    assert len(running.calls("kind", "create")) == 1


def test_the_published_release_is_never_put_back(running: Machine) -> None:
    objects = running.objects()
    service = objects["newsrec/InferenceService/newsrec"]
    service["spec"]["predictor"]["containers"][0]["env"][0]["value"] = PUBLISHED
    running.write("objects.json", objects)
    running.up()
    assert (running.state / "served.txt").read_text().split() == [NONE_YET, PUBLISHED]
    assert f"The predictor serves {PUBLISHED}" in running.output.getvalue()


def test_the_daily_run_is_asked_for_anew_with_another_image(running: Machine) -> None:
    objects = running.objects()
    job = objects["kubeflow/Job/schedule-feedback"]
    wanted = job["spec"]["template"]["spec"]["containers"][0]["image"]
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "newsrec-pipeline:0.0.9"
    running.write("objects.json", objects)
    running.up()
    job = running.objects()["kubeflow/Job/schedule-feedback"]
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == wanted


def test_images_that_docker_has_are_loaded_where_they_are_named(machine: Machine) -> None:
    others = [
        "redis:7.2.11",
        "quay.io/argoproj/workflow-controller:v4.0.8",
        "redis:7",
        "kserve/llmisvc-controller:v0.21.0",
    ]
    machine.write("images.json", {**OWN_IMAGES, **dict.fromkeys(others)})
    machine.up()
    loaded = {image for call in machine.calls("kind", "load") for image in call[4:]}
    assert loaded == {*OWN_IMAGES, *others[:2]}


@pytest.mark.slow
def test_what_stopped_at_any_step_goes_on(machine: Machine) -> None:
    stops = {
        "Cluster newsrec": "kind create cluster",
        "cert-manager": "kubectl .*apply(.|\n)*name: cert-manager-webhook",
        "KServe": "kubectl .*apply(.|\n)*name: inferenceservice-config",
        "Kubeflow Pipelines": "kubectl .*apply(.|\n)*mysql",
        "newsrec": "kubectl .*create --filename(.|\n)*reader-key",
    }
    for title, pattern in stops.items():
        machine.fail(pattern)
        with pytest.raises(
            StepFailed, match=rf"^{title}: not done\n\$ k[^\n]+\n  Error: the stand-in was told to fail"
        ):
            machine.up()
    password = secret(machine, "newsrec", "postgres")
    machine.up()
    assert secret(machine, "newsrec", "postgres") == password
    assert "newsrec/InferenceService/newsrec" in machine.objects()
    created, deleted = machine.calls("kind", "create"), machine.calls("kind", "delete")
    assert (len(created), deleted) == (2, [["kind", "delete", "cluster", "--name=newsrec"]])


def test_a_webhook_that_is_still_starting_gets_time(machine: Machine) -> None:
    tool = machine.tools / "kubectl"
    told = "Error: the stand-in was told to fail here"
    webhook = 'Internal error occurred: failed calling webhook \\"webhook.cert-manager.io\\": connection refused'
    tool.write_text(tool.read_text().replace(told, webhook))
    machine.fail("kubectl .*apply(.|\n)*name: serving-cert")
    machine.up()
    assert "newsrec/InferenceService/newsrec" in machine.objects()


def test_a_cluster_that_is_not_whole_is_named(running: Machine) -> None:
    running.fail("kubectl .* get storageclass standard")
    with pytest.raises(StepFailed, match="it is there, but not whole") as stopped:
        running.up()
    assert "make kind-down" in str(stopped.value)
    assert len(running.calls("kind", "delete")) == 0


def test_own_images_must_be_there(machine: Machine) -> None:
    machine.write("images.json", {"newsrec-serving:0.1.0": None})
    with pytest.raises(StepFailed, match=r"newsrec-pipeline:0\.1\.0 not on this host\nTo do: make images"):
        machine.up()
    assert not machine.calls("kind", "create")


@pytest.mark.parametrize(
    ("tool", "expected"),
    [("docker", "docker is not on the PATH\nTo do: install docker"), ("kubectl", "kubectl is not on the PATH")],
)
def test_a_missing_tool_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch, tool: str, expected: str) -> None:
    monkeypatch.setenv("PATH", str(machine.tools))
    (machine.tools / tool).unlink()
    with pytest.raises(StepFailed, match=expected):
        machine.up()


def test_docker_must_answer(machine: Machine) -> None:
    machine.fail("docker info")
    with pytest.raises(StepFailed, match="To do: start Docker"):
        machine.up()


def test_passwords_that_differ_are_found(running: Machine) -> None:
    objects = running.objects()
    objects["kubeflow/Secret/newsrec-postgres"]["data"]["password"] = base64.b64encode(b"another").decode()
    running.write("objects.json", objects)
    with pytest.raises(StepFailed, match="delete secret newsrec-postgres"):
        running.up()


def test_down_deletes_the_cluster_of_this_name_and_no_other(running: Machine) -> None:
    running.write("clusters.json", ["kind", "newsrec", "newsrec-other"])
    up.down(Cluster("kind", "newsrec"))
    assert running.calls("kind", "delete") == [["kind", "delete", "cluster", "--name=newsrec"]]
    assert json.loads((running.state / "clusters.json").read_text()) == ["kind", "newsrec-other"]
