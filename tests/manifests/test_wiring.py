"""Names that must meet: selectors and labels, ports of Services and containers, references and what there is."""

from collections.abc import Iterator

import pytest
import yaml

from tests.manifests.breaking import Broken, Rule, container, environment, name, pod_spec
from tests.manifests.objects import (
    MANIFESTS,
    OVERLAYS,
    Object,
    Pod,
    behind,
    example_secrets,
    find,
    of_kind,
    pods,
    port_numbers,
    render,
    selects,
    services,
    title,
)

OF_KUBEFLOW = {("Role", "kubeflow", "pipeline-runner")}
"""What is referred to and made by Kubeflow Pipelines."""


def selectors_match_pods(objects: list[Object]) -> Iterator[str]:
    every = pods(objects)
    for thing in [*objects, *services(objects)]:
        spec, namespace = thing.get("spec", {}), thing["metadata"].get("namespace")
        if thing["kind"] in ("Service", "ServiceMonitor", "PodDisruptionBudget", "NetworkPolicy"):
            selector = spec.get("podSelector", spec.get("selector"))
            selector = {"matchLabels": selector} if thing["kind"] == "Service" else selector
            among = [s["metadata"].get("labels", {}) for s in services(objects)]
            labels = (
                among if thing["kind"] == "ServiceMonitor" else [p.labels for p in every if p.namespace == namespace]
            )
            if not any(selects(selector, each) for each in labels):
                yield f"{title(thing)}: {selector} selects nothing"
        if {"template", "selector"} <= spec.keys() and not selects(
            spec["selector"], spec["template"]["metadata"]["labels"]
        ):
            yield f"{title(thing)}: its selector is not of its own pods"
    for pod in every:
        for spread in pod.spec.get("topologySpreadConstraints", []):
            if not selects(spread["labelSelector"], pod.labels):
                yield f"{pod.owner}: spreads pods other than its own"


def ports_lead_to_containers(objects: list[Object]) -> Iterator[str]:
    for thing in services(objects):
        for pod in behind(thing, objects):
            known = port_numbers(pod)
            for port in thing["spec"]["ports"]:
                if port["targetPort"] not in {*known, *known.values()}:
                    yield f"{title(thing)}: port {port['name']} leads to {port['targetPort']}, {pod.owner} has {known}"
    for monitor in of_kind(objects, "ServiceMonitor"):
        selector = monitor["spec"]["selector"]
        for thing in (s for s in services(objects) if selects(selector, s["metadata"].get("labels", {}))):
            named = {port["name"] for port in thing["spec"]["ports"]}
            wrong = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} - named
            yield from (f"{title(monitor)}: {title(thing)} has no port {port}" for port in sorted(wrong))
    for pod in (pod for pod in pods(objects) if pod.serves):
        for part in pod.containers:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                handler = part[probe].get("httpGet") or part[probe].get("tcpSocket")
                if handler and handler["port"] not in {port["name"] for port in part["ports"]}:
                    yield f"{pod.owner}: {probe} asks port {handler['port']}"


def references_are_kept(objects: list[Object]) -> Iterator[str]:
    secrets = {which: set(secret["stringData"]) for which, secret in example_secrets().items()}
    there = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects} | OF_KUBEFLOW
    for pod in pods(objects):
        for secret, key in _secret_keys(pod):
            if key not in secrets.get((pod.namespace, secret), set()):
                yield f"{pod.owner}: key {key} of Secret {secret} is not in secret.example.yaml"
        for kind, wanted in _objects_named_by(pod):
            if (kind, pod.namespace, wanted) not in there:
                yield f"{pod.owner}: there is no {kind} {wanted}"
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | _claimed(pod, objects)
        for part in pod.every_container:
            missing = {mount["name"] for mount in part.get("volumeMounts", [])} - volumes
            yield from (f"{pod.owner}: there is no volume {volume}" for volume in sorted(missing))
    for account in of_kind(objects, "ServiceAccount"):
        wanted = {(account["metadata"]["namespace"], secret["name"]) for secret in account.get("secrets", [])}
        for _, secret in sorted(wanted - secrets.keys()):
            yield f"{title(account)}: Secret {secret} is not in secret.example.yaml"
    for binding in of_kind(objects, "RoleBinding"):
        role, namespace = binding["roleRef"], binding["metadata"]["namespace"]
        wanted = [(role["kind"], namespace, role["name"])]
        wanted += [(who["kind"], who["namespace"], who["name"]) for who in binding["subjects"]]
        yield from (f"{title(binding)}: there is no {' '.join(each)}" for each in wanted if each not in there)


def _secret_keys(pod: Pod) -> Iterator[tuple[str, str]]:
    for part in pod.every_container:
        for entry in part.get("env", []):
            if "secretKeyRef" in entry.get("valueFrom", {}):
                yield entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"]
    for volume in pod.spec.get("volumes", []):
        if "secret" in volume:
            yield from ((volume["secret"]["secretName"], item["key"]) for item in volume["secret"]["items"])


