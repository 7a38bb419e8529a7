"""Where manifests and pipelines must agree: the Job of the daily run, and all that configs/clusters says of a cluster.

Which of the configurations is an overlay's its Job says.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer

from components import IMAGE
from newsrec import config
from pipelines.__main__ import app
from pipelines.cluster import USER, ClusterConfig
from tests.conftest import ROOT
from tests.manifests.breaking import Broken, Rule, container, environment, name, pod_spec
from tests.manifests.objects import (
    OVERLAYS,
    Object,
    behind,
    example_secrets,
    find,
    of_kind,
    predictors,
    render,
    selects,
)

NAMESPACE = "kubeflow"
"""Of the runs."""
TASK_LABELS = {"pipelines.kubeflow.org/v2_component": "true"}
"""What Kubeflow Pipelines gives the pods of every run."""
OF_KUBEFLOW = {"mlpipeline-minio-artifact": {"accesskey", "secretkey"}}
"""Secrets that Kubeflow Pipelines makes beside the runs, and their keys."""
IN_IMAGE = PurePosixPath("/app")
UsageError = typer.BadParameter.__mro__[1]
"""What typer's parser raises; typer exports its subclasses only."""
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands


def job_spec(objects: list[Object]) -> dict[str, Any]:
    return find(objects, "Job", "schedule-feedback")["spec"]["template"]["spec"]


def asked_for(objects: list[Object]) -> dict[str, Any]:
    """The Job's options, read by the code's own command line; files of the image are those of the repository."""
    arguments = job_spec(objects)["containers"][0]["args"]
    command, *options = [argument.replace(f"={IN_IMAGE}/", f"={ROOT}/") for argument in arguments]
    return COMMANDS[command].make_context(command, options).params


def cluster_of(objects: list[Object]) -> ClusterConfig:
    return config.load(ClusterConfig, asked_for(objects)["cluster"])


def the_job_is_a_command_of_the_code(objects: list[Object]) -> Iterator[str]:
    command = job_spec(objects)["containers"][0]["command"]
    if command != ["python3", "-m", "pipelines"]:
        yield f"the Job runs {command}, not the command line of the pipelines"
    try:
        options = asked_for(objects)
    except UsageError as error:
        yield f"the Job: {error.format_message()}"
        return
    if not Path(options["cluster"]).is_file():
        yield f"the Job: there is no {options['cluster']}"
    if options["host"] != f"http://ml-pipeline.{NAMESPACE}:8888":
        yield f"the Job asks {options['host']}, which is not the API of Kubeflow Pipelines"


def the_job_is_a_task_like_others(objects: list[Object]) -> Iterator[str]:
    """Same image, user and folder: what it tries on the claim holds for every task."""
    cluster, spec = cluster_of(objects), job_spec(objects)
    for part in spec["initContainers"] + spec["containers"]:
        if part["image"] != (cluster.image or IMAGE):
            yield f"the Job runs {part['image']}, tasks run {cluster.image or IMAGE}"
    context = spec["securityContext"]
    if {context["runAsUser"], context["runAsGroup"], context["fsGroup"]} != {USER}:
        yield f"the Job does not run as user and group {USER}, as tasks do"
    first = spec["initContainers"][0]
    folders = [f"{cluster.root}/store", f"{cluster.root}/releases"]
    if first["command"] != ["mkdir", "-p", *folders]:
        yield f"the Job runs {first['command']}, tasks expect {folders}"
    if cluster.root not in {mount["mountPath"] for mount in first["volumeMounts"]}:
        yield f"the Job mounts nothing at {cluster.root}, where tasks mount the claim"


