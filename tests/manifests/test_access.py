"""Who may talk to whom, and who may change what."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.manifests.breaking import Broken, Rule, container, name
from tests.manifests.objects import (
    OVERLAYS,
    Object,
    Pod,
    behind,
    find,
    of_kind,
    pods,
    port_numbers,
    render,
    selects,
    services,
    title,
)

OF_KUBEFLOW = {"ml-pipeline.kubeflow": Pod("Kubeflow Pipelines", "ml-pipeline", "kubeflow", {"app": "ml-pipeline"}, {})}
"""Servers that are called and made by Kubeflow Pipelines, whose doors are its own."""
Rules = Iterator[tuple[list[dict[str, Any]], set[int]]]
"""Peers and ports of rules of network policies."""


def nothing_is_open_that_no_policy_names(objects: list[Object]) -> Iterator[str]:
    for namespace in (thing["metadata"]["name"] for thing in of_kind(objects, "Namespace")):
        closed = [
            set(policy["spec"]["policyTypes"])
            for policy in of_kind(objects, "NetworkPolicy")
            if policy["metadata"]["namespace"] == namespace
            and policy["spec"]["podSelector"] == {}
            and not policy["spec"].get("ingress") and not policy["spec"].get("egress")
        ]  # fmt: skip
        if {"Ingress", "Egress"} not in closed:
            yield f"namespace {namespace}: nothing is denied by default"
    for policy in of_kind(objects, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []) + policy["spec"].get("egress", []):
            if not (rule.get("from") or rule.get("to")) or not rule.get("ports"):
                yield f"{title(policy)}: a rule for everybody or for every port"


def policies_open_each_needed_path(objects: list[Object]) -> Iterator[str]:
    """Every Service can be reached; every address in a pod's settings can be, out of the one and into the other."""
    every = pods(objects)
    for thing in services(objects):
        for pod in behind(thing, objects):
            for port in thing["spec"]["ports"]:
                number = port_numbers(pod).get(port["targetPort"], port["targetPort"])
                if not any(number in ports for _, ports in _rules(objects, pod, "ingress")):
                    yield f"{title(thing)}: no policy lets anybody in at {number}"
    for pod in every:
        if not any({53} <= ports for _, ports in _rules(objects, pod, "egress")):
            yield f"{pod.owner}: cannot ask for names"
        for host, port in _addresses(pod):
            theirs = OF_KUBEFLOW.get(host)
            targets = [theirs] if theirs else behind(find(objects, "Service", host), objects)
            if not targets:
                yield f"{pod.owner}: there is nothing behind {host}"
            for target in targets:
                if not _open(_rules(objects, pod, "egress"), target, port):
                    yield f"{pod.owner}: may not call {host} at {port}"
                if not theirs and not _open(_rules(objects, target, "ingress"), pod, port):
                    yield f"{pod.owner}: is not let in by {host} at {port}"
    for service in of_kind(objects, "InferenceService"):
        for pod in pods([service]):
            outside = [peers for peers, _ in _rules(objects, pod, "egress") if _leads_outside(peers)]
            if not outside:
                yield f"{pod.owner}: no way to the object store"


