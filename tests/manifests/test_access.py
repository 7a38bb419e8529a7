"""Who may talk to whom, and who may change what."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.manifests.breaking import Broken, Rule, container, name
from tests.manifests.connections import NAME, OTHERS, Connection, Direction, allowed, needed
from tests.manifests.objects import OVERLAYS, Object, find, of_kind, pods, render, selects, title
from tests.manifests.test_pipelines import cluster_of


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


def policies_allow_what_is_needed_and_no_more(objects: list[Object]) -> Iterator[str]:
    """Out of the one and into the other, the table of needed connections is what policies open."""
    ours = {pod.owner for pod in pods(objects)}
    table = needed(objects, cluster_of(objects))
    ends: dict[Direction, str] = {"egress": "who", "ingress": "whom"}
    for direction, end in ends.items():
        wanted = {each for each in table if getattr(each, end) in ours}
        found = allowed(objects, direction)
        yield from (f"{direction}: {_sentence(each)} is needed and not allowed" for each in sorted(wanted - found))
        yield from (f"{direction}: {_sentence(each)} is allowed and not needed" for each in sorted(found - wanted))


def pods_of_others_are_left_alone(objects: list[Object]) -> Iterator[str]:
    """A policy that selects a pod closes it to whatever the policy does not name."""
    for policy in of_kind(objects, "NetworkPolicy"):
        for party in OTHERS:
            here = policy["metadata"]["namespace"] == party.namespace.get(NAME)
            if here and selects(policy["spec"]["podSelector"], party.labels):
                yield f"{title(policy)} holds for {party.name}"


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


def _sentence(connection: Connection) -> str:
    return f"{connection.who} -> {connection.whom} at {connection.port}"


CLOSED = nothing_is_open_that_no_policy_names
TABLE = policies_allow_what_is_needed_and_no_more
OTHERS_PODS = pods_of_others_are_left_alone
RIGHTS = pipelines_may_publish_and_nothing_more
RULES: list[Rule] = [CLOSED, TABLE, OTHERS_PODS, RIGHTS]


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
    Broken(
        TABLE,
        "egress: Deployment collector -> StatefulSet redis at TCP 6380 is needed and not allowed",
        lambda o: (
            container(o, "collector")["env"][0].update(value="redis:6380"),
            find(o, "Service", "redis")["spec"]["ports"].append({"port": 6380, "targetPort": 6380}),
        ),
    ),
    Broken(
        TABLE,
        "ingress: any pod in kubeflow -> StatefulSet redis at TCP 6379 is allowed and not needed",
        lambda o: policy(o, "redis")["ingress"][0]["from"][2].pop("podSelector"),
    ),
    Broken(
        TABLE,
        "egress: InferenceService newsrec (newsrec-predictor) -> 169.254.169.254 at TCP 443 is allowed and not needed",
        lambda o: policy(o, "object-store")["egress"][0]["to"][0]["ipBlock"].pop("except"),
    ),
    Broken(
        TABLE,
        "ingress: Prometheus -> Deployment collector at TCP 8090 is allowed and not needed",
        lambda o: o.remove(find(o, "ServiceMonitor", "collector")),
    ),
    Broken(
        OTHERS_PODS,
        "NetworkPolicy schedule-feedback holds for pipeline tasks",
        lambda o: policy(o, "schedule-feedback").update(podSelector={}),
    ),
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


PREDICTOR, COLLECTOR = "InferenceService newsrec (newsrec-predictor)", "Deployment collector"
SCHEDULE, FORGET = "Job schedule-feedback", "CronJob forget-reader"
ON_A_LAPTOP = {
    ("clients", PREDICTOR, "TCP 8080"),
    ("clients", PREDICTOR, "TCP 8081"),
    ("clients", COLLECTOR, "TCP 8090"),
    ("pipeline tasks", "StatefulSet redis", "TCP 6379"),
    ("pipeline tasks", "StatefulSet postgres", "TCP 5432"),
    (PREDICTOR, "StatefulSet redis", "TCP 6379"),
    (PREDICTOR, "StatefulSet postgres", "TCP 5432"),
    (PREDICTOR, "the object store of Kubeflow", "TCP 8333"),
    (COLLECTOR, "StatefulSet redis", "TCP 6379"),
    (COLLECTOR, "StatefulSet postgres", "TCP 5432"),
    (COLLECTOR, "the object store of Kubeflow", "TCP 8333"),
    (SCHEDULE, "the API of Kubeflow Pipelines", "TCP 8888"),
    (FORGET, "StatefulSet redis", "TCP 6379"),
    (FORGET, "StatefulSet postgres", "TCP 5432"),
    *((who, "DNS", port) for who in (PREDICTOR, COLLECTOR, SCHEDULE, FORGET) for port in ("UDP 53", "TCP 53")),
}
"""What the code and the manifests of kind come to."""
MORE_ELSEWHERE = {("Prometheus", PREDICTOR, "TCP 8080"), ("Prometheus", COLLECTOR, "TCP 8090")}


def test_the_table_of_needed_connections() -> None:
    laptop, production = (render(overlay) for overlay in ("kind", "production"))
    assert needed(laptop, cluster_of(laptop)) == ON_A_LAPTOP
    store = {(who, "the object store of Kubeflow", "TCP 8333") for who in (PREDICTOR, COLLECTOR)}
    public = {(who, "public addresses", "TCP 443") for who in (PREDICTOR, COLLECTOR)}
    expected = ON_A_LAPTOP - store | MORE_ELSEWHERE | public
    assert needed(production, cluster_of(production)) == expected


Change = Callable[[dict[str, Any]], Any]


def mutants(policy: dict[str, Any]) -> Iterator[tuple[str, Change]]:
    """Every rule, peer, port and selector of a policy's spec removed, emptied or moved, each by itself."""
    yield "for every pod", lambda spec: spec.update(podSelector={})
    for kind in policy["policyTypes"]:
        yield f"not for {kind}", lambda spec, kind=kind: spec["policyTypes"].remove(kind)
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(policy.get(direction, [])):
            where = f"{direction}[{i}]"
            yield f"{where} removed", lambda spec, d=direction, i=i: spec[d].pop(i)
            for what, change in _mutants_of_rule(rule, side):
                yield f"{where}: {what}", lambda spec, d=direction, i=i, change=change: change(spec[d][i])


