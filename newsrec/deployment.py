"""The cluster follows the releases: each version in the object store, and the InferenceService pointed at the current.

``CURRENT`` is the truth and moves first; ``deploy`` brings the other two up to it. Whatever is interrupted leaves the
predictor with the release that it had, and the next call completes it. A site without a cluster has no ``storage``:
there the pointer is all.

    STORAGE/VERSION/     as ``newsrec.release_storage`` writes it
    InferenceService     STORAGE_URI of its predictor's first container: STORAGE/VERSION
    STORAGE/CURRENT      which of the versions that is, for others than KServe

``service`` is NAMESPACE/NAME. Kubernetes is found by the pod's service account or by KUBECONFIG.
"""

import json
import os
from pathlib import Path
from typing import Any

from newsrec import release_storage, releases
from newsrec.artifact import InvalidArtifact
from newsrec.release_storage import DeploymentFailed, version_uri

_CONTAINER = "/spec/predictor/containers/0"
_TIMEOUT_SECONDS = 30
"""Of one answer of Kubernetes; the lock of the releases is held meanwhile."""


def publish_to(root: str | Path, directory: str | Path, incumbent: str, run: str, storage: str, service: str) -> str:
    """Publish the artefact or mixture in ``directory`` as releases.publish_artifact does, and deploy it; its version.

    Raises Conflict, InvalidArtifact, DeploymentFailed.
    """
    version = releases.publish_artifact(root, directory, incumbent, run)
    deploy(root, storage, service)
    return version


def roll_back_to(root: str | Path, expected: str, storage: str, service: str) -> str:
    """Roll back as releases.roll_back does, and deploy what is served then; its version.

    A roll-back that the InferenceService has not followed yet is completed instead of going one release further.
    Raises Conflict, InvalidArtifact, DeploymentFailed.
    """
    version = releases.roll_back(root, expected or _withdrawn(root, storage, service)).version
    deploy(root, storage, service)
    return version


def deploy(root: str | Path, storage: str, service: str) -> str:
    """Bring object store and InferenceService up to the current release; its URI. Doing it twice changes nothing.

    ``storage`` is s3://BUCKET/PREFIX, or "" for nothing to do. Raises InvalidArtifact and DeploymentFailed.
    """
    if not storage:
        return ""
    with releases.locked(Path(root)):
        served = releases.current(root)
        if served is None:
            raise DeploymentFailed(f"{root} has no release, expected one to deploy; publish first")
        uri = version_uri(storage, served.version)
        found = releases.load(served.directory).version
        if found != served.version:
            raise InvalidArtifact(f"{served.directory} holds {found}, expected the version that {root}/CURRENT names")
        release_storage.upload(served.directory, uri)
        _point(service, uri)
        release_storage.write_current(Path(root), uri.rpartition("/")[0])
    return uri


def served_uri(service: str) -> str:
    """What the InferenceService is told to serve. Raises DeploymentFailed."""
    return _storage_uri(service)[1]


def _withdrawn(root: str | Path, storage: str, service: str) -> str:
    """The version that was rolled back while the InferenceService still has it, "" where they agree."""
    served = releases.current(root) if storage else None
    if served is None or served.rolled_back is None:
        return ""
    return served.rolled_back if served_uri(service) == version_uri(storage, served.rolled_back) else ""


def _point(service: str, uri: str) -> None:
    """Set STORAGE_URI, if nobody else sets it meanwhile."""
    path, found = _storage_uri(service)
    if found != uri:
        unchanged = {"op": "test", "path": path, "value": {"name": "STORAGE_URI", "value": found}}
        _ask(service, "PATCH", [unchanged, {"op": "replace", "path": f"{path}/value", "value": uri}])


def _storage_uri(service: str) -> tuple[str, str]:
    """Where STORAGE_URI stands in the InferenceService, as a JSON pointer, and its value."""
    containers = _ask(service, "GET").get("spec", {}).get("predictor", {}).get("containers") or [{}]
    environment = containers[0].get("env", [])
    for index, entry in enumerate(environment):
        if entry["name"] == "STORAGE_URI" and "value" in entry:
            return f"{_CONTAINER}/env/{index}", entry["value"]
    raise DeploymentFailed(
        f"InferenceService {service} has {[entry['name'] for entry in environment]} in the environment of its first "
        "container, expected STORAGE_URI with a value; apply the manifests again"
    )


_ADVICE = {
    401: "sign in again",
    403: "give this account get and patch on it, as manifests/base/runner.yaml does",
    404: "apply the manifests first, or correct NAMESPACE/NAME",
    422: "its STORAGE_URI was changed meanwhile: see by whom, and repeat the run, which sets it to the current release",
}


def _ask(service: str, method: str, patch: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The InferenceService as Kubernetes answers, after ``patch`` (a JSON Patch) where there is one."""
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    if service.count("/") != 1:
        raise DeploymentFailed(f"service is {service!r}, expected NAMESPACE/NAME; correct the configuration")
    namespace, name = service.split("/")
    options = client.Configuration()
    try:
        try:
            config.load_incluster_config(client_configuration=options)
        except config.ConfigException:
            config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=options)
        with client.ApiClient(options) as api:
            return api.call_api(  # not CustomObjectsApi, which sends every patch as a merge patch
                f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/{name}",
                method,
                header_params={"Accept": "application/json", "Content-Type": "application/json-patch+json"},
                body=patch,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=_TIMEOUT_SECONDS,
            )
    except config.ConfigException as error:
        found, advice = f"no cluster was found ({_line(error)})", "run in a pod or set KUBECONFIG"
    except client.ApiException as error:
        found = f"{method} was answered {error.status} ({_line(error.body or error.reason)})"
        advice = _ADVICE.get(error.status, "repeat the run")
    except HTTPError as error:
        found, advice = f"Kubernetes does not answer ({_line(error)})", "check KUBECONFIG and repeat the run"
    raise DeploymentFailed(f"InferenceService {service}: {found}, expected to read and patch it; {advice}")


def _line(said: object) -> str:
    """An error on one line; of Kubernetes' Status its message."""
    text = str(said)
    if text.startswith('{"kind":"Status"'):
        text = json.loads(text)["message"]
    return " ".join(text.split())
