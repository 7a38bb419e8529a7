"""The compiled pipelines: they parse as what a cluster takes, and the graph is the one that the page promises."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from components import IMAGE
from newsrec.config import InvalidConfig, from_mapping
from pipelines.cluster import USER, ClusterConfig, with_gpu
from pipelines.compile import PIPELINES, compile_to

CLUSTER = ClusterConfig(gpu="accelerator=l4", image="registry.example.org/newsrec-pipeline:7", retries=3)
TRAINS = ("training", "feedback")
NO_LABELS = ["a100", "=a100", "gpu=a=b", "gpu = a100", "nodes/of/gpu=a100", "gpu=a100 "]


def compiled(cluster: ClusterConfig, directory: Path) -> dict[str, tuple[dict, dict]]:
    """Pipeline -> its specification and its Kubernetes options by executor."""
    paths = compile_to(directory, cluster)
    assert [path.name for path in paths] == [f"newsrec-{name}.yaml" for name in PIPELINES]
    found = {}
    for name, path in zip(PIPELINES, paths, strict=True):
        spec, platform = yaml.safe_load_all(path.read_text())
        found[name] = spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict, dict]]:
    return compiled(CLUSTER, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def specs(both: dict) -> dict[str, dict]:
    return {name: spec for name, (spec, _) in both.items()}


@pytest.fixture(scope="module")
def options(both: dict) -> dict[str, dict]:
    return {name: executors for name, (_, executors) in both.items()}


def tasks_below(spec: dict, dag: dict) -> Iterator[tuple[str, dict]]:
    """Name and task of all in ``dag`` and in the sub-graphs of it; branches of two sub-graphs may share a name."""
    for name, task in dag["tasks"].items():
        yield name, task
        component = spec["components"][task["componentRef"]["name"]]
        if "dag" in component:
            yield from tasks_below(spec, component["dag"])


def upstream(task: dict) -> set[str]:
    """The tasks that ``task`` waits for, by their outputs or explicitly."""
    found = set(task.get("dependentTasks", []))
    for inputs in task.get("inputs", {}).values():
        for source in inputs.values():
            for output in ("taskOutputArtifact", "taskOutputParameter"):
                if output in source:
                    found.add(source[output]["producerTask"])
    return found


@pytest.mark.parametrize("name", PIPELINES)
def test_parses_as_a_pipeline_spec(specs: dict, name: str) -> None:
    parsed = json_format.ParseDict(specs[name], PipelineSpec())
    assert parsed.pipeline_info.name == f"newsrec-{name}"


def test_an_unknown_field_would_not_parse(specs: dict) -> None:
    with pytest.raises(json_format.ParseError, match="surprise"):
        json_format.ParseDict({**specs["training"], "surprise": 1}, PipelineSpec())


def graph(spec: dict) -> list[tuple[str, dict]]:
    assert set(spec["root"]["dag"]["tasks"]) == {"exit-handler-1", "report"}
    assert spec["root"]["dag"]["tasks"]["report"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    return list(tasks_below(spec, spec["root"]["dag"]))


def branch_for(spec: dict, value: str) -> dict:
    """The one branch that is taken for ``value``."""
    return branch(spec, f"== '{value}'")


def branch(spec: dict, condition: str) -> dict:
    branches = [task for name, task in graph(spec) if name.startswith("condition")]
    (found,) = [task for task in branches if task["triggerPolicy"]["condition"].endswith(condition)]
    return found


def test_graph_of_a_training(specs: dict) -> None:
    tasks = dict(graph(specs["training"]))
    (loop,) = [task for task in tasks if task.startswith("for-loop")]
    assert upstream(tasks["ingest"]) == {"resolve"}
    assert upstream(tasks["features"]) == {"ingest"}
    assert upstream(tasks["materialize"]) == {"features"}
    assert upstream(tasks["newsrec-policy-training"]) == {"resolve", "features"}
    assert upstream(tasks["evaluate"]) == {loop}
    assert upstream(tasks["gate"]) == {"evaluate"}


@pytest.mark.parametrize("name", TRAINS)
def test_the_gate_has_a_page_that_the_interface_shows(specs: dict, name: str) -> None:
    component = dict(graph(specs[name]))["gate"]["componentRef"]["name"]
    outputs = specs[name]["components"][component]["outputDefinitions"]["artifacts"]
    assert outputs["page"]["artifactType"]["schemaTitle"] == "system.HTML"


@pytest.mark.parametrize("name", TRAINS)
def test_publishing_follows_neither_a_refusal_nor_missing_evidence(specs: dict, name: str) -> None:
    outer, inner = (branch(specs[name], f"!= '{decision}'") for decision in ("refuse", "not enough evidence"))
    assert upstream(outer) == {"evaluate", "gate"}
    within = specs[name]["components"][outer["componentRef"]["name"]]["dag"]["tasks"]
    assert list(within.values()) == [inner]
    assert list(specs[name]["components"][inner["componentRef"]["name"]]["dag"]["tasks"]) == ["publish"]


def test_graph_of_a_day(specs: dict) -> None:
    tasks = dict(graph(specs["feedback"]))
    assert upstream(tasks["check"]) == {"resolve", "ingest"}
    assert upstream(tasks["features"]) == {"ingest", "check"}  # nothing is learned from events that broke the contract
    assert upstream(tasks["materialize"]) == {"features"}
    assert upstream(tasks["observe"]) == {"resolve", "features"}
    for value, inner in (("retrain", "newsrec-policy-training"), ("roll_back", "roll-back")):
        branch = branch_for(specs["feedback"], value)
        assert "observe" in upstream(branch)
        assert inner in specs["feedback"]["components"][branch["componentRef"]["name"]]["dag"]["tasks"]


def test_a_day_rolls_back_what_it_looked_at_and_nothing_else(specs: dict) -> None:
    """The task is tried again when it is lost: without the version it would go one release further."""
    branch = branch_for(specs["feedback"], "roll_back")
    inner = specs["feedback"]["components"][branch["componentRef"]["name"]]["dag"]["tasks"]["roll-back"]
    expected = inner["inputs"]["parameters"]["expected"]["componentInputParameter"]
    source = branch["inputs"]["parameters"][expected]["taskOutputParameter"]
    assert source == {"outputParameterKey": "incumbent", "producerTask": "resolve"}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_run_is_told_from_others_of_its_schedule_by_kubeflows_id(specs: dict, name: str) -> None:
    """Where a release or the ledger names a run. Kubeflow fills in an argument that is this text and nothing else."""
    named = {n: task["inputs"]["parameters"]["job"] for n, task in graph(specs[name]) if n in ("publish", "report")}
    assert named.keys() == ({"publish", "report"} if name in TRAINS else {"report"})
    for task, source in named.items():
        assert source == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}, task


@pytest.mark.parametrize("name", PIPELINES)
def test_every_container_has_the_image_limits_and_retries(specs: dict, name: str) -> None:
    containers = {n: e["container"] for n, e in specs[name]["deploymentSpec"]["executors"].items()}
    for executor, container in containers.items():
        resources = container["resources"]
        assert (resources["resourceCpuRequest"], resources["resourceCpuLimit"]) == CLUSTER.cpu, executor
        assert (resources["resourceMemoryRequest"], resources["resourceMemoryLimit"]) == CLUSTER.memory, executor
        assert container["image"] == CLUSTER.image
        assert "pip install" not in " ".join(container["command"]), executor
    tasks = {n: task for n, task in graph(specs[name]) if "exec-" + n in containers}
    assert tasks.keys() == {n.removeprefix("exec-") for n in containers}
    for task_name, task in tasks.items():
        policy = task["retryPolicy"]
        tries = 0 if (name, task_name) == ("roll-back", "roll-back") else CLUSTER.retries
        assert policy.get("maxRetryCount", 0) == tries, task_name
        assert (policy["backoffDuration"], policy["backoffFactor"]) == ("30s", 2.0)


def test_without_a_registry_the_image_is_the_components(tmp_path: Path) -> None:
    for spec, _ in compiled(ClusterConfig(), tmp_path).values():
        containers = [executor["container"] for executor in spec["deploymentSpec"]["executors"].values()]
        assert {container["image"] for container in containers} == {IMAGE}
        assert not any("accelerator" in container["resources"] for container in containers)


@pytest.mark.parametrize("name", PIPELINES)
def test_what_lies_outside_of_the_cache_is_never_cached(specs: dict, name: str) -> None:
    tasks = graph(specs[name])
    cached = {n for n, task in tasks if task.get("cachingOptions", {}).get("enableCache")}
    containers = {n.removeprefix("exec-") for n in specs[name]["deploymentSpec"]["executors"]}
    assert cached & containers == containers & {"ingest", "features", "train", "evaluate"}


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_has_its_kubernetes_options(specs: dict, options: dict, name: str) -> None:
    assert options[name].keys() == specs[name]["deploymentSpec"]["executors"].keys()
    for executor, found in options[name].items():
        parsed = json_format.ParseDict(found, KubernetesExecutorConfig())
        assert parsed.active_deadline_seconds == CLUSTER.timeout_seconds, executor
        assert parsed.image_pull_policy == "IfNotPresent"
        assert (parsed.security_context.run_as_user, parsed.security_context.run_as_non_root) == (USER, True)
        (mount,) = parsed.pvc_mount
        assert (mount.constant, mount.mount_path) == ("newsrec", "/mnt/newsrec")


def test_credentials_go_to_the_tasks_that_need_them_and_no_others(specs: dict, options: dict) -> None:
    secrets: dict[str, set] = {}
    for name in PIPELINES:
        for executor, found in options[name].items():
            for secret in found.get("secretAsEnv", []):
                variables = {key["envVar"] for key in secret["keyToEnv"]}
                secrets.setdefault(executor, set()).update((secret["secretName"], v) for v in variables)
    postgres = {("newsrec-postgres", "PGPASSWORD")}
    store = {("mlpipeline-minio-artifact", f"AWS_{part}") for part in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
    assert secrets == {
        "exec-resolve": postgres,
        "exec-ingest": postgres,
        "exec-publish": store,
        "exec-roll-back": store,
        "exec-deploy": store,
    }
    executors = [x for name in PIPELINES for x in specs[name]["deploymentSpec"]["executors"].items()]
    variables = {n: {e["name"]: e["value"] for e in x["container"].get("env", [])} for n, x in executors}
    object_store = {"AWS_ENDPOINT_URL": "http://seaweedfs.kubeflow:8333", "AWS_REGION": "us-east-1"}
    assert {n: found for n, found in variables.items() if found} == {
        "exec-materialize": {"NEWSREC_REDIS": "redis.newsrec:6379"},
        "exec-publish": object_store,
        "exec-roll-back": object_store,
        "exec-deploy": object_store,
    }


@pytest.mark.parametrize("name", TRAINS)
def test_training_alone_takes_an_accelerator(specs: dict, options: dict, name: str) -> None:
    executors = specs[name]["deploymentSpec"]["executors"]
    taken = {n: e["container"]["resources"].get("accelerator") for n, e in executors.items()}
    assert {n for n, found in taken.items() if found} == {"exec-train"}
    assert (taken["exec-train"]["resourceType"], taken["exec-train"]["resourceCount"]) == ("nvidia.com/gpu", "1")
    selectors = {n: found["nodeSelector"] for n, found in options[name].items() if "nodeSelector" in found}
    assert selectors == {"exec-train": {"labels": {"accelerator": "l4"}}}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        *(({"gpu": bad}, f"gpu is '{bad}', expected LABEL=VALUE") for bad in NO_LABELS),
        ({"inference_service": "newsrec"}, "expected NAMESPACE/NAME"),
        ({"storage": "/mnt/releases"}, "expected s3://BUCKET/PREFIX"),
        ({"retries": -1}, "retries below 0"),
        ({"image_pull_policy": "never"}, "expected one of Always, IfNotPresent, Never"),
        ({"memmory": ["1Gi", "2Gi"]}, "did you mean memory"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(bad: dict, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        from_mapping(ClusterConfig, bad)


def test_a_gpu_that_is_given_takes_the_place_of_the_configured_one() -> None:
    assert with_gpu(CLUSTER, None) == CLUSTER
    assert with_gpu(CLUSTER, "") == replace(CLUSTER, gpu="")
    assert with_gpu(CLUSTER, "nvidia.com/gpu.present=true") == replace(CLUSTER, gpu="nvidia.com/gpu.present=true")
    assert with_gpu(CLUSTER, "node-role.kubernetes.io/gpu=").gpu == "node-role.kubernetes.io/gpu="  # labels may be bare
    with pytest.raises(InvalidConfig, match=r"^--gpu: gpu is 'a100', expected LABEL=VALUE of the nodes that have one$"):
        with_gpu(CLUSTER, "a100")


def test_components_say_at_most_ten_statements() -> None:
    import ast

    for path in (Path(__file__).parents[2] / "components").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                statements = sum(isinstance(inner, ast.stmt) for inner in ast.walk(node)) - 1
                assert statements <= 10, f"{path.name}: {node.name} has {statements}"