def _objects_named_by(pod: Pod) -> Iterator[tuple[str, str]]:
    if "serviceAccountName" in pod.spec:
        yield "ServiceAccount", pod.spec["serviceAccountName"]
    for part in pod.every_container:
        for source in part.get("envFrom", []) + [entry.get("valueFrom", {}) for entry in part.get("env", [])]:
            for reference in ("configMapRef", "configMapKeyRef"):
                if reference in source:
                    yield "ConfigMap", source[reference]["name"]
    for volume in pod.spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]


def _claimed(pod: Pod, objects: list[Object]) -> set[str]:
    """Volumes that a StatefulSet claims for its pods."""
    owners = [thing for thing in of_kind(objects, "StatefulSet") if title(thing) == pod.owner]
    return {claim["metadata"]["name"] for owner in owners for claim in owner["spec"]["volumeClaimTemplates"]}


SELECTORS = selectors_match_pods
PORTS = ports_lead_to_containers
REFERENCES = references_are_kept
RULES: list[Rule] = [SELECTORS, PORTS, REFERENCES]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=name)
def test_every_overlay_keeps(rule: Rule, overlay: str) -> None:
    assert list(rule(render(overlay))) == []


def monitor(objects: list[Object]) -> Object:
    return find(objects, "ServiceMonitor", "predictor")["spec"]


def binding(objects: list[Object]) -> Object:
    return find(objects, "RoleBinding", "publish")


NOBODY = {"matchLabels": {"app.kubernetes.io/name": "nobody"}}
BROKEN = [
    Broken(SELECTORS, "Service redis", lambda o: find(o, "Service", "redis")["spec"].update(selector={"app": "redis"})),
    Broken(
        SELECTORS, "NetworkPolicy redis", lambda o: find(o, "NetworkPolicy", "redis")["spec"].update(podSelector=NOBODY)
    ),
    Broken(
        SELECTORS,
        "PodDisruptionBudget predictor",
        lambda o: find(o, "PodDisruptionBudget", "predictor")["spec"].update(selector=NOBODY),
    ),
    Broken(SELECTORS, "ServiceMonitor predictor", lambda o: monitor(o).update(selector=NOBODY)),
    Broken(SELECTORS, "of its own pods", lambda o: find(o, "Deployment", "collector")["spec"].update(selector=NOBODY)),
    Broken(
        SELECTORS,
        "spreads pods",
        lambda o: pod_spec(o, "newsrec")["topologySpreadConstraints"][0].update(labelSelector=NOBODY),
    ),
    Broken(
        PORTS,
        "leads to https",
        lambda o: find(o, "Service", "collector")["spec"]["ports"][0].update(targetPort="https"),
    ),
    Broken(
        PORTS, "leads to 5433", lambda o: find(o, "Service", "postgres")["spec"]["ports"][0].update(targetPort=5433)
    ),
    Broken(PORTS, "has no port metrics", lambda o: monitor(o)["endpoints"][0].update(port="metrics")),
    Broken(
        PORTS, "readinessProbe asks", lambda o: container(o, "newsrec")["readinessProbe"]["httpGet"].update(port=8080)
    ),
    Broken(
        REFERENCES,
        "key secret of Secret postgres",
        lambda o: environment(o, "newsrec", "PGPASSWORD")["valueFrom"]["secretKeyRef"].update(key="secret"),
    ),
    Broken(
        REFERENCES,
        "of Secret readers",
        lambda o: pod_spec(o, "collector")["volumes"][1]["secret"].update(secretName="readers"),
    ),
    Broken(REFERENCES, "no ServiceAccount", lambda o: pod_spec(o, "newsrec").update(serviceAccountName="newsrec")),
    Broken(
        REFERENCES,
        "no ConfigMap settings",
        lambda o: container(o, "collector").update(envFrom=[{"configMapRef": {"name": "settings"}}]),
    ),
    Broken(
        REFERENCES,
        "no PersistentVolumeClaim data",
        lambda o: pod_spec(o, "redis")["volumes"].append({"name": "x", "persistentVolumeClaim": {"claimName": "data"}}),
    ),
    Broken(REFERENCES, "no volume tmp", lambda o: pod_spec(o, "newsrec").update(volumes=[])),
    Broken(
        REFERENCES,
        "Secret s3 is not in",
        lambda o: find(o, "ServiceAccount", "predictor").update(secrets=[{"name": "s3"}]),
    ),
    Broken(REFERENCES, "no Role newsrec publisher", lambda o: binding(o)["roleRef"].update(name="publisher")),
    Broken(REFERENCES, "no ServiceAccount kubeflow runner", lambda o: binding(o)["subjects"][0].update(name="runner")),
]


@pytest.mark.parametrize("broken", BROKEN, ids=name)
def test_a_rule_catches(broken: Broken) -> None:
    assert any(broken.complaint in found for found in broken.found())


def test_nothing_is_fetched_to_render() -> None:
    paths = [
        path for part in ("base", "monitoring", "overlays") for path in (MANIFESTS / part).rglob("kustomization.yaml")
    ]
    assert len(paths) == 2 + len(OVERLAYS)
    for path in paths:
        kustomization = yaml.safe_load(path.read_text())
        for part in kustomization.get("resources", []) + kustomization.get("components", []):
            assert (path.parent / part).exists(), f"{path}: {part} is not in this repository"
