"""Commands that say what they were when they fail, and the steps that they belong to."""

import contextlib
import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape

from scripts.kind_cluster.versions import ROOT

CONFIG = ROOT / "manifests" / "kind" / "cluster.yaml"
LAST_LINES = 12
PAUSE_SECONDS = 2.0
WEBHOOK_SECONDS = 180.0
_STARTING = re.compile("failed calling webhook|no endpoints available|connection refused")
"""A webhook whose pod is ready and whose certificate or address is not everywhere yet."""


class Failed(RuntimeError):
    """What was found, and what to do about it."""

    def __init__(self, found: str, advice: str = "") -> None:
        super().__init__(found)
        self.advice = advice


class StepFailed(RuntimeError):
    """A step that is not done: which one, what went wrong in it, what to do; several lines."""


@contextlib.contextmanager
def step(console: Console, title: str, advice: str = "", spinner: bool = True) -> Iterator[Callable[[str], None]]:
    """A spinner while the block runs, then a line; the block gets a function that says what it waits for.

    Failed becomes StepFailed; ``advice`` is what to do where the error itself does not know. Without ``spinner`` the
    terminal is the block's.
    """
    began = time.monotonic()
    try:
        status = console.status(escape(title))
        with status if spinner else contextlib.nullcontext():
            yield lambda text: status.update(escape(f"{title}: {text}"))
    except Failed as error:
        lines = [f"{title}: not done", str(error)]
        if error.advice or advice:
            lines.append(f"To do: {error.advice or advice}")
        raise StepFailed("\n".join(lines)) from None
    console.print(f"[green]✓[/] {escape(title)}  {time.monotonic() - began:.0f} s", soft_wrap=True)


def run(command: Sequence[str], stdin: str | None = None) -> str:
    """What ``command`` writes to its standard output. Raises Failed with its last lines."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failed(f"{command[0]} is not on the PATH", f"install {command[0]}") from None
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-LAST_LINES:]
        raise Failed("\n".join([f"$ {shlex.join(command)}", *(f"  {line}" for line in last)]))
    return done.stdout


@dataclass(frozen=True)
class Cluster:
    """The cluster of manifests/kind/cluster.yaml, wherever the current context of kubectl points."""

    kind: str
    """The executable."""
    name: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return run(self.kubectl_command(*arguments), stdin)

    def kubectl_command(self, *arguments: str) -> list[str]:
        return ["kubectl", "--context", f"kind-{self.name}", *arguments]

    def get(self, namespace: str, *what: str) -> dict[str, Any]:
        """The object or the list of objects ``what``; empty where there is none."""
        return json.loads(self.kubectl("-n", namespace, "get", *what, "--output=json", "--ignore-not-found") or "{}")

    def apply(self, manifests: str, *flags: str) -> None:
        """Apply ``manifests``; webhooks that are still starting get some time. Raises Failed."""
        deadline = time.monotonic() + WEBHOOK_SECONDS
        while True:
            try:
                self.kubectl("apply", *flags, "--filename=-", stdin=manifests)
                return
            except Failed as error:
                if not _STARTING.search(str(error)) or time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)

    def wait(self, namespace: str, say: Callable[[str], None], names: set[str] | None = None) -> None:
        """Return when ``names`` in ``namespace``, by default all that is there, run as they were applied last."""
        wait_until(lambda: self._not_running(namespace, names), lambda: self.troubles(namespace), say)

    def troubles(self, namespace: str) -> str:
        """What the containers that do not run wait for."""
        pods = self.get(namespace, "pods").get("items", [])
        return ", ".join(sorted({trouble for pod in pods for trouble in _waiting(pod)}))

    def _not_running(self, namespace: str, names: set[str] | None) -> set[str]:
        found = {o["metadata"]["name"]: o for o in self.get(namespace, "deployments,statefulsets").get("items", [])}
        wanted = names or set(found) or {f"anything in {namespace}"}
        return {name for name in wanted if name not in found or not runs(found[name])}


def cluster(kind: str, config: Path = CONFIG) -> Cluster:
    return Cluster(kind, yaml.safe_load(config.read_text())["name"])


def kustomize(folder: Path) -> str:
    """The manifests that ``folder`` renders to. Raises Failed."""
    return run(["kubectl", "kustomize", str(folder)])


def wait_until(
    missing: Callable[[], set[str]],
    troubles: Callable[[], str],
    say: Callable[[str], None],
    seconds: float = 1200.0,
) -> None:
    """Return when ``missing`` is empty. Raises Failed with ``troubles`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while names := missing():
        waited_for, why = ", ".join(sorted(names)), troubles()
        say(f"waiting for {waited_for}" + (f" ({why})" if why else ""))
        if time.monotonic() > deadline:
            raise Failed(f"{waited_for} not ready after {seconds / 60:.0f} minutes; {why or 'nothing says why'}")
        time.sleep(PAUSE_SECONDS)


def runs(workload: dict[str, Any]) -> bool:
    """Whether all replicas of a Deployment or StatefulSet are of its last version, and available."""
    status, replicas = workload.get("status", {}), workload["spec"].get("replicas", 1)
    counts = [status.get(name, 0) for name in ("updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration", 0) >= workload["metadata"]["generation"] and min(counts) >= replicas


def _waiting(pod: dict[str, Any]) -> Iterator[str]:
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition.get("reason") == "Unschedulable":
            yield f"{pod['metadata']['name']}: {condition.get('message', 'Unschedulable')}"
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        reason = container.get("state", {}).get("waiting", {}).get("reason", "")
        if reason and reason not in ("PodInitializing", "ContainerCreating"):
            yield f"{pod['metadata']['name']}: {reason}"