def tasks_find_what_they_mount(objects: list[Object]) -> Iterator[str]:
    cluster = cluster_of(objects)
    for kind, wanted in (("PersistentVolumeClaim", cluster.claim), ("ServiceAccount", cluster.service_account)):
        if (NAMESPACE, wanted) not in {
            (o["metadata"]["namespace"], o["metadata"]["name"]) for o in of_kind(objects, kind)
        }:
            yield f"there is no {kind} {wanted} in {NAMESPACE}"
    shown = {
        which: set(secret["stringData"]) for (where, which), secret in example_secrets().items() if where == NAMESPACE
    }
    needed = ((cluster.postgres_secret, {"password"}), (cluster.object_store_secret, {"accesskey", "secretkey"}))
    for secret, keys in needed:
        if not keys <= (OF_KUBEFLOW | shown).get(secret, set()):
            yield f"Secret {secret} in {NAMESPACE} has no {sorted(keys)} in secret.example.yaml"


def tasks_reach_their_servers(objects: list[Object]) -> Iterator[str]:
    """Redis and PostgreSQL are called by a name and port of a Service whose pods let tasks in."""
    cluster = cluster_of(objects)
    database = urlsplit(cluster.event_log)
    for address in (cluster.redis, f"{database.hostname}:{database.port or 5432}"):
        host, _, port = address.partition(":")
        named = {f"{s['metadata']['name']}.{s['metadata']['namespace']}": s for s in of_kind(objects, "Service")}
        if host not in named or int(port) not in {each["port"] for each in named[host]["spec"]["ports"]}:
            yield f"no Service answers {address}"
        elif not _lets_tasks_in(objects, named[host], int(port)):
            yield f"tasks are not let in by {address}"
    made = tuple(environment(objects, "postgres", variable)["value"] for variable in ("POSTGRES_USER", "POSTGRES_DB"))
    if made != (database.username, database.path.strip("/")):
        yield f"tasks read {database.path.strip('/')} as {database.username}, PostgreSQL has user and database {made}"


def _lets_tasks_in(objects: list[Object], service: Object, port: int) -> bool:
    (pod,) = behind(service, objects)
    return any(
        port in {each["port"] for each in rule["ports"]}
        and "namespaceSelector" in peer
        and selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": NAMESPACE})
        and selects(peer.get("podSelector", {}), TASK_LABELS)
        for policy in of_kind(objects, "NetworkPolicy")
        if policy["metadata"]["namespace"] == pod.namespace and selects(policy["spec"]["podSelector"], pod.labels)
        for rule in policy["spec"].get("ingress", [])
        for peer in rule["from"]
    )


def releases_are_served_from_where_they_are_published(objects: list[Object]) -> Iterator[str]:
    cluster = cluster_of(objects)
    for service in of_kind(objects, "InferenceService"):
        called = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
        if called != cluster.inference_service:
            yield f"tasks publish to {cluster.inference_service}, the manifests have {called}"
        for predictor in predictors(service):
            uris = [entry["value"] for entry in predictor["containers"][0]["env"] if entry["name"] == "STORAGE_URI"]
            if [uri.rpartition("/")[0] for uri in uris] != [cluster.storage]:
                yield f"the first container of {called} serves {uris}, tasks publish below {cluster.storage}"
    role = find(objects, "Role", "publish")["rules"][0]
    if role["resourceNames"] != [cluster.inference_service.split("/")[1]]:
        yield f"tasks publish to {cluster.inference_service} and may patch {role['resourceNames']}"


def the_collector_fetches_what_tasks_publish(objects: list[Object]) -> Iterator[str]:
    cluster, server = cluster_of(objects), container(objects, "collector")
    named = [argument.partition("=")[2] for argument in server["args"] if argument.startswith("--storage=")]
    if named != [cluster.storage]:
        yield f"the collector fetches from {named}, tasks publish below {cluster.storage}"
    told = {entry["name"]: entry.get("value") for entry in server["env"]}
    for variable, expected in (
        ("AWS_ENDPOINT_URL", cluster.object_store_endpoint or None),
        ("AWS_REGION", cluster.object_store_region),
    ):
        if told.get(variable) != expected:
            yield f"the collector has {variable} {told.get(variable)}, tasks {expected}"
    mounted = {mount["mountPath"]: mount for mount in server["volumeMounts"]}.get("/mnt/models")
    if mounted is None or mounted.get("readOnly"):
        yield "the collector may not write what it fetches"


