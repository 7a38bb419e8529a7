"""checkov over every pod: no failed check without a written reason, no reason that nothing needs any more."""

import copy
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, unavailable
from tests.manifests.objects import OVERLAYS, Object, pods, render

SKIPS = tomllib.loads(Path(__file__).with_name("checkov_skips.toml").read_text())
VERSION = "3.3.30"
BROKEN = "without-security-context"


def find_checkov() -> str:
    """The program that CHECKOV names, or one on the path, or in .venv-checkov; it does not share our requirements."""
    own = ROOT / ".venv-checkov" / "bin" / "checkov"
    program = os.environ.get("CHECKOV") or shutil.which("checkov") or (str(own) if own.exists() else None)
    if program is None:
        install = f"python3.11 -m venv .venv-checkov && .venv-checkov/bin/pip install checkov=={VERSION}"
        unavailable("checkov", f"checkov not found; {install}")
    return program


def lifted(objects: list[Object]) -> list[Object]:
    """``objects`` with each InferenceService, which checkov cannot look into, replaced by the pods it makes."""
    plain = [thing for thing in objects if thing["kind"] != "InferenceService"]
    for pod in pods([thing for thing in objects if thing["kind"] == "InferenceService"]):
        name = pod.labels["app"].removeprefix("isvc.")
        spec = {key: value for key, value in pod.spec.items() if key not in OF_KSERVE}
        metadata = {"name": name, "namespace": pod.namespace, "labels": pod.labels}
        plain.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return plain


OF_KSERVE = {"name", "minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "deploymentStrategy"}
"""Fields of a predictor that are not a pod's."""


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Check -> the resources that failed it, over all overlays and one pod that is broken on purpose."""
    folder = tmp_path_factory.mktemp("checkov")
    for overlay in OVERLAYS:
        (folder / f"{overlay}.yaml").write_text(yaml.safe_dump_all(lifted(render(overlay))))
    (pod,) = (thing for thing in lifted(render("kind")) if thing["kind"] == "Pod")
    broken = copy.deepcopy(pod)
    broken["metadata"]["name"] = BROKEN
    del broken["spec"]["containers"][0]["securityContext"]
    (folder / "broken.yaml").write_text(yaml.safe_dump(broken))
    arguments = ["--skip-download", "--framework", "kubernetes", "--compact", "--output", "json", "--soft-fail"]
    done = subprocess.run(
        [find_checkov(), *arguments, "--directory", str(folder)], capture_output=True, text=True, check=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    found: dict[str, set[str]] = {}
    for failure in report["results"]["failed_checks"]:
        found.setdefault(failure["check_id"], set()).add(failure["resource"])
    return found


def test_every_failed_check_has_a_reason(failed: dict[str, set[str]]) -> None:
    ours = {check: resources for check, all_of in failed.items() if (resources := all_of - {f"Pod.newsrec.{BROKEN}"})}
    assert {check: ours[check] for check in ours.keys() - SKIPS.keys()} == {}
    assert set(SKIPS) <= set(ours), "reasons that nothing needs any more"
    assert all(len(reason.split()) > 10 for reason in SKIPS.values())


def test_it_looks_into_the_pods_of_an_inference_service(failed: dict[str, set[str]]) -> None:
    by_broken = {check for check, resources in failed.items() if f"Pod.newsrec.{BROKEN}" in resources}
    assert {"CKV_K8S_20", "CKV_K8S_22", "CKV_K8S_37"} <= by_broken  # escalation, root file system, capabilities
    assert {"Pod.newsrec.newsrec-predictor", "Pod.newsrec.newsrec-candidate"} <= failed["CKV_K8S_43"]
