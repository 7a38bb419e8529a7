"""What a pod must be whatever it runs: restricted, bounded, probed, and ended without losing a request."""

import re
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from components import IMAGE
from pipelines.cluster import ClusterConfig
from serving.server import GRACE_SECONDS
from tests.conftest import ROOT
from tests.manifests.breaking import Broken, Rule, container, environment, name, pod_spec
from tests.manifests.objects import OVERLAYS, Object, find, of_kind, pods, render
from tests.manifests.quantities import number
from tests.manifests.tasks import task_jobs

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
TARGETS = runpy.run_path(str(ROOT / "scripts" / "images"))["TARGETS"]
OUR_IMAGES = {f"newsrec-{target}:{VERSION}" for target in TARGETS}
"""What ``make images`` builds."""
STARTING_SECONDS = 60
READY = {"predictor": "/v2/health/ready", "collector": "/healthz"}
"""Command of ``python -m serving`` -> the path that fails while it cannot do its work."""
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
ELSEWHERE = {"cpu": 0.674 + 0.5, "memory": 3.1 * 2**30 + 1.0 * 2**30}
"""Requests of Kubeflow Pipelines 2.17 standalone (674m, 3.1 GiB), and room for KServe's controllers, each 100m and
300 MiB; cert-manager's pods ask for nothing."""
LAPTOP = {"cpu": 3.0, "memory": 8 * 2.0**30}


def images_are_pinned_and_ours_agree_with_the_code(objects: list[Object]) -> Iterator[str]:
    for pod in pods(objects):
        for part in pod.every_container:
            image, _, tag = part["image"].rpartition(":")
            if not image or tag == "latest":
                yield f"{pod.owner}: {part['image']} names no version"
            elif image.rpartition("/")[2].startswith("newsrec-") and part["image"].rpartition("/")[2] not in OUR_IMAGES:
                yield f"{pod.owner}: {part['image']}, the code has {sorted(OUR_IMAGES)}"


def containers_are_probed(objects: list[Object]) -> Iterator[str]:
    for pod in (pod for pod in pods(objects) if pod.serves):
        for part in pod.containers:
            missing = {"startupProbe", "readinessProbe", "livenessProbe"} - part.keys()
            yield from (f"{pod.owner}: {part['name']} has no {probe}" for probe in sorted(missing))
            starting = part.get("startupProbe", {})
            if starting.get("periodSeconds", 10) * starting.get("failureThreshold", 3) < STARTING_SECONDS:
                yield f"{pod.owner}: {part['name']} may take less than {STARTING_SECONDS} s to start"


def readiness_asks_for_readiness(objects: list[Object]) -> Iterator[str]:
    """The live path would say yes for an artefact of other features, and for a collector without its event log."""
    for pod in pods(objects):
        for part in pod.containers:
            path = part.get("readinessProbe", {}).get("httpGet", {}).get("path")
            wanted = READY.get((part.get("args") or [""])[0])
            if wanted and path != wanted:
                yield f"{pod.owner}: readiness asks {path}, expected {wanted}"


def containers_are_bounded(objects: list[Object]) -> Iterator[str]:
    for pod in pods(objects):
        for part in pod.every_container:
            for bound in ("requests", "limits"):
                missing = {"cpu", "memory"} - part.get("resources", {}).get(bound, {}).keys()
                yield from (f"{pod.owner}: {part['name']} has no {what} in {bound}" for what in sorted(missing))
        for volume in pod.spec.get("volumes", []):
            if "sizeLimit" not in volume.get("emptyDir", {"sizeLimit": ""}):
                yield f"{pod.owner}: volume {volume['name']} has no sizeLimit"


def pods_are_restricted(objects: list[Object]) -> Iterator[str]:
    """The profile that the namespace enforces, and more: a read-only root, a high user id, no token of the API."""
    for namespace in of_kind(objects, "Namespace"):
        if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"Namespace {namespace['metadata']['name']}: admits any pod"
    for pod in pods(objects):
        context = pod.spec.get("securityContext", {})
        if not context.get("runAsNonRoot") or context.get("runAsUser", 0) < 10_000:
            yield f"{pod.owner}: may run as root or as a user of the host"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod.owner}: no seccomp profile"
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.owner}: a token of the API is mounted"
        for shared in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            if pod.spec.get(shared):
                yield f"{pod.owner}: {shared}"
        for volume in pod.spec.get("volumes", []):
            if not volume.keys() & VOLUMES:
                yield f"{pod.owner}: volume {volume['name']} is none of {sorted(VOLUMES)}"
        for part in pod.every_container:
            expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
            if part.get("securityContext") != expected | {"capabilities": {"drop": ["ALL"]}}:
                yield f"{pod.owner}: {part['name']} is not hardened"


