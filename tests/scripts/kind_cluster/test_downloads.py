"""Files from a server on this machine, from a folder, and what is not what it should be."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.kind_cluster.commands import Failed
from scripts.kind_cluster.downloads import Downloads
from scripts.kind_cluster.versions import KUSTOMIZATION, Download, read
from tests.scripts.kind_cluster.releases import FILES


@pytest.fixture
def downloads(versions_file: Path, tmp_path: Path) -> Downloads:
    return Downloads(read(versions_file, KUSTOMIZATION), tmp_path / "build")


def with_checksum(downloads: Downloads, sha256: str) -> Downloads:
    listed = downloads.versions.downloads
    changed = {**listed, "kserve": replace(listed["kserve"], sha256=sha256)}
    return replace(downloads, versions=replace(downloads.versions, downloads=changed))


def test_a_file_is_fetched_once_and_said_so(downloads: Downloads, files) -> None:
    said: list[str] = []
    for _ in range(2):
        path = downloads.get("kserve", said.append)
        assert (path.name, path.read_bytes()) == ("kserve-1.yaml", FILES["kserve.yaml"])
    assert files.asked == ["/kserve.yaml"]
    assert said == ["kserve.yaml: 0 MB"]


def test_another_content_than_recorded_is_refused_and_not_kept(downloads: Downloads) -> None:
    with pytest.raises(Failed, match=r"kserve-1\.yaml has the sha256 [0-9a-f]{64}, expected 00ff") as refused:
        with_checksum(downloads, "00ff").get("kserve", print)
    assert "/kserve.yaml" in refused.value.advice
    assert list(downloads.folder.iterdir()) == []


def test_a_file_that_is_there_is_checked_too(downloads: Downloads, files) -> None:
    path = downloads.get("kind-linux-amd64", print)
    path.write_bytes(b"somebody else's")
    assert downloads.get("kind-linux-amd64", print).read_bytes() == FILES["kind-linux-amd64"]
    assert len(files.asked) == 2


def test_what_the_server_does_not_have_is_named(downloads: Downloads) -> None:
    listed = Download("http://127.0.0.1:1/none.yaml", "none.yaml")
    missing = replace(downloads, versions=replace(downloads.versions, downloads={"kserve": listed}))
    with pytest.raises(Failed, match=r"http://127\.0\.0\.1:1/none\.yaml was not fetched") as failed:
        missing.get("kserve", print)
    assert "KIND_DOWNLOADS" in failed.value.advice


def test_a_folder_stands_in_for_the_network(downloads: Downloads, files, tmp_path: Path) -> None:
    folder = tmp_path / "brought"
    folder.mkdir()
    (folder / "kserve-1.yaml").write_bytes(b"by hand")
    local = replace(downloads, source=folder)
    assert local.get("kserve", print).read_bytes() == b"by hand"
    with pytest.raises(Failed, match=r"brought/cert-manager\.yaml does not exist") as missing:
        local.get("cert-manager", print)
    assert "/cert-manager.yaml there" in missing.value.advice
    (folder / "kind-0.30.0").write_bytes(b"another kind")
    with pytest.raises(Failed, match="has the sha256"):
        local.get("kind-linux-amd64", print)
    assert files.asked == []
