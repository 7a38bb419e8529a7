"""Who needs to talk to whom, from the pods' settings and the cluster's configuration; and what the policies allow.

Both are sets of connections between parties: our pods, those of others that have business here, and strangers that
differ from the latter in a label or a namespace, so that whatever is opened too wide opens to one of them.
"""

import ipaddress
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pipelines.cluster import ClusterConfig
from tests.manifests.objects import Object, Pod, behind, find, of_kind, pods, port_numbers, selects, services

Direction = Literal["ingress", "egress"]
NAME = "kubernetes.io/metadata.name"
"""The label that Kubernetes gives each namespace."""


class Party(NamedTuple):
    """Whoever may be at an end of a connection."""

    name: str
    namespace: dict[str, str]
    """Its labels."""
    labels: dict[str, str]
    address: str = ""
    """Of what is outside of the cluster."""


class Connection(NamedTuple):
    """``port`` is such as ``TCP 6379``, or ``any``."""

    who: str
    whom: str
    port: str


TASK = Party("pipeline tasks", {NAME: "kubeflow"}, {"pipelines.kubeflow.org/v2_component": "true"})
API = Party("the API of Kubeflow Pipelines", {NAME: "kubeflow"}, {"app": "ml-pipeline"})
STORE = Party("the object store of Kubeflow", {NAME: "kubeflow"}, {"app": "seaweedfs"})
DNS = Party("DNS", {NAME: "kube-system"}, {"k8s-app": "kube-dns"})
PROMETHEUS = Party("Prometheus", {NAME: "monitoring"}, {"app.kubernetes.io/name": "prometheus"})
CLIENT = Party("clients", {NAME: "shop", "newsrec-client": "true"}, {"app": "shop"})
INTERNET = Party("public addresses", {}, {}, "52.216.0.1")
OTHERS = (TASK, API, STORE, DNS, PROMETHEUS, CLIENT, INTERNET)
PRIVATE = ("10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1")
ELSEWHERE = {NAME: "elsewhere"}


def needed(objects: list[Object], cluster: ClusterConfig) -> set[Connection]:
    """The whole table: applications, monitoring, tasks, and what each pod's settings name."""
    return set(
        chain(_of_clients(objects), _of_monitors(objects), _of_tasks(objects, cluster), _of_pods(objects, cluster))
    )


def allowed(objects: list[Object], direction: Direction) -> set[Connection]:
    """What the policies let into our pods, or out of them."""
    found = set()
    for pod in pods(objects):
        for rule in _rules(objects, pod, direction):
            peers = rule.get("from" if direction == "ingress" else "to")
            for other in _parties(objects):
                if not peers or any(_is(peer, other, pod.namespace) for peer in peers):
                    ends = (other.name, pod.owner) if direction == "ingress" else (pod.owner, other.name)
                    found |= {Connection(*ends, port) for port in _ports(rule)}
    return found


def _of_clients(objects: list[Object]) -> Iterator[Connection]:
    """Every port of what serves applications: the InferenceServices' pods and the collector's."""
    for service in services(objects):
        for pod in behind(service, objects):
            if "serving.kserve.io/inferenceservice" in pod.labels or service["metadata"]["name"] == "collector":
                for port in service["spec"]["ports"]:
                    yield Connection(CLIENT.name, pod.owner, _target(service, pod, port["port"]))


def _of_monitors(objects: list[Object]) -> Iterator[Connection]:
    for monitor in of_kind(objects, "ServiceMonitor"):
        for service in services(objects):
            if selects(monitor["spec"]["selector"], service["metadata"].get("labels", {})):
                for pod in behind(service, objects):
                    for endpoint in monitor["spec"]["endpoints"]:
                        yield Connection(PROMETHEUS.name, pod.owner, f"TCP {port_numbers(pod)[endpoint['port']]}")


def _of_tasks(objects: list[Object], cluster: ClusterConfig) -> Iterator[Connection]:
    database = urlsplit(cluster.event_log)
    for address in (cluster.redis, f"{database.hostname}:{database.port or 5432}"):
        host, _, port = address.partition(":")
        yield from _to_service(objects, TASK.name, host.partition(".")[0], int(port))


def _of_pods(objects: list[Object], cluster: ClusterConfig) -> Iterator[Connection]:
    """What a pod's settings name, the object store of its releases, by KServe's hand or its own, and DNS for them."""
    store = urlsplit(cluster.object_store_endpoint)
    for pod in pods(objects):
        found = []
        for host, port in _addresses(pod):
            if host == "ml-pipeline.kubeflow":
                found.append(Connection(pod.owner, API.name, f"TCP {port}"))
            else:
                found += _to_service(objects, pod.owner, host.partition(".")[0], port)
        if "serving.kserve.io/inferenceservice" in pod.labels or _stores(pod):
            whom = STORE if store.hostname else INTERNET
            found.append(Connection(pod.owner, whom.name, f"TCP {store.port or 443}"))
        yield from found
        if found:
            yield from (Connection(pod.owner, DNS.name, f"{protocol} 53") for protocol in ("UDP", "TCP"))