def passwords_come_from_secrets(objects: list[Object]) -> Iterator[str]:
    yield from (f"Secret {thing['metadata']['name']} is in the manifests" for thing in of_kind(objects, "Secret"))
    for pod in pods(objects):
        for part in pod.every_container:
            for entry in part.get("env", []):
                secret = any(word in entry["name"] for word in ("PASSWORD", "SECRET", "KEY", "TOKEN"))
                if secret and "value" in entry and not entry["name"].endswith("_FILE"):
                    yield f"{pod.owner}: {entry['name']} stands in the manifest"


def servers_end_without_losing_a_request(objects: list[Object]) -> Iterator[str]:
    """No new requests before the signal, and more patience after it than the server needs."""
    for pod in (pod for pod in pods(objects) if pod.serves):
        for part in pod.containers:
            if part["image"].rpartition("/")[2] in OUR_IMAGES:
                pause = part.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
                if pause < 5:
                    yield f"{pod.owner}: {part['name']} gets its signal while requests are still sent to it"
                if pod.spec.get("terminationGracePeriodSeconds", 30) <= pause + GRACE_SECONDS:
                    yield f"{pod.owner}: killed before requests in flight had {GRACE_SECONDS} s to end"


def redis_refuses_rather_than_forgets(objects: list[Object]) -> Iterator[str]:
    server = container(objects, "redis")
    expected = {"--appendonly yes", "--maxmemory $(MAXMEMORY)", "--maxmemory-policy noeviction"}
    yield from (f"redis runs without {missing}" for missing in sorted(expected - set(server["args"])))
    most = environment(objects, "redis", "MAXMEMORY")["value"].upper().removesuffix("B") + "i"
    if number(most) > number(server["resources"]["limits"]["memory"]) / 2:
        yield "redis may fill more than half of its memory limit, and rewriting its file doubles that"


RULES: list[Rule] = [
    images_are_pinned_and_ours_agree_with_the_code,
    containers_are_probed,
    containers_are_bounded,
    pods_are_restricted,
    passwords_come_from_secrets,
    servers_end_without_losing_a_request,
    redis_refuses_rather_than_forgets,
    readiness_asks_for_readiness,
]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=name)
def test_every_overlay_keeps(rule: Rule, overlay: str) -> None:
    assert list(rule(render(overlay))) == []


