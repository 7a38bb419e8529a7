"""checkov over every pod: no failed check without a written reason, no reason that nothing needs any more."""

import copy
import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cluster import ClusterConfig
from tests.conftest import ROOT, unavailable
from tests.manifests.objects import OVERLAYS, Object, pods, render
from tests.manifests.tasks import task_jobs
from tests.manifests.test_train_job import TRAIN_JOB, runtime

SKIPS = tomllib.loads(Path(__file__).with_name("checkov_skips.toml").read_text())
"""Check -> reason: ``manifests`` for every pod in them, ``tasks`` for pods of pipeline tasks."""
OPAQUE = ("InferenceService", "TrainJob")
"""Kinds that make pods and that checkov cannot look into."""
OF_KSERVE = {"name", "minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "deploymentStrategy"}
"""Fields of a predictor that are not a pod's."""


def find_checkov() -> str:
    """The one on the path, or the one that `make checkov` makes; what it requires does not fit our versions."""
    program = shutil.which("checkov") or shutil.which(ROOT / ".venv-checkov" / "bin" / "checkov")
    if program is None:
        unavailable("checkov", "checkov not found; make checkov")
    return program


def lifted(objects: list[Object]) -> list[Object]:
    """``objects`` with each custom resource replaced by the pods it makes: a Pod that serves, a Job that ends."""
    plain = [thing for thing in objects if thing["kind"] not in OPAQUE]
    for pod in pods(objects):
        if pod.owner.startswith(OPAQUE):
            metadata = {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels}
            spec = {key: value for key, value in pod.spec.items() if key not in OF_KSERVE}
            if pod.serves:
                plain.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            else:
                template = {"metadata": {"labels": pod.labels}, "spec": spec}
                plain.append(
                    {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
                )
    return plain


def broken() -> list[Object]:
    """One pod of each opaque kind, without the security context of its container."""
    (service,) = (thing for thing in render("kind") if thing["kind"] == "InferenceService")
    del service["spec"]["predictor"]["containers"][0]["securityContext"]
    train = copy.deepcopy(TRAIN_JOB)
    del train["spec"]["runtimePatches"]
    return [service, train]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """Folder -> check -> resources that failed it: the overlays, pipeline tasks, a sound TrainJob, and broken pods."""
    folder = tmp_path_factory.mktemp("checkov")
    for overlay in OVERLAYS:
        write(folder / "manifests" / f"{overlay}.yaml", lifted(render(overlay)))
    write(folder / "tasks" / "tasks.yaml", task_jobs(ClusterConfig(), folder / "compiled"))
    write(folder / "sound" / "train.yaml", lifted([runtime(), TRAIN_JOB]))
    write(folder / "broken" / "broken.yaml", lifted(broken()))
    arguments = ["--skip-download", "--framework", "kubernetes", "--compact", "--output", "json", "--soft-fail"]
    done = subprocess.run(
        [find_checkov(), *arguments, "--directory", str(folder)], capture_output=True, text=True, check=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    found: dict[str, dict[str, set[str]]] = {part: {} for part in ("manifests", "tasks", "sound", "broken")}
    for failure in report["results"]["failed_checks"]:
        part = Path(failure["file_path"]).parts[1]
        found[part].setdefault(failure["check_id"], set()).add(failure["resource"])
    return found


def write(path: Path, objects: Iterable[Object]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump_all(objects))


@pytest.mark.parametrize("part", ["manifests", "tasks"])
def test_every_failed_check_has_a_reason(part: str, failed: dict[str, dict[str, set[str]]]) -> None:
    reasons = SKIPS[part]
    assert {check: found for check, found in failed[part].items() if check not in reasons} == {}
    assert set(reasons) <= set(failed[part]), "reasons that nothing needs any more"
    assert all(len(reason.split()) > 10 for reason in reasons.values())


def test_it_looks_into_the_pods_of_custom_resources(failed: dict[str, dict[str, set[str]]]) -> None:
    hardening = {"CKV_K8S_20", "CKV_K8S_22", "CKV_K8S_37"}  # escalation, root file system, capabilities
    for resource in ("Pod.newsrec.newsrec-predictor", "Job.newsrec.bert-node"):
        assert hardening <= {check for check, resources in failed["broken"].items() if resource in resources}
    assert {"Pod.newsrec.newsrec-predictor", "Pod.newsrec.newsrec-candidate"} <= failed["manifests"]["CKV_K8S_43"]


def test_a_hardened_train_job_passes(failed: dict[str, dict[str, set[str]]]) -> None:
    assert set(failed["sound"]) <= set(SKIPS["manifests"])