def pipelines_may_publish_and_nothing_more(objects: list[Object]) -> Iterator[str]:
    yield from (
        f"{title(thing)}: rights in the whole cluster" for thing in objects if thing["kind"].startswith("ClusterR")
    )
    for role in of_kind(objects, "Role"):
        for rule in role["rules"]:
            what = {**rule, "verbs": set(rule["verbs"]) - {"get", "patch"}}
            expected = {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": set()}
            if what != expected | {"resourceNames": ["newsrec"]}:
                yield f"{title(role)}: more than to read and patch the InferenceService newsrec"
    for account in of_kind(objects, "ServiceAccount"):
        if account["metadata"]["namespace"] == "newsrec" and account.get("automountServiceAccountToken") is not False:
            yield f"{title(account)}: its pods get a token of the API"


def _addresses(pod: Pod) -> set[tuple[str, int]]:
    """Host and port of each server in ``pod``'s settings: ``redis:6379``, ``postgresql://USER@HOST/NAME``, a URL."""
    found = set()
    for part in pod.every_container:
        for entry in part.get("env", []):
            if address := re.fullmatch(r"([a-z-]+):(\d+)", entry.get("value", "")):
                found.add((address[1], int(address[2])))
        for argument in part.get("args", []):
            if database := re.search(r"postgresql://\w+@([a-z-]+)/", argument):
                found.add((database[1], 5432))
            if url := re.search(r"http://([a-z.-]+):(\d+)", argument):
                found.add((url[1], int(url[2])))
    return found


def _rules(objects: list[Object], pod: Pod, direction: str) -> Iterator[tuple[list[dict[str, Any]], set[int]]]:
    """Peers and ports of every rule in ``direction`` that holds for ``pod``."""
    for policy in of_kind(objects, "NetworkPolicy"):
        if policy["metadata"]["namespace"] == pod.namespace and selects(policy["spec"]["podSelector"], pod.labels):
            for rule in policy["spec"].get(direction, []):
                peers = rule["from" if direction == "ingress" else "to"]
                yield peers, {port["port"] for port in rule["ports"]}


def _open(rules: Iterator[tuple[list[dict[str, Any]], set[int]]], peer: Pod, port: int) -> bool:
    """Whether a rule names ``peer``, which is in the same namespace, and ``port``."""
    return any(
        port in ports
        and any("namespaceSelector" not in p and selects(p.get("podSelector", {}), peer.labels) for p in peers)
        for peers, ports in rules
    )


def _leads_outside(peers: list[dict[str, Any]]) -> bool:
    names = [
        peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name") for peer in peers
    ]
    return any("ipBlock" in peer for peer in peers) or any(name not in (None, "kube-system") for name in names)


CLOSED = nothing_is_open_that_no_policy_names
PATHS = policies_open_each_needed_path
RIGHTS = pipelines_may_publish_and_nothing_more
RULES: list[Rule] = [CLOSED, PATHS, RIGHTS]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=name)
def test_every_overlay_keeps(rule: Rule, overlay: str) -> None:
    assert list(rule(render(overlay))) == []


def policy(objects: list[Object], which: str) -> Object:
    return find(objects, "NetworkPolicy", which)["spec"]


def remove(objects: list[Object], which: str) -> None:
    objects.remove(find(objects, "NetworkPolicy", which))


def publish(objects: list[Object]) -> Object:
    return find(objects, "Role", "publish")["rules"][0]


CLUSTER_ROLE = {"kind": "ClusterRoleBinding", "metadata": {"name": "admin"}}
BROKEN = [
    Broken(CLOSED, "denied by default", lambda o: remove(o, "deny-all")),
    Broken(CLOSED, "denied by default", lambda o: policy(o, "deny-all").update(policyTypes=["Ingress"])),
    Broken(CLOSED, "for everybody", lambda o: policy(o, "redis")["ingress"][0].pop("from")),
    Broken(CLOSED, "for every port", lambda o: policy(o, "collector")["egress"][0].pop("ports")),
    Broken(PATHS, "Service postgres: no policy lets anybody in at 5432", lambda o: remove(o, "postgres")),
    Broken(
        PATHS,
        "Service newsrec-candidate: no policy lets anybody in at 8081",
        lambda o: policy(o, "predictor")["ingress"][0].update(ports=[{"port": 8080, "protocol": "TCP"}]),
    ),
    Broken(PATHS, "cannot ask for names", lambda o: remove(o, "dns")),
    Broken(PATHS, "Deployment collector: may not call redis", lambda o: policy(o, "collector")["egress"].pop(0)),
    Broken(
        PATHS,
        "(newsrec-predictor): is not let in by postgres",
        lambda o: policy(o, "postgres")["ingress"][0]["from"].pop(0),
    ),
    Broken(
        PATHS,
        "may not call redis at 6380",
        lambda o: container(o, "collector")["env"][0].update(value="redis:6380"),
    ),
    Broken(
        PATHS,
        "Job schedule-feedback: may not call ml-pipeline.kubeflow at 8888",
        lambda o: policy(o, "schedule-feedback")["egress"][1].update(ports=[{"port": 8887, "protocol": "TCP"}]),
    ),
    Broken(PATHS, "no way to the object store", lambda o: remove(o, "object-store")),
    Broken(RIGHTS, "more than to read and patch", lambda o: publish(o)["verbs"].append("delete")),
    Broken(RIGHTS, "more than to read and patch", lambda o: publish(o).pop("resourceNames")),
    Broken(RIGHTS, "more than to read and patch", lambda o: publish(o)["resources"].append("*")),
    Broken(RIGHTS, "whole cluster", lambda o: o.append(CLUSTER_ROLE)),
    Broken(
        RIGHTS,
        "get a token",
        lambda o: find(o, "ServiceAccount", "predictor").pop("automountServiceAccountToken"),
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=name)
def test_a_rule_catches(broken: Broken) -> None:
    assert any(broken.complaint in found for found in broken.found())
