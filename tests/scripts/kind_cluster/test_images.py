"""The images that manifests name, in each of the ways in which those of kind-up's parts do."""

import pytest

from scripts.kind_cluster.downloads import Downloads
from scripts.kind_cluster.images import named_in
from scripts.kind_cluster.stack import PARTS
from tests.scripts.kind_cluster.conftest import Machine

DIGEST = "sha256:" + "0" * 64
SETTINGS = f"""\
kind: Deployment
spec:
  template:
    spec:
      initContainers: [{{name: a, image: "busybox:1.37"}}]
      containers:
      - name: b
        image: localhost:5000/team/app@{DIGEST}
        args:
        - --acme-http01-solver-image=quay.io/jetstack/cert-manager-acmesolver:v1.17.4
        - --executor-image
        - quay.io/argoproj/argoexec:v4.0.8
        - --webhook=https://example.com/hook:1
        - --solver-image=team/solver:2
        - --address=example.com:8080
        env:
        - {{name: V2_LAUNCHER_IMAGE, value: "ghcr.io/kubeflow/kfp-launcher:2.17.0"}}
        - {{name: BASE_IMAGE, value: "python:3.11"}}
        - {{name: OTHER, value: "python:3.12"}}
        - {{name: EMPTY_IMAGE, value: ""}}
        - {{name: ROOT, value: example.com/path/without/version}}
---
kind: ConfigMap
data:
  storageInitializer: '{{"image": "kserve/storage-initializer:v0.21.0", "memoryRequest": "100Mi"}}'
  explainers: |
    {{"art": {{"image": "kserve/art-explainer", "defaultImageVersion": "latest"}}}}
  template: |
    spec:
      containers: [{{image: "ghcr.io/a/b:1"}}]
  _example: '{{"art": {{"image": "an/example"}}}}'
  words: "neither: JSON: nor YAML"
  note: gcr.io/in/a/text:1 is no image by itself
---
kind: CustomResourceDefinition
spec: {{default: {{image: "not/started:1"}}}}
---
"""


def test_every_way_of_naming_an_image_is_read() -> None:
    assert named_in(SETTINGS) == [
        "busybox:1.37",
        "ghcr.io/a/b:1",
        "ghcr.io/kubeflow/kfp-launcher:2.17.0",
        "kserve/art-explainer",
        "kserve/storage-initializer:v0.21.0",
        f"localhost:5000/team/app@{DIGEST}",
        "python:3.11",
        "quay.io/argoproj/argoexec:v4.0.8",
        "quay.io/jetstack/cert-manager-acmesolver:v1.17.4",
        "team/solver:2",
    ]


def test_manifests_are_read_as_they_are_applied(machine: Machine) -> None:
    """KServe's controller of language models is left out of what is applied, and so is its image."""
    downloads = Downloads(machine.downloads.versions, machine.downloads.folder)
    assert {part: named_in("---\n".join(render(downloads, print))) for part, render in PARTS.items()} == {
        "cert-manager": ["quay.io/jetstack/cert-manager-acmesolver:v1", "quay.io/jetstack/cert-manager-webhook:v1"],
        "kserve": [
            "kserve/agent:v0.21.0",
            "kserve/kserve-controller:v0.21.0",
            "kserve/storage-initializer:v0.21.0",
        ],
        "pipelines": ["ghcr.io/kubeflow/kfp-driver:2.17.0", "mysql:8.4", "quay.io/argoproj/workflow-controller:v4.0.8"],
    }


@pytest.mark.parametrize("part", PARTS)
def test_kind_up_prints_them_below_their_part(left_alone: Machine, part: str) -> None:
    title = {"cert-manager": "cert-manager", "kserve": "KServe", "pipelines": "Kubeflow Pipelines"}[part]
    (below,) = [block for block in left_alone.output.getvalue().split("✓ ") if block.startswith(f"{title} ")]
    printed = [line.strip() for line in below.splitlines() if line.startswith("    ")]
    assert printed == named_in("---\n".join(PARTS[part](left_alone.downloads, print)))
