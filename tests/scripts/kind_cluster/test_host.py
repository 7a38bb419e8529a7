"""What the machine must have, and what it had better have."""

from pathlib import Path

import pytest

from scripts.kind_cluster import host
from scripts.kind_cluster.commands import Cluster, Failed
from scripts.kind_cluster.versions import Image
from tests.scripts.kind_cluster.conftest import Machine
from tests.scripts.kind_cluster.releases import FILES

LAPTOP = {"NCPU": 8, "MemTotal": 16 << 30}


def inotify(folder: Path, watches: int, instances: int) -> Path:
    (folder / "max_user_watches").write_text(f"{watches}\n")
    (folder / "max_user_instances").write_text(f"{instances}\n")
    return folder


def test_enough_is_no_reason_to_say_anything(tmp_path: Path) -> None:
    assert host.shortages(LAPTOP, inotify(tmp_path, 524288, 512)) == []
    assert host.shortages(LAPTOP, tmp_path / "not-linux") == []


def test_little_memory_and_low_limits_come_with_what_to_do(tmp_path: Path) -> None:
    memory, limits = host.shortages({"NCPU": 8, "MemTotal": 8 << 30}, inotify(tmp_path, 524288, 128))
    assert memory.startswith("Docker has 8 CPUs and 8 GiB; give it 4 and 12")
    assert limits.endswith("sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512")
    (cpus,) = host.shortages({"NCPU": 2, "MemTotal": 16 << 30}, tmp_path / "not-linux")
    assert cpus.startswith("Docker has 2 CPUs and 16 GiB")


def test_the_kind_on_the_path_is_taken_if_it_is_the_listed_one(machine: Machine) -> None:
    assert host.kind(machine.downloads, print) == "kind"
    assert not machine.downloads.folder.exists()


def test_another_kind_is_passed_over_for_the_listed_file(machine: Machine, files) -> None:
    machine.write("kind.json", "0.30.01")
    path = Path(host.kind(machine.downloads, print))
    assert path.read_bytes() == FILES["kind-linux-amd64"]
    assert path.stat().st_mode & 0o111 == 0o111
    assert files.asked == ["/v0.30.0/kind-linux-amd64"]


def test_a_machine_that_no_kind_is_listed_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine.tools / "kind").unlink()
    monkeypatch.setattr(host.platform, "machine", lambda: "riscv64")
    with pytest.raises(Failed, match=r"no kind 0\.30\.0 on the PATH, and none is listed for linux on riscv64"):
        host.kind(machine.downloads, print)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image: redis:7.2.11", ["redis:7.2.11"]),
        ("image: redis:7.2.11-alpine", []),
        ("image: elsewhere/redis:7.2.11", []),
        ('- --executor-image\n- "argoexec:v4"', ["argoexec:v4"]),
        ("value: argoexec:v4\nimage: redis:7.2.11\n", ["argoexec:v4", "redis:7.2.11"]),
    ],
)
def test_images_are_found_by_their_whole_name(text: str, expected: list[str]) -> None:
    assert host.named(text, {"redis:7.2.11", "argoexec:v4"}) == expected


@pytest.mark.parametrize(
    ("digests", "good"),
    [(["redis@sha256:aa"], True), (["redis@sha256:bb"], False), ([], True), (None, True)],
    ids=["the same", "another", "built here", "built here by an old engine"],
)
def test_an_image_of_a_registry_must_have_the_recorded_digest(machine: Machine, digests, good: bool) -> None:
    machine.write("images.json", {"redis:7": digests})
    if good:
        host.check_digest(Image("redis:7", "sha256:aa"))
    else:
        with pytest.raises(Failed, match="redis:7 here is redis@sha256:bb, expected sha256:aa"):
            host.check_digest(Image("redis:7", "sha256:aa"))


def test_what_is_loaded_must_have_the_recorded_digest_too(machine: Machine) -> None:
    versions = machine.downloads.versions
    here, manifests = Cluster("kind", "newsrec"), "kind: Pod\nspec: {containers: [{image: mysql:8.4}]}\n"
    machine.write("clusters.json", ["newsrec"])
    machine.write("images.json", {"mysql:8.4": ["mysql@sha256:bb"]})
    assert host.load(here, manifests, versions) == ["mysql:8.4"]
    versions.named["pipelines"] = [Image("mysql:8.4", "sha256:aa")]
    with pytest.raises(Failed, match=r"mysql:8\.4 here is mysql@sha256:bb, expected sha256:aa"):
        host.load(here, manifests, versions)
    assert len(machine.calls("kind", "load")) == 1


def test_the_node_is_named_by_its_digest_except_where_docker_has_it(machine: Machine) -> None:
    versions = machine.downloads.versions
    images = {**versions.images, "node": Image("kindest/node:v1", "sha256:aa")}
    versions.images.update(images)
    assert host.node_image(versions) == "kindest/node:v1@sha256:aa"
    machine.write("images.json", {"kindest/node:v1": []})
    assert host.node_image(versions) == "kindest/node:v1"
