"""The cluster follows the releases: each version in the object store, and the InferenceService pointed at the current.

``CURRENT`` is the truth and moves first; ``deploy`` brings the other two up to it. Whatever is interrupted leaves the
predictor with the release that it had, and the next call completes it. A site without a cluster has no ``storage``:
there the pointer is all.

    STORAGE/VERSION/     an artefact or a mixture, never changed; ``policy.json`` or ``mixture.json`` last, so that a
                         prefix that has it is whole
    InferenceService     STORAGE_URI of its predictor's first container: STORAGE/VERSION
    STORAGE/CURRENT      a copy of ``CURRENT``, for the collector: ``fetch`` makes a releases folder of it again

``service`` is NAMESPACE/NAME. The object store is found by AWS_ENDPOINT_URL (Amazon's own without), AWS_REGION,
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, Kubernetes by the pod's service account or by KUBECONFIG.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from pyarrow.fs import FileSelector, FileType, S3FileSystem

from newsrec import releases
from newsrec.artifact import MIXTURE_FILE, InvalidArtifact
from newsrec.files import whole_directory, write_whole

_LAST = ("policy.json", MIXTURE_FILE)
_CONTAINER = "/spec/predictor/containers/0"
_TIMEOUT_SECONDS = 30
"""Of one answer of Kubernetes; the lock of the releases is held meanwhile."""


class DeploymentFailed(RuntimeError):
    """The object store or the InferenceService could not be brought up to the releases; the message says what to do."""


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
        uri = _uri(storage, served.version)
        found = releases.load(served.directory).version
        if found != served.version:
            raise InvalidArtifact(f"{served.directory} holds {found}, expected the version that {root}/CURRENT names")
        _upload(served.directory, uri)
        _point(service, uri)
        _name(Path(root), uri.rpartition("/")[0])
    return uri


def fetch(storage: str, root: str | Path) -> bool:
    """Bring the releases folder ``root`` up to what ``storage`` names; whether another release is current by now.

    Keeps the current version and the one before. Raises OSError, InvalidArtifact and DeploymentFailed; the folder then
    stays as it was.
    """
    root, prefix, store = Path(root), _uri(storage, "").removeprefix("s3://").rstrip("/"), _store()
    if store.get_file_info(f"{prefix}/CURRENT").type == FileType.NotFound:
        return False
    with store.open_input_file(f"{prefix}/CURRENT") as there:
        text = there.readall().decode("utf-8", "replace")
    before = (root / "CURRENT").read_text(encoding="utf-8") if (root / "CURRENT").exists() else ""
    if text == before:
        return False
    version = releases.named(text, f"{storage}/CURRENT")
    target = root / "versions" / version
    if not target.exists():
        with whole_directory(target) as partial:
            for part in store.get_file_info(FileSelector(f"{prefix}/{version}", recursive=True)):
                if part.type == FileType.File:
                    place = partial / part.path.removeprefix(f"{prefix}/{version}/")
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with store.open_input_file(part.path) as there:
                        place.write_bytes(there.readall())
            found = releases.load(partial).version
            if found != version:
                raise InvalidArtifact(f"{storage}/{version} holds {found}, expected the version that it is called")
    write_whole(root / "CURRENT", text)
    kept = {version, releases.named(before, "") if before else ""}
    for old in [path for path in (root / "versions").iterdir() if path.name not in kept]:
        shutil.rmtree(old, ignore_errors=True)
    return True


def served_uri(service: str) -> str:
    """What the InferenceService is told to serve. Raises DeploymentFailed."""
    return _storage_uri(service)[1]


def _withdrawn(root: str | Path, storage: str, service: str) -> str:
    """The version that was rolled back while the InferenceService still has it, "" where they agree."""
    served = releases.current(root) if storage else None
    if served is None or served.rolled_back is None:
        return ""
    return served.rolled_back if served_uri(service) == _uri(storage, served.rolled_back) else ""


def _uri(storage: str, version: str) -> str:
    prefix = storage.removeprefix("s3://").strip("/")
    if not storage.startswith("s3://") or not all(prefix.split("/")):
        raise DeploymentFailed(f"storage is {storage!r}, expected s3://BUCKET/PREFIX; correct the configuration")
    return f"s3://{prefix}/{version}"


def _upload(directory: Path, uri: str) -> None:
    """Complete ``uri`` to a copy of ``directory``. What is there is compared first and never written again."""
    prefix = uri.removeprefix("s3://")
    names = [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]
    parts = {name: (directory / name).read_bytes() for name in sorted(names, key=lambda name: (name in _LAST, name))}
    try:
        store = _store()
        found = store.get_file_info([f"{prefix}/{name}" for name in parts])
        missing = [name for name, part in zip(parts, found, strict=True) if part.type == FileType.NotFound]
        for name in [name for name in parts if name not in missing]:
            with store.open_input_file(f"{prefix}/{name}") as there:
                if there.readall() != parts[name]:
                    difference = f"{uri}/{name} differs from {directory / name}, expected equal bytes"
                    raise DeploymentFailed(f"{difference}; find out who wrote it, delete it and repeat the run")
        for name in missing:
            with store.open_output_stream(f"{prefix}/{name}") as new:
                new.write(parts[name])
    except OSError as error:
        raise _not_written(uri, error) from None


def _name(root: Path, storage: str) -> None:
    """Make ``STORAGE/CURRENT`` equal to that of ``root``."""
    path, text = f"{storage.removeprefix('s3://')}/CURRENT", (root / "CURRENT").read_bytes()
    try:
        store = _store()
        if store.get_file_info(path).type != FileType.NotFound:
            with store.open_input_file(path) as there:
                if there.readall() == text:
                    return
        with store.open_output_stream(path) as new:
            new.write(text)
    except OSError as error:
        raise _not_written(f"{storage}/CURRENT", error) from None


def _store() -> S3FileSystem:
    return S3FileSystem(endpoint_override=os.environ.get("AWS_ENDPOINT_URL"))  # which it does not read itself


def _not_written(uri: str, error: OSError) -> DeploymentFailed:
    expected = "expected a bucket that this account may list, read and write"
    advice = "check its name, AWS_ENDPOINT_URL and the credentials, and repeat the run"
    return DeploymentFailed(f"{uri} was not written: {_line(error)}; {expected}: {advice}")


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
