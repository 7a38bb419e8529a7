"""What no schema says of an InferenceService: how KServe 0.21 reads it in Standard mode, what our server expects."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from serving.__main__ import app
from tests.manifests.breaking import Broken, Rule, container, environment, name, pod_spec
from tests.manifests.objects import MANIFESTS, OVERLAYS, Object, find, of_kind, pods, predictors, render, title

MOUNTED = "/mnt/models"
"""Where KServe's storage initializer leaves a model."""
OBJECT_STORES = ("s3://", "gs://", "https://")
SCALING = ("autoScaling", "maxReplicas", "scaleMetric", "scaleTarget")
UsageError = typer.BadParameter.__mro__[1]
"""What typer's parser raises; typer exports its subclasses only."""
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands


def releases_are_named(objects: list[Object]) -> Iterator[str]:
    """Each predictor has one STORAGE_URI: the one way that serves custom containers and candidates alike."""
    for service in of_kind(objects, "InferenceService"):
        seen = []
        for predictor in predictors(service):
            uris = [entry.get("value", "") for entry in _server(predictor)["env"] if entry["name"] == "STORAGE_URI"]
            if len(uris) != 1 or not uris[0].startswith(OBJECT_STORES):
                yield f"{title(service)}: STORAGE_URI is {uris}, expected one in {', '.join(OBJECT_STORES)}"
            if "storageUris" in predictor:
                yield f"{title(service)}: KServe refuses STORAGE_URI and storageUris together"
            seen += uris
        if len(set(seen)) < len(seen):
            yield f"{title(service)}: the candidate is the served release {seen[0]}"


def candidates_are_what_kserve_takes(objects: list[Object]) -> Iterator[str]:
    for service in of_kind(objects, "InferenceService"):
        spec, canary = service["spec"], service["spec"].get("canary", [])
        if "canaryTrafficPercent" in spec["predictor"]:
            yield f"{title(service)}: canaryTrafficPercent does nothing in Standard mode"
        if sum(part["trafficPercent"] for part in canary) >= 100:
            yield f"{title(service)}: candidates take all requests"
        names = ["predictor", *(part["predictor"].get("name", "") for part in canary)]
        if "" in names or len(set(names)) < len(names):
            yield f"{title(service)}: candidates need names of their own, found {names[1:]}"
        for part in canary:
            taken = sorted(part["predictor"].keys() & set(SCALING))
            yield from (f"{title(service)}: a candidate does not scale, found {field}" for field in taken)
            if "containers" not in part["predictor"]:
                yield f"{title(service)}: a candidate without containers serves the served release"


def splitters_add_up(objects: list[Object]) -> Iterator[str]:
    for graph in of_kind(objects, "InferenceGraph"):
        for node_name, node in graph["spec"]["nodes"].items():
            total = sum(step.get("weight", 0) for step in node["steps"])
            if node["routerType"] == "Splitter" and total != 100:
                yield f"{title(graph)}: the weights of {node_name} add up to {total}, not 100"


def annotations_make_it_standard(objects: list[Object]) -> Iterator[str]:
    for service in of_kind(objects, "InferenceService"):
        annotations, predictor = service["metadata"]["annotations"], service["spec"]["predictor"]
        if annotations.get("serving.kserve.io/deploymentMode") != "Standard":
            yield f"{title(service)}: without the annotation Standard it wants Knative"
        scaler = annotations.get("serving.kserve.io/autoscalerClass")
        if scaler != ("hpa" if predictor["maxReplicas"] > predictor["minReplicas"] else "none"):
            yield f"{title(service)}: autoscaler {scaler} for {predictor['minReplicas']} to {predictor['maxReplicas']}"
        if predictor["deploymentStrategy"]["rollingUpdate"]["maxUnavailable"] != 0:
            yield f"{title(service)}: a new release takes pods of the old one away before it is ready"


def a_budget_lets_nodes_drain(objects: list[Object]) -> Iterator[str]:
    made_by_kserve = {f"{s['metadata']['name']}-predictor" for s in of_kind(objects, "InferenceService")}
    for budget in of_kind(objects, "PodDisruptionBudget"):
        if budget["spec"].get("maxUnavailable", 0) < 1:
            yield f"{title(budget)}: no pod may ever be moved"
        if budget["metadata"]["name"] in made_by_kserve:
            yield f"{title(budget)}: KServe deletes a budget of this name"