def _mutants_of_rule(rule: dict[str, Any], side: str) -> Iterator[tuple[str, Change]]:
    yield "for everybody", lambda rule: rule.pop(side)
    yield "for every port", lambda rule: rule.pop("ports")
    for i, port in enumerate(rule["ports"]):
        other = "TCP" if port["protocol"] == "UDP" else "UDP"
        yield f"port {i} removed", lambda rule, i=i: rule["ports"].pop(i)
        for fields in ({"port": port["port"] + 1}, {"endPort": port["port"] + 1}, {"protocol": other}):
            yield f"port {i} {fields}", lambda rule, i=i, fields=fields: rule["ports"][i].update(fields)
    for i, peer in enumerate(rule[side]):
        yield f"peer {i} removed", lambda rule, i=i: rule[side].pop(i)
        for selector in set(peer) - {"ipBlock"}:
            yield f"any {selector} of peer {i}", lambda rule, i=i, s=selector: rule[side][i].update({s: {}})
        if len(peer) > 1:
            for selector in peer:
                yield f"no {selector} of peer {i}", lambda rule, i=i, s=selector: rule[side][i].pop(s)
        for cidr in peer.get("ipBlock", {}).get("except", []):
            yield f"{cidr} too", lambda rule, i=i, c=cidr: rule[side][i]["ipBlock"]["except"].remove(c)


def mutated(objects: list[Object], which: str, change: Change) -> list[Object]:
    changed = copy.deepcopy(objects)
    change(find(changed, "NetworkPolicy", which)["spec"])
    return changed


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whatever_is_wider_or_narrower_is_noticed(overlay: str) -> None:
    objects, unnoticed, tried = render(overlay), [], 0
    for thing in of_kind(objects, "NetworkPolicy"):
        which, spec = thing["metadata"]["name"], thing["spec"]
        changes = [("removed", None), *mutants(spec)] if spec["podSelector"] else [("removed", None)]
        for what, change in changes:
            broken = mutated(objects, which, change) if change else [o for o in objects if o is not thing]
            tried += 1
            if not any(found for rule in RULES for found in rule(broken)):
                unnoticed.append(f"{which}: {what}")
    assert unnoticed == []
    assert tried > 100
