"""The claim with the releases is full while a task publishes: the pod says so, and what was served before is served."""

import json
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from components import IMAGE
from components.publish import publish
from newsrec import artifact
from tests.containers.hardened import HARDENED
from tests.containers.site import removed
from tests.containers.small_volume import fill, free, small
from tests.containers.training import Trained

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1_200)]  # whichever is first builds the images

FILES = "import pathlib; print(*sorted(pathlib.Path('/data/releases').rglob('*')), sep='\\n')"
SERVED = "from newsrec import releases; print(releases.current('/data/releases').version)"


def test_publishing_to_a_full_claim_publishes_nothing(engine: docker.DockerClient, trained: Trained) -> None:
    old, new = sorted(trained.folder.glob("site/runs/*/for-loop-*/**/model"))
    size = sum(path.stat().st_size for path in new.iterdir())
    site = str(trained.folder / "site")
    mounts = {site: {"bind": site, "mode": "ro"}}
    settings = {**HARDENED, "tmpfs": small(8), "network_mode": "none", "mem_limit": "2g", "volumes": mounts}
    waiting = ["python3", "-c", "import time; time.sleep(1_200)"]
    with removed(engine.containers.run(IMAGE, waiting, detach=True, **settings)) as pod:
        assert run_publish(pod, old, incumbent="") is None
        before = python(pod, FILES)
        fill(pod, room=size // 2)  # the first files of it can be written
        assert "No space left on device" in run_publish(pod, new, incumbent=artifact.load(old).version)
        assert python(pod, FILES) == before
        assert python(pod, SERVED) == artifact.load(old).version
        free(pod)
        assert run_publish(pod, new, incumbent=artifact.load(old).version) is None
        assert python(pod, SERVED) == artifact.load(new).version


def run_publish(pod: Container, winner: Path, incumbent: str) -> str | None:
    """The task ``publish`` in ``pod``, as the launcher of Kubeflow Pipelines runs it; its last line where it fails."""
    given = {"releases": "/data/releases", "incumbent": incumbent}
    texts = [name for name, kind in publish.component_spec.inputs.items() if kind.type == "String"]
    (verdict,) = winner.parents[2].glob("gate/verdict")  # of the same run, which published one of them
    artifacts = {
        name: {"artifacts": [{"name": name, "type": {"schemaTitle": kind}, "uri": str(path), "metadata": {}}]}
        for name, kind, path in (("winner", "system.Model", winner), ("verdict", "system.Artifact", verdict))
    }
    outputs = {"parameters": {"Output": {"outputFile": "/tmp/version"}}, "outputFile": "/tmp/executor.json"}
    inputs = {
        "parameterValues": {name: given.get(name, "") for name in texts},  # without an object store
        "artifacts": artifacts,
    }
    task = publish.component_spec.implementation.container
    arguments = [json.dumps({"inputs": inputs, "outputs": outputs}) if part == "{{$}}" else part for part in task.args]
    ran = pod.exec_run([*task.command, *arguments])
    return ran.output.decode().splitlines()[-1] if ran.exit_code else None


def python(pod: Container, code: str, *arguments: str) -> str:
    ran = pod.exec_run(["python3", "-c", code, *arguments])
    assert ran.exit_code == 0, ran.output.decode()
    return ran.output.decode().strip()