IMAGES, PROBES, BOUNDS = RULES[:3]
BROKEN = [
    Broken(IMAGES, "names no version", lambda o: container(o, "redis").update(image="redis")),
    Broken(IMAGES, "names no version", lambda o: container(o, "redis").update(image="registry.org/redis:latest")),
    Broken(IMAGES, "the code has", lambda o: container(o, "newsrec").update(image="newsrec-serving:0.0.9")),
    Broken(
        IMAGES, "the code has", lambda o: container(o, "collector").update(image="example.org/newsrec-server:0.1.0")
    ),
    Broken(PROBES, "has no livenessProbe", lambda o: container(o, "collector").pop("livenessProbe")),
    Broken(
        readiness_asks_for_readiness,
        "readiness asks /v2/health/live, expected /v2/health/ready",
        lambda o: container(o, "newsrec")["readinessProbe"]["httpGet"].update(path="/v2/health/live"),
    ),
    Broken(PROBES, "less than 60 s", lambda o: container(o, "newsrec")["startupProbe"].update(failureThreshold=29)),
    Broken(BOUNDS, "no memory in limits", lambda o: container(o, "postgres")["resources"]["limits"].pop("memory")),
    Broken(BOUNDS, "no cpu in requests", lambda o: pod_spec(o, "newsrec")["initContainers"][0].pop("resources")),
    Broken(BOUNDS, "no sizeLimit", lambda o: pod_spec(o, "redis")["volumes"][0].update(emptyDir={})),
    Broken(pods_are_restricted, "not hardened", lambda o: container(o, "newsrec").pop("securityContext")),
    Broken(
        pods_are_restricted,
        "not hardened",
        lambda o: pod_spec(o, "collector")["initContainers"][0]["securityContext"].update(capabilities={}),
    ),
    Broken(pods_are_restricted, "as root", lambda o: pod_spec(o, "redis")["securityContext"].update(runAsUser=999)),
    Broken(
        pods_are_restricted, "no seccomp", lambda o: pod_spec(o, "newsrec")["securityContext"].pop("seccompProfile")
    ),
    Broken(pods_are_restricted, "a token", lambda o: pod_spec(o, "newsrec").pop("automountServiceAccountToken")),
    Broken(
        pods_are_restricted,
        "admits any pod",
        lambda o: find(o, "Namespace", "newsrec")["metadata"].update(labels={}),
    ),
    Broken(pods_are_restricted, "hostNetwork", lambda o: pod_spec(o, "collector").update(hostNetwork=True)),
    Broken(
        pods_are_restricted,
        "is none of",
        lambda o: pod_spec(o, "redis")["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
    ),
    Broken(
        passwords_come_from_secrets,
        "PGPASSWORD stands",
        lambda o: environment(o, "collector", "PGPASSWORD").update(value="x"),
    ),
    Broken(
        passwords_come_from_secrets,
        "Secret postgres is in",
        lambda o: o.append({"kind": "Secret", "metadata": {"name": "postgres", "namespace": "newsrec"}}),
    ),
    Broken(
        servers_end_without_losing_a_request,
        "still sent",
        lambda o: container(o, "newsrec")["lifecycle"].pop("preStop"),
    ),
    Broken(
        servers_end_without_losing_a_request,
        "killed before",
        lambda o: pod_spec(o, "collector").update(terminationGracePeriodSeconds=15),
    ),
    Broken(
        redis_refuses_rather_than_forgets,
        "without --maxmemory-policy noeviction",
        lambda o: container(o, "redis").update(args=["redis-server", "--maxmemory-policy allkeys-lru"]),
    ),
    Broken(
        redis_refuses_rather_than_forgets,
        "more than half",
        lambda o: environment(o, "redis", "MAXMEMORY").update(value="5gb"),
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=name)
def test_a_rule_catches(broken: Broken) -> None:
    assert any(broken.complaint in found for found in broken.found())


def requests(objects: list[Object], what: str) -> float:
    """What all pods ask for together; an init container counts where it asks for more than those after it."""
    total = 0.0
    for thing in objects:
        copies = thing.get("spec", {}).get("replicas", 1)
        for pod in pods([thing]):
            each = [number(part["resources"]["requests"][what]) for part in pod.containers]
            first = [number(part["resources"]["requests"][what]) for part in pod.spec.get("initContainers", [])]
            total += pod.spec.get("minReplicas", copies) * max([sum(each), *first])
    return total


def test_the_kind_stack_fits_on_a_laptop() -> None:
    objects = render("kind")
    for what, most in LAPTOP.items():
        assert requests(objects, what) + ELSEWHERE[what] <= most


def test_images_are_those_of_the_dockerfile_and_the_components() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert set(TARGETS) <= stages
    assert IMAGE in OUR_IMAGES


def test_pods_of_pipeline_tasks_keep_what_kubeflow_lets_them_keep(tmp_path: Path) -> None:
    jobs = task_jobs(ClusterConfig(), tmp_path)
    assert {"newsrec-training-train", "newsrec-roll-back-roll-back"} <= {job["metadata"]["name"] for job in jobs}
    for rule in (IMAGES, BOUNDS, passwords_come_from_secrets):
        assert list(rule(jobs)) == []
    for pod in pods(jobs):
        assert pod.containers[0]["securityContext"]["runAsUser"] == 10001
        pod.containers[0]["resources"]["limits"].pop("memory")
    assert len(list(BOUNDS(jobs))) == len(jobs)


def test_the_pods_of_a_cron_job_are_seen() -> None:
    template = find(render("kind"), "Job", "schedule-feedback")["spec"]["template"]
    cron = {"kind": "CronJob", "metadata": {"name": "nightly", "namespace": "kubeflow"}}
    (pod,) = pods([{**cron, "spec": {"jobTemplate": {"spec": {"template": template}}}}])
    assert (pod.name, pod.serves, pod.containers[0]["name"]) == ("nightly", False, "schedule")


def test_requests_count_every_copy() -> None:
    objects = [find(render("kind"), "Deployment", "collector")]
    assert requests(objects, "cpu") == pytest.approx(0.1)
    assert requests(objects, "memory") == 512 * 2**20
    objects[0]["spec"]["replicas"] = 3
    assert requests(objects, "cpu") == pytest.approx(0.3)


def test_numbers_of_quantities() -> None:
    assert [number(q) for q in ("100m", "2", 3, "1.5Gi", "128Mi", "5k")] == [0.1, 2, 3, 1.5 * 2**30, 2**27, 5000]
