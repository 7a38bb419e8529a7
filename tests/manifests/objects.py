"""What an overlay renders to, and the pods in it as Kubernetes will see them, those of an InferenceService included."""

import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.conftest import ROOT, unavailable

MANIFESTS = ROOT / "manifests"
OVERLAYS = ("kind", "production", "abtest")
Object = dict[str, Any]
"""One object of the API, as parsed YAML."""


class Pod(NamedTuple):
    """A pod template lifted out of whatever makes pods of it."""

    owner: str
    namespace: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        return self.spec["containers"]

    @property
    def every_container(self) -> list[dict[str, Any]]:
        return self.spec.get("initContainers", []) + self.containers


def render(overlay: str) -> list[Object]:
    """The objects of ``manifests/overlays/OVERLAY``, new ones at each call."""
    return list(yaml.load_all(_kustomize(MANIFESTS / "overlays" / overlay), yaml.CSafeLoader))


@functools.cache
def _kustomize(folder: Path) -> str:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        unavailable("kubectl", "kubectl not found; https://kubernetes.io/docs/tasks/tools/ says how to install it")
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(objects: list[Object], *kinds: str) -> Iterator[Object]:
    return (thing for thing in objects if thing["kind"] in kinds)


def find(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (thing for thing in of_kind(objects, kind) if thing["metadata"]["name"] == name)
    return found


def title(thing: Object) -> str:
    return f"{thing['kind']} {thing['metadata']['name']}"


def predictors(service: Object) -> list[dict[str, Any]]:
    """The served predictor of an InferenceService, then its candidates laid over it as KServe does: lists whole."""
    served = service["spec"]["predictor"]
    return [served] + [{**served, **canary["predictor"]} for canary in service["spec"].get("canary", [])]


def pods(objects: list[Object]) -> list[Pod]:
    """Every pod template. An InferenceService's get the labels that KServe's controller gives them."""
    found = []
    for thing in objects:
        metadata, spec = thing["metadata"], thing.get("spec", {})
        if thing["kind"] == "InferenceService":
            for predictor in predictors(thing):
                name = f"{metadata['name']}-{predictor.get('name', 'predictor')}"
                labels = {
                    **metadata.get("labels", {}),
                    **predictor.get("labels", {}),
                    "app": f"isvc.{name}",
                    "component": "predictor",
                    "serving.kserve.io/inferenceservice": metadata["name"],
                }
                found.append(Pod(f"{title(thing)} ({name})", metadata["namespace"], labels, predictor))
        elif "template" in spec:
            template = spec["template"]
            found.append(Pod(title(thing), metadata["namespace"], template["metadata"]["labels"], template["spec"]))
    return found


def services(objects: list[Object]) -> list[Object]:
    """Every Service, those that KServe makes of an InferenceService's container ports included."""
    made = []
    for thing in of_kind(objects, "InferenceService"):
        for pod in (p for p in pods([thing]) if p.owner.startswith(title(thing))):
            first, *others = pod.containers[0]["ports"]
            ports = [{"name": first["name"], "port": 80, "targetPort": first["containerPort"]}]
            ports += [{"name": p["name"], "port": p["containerPort"], "targetPort": p["containerPort"]} for p in others]
            name = pod.labels["app"].removeprefix("isvc.")
            metadata = {"name": name, "namespace": pod.namespace, "labels": pod.labels}
            spec = {"selector": {"app": pod.labels["app"]}, "ports": ports}
            made.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    return made + list(of_kind(objects, "Service"))


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector of the API matches ``labels``; an empty one matches all."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(_holds(part, labels) for part in selector.get("matchExpressions", []))


def _holds(part: dict[str, Any], labels: dict[str, str]) -> bool:
    value, operator = labels.get(part["key"]), part["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    return (value in part["values"]) == (operator == "In")


def behind(service: Object, objects: list[Object]) -> list[Pod]:
    """The pods that ``service`` sends requests to."""
    selector = {"matchLabels": service["spec"]["selector"]}
    return [pod for pod in pods(objects) if selects(selector, pod.labels)]


def port_numbers(pod: Pod) -> dict[str, int]:
    """Name -> number, over all containers."""
    return {port["name"]: port["containerPort"] for part in pod.containers for port in part["ports"]}
