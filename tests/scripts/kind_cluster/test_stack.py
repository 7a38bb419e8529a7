"""The manifests of Kubeflow Pipelines with Argo's beside them, from archives in the form of the real ones."""

import re
from pathlib import Path

import pytest

from scripts.kind_cluster.commands import Failed
from scripts.kind_cluster.downloads import Downloads
from scripts.kind_cluster.stack import pipelines_manifests, unpack, with_argo_here
from scripts.kind_cluster.versions import KUSTOMIZATION, read
from tests.scripts.kind_cluster.releases import ARGO, ARGO_URL, archive


@pytest.fixture
def downloads(versions_file: Path, tmp_path: Path) -> Downloads:
    return Downloads(read(versions_file, KUSTOMIZATION), tmp_path / "build")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_refers_to_github_any_more_and_a_second_time_is_the_same(downloads: Downloads) -> None:
    kustomize = pipelines_manifests(downloads, print)
    first = contents(downloads.folder)
    assert not [name for name, content in first.items() if b"https://github.com/argoproj" in content]
    assert "pipelines/manifests/kustomize/env/platform-agnostic/mysql.yaml" in first
    assert not [name for name in first if "frontend" in name]
    assert pipelines_manifests(downloads, print) == kustomize
    assert contents(downloads.folder) == first


def test_references_lead_to_the_folders_of_argo(downloads: Downloads) -> None:
    folder = pipelines_manifests(downloads, print) / "third-party" / "argo" / "base"
    text = (folder / "kustomization.yaml").read_text()
    (reference,) = re.findall(r"- (\.\.\S+)", text)
    assert contents(folder / reference).keys() == {"kustomization.yaml", "controller.yaml"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"- {ARGO_URL}/base/crds/minimal?ref=v4.0.8", "- ../argo/manifests/base/crds/minimal"),
        (
            f"- {ARGO_URL}/base/workflow-controller?ref=v4.0.8&timeout=60s",
            "- ../argo/manifests/base/workflow-controller",
        ),
        ("- https://github.com/kubeflow/pipelines/x?ref=1", "- https://github.com/kubeflow/pipelines/x?ref=1"),
    ],
)
def test_a_reference_and_nothing_else_is_replaced(line: str, expected: str) -> None:
    assert (
        with_argo_here(f"resources:\n{line}\n- b.yaml\n", "../argo", "4.0.8") == f"resources:\n{expected}\n- b.yaml\n"
    )


def test_another_argo_than_the_listed_one_stops_it() -> None:
    with pytest.raises(Failed, match=r"refers to Argo Workflows 4\.1\.2, 4\.0\.8 is listed"):
        with_argo_here(f"- {ARGO_URL}/base/crds/minimal?ref=v4.1.2\n", "../argo", "4.0.8")


@pytest.mark.parametrize(
    "content",
    [b"no archive", archive("argo", ARGO)[:200], archive("argo", {"README.md": "nothing"})],
    ids=["no archive", "half of one", "one of something else"],
)
def test_an_archive_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "argo.tar.gz"
    path.write_bytes(content)
    with pytest.raises(Failed, match=re.escape(str(path))) as failed:
        unpack(path, tmp_path / "out")
    assert failed.value.advice == f"delete {path}"