def _stores(pod: Pod) -> bool:
    """Whether an argument names a prefix of the object store."""
    return any("=s3://" in argument for part in pod.every_container for argument in part.get("args", []))


def _addresses(pod: Pod) -> set[tuple[str, int]]:
    """Host and port of each server in ``pod``'s settings: ``redis:6379``, ``postgresql://USER@HOST/NAME``, a URL."""
    found = set()
    for part in pod.every_container:
        for entry in part.get("env", []):
            if address := re.fullmatch(r"([a-z.-]+):(\d+)", entry.get("value", "")):
                found.add((address[1], int(address[2])))
        for argument in part.get("args", []):
            if database := re.search(r"postgresql://\w+@([a-z.-]+)/", argument):
                found.add((database[1], 5432))
            if url := re.search(r"http://([a-z.-]+):(\d+)", argument):
                found.add((url[1], int(url[2])))
    return found


def _to_service(objects: list[Object], who: str, name: str, port: int) -> list[Connection]:
    """From ``who`` to the pods behind a Service of ours; to nobody, and so never allowed, where it has none."""
    service = find(objects, "Service", name)
    targets = [Connection(who, pod.owner, _target(service, pod, port)) for pod in behind(service, objects)]
    return targets or [Connection(who, f"nobody behind {name}", f"TCP {port}")]


def _target(service: Object, pod: Pod, port: int) -> str:
    """The port of ``pod`` that ``port`` of ``service`` leads to."""
    ports = [p["targetPort"] for p in service["spec"]["ports"] if p["port"] == port]
    return f"TCP {port_numbers(pod).get(ports[0], ports[0])}" if ports else f"{port}, which the Service has not"


def _parties(objects: list[Object]) -> Iterator[Party]:
    labels = {thing["metadata"]["name"]: thing["metadata"].get("labels", {}) for thing in of_kind(objects, "Namespace")}
    for pod in pods(objects):
        yield Party(pod.owner, {NAME: pod.namespace, **labels.get(pod.namespace, {})}, pod.labels)
        yield Party(f"pods like {pod.owner} elsewhere", ELSEWHERE, pod.labels)
    yield from OTHERS
    ours = {NAME: "newsrec", **labels["newsrec"]}
    for party in OTHERS:
        for namespace in (ELSEWHERE, ours, {NAME: "kubeflow"}):
            if party.labels and namespace[NAME] != party.namespace[NAME]:
                yield Party(f"pods like {party.name} in {namespace[NAME]}", namespace, party.labels)
    for name in ("newsrec", "kubeflow", "kube-system", "monitoring", "elsewhere"):
        yield Party(f"any pod in {name}", {NAME: name, **labels.get(name, {})}, {})
    yield from (Party(address, {}, {}, address) for address in PRIVATE)


def _rules(objects: list[Object], pod: Pod, direction: Direction) -> Iterator[dict[str, Any]]:
    """The rules that hold for ``pod``; where no policy closes this direction, one for everybody and every port."""
    policies = [
        policy["spec"]
        for policy in of_kind(objects, "NetworkPolicy")
        if policy["metadata"]["namespace"] == pod.namespace
        and selects(policy["spec"]["podSelector"], pod.labels)
        and direction.title() in policy["spec"]["policyTypes"]
    ]
    return chain.from_iterable(policy.get(direction) or [] for policy in policies) if policies else iter([{}])


def _is(peer: dict[str, Any], party: Party, namespace: str) -> bool:
    """Whether ``peer`` of a rule of a policy in ``namespace`` means ``party``."""
    if "ipBlock" in peer or party.address:
        block = peer.get("ipBlock")
        if not block or not party.address:
            return False
        address = ipaddress.ip_address(party.address)
        out = any(address in ipaddress.ip_network(cidr) for cidr in block.get("except", []))
        return address in ipaddress.ip_network(block["cidr"]) and not out
    within = peer.get("namespaceSelector", {"matchLabels": {NAME: namespace}})
    return selects(within, party.namespace) and selects(peer.get("podSelector", {}), party.labels)


def _ports(rule: dict[str, Any]) -> Iterator[str]:
    for port in rule.get("ports") or [{}]:
        end = f"-{port['endPort']}" if "endPort" in port else ""
        yield f"{port.get('protocol', 'TCP')} {port['port']}{end}" if "port" in port else "any"