def one_object_store_for_all(objects: list[Object]) -> Iterator[str]:
    """KServe's storage initializer, which the predictor's pods begin with, reads where tasks write."""
    endpoint = urlsplit(cluster_of(objects).object_store_endpoint)
    (rule,) = find(objects, "NetworkPolicy", "object-store")["spec"]["egress"]
    (peer,), (port,) = rule["to"], rule["ports"]
    if not endpoint.netloc:
        if "ipBlock" not in peer or port["port"] != 443:
            yield "the predictor may not call Amazon S3, where tasks publish"
        return
    host, _, namespace = str(endpoint.hostname).partition(".")
    labels = {"namespaceSelector": {"kubernetes.io/metadata.name": namespace}, "podSelector": {"app": host}}
    if (peer, port["port"]) != ({key: {"matchLabels": value} for key, value in labels.items()}, endpoint.port):
        yield f"the predictor may not call {endpoint.netloc}, where tasks publish"
    shown = example_secrets()["newsrec", "object-store"]["metadata"]["annotations"]
    told = shown["serving.kserve.io/s3-endpoint"], shown["serving.kserve.io/s3-usehttps"]
    if told != (endpoint.netloc, str(int(endpoint.scheme == "https"))):
        yield f"secret.example.yaml sends the storage initializer to {told}, tasks publish to {endpoint.geturl()}"


JOB = the_job_is_a_command_of_the_code
TASK = the_job_is_a_task_like_others
MOUNTS = tasks_find_what_they_mount
SERVERS = tasks_reach_their_servers
RELEASES = releases_are_served_from_where_they_are_published
STORE = one_object_store_for_all
FETCHED = the_collector_fetches_what_tasks_publish
RULES: list[Rule] = [JOB, TASK, MOUNTS, SERVERS, RELEASES, STORE, FETCHED]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=name)
def test_every_overlay_keeps(rule: Rule, overlay: str) -> None:
    assert list(rule(render(overlay))) == []


def replace_argument(objects: list[Object], index: int, argument: str) -> None:
    job_spec(objects)["containers"][0]["args"][index] = argument


def policy(objects: list[Object], which: str) -> dict[str, Any]:
    return find(objects, "NetworkPolicy", which)["spec"]


def rename(objects: list[Object], kind: str, old: str, **metadata: str) -> None:
    find(objects, kind, old)["metadata"].update(metadata)


