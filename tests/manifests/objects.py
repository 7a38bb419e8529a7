"""What an overlay renders to, and the pods in it as Kubernetes will see them, whatever makes them."""

import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.conftest import ROOT, unavailable
from tests.manifests.train_job import node_pods

MANIFESTS = ROOT / "manifests"
OVERLAYS = ("kind", "production", "abtest")
WORKLOADS = ("CronJob", "DaemonSet", "Deployment", "Job", "StatefulSet")
"""Kinds of Kubernetes' own that make pods of a template."""
Object = dict[str, Any]
"""One object of the API, as parsed YAML."""


class Pod(NamedTuple):
    """A pod template lifted out of whatever makes pods of it."""

    owner: str
    name: str
    """What the pods' names begin with."""
    namespace: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def serves(self) -> bool:
        """Whether it runs until it is told to stop; a Job's ends by itself."""
        return self.spec.get("restartPolicy", "Always") == "Always"

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


def example_secrets() -> dict[tuple[str, str], Object]:
    """Namespace and name -> each Secret that secret.example.yaml shows to whoever makes them."""
    examples = yaml.safe_load_all((MANIFESTS / "secret.example.yaml").read_text())
    return {(secret["metadata"]["namespace"], secret["metadata"]["name"]): secret for secret in examples}


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
    """Every pod template, with the labels that the controllers of custom resources give their pods."""
    found = []
    for thing in objects:
        spec, namespace = thing.get("spec", {}), thing["metadata"].get("namespace", "default")
        if thing["kind"] == "InferenceService":
            found += _of_inference_service(thing)
        elif thing["kind"] == "TrainJob":
            for node, labels, pod in node_pods(thing, objects):
                name = f"{thing['metadata']['name']}-{node}"
                found.append(Pod(f"{title(thing)} ({name})", name, namespace, labels, pod))
        elif thing["kind"] in WORKLOADS:
            template = (spec["jobTemplate"]["spec"] if thing["kind"] == "CronJob" else spec)["template"]
            name, labels = thing["metadata"]["name"], template["metadata"]["labels"]
            found.append(Pod(title(thing), name, namespace, labels, template["spec"]))
    return found


def _of_inference_service(service: Object) -> Iterator[Pod]:
    metadata = service["metadata"]
    for predictor in predictors(service):
        name = f"{metadata['name']}-{predictor.get('name', 'predictor')}"
        labels = {
            **metadata.get("labels", {}),
            **predictor.get("labels", {}),
            "app": f"isvc.{name}",
            "component": "predictor",
            "serving.kserve.io/inferenceservice": metadata["name"],
        }
        yield Pod(f"{title(service)} ({name})", name, metadata["namespace"], labels, predictor)


def services(objects: list[Object]) -> list[Object]:
    """Every Service, those that KServe makes of an InferenceService's container ports included."""
    made = []
    for thing in of_kind(objects, "InferenceService"):
        for pod in pods([thing]):
            first, *others = pod.containers[0]["ports"]
            ports = [{"name": first["name"], "port": 80, "targetPort": first["containerPort"]}]
            ports += [{"name": p["name"], "port": p["containerPort"], "targetPort": p["containerPort"]} for p in others]
            metadata = {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels}
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
    return [p for p in pods(objects) if p.namespace == service["metadata"]["namespace"] and selects(selector, p.labels)]


def port_numbers(pod: Pod) -> dict[str, int]:
    """Name -> number, over all containers."""
    return {port["name"]: port["containerPort"] for part in pod.containers for port in part.get("ports", [])}