def command_lines_are_those_of_the_code(objects: list[Object]) -> Iterator[str]:
    for pod in pods(objects):
        for part in pod.containers:
            if part["image"].rpartition("/")[2].startswith("newsrec-serving:"):
                command, *options = part["args"]
                try:
                    taken = COMMANDS[command].make_context(command, options).params
                except UsageError as error:
                    yield f"{pod.owner}: {error.format_message()}"
                    continue
                declared = {port["name"]: port["containerPort"] for port in part.get("ports", [])}
                listening = {"http": taken.get("http_port", taken.get("port")), "grpc": taken.get("grpc_port")}
                if declared != {port: number for port, number in listening.items() if number}:
                    yield f"{pod.owner}: declares {declared}, the code listens on {listening}"
                if taken.get("host", "0.0.0.0") != "0.0.0.0":
                    yield f"{pod.owner}: listens on {taken['host']}, where no Service reaches it"
                if str(taken.get("artifact") or MOUNTED) != MOUNTED:
                    yield f"{pod.owner}: the artefact is read from {taken['artifact']}, KServe mounts {MOUNTED}"
                mounts = {mount["mountPath"] for mount in part["volumeMounts"]}
                folders = [taken["store"], *([taken["reader_key_file"].parent] if pod.serves else [])]
                missing = {str(f) for f in folders if not mounts & {str(f), *map(str, f.parents)}}
                yield from (f"{pod.owner}: nothing is mounted at {folder}" for folder in sorted(missing))


def the_model_is_called_like_the_service(objects: list[Object]) -> Iterator[str]:
    (default,) = (option.default for option in COMMANDS["predictor"].params if option.name == "model_name")
    for service in of_kind(objects, "InferenceService"):
        if service["metadata"]["name"] != default:
            yield f"{title(service)}: clients of KServe ask for a model of that name, the code serves {default}"


def one_collector_writes(objects: list[Object]) -> Iterator[str]:
    spec = find(objects, "Deployment", "collector")["spec"]
    if spec["replicas"] != 1 or spec["strategy"]["type"] != "Recreate":
        yield "collector: two processes may write one reader's row"


def _server(predictor: dict[str, Any]) -> dict[str, Any]:
    (found,) = (part for part in predictor["containers"] if part["name"] == "kserve-container")
    return found


RULES: list[Rule] = [
    releases_are_named,
    candidates_are_what_kserve_takes,
    splitters_add_up,
    annotations_make_it_standard,
    a_budget_lets_nodes_drain,
    command_lines_are_those_of_the_code,
    the_model_is_called_like_the_service,
    one_collector_writes,
]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=name)
def test_every_overlay_keeps(rule: Rule, overlay: str) -> None:
    assert list(rule(render(overlay))) == []


def service(objects: list[Object]) -> Object:
    return find(objects, "InferenceService", "newsrec")


def candidate(objects: list[Object]) -> dict[str, Any]:
    return service(objects)["spec"]["canary"][0]["predictor"]


def argue(objects: list[Object], owner: str, *options: str) -> None:
    container(objects, owner)["args"].extend(options)


def add_splitter(objects: list[Object]) -> None:
    steps = [{"serviceName": "newsrec", "weight": 90}, {"serviceName": "other", "weight": 20}]
    graph = {"nodes": {"root": {"routerType": "Splitter", "steps": steps}}}
    objects.append({"kind": "InferenceGraph", "metadata": {"name": "split"}, "spec": graph})


