"""The training pipeline on the cluster, then a reader who asks the InferenceService, reads, and asks again."""

import contextlib
import io
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from rich.console import Console

from newsrec import releases
from newsrec.artifact import Artifact, InvalidArtifact
from newsrec.mixture import Mixture
from scripts.demo import HOST, MINUTE, Servers, free_port, show
from scripts.kind_cluster.commands import LAST_LINES, Cluster, Failed, runs, step, wait_until
from scripts.kind_cluster.newsroom import NAMESPACE, served_uri
from scripts.kind_cluster.stack import extract
from scripts.kind_cluster.versions import ROOT

SUBMIT = (
    *("submit", "--cluster", "configs/clusters/kind.toml", "--source", "simulated"),
    *("--simulation", "configs/smoke.toml", "--wait"),
)
PREDICTOR = "newsrec-predictor"
MODEL = """
import sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
    tar.add("/mnt/models", ".")
"""
"""For the predictor's container, which has Python and no tar."""
BEFORE = "make kind-up; make kind-demo comes after it"
INTERFACE = "kubectl -n kubeflow port-forward service/ml-pipeline-ui 8082:80, then http://localhost:8082"


def demo(here: Cluster, console: Console) -> None:
    """Train, look at what is served, ask, read, ask again. Raises StepFailed."""
    with step(console, "What is served", BEFORE):
        before = served_uri(here)
        if not before:
            raise Failed(f"the cluster {here.name} has no InferenceService newsrec")
    console.print(f"  {before}", soft_wrap=True)
    with step(console, "The run", f"look at it in Kubeflow Pipelines: {INTERFACE}", spinner=False):
        train(here)
    with step(
        console, "Its release is served", f"kubectl -n {NAMESPACE} get pods; docs/troubleshooting.md says what is what"
    ) as say:
        uri = served_uri(here)
        if uri.endswith("/none-yet"):
            raise Failed("the run published nothing, and nothing was served before", "see the report of its task gate")
        wait_until(lambda: not_serving(here, uri), lambda: here.troubles(NAMESPACE), say)
        release = served_release(here, uri)
    console.print(f"  {uri}" + (", as before: the run made the same release, or none" if uri == before else ""))
    with step(console, "A reader asks, reads the first article and asks again"):
        reader, first, second = visit(here, release)
    titles = {
        row["article_id"]: row["title"] for each in policies(release) for row in each.catalogue.articles.to_pylist()
    }
    show(reader, first, second, titles)


def train(here: Cluster) -> None:
    """Submit the training pipeline and wait for its end, its lines on the terminal. Raises Failed."""
    with forwarded(here, "kubeflow", "ml-pipeline", 8888, 8888) as host:
        command = [sys.executable, "-m", "pipelines", *SUBMIT, "--host", host]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise Failed("the run did not succeed; the lines above say why")


def not_serving(here: Cluster, uri: str) -> set[str]:
    """What still has to happen until the pods at work, and no others, are those of the release ``uri``."""
    service = here.get(NAMESPACE, "inferenceservice", "newsrec")
    deployment = here.get(NAMESPACE, "deployment", PREDICTOR)
    if not deployment or uri not in str(deployment["spec"]["template"]):
        return {f"KServe, to take up {uri}"}
    if not runs(deployment):
        return {PREDICTOR}
    return set() if ready(service) else {"the InferenceService"}


def ready(service: dict[str, Any]) -> bool:
    conditions = service.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def policies(release: Artifact | Mixture) -> tuple[Artifact, ...]:
    """One, or of a mixture both."""
    return (release.incumbent, release.candidate) if isinstance(release, Mixture) else (release,)


def served_release(here: Cluster, uri: str) -> Artifact | Mixture:
    """What is in the predictor's pod. Raises Failed where it is not the version that ``uri`` ends with."""
    target = ("-n", NAMESPACE, "exec", f"deployment/{PREDICTOR}", "--container=kserve-container")
    done = subprocess.run(here.kubectl_command(*target, "--", "python3", "-c", MODEL), capture_output=True, check=False)
    if done.returncode:
        raise Failed("\n".join(done.stderr.decode().splitlines()[-LAST_LINES:]))
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            for member in tar:
                extract(tar, member, folder)
        try:
            release = releases.load(folder)
        except InvalidArtifact as error:
            raise Failed(f"the release in the predictor's pod: {error}") from None
    if release.version != uri.rsplit("/", 1)[1]:
        raise Failed(f"the predictor has {release.version}, expected the version of {uri}")
    return release


def visit(here: Cluster, release: Artifact | Mixture) -> tuple[str, dict, dict]:
    """A new reader, and the slates before and after the first article, just after the newest event of ``release``.

    Raises Failed.
    """
    reader = f"reader-{uuid.uuid4().hex[:6]}"
    moment = max(int(each.provenance["data_until"]) for each in policies(release)) + MINUTE
    try:
        with (
            forwarded(here, NAMESPACE, PREDICTOR, 80, 8080) as predictor,
            forwarded(here, NAMESPACE, "collector", 80, 8090) as collector,
        ):
            servers = Servers(predictor, collector)
            first = servers.slate(reader, moment)
            servers.read(first, 0, moment + MINUTE)
            second = servers.slate(reader, moment + 3 * MINUTE)
    except httpx.HTTPError as error:
        raise Failed(
            str(error), f"kubectl -n {NAMESPACE} logs deployment/{PREDICTOR}, or deployment/collector"
        ) from None
    if first["policy_version"] not in (served := [each.version for each in policies(release)]):
        raise Failed(f"the slate is from version {first['policy_version']}, expected {' or '.join(served)}")
    return reader, first, second


@contextlib.contextmanager
def forwarded(here: Cluster, namespace: str, service: str, port: int, wanted: int) -> Iterator[str]:
    """The URL of a port on this machine that leads to ``port`` of the service while the block runs. Raises Failed."""
    local = free_port(wanted)
    command = here.kubectl_command("-n", namespace, "port-forward", f"service/{service}", f"{local}:{port}")
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            if not until(lambda: process.poll() is not None or listens(local)) or process.poll() is not None:
                log.seek(0)
                raise Failed(f"no way to {service} in {namespace}: {log.read().strip() or 'no answer'}", BEFORE)
            yield f"http://{HOST}:{local}"
        finally:
            process.terminate()
            process.wait()


def until(happened: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether it happened within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