BROKEN = [
    Broken(JOB, "not the command line", lambda o: job_spec(o)["containers"][0].update(command=["newsrec"])),
    Broken(JOB, "No such option: --clusters", lambda o: replace_argument(o, 2, "--clusters=/app/x.toml")),
    Broken(JOB, "there is no ", lambda o: replace_argument(o, 2, "--cluster=/app/configs/clusters/laptop.toml")),
    Broken(JOB, "is not the API", lambda o: replace_argument(o, 1, "--host=http://ml-pipeline.kubeflow")),
    Broken(TASK, "runs newsrec-pipeline:0", lambda o: job_spec(o)["containers"][0].update(image="newsrec-pipeline:0")),
    Broken(TASK, "user and group 10001", lambda o: job_spec(o)["securityContext"].update(fsGroup=20000)),
    Broken(TASK, "tasks expect ['/mnt/newsrec/store'", lambda o: job_spec(o)["initContainers"][0]["command"].pop()),
    Broken(
        TASK,
        "mounts nothing at /mnt/newsrec",
        lambda o: job_spec(o)["initContainers"][0]["volumeMounts"][0].update(mountPath="/mnt"),
    ),
    Broken(
        MOUNTS,
        "no PersistentVolumeClaim newsrec in kubeflow",
        lambda o: rename(o, "PersistentVolumeClaim", "newsrec", namespace="newsrec"),
    ),
    Broken(
        MOUNTS,
        "no ServiceAccount newsrec-runner",
        lambda o: rename(o, "ServiceAccount", "newsrec-runner", name="runner"),
    ),
    Broken(SERVERS, "no Service answers redis.newsrec:6379", lambda o: rename(o, "Service", "redis", name="cache")),
    Broken(
        SERVERS,
        "no Service answers postgres.newsrec:5432",
        lambda o: find(o, "Service", "postgres")["spec"]["ports"][0].update(port=5433),
    ),
    Broken(
        SERVERS,
        "not let in by redis.newsrec:6379",
        lambda o: policy(o, "redis")["ingress"][0]["from"][2].pop("namespaceSelector"),
    ),
    Broken(
        SERVERS,
        "not let in by postgres.newsrec:5432",
        lambda o: policy(o, "postgres")["ingress"][0]["from"][2].update(podSelector={"matchLabels": {"app": "x"}}),
    ),
    Broken(
        SERVERS,
        "PostgreSQL has user and database ('news', 'newsrec')",
        lambda o: environment(o, "postgres", "POSTGRES_USER").update(value="news"),
    ),
    Broken(
        RELEASES,
        "tasks publish below s3://newsrec/releases",
        lambda o: environment(o, "newsrec", "STORAGE_URI").update(value="s3://newsrec/release/none-yet"),
    ),
    Broken(
        RELEASES,
        "serves [], tasks publish",
        lambda o: pod_spec(o, "newsrec")["containers"].insert(0, {"name": "log", "env": []}),
    ),
    Broken(
        RELEASES,
        "the manifests have news/newsrec",
        lambda o: rename(o, "InferenceService", "newsrec", namespace="news"),
    ),
    Broken(
        RELEASES,
        "may patch ['news']",
        lambda o: find(o, "Role", "publish")["rules"][0].update(resourceNames=["news"]),
    ),
    Broken(
        FETCHED,
        "the collector fetches from ['s3://newsrec/release'], tasks publish below s3://newsrec/releases",
        lambda o: container(o, "collector")["args"].__setitem__(6, "--storage=s3://newsrec/release"),
    ),
    Broken(
        FETCHED,
        "the collector has AWS_REGION eu-west-1, tasks us-east-1",
        lambda o: environment(o, "collector", "AWS_REGION").update(value="eu-west-1"),
    ),
    Broken(
        FETCHED,
        "the collector has AWS_ENDPOINT_URL None, tasks http://seaweedfs.kubeflow:8333",
        lambda o: container(o, "collector")["env"].remove(environment(o, "collector", "AWS_ENDPOINT_URL")),
        "kind",
    ),
    Broken(
        FETCHED,
        "may not write what it fetches",
        lambda o: container(o, "collector")["volumeMounts"].pop(1),
    ),
    Broken(
        STORE, "may not call Amazon S3", lambda o: policy(o, "object-store")["egress"][0]["ports"][0].update(port=80)
    ),
    Broken(
        STORE,
        "may not call seaweedfs.kubeflow:8333",
        lambda o: policy(o, "object-store")["egress"][0]["ports"][0].update(port=9000),
        "kind",
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=name)
def test_a_rule_catches(broken: Broken) -> None:
    assert any(broken.complaint in found for found in broken.found())


def test_a_secret_that_nobody_is_told_to_make_is_found(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('object_store_secret = "newsrec-postgres"\n')
    objects = render("kind")
    replace_argument(objects, 2, f"--cluster={site}")
    (complaint,) = MOUNTS(objects)
    assert complaint.startswith("Secret newsrec-postgres in kubeflow has no ['accesskey', 'secretkey']")


def test_an_image_of_a_registry_is_named_for_tasks_and_job_alike(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('image = "registry.example.org/newsrec-pipeline:0.1.0"\n')
    objects = render("kind")
    replace_argument(objects, 2, f"--cluster={site}")
    assert len(list(TASK(objects))) == 2
    for part in job_spec(objects)["initContainers"] + job_spec(objects)["containers"]:
        part["image"] = "registry.example.org/newsrec-pipeline:0.1.0"
    assert list(TASK(objects)) == []


def test_the_image_has_what_the_job_names() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert {f"COPY {folder} {IN_IMAGE}/{folder}" for folder in ("configs", "pipelines", "components")} <= set(lines)