GREEDY = {"maxSurge": 1, "maxUnavailable": 1}
RELEASES, CANDIDATES, STANDARD, BUDGET = (RULES[index] for index in (0, 1, 3, 4))
CODE = command_lines_are_those_of_the_code
BROKEN = [
    Broken(RELEASES, "STORAGE_URI is ['/srv", lambda o: environment(o, "newsrec", "STORAGE_URI").update(value="/srv")),
    Broken(RELEASES, "STORAGE_URI is []", lambda o: candidate(o)["containers"][0].update(env=[])),
    Broken(RELEASES, "is the served release", lambda o: candidate(o).pop("containers")),
    Broken(RELEASES, "together", lambda o: pod_spec(o, "newsrec").update(storageUris=[{"uri": "s3://a/b"}])),
    Broken(CANDIDATES, "does nothing", lambda o: pod_spec(o, "newsrec").update(canaryTrafficPercent=10)),
    Broken(CANDIDATES, "all requests", lambda o: service(o)["spec"]["canary"][0].update(trafficPercent=100)),
    Broken(CANDIDATES, "names of their own", lambda o: candidate(o).pop("name")),
    Broken(CANDIDATES, "does not scale, found maxReplicas", lambda o: candidate(o).update(maxReplicas=3)),
    Broken(CANDIDATES, "without containers", lambda o: candidate(o).pop("containers")),
    Broken(splitters_add_up, "add up to 110", add_splitter),
    Broken(
        STANDARD, "Knative", lambda o: service(o)["metadata"]["annotations"].pop("serving.kserve.io/deploymentMode")
    ),
    Broken(STANDARD, "autoscaler hpa", lambda o: pod_spec(o, "newsrec").update(maxReplicas=3)),
    Broken(
        STANDARD,
        "before it is ready",
        lambda o: pod_spec(o, "newsrec")["deploymentStrategy"].update(rollingUpdate=GREEDY),
    ),
    Broken(
        BUDGET, "ever be moved", lambda o: find(o, "PodDisruptionBudget", "predictor")["spec"].update(maxUnavailable=0)
    ),
    Broken(
        BUDGET,
        "KServe deletes",
        lambda o: find(o, "PodDisruptionBudget", "predictor")["metadata"].update(name="newsrec-predictor"),
    ),
    Broken(CODE, "No such option: --artefact", lambda o: argue(o, "newsrec", "--artefact=/mnt/models")),
    Broken(CODE, "Missing option '--store'", lambda o: container(o, "collector").update(args=["collector"])),
    Broken(CODE, "the code listens on", lambda o: argue(o, "newsrec", "--http-port=9000")),
    Broken(CODE, "the code listens on", lambda o: argue(o, "newsrec", "--grpc-port=0")),
    Broken(CODE, "the code listens on", lambda o: container(o, "collector")["ports"][0].update(containerPort=8080)),
    Broken(CODE, "no Service reaches it", lambda o: argue(o, "collector", "--host=127.0.0.1")),
    Broken(CODE, "KServe mounts /mnt/models", lambda o: argue(o, "newsrec", "--artifact=/models")),
    Broken(CODE, "mounted at /srv", lambda o: argue(o, "collector", "--store=/srv")),
    Broken(
        the_model_is_called_like_the_service,
        "the code serves newsrec",
        lambda o: service(o)["metadata"].update(name="news"),
    ),
    Broken(
        one_collector_writes, "two processes", lambda o: find(o, "Deployment", "collector")["spec"].update(replicas=2)
    ),
    Broken(
        one_collector_writes,
        "two processes",
        lambda o: find(o, "Deployment", "collector")["spec"].update(strategy={"type": "RollingUpdate"}),
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=name)
def test_a_rule_catches(broken: Broken) -> None:
    assert any(broken.complaint in found for found in broken.found())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_feature_store_is_made_by_a_function_that_exists(overlay: str) -> None:
    parts = [part for pod in pods(render(overlay)) for part in pod.every_container]
    makers = [part for part in parts if part["name"] == "feature-store"]
    assert len(makers) >= 2  # the predictor's and the collector's
    for part in makers:
        program, flag, source = part["command"]
        assert (program, flag) == ("python3", "-c")
        imported, _, call = source.partition("; ")
        _, module, _, function = imported.split()
        assert call == f'{function}("/store")'
        assert callable(getattr(importlib.import_module(module), function))
        assert "/store" in {mount["mountPath"] for mount in part["volumeMounts"]}


def test_an_overlay_names_its_release_once() -> None:
    for overlay in OVERLAYS:
        texts = [path.read_text() for path in (MANIFESTS / "overlays" / overlay).glob("*.yaml")]
        assert sum(text.count("/releases/") for text in texts) == 1
    assert not any("/releases/" in path.read_text() for path in (MANIFESTS / "base").glob("*.yaml"))


def test_the_storage_initializer_is_patched_into_what_a_restricted_namespace_admits() -> None:
    patch = yaml.safe_load(Path(MANIFESTS / "storage-initializer.yaml").read_text())
    hardened = container(render("kind"), "newsrec")["securityContext"]
    assert patch == {"spec": {"container": {"name": "storage-initializer", "securityContext": hardened}}}
