"""newsrec itself on a cluster: manifests/overlays/kind, the Secrets that it refers to, the release that it serves."""

import base64
import json
import secrets
from collections.abc import Callable
from typing import Any

import yaml

from scripts.kind_cluster.commands import Cluster, Failed, kustomize
from scripts.kind_cluster.host import load
from scripts.kind_cluster.versions import ROOT, Versions

OVERLAY = ROOT / "manifests" / "overlays" / "kind"
SECRETS = ROOT / "manifests" / "secret.example.yaml"
NAMESPACE = "newsrec"
Object = dict[str, Any]


def render() -> str:
    """The manifests of newsrec on kind."""
    return kustomize(OVERLAY)


def install(cluster: Cluster, manifests: str, versions: Versions, say: Callable[[str], None]) -> list[str]:
    """Apply ``manifests`` with the release that is served now; Secrets that are there stay as they are.

    Returns the images that they name.
    """
    named = load(cluster, manifests, versions)
    objects = [thing for thing in yaml.safe_load_all(manifests) if thing]
    apply(cluster, [thing for thing in objects if thing["kind"] == "Namespace"])
    create_secrets(cluster)
    for job in (thing["metadata"] for thing in objects if thing["kind"] == "Job"):  # no Job can be changed
        cluster.kubectl("-n", job["namespace"], "delete", "job", job["name"], "--ignore-not-found")
    serve(objects, served_uri(cluster))
    apply(cluster, objects)
    workloads = [thing["metadata"] for thing in objects if thing["kind"] in ("Deployment", "StatefulSet")]
    cluster.wait(NAMESPACE, say, {metadata["name"] for metadata in workloads if metadata["namespace"] == NAMESPACE})
    return named


def apply(cluster: Cluster, objects: list[Object]) -> None:
    cluster.apply(yaml.safe_dump_all(objects, sort_keys=False))


def served_uri(cluster: Cluster) -> str:
    """STORAGE_URI of the InferenceService on the cluster, "" where there is none."""
    service = cluster.get(NAMESPACE, "inferenceservice", "newsrec")
    return _storage(service)["value"] if service else ""


def serve(objects: list[Object], uri: str) -> None:
    """Put ``uri`` into the InferenceService among ``objects``; "" leaves it as it is."""
    for thing in objects:
        if thing["kind"] == "InferenceService" and uri:
            _storage(thing)["value"] = uri


def _storage(service: Object) -> dict[str, str]:
    (variable,) = [v for v in service["spec"]["predictor"]["containers"][0]["env"] if v["name"] == "STORAGE_URI"]
    return variable


def create_secrets(cluster: Cluster) -> None:
    """Create the Secrets that are missing. Raises Failed where the two passwords of PostgreSQL differ."""
    postgres = _ensure(cluster, NAMESPACE, "postgres", {"password": secrets.token_hex(24)})
    runs = _ensure(cluster, "kubeflow", "newsrec-postgres", postgres)
    if runs["password"] != postgres["password"]:
        found = "Secret newsrec-postgres in kubeflow has another password than Secret postgres in newsrec"
        raise Failed(found, f"kubectl --context kind-{cluster.name} -n kubeflow delete secret newsrec-postgres")
    _ensure(cluster, NAMESPACE, "reader-key", {"reader-key": secrets.token_hex(32)})
    keys = _values(cluster.get("kubeflow", "secret", "mlpipeline-minio-artifact"))
    access = {"AWS_ACCESS_KEY_ID": keys["accesskey"], "AWS_SECRET_ACCESS_KEY": keys["secretkey"]}
    examples = yaml.safe_load_all(SECRETS.read_text())
    (example,) = [thing["metadata"] for thing in examples if thing["metadata"]["name"] == "object-store"]
    _ensure(cluster, NAMESPACE, "object-store", access, example["annotations"])


def _ensure(
    cluster: Cluster, namespace: str, name: str, values: dict[str, str], annotations: dict[str, str] | None = None
) -> dict[str, str]:
    """The values of a Secret, which is created with ``values`` where it is missing."""
    if found := cluster.get(namespace, "secret", name):
        return _values(found)
    metadata = {"name": name, "namespace": namespace, "annotations": annotations or {}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(secret))
    return values


def _values(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
