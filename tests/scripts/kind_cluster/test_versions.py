"""The list of versions agrees with the rest of the repository."""

import re
from pathlib import Path

import pytest
import yaml

from scripts.kind_cluster.commands import CONFIG, cluster
from scripts.kind_cluster.versions import KUSTOMIZATION, VERSIONS, InvalidVersions, read
from tests.conftest import ROOT


def test_the_libraries_and_the_cluster_have_the_same_versions() -> None:
    numbers = read().numbers
    lock = (ROOT / "requirements.lock").read_text()
    locked = dict(re.findall("(?m)^(.+)==(.+)$", lock))
    assert (numbers["pipelines"], numbers["kserve"]) == (locked["kfp"], locked["kserve"])


def test_every_file_and_address_carries_its_version() -> None:
    for key, download in read().downloads.items():
        number = read().numbers[re.sub("^kind-.*", "kind", key)]
        assert number in download.url.replace(f"v{number}", number)
        assert number in download.file


def test_checksums_and_digests_have_their_form() -> None:
    versions = read()
    assert all(re.fullmatch("([0-9a-f]{64})?", download.sha256) for download in versions.downloads.values())
    images = [*versions.images.values(), *(image for table in versions.named.values() for image in table)]
    assert all(re.fullmatch("(sha256:[0-9a-f]{64})?", image.digest) for image in images)


def test_images_of_the_manifests_are_named_there() -> None:
    named = {i["name"]: i["newTag"] for i in yaml.safe_load(KUSTOMIZATION.read_text())["images"]}
    images = read().images
    assert images["redis"].name == f"redis:{named['redis']}"
    assert images["postgres"].name == f"postgres:{named['postgres']}"
    assert images["node"].name == "kindest/node:v1.34.0"


def test_the_cluster_is_named_in_its_configuration() -> None:
    assert cluster("kind").name == yaml.safe_load(CONFIG.read_text())["name"] == "newsrec"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[versions]", "[version]"),
        ("url = ", "address = "),
        ("{kind}", "{kinds}"),
        ("[images.redis]", "[images.valkey]"),
        ("[images.redis]", "[images.redis"),
        ("[images.redis]", "[named]\nkserve = 1\n[images.redis]"),
    ],
)
def test_a_list_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "versions.toml"
    path.write_text(VERSIONS.read_text().replace(old, new))
    with pytest.raises(InvalidVersions, match=re.escape(str(path))):
        read(path, KUSTOMIZATION)
