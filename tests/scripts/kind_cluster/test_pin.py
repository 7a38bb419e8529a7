"""kind-pin against a server that has the files and is a registry."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.kind_cluster.commands import Failed
from scripts.kind_cluster.pin import pin, with_line
from scripts.kind_cluster.registry import digest, located
from scripts.kind_cluster.versions import Image, read
from tests.scripts.kind_cluster.conftest import VERSIONS, require_kubectl
from tests.scripts.kind_cluster.releases import FILES

NAMED = {
    "cert-manager": {
        "quay.io/jetstack/cert-manager-acmesolver:v1": "sha256:" + "1" * 64,
        "quay.io/jetstack/cert-manager-webhook:v1": "sha256:" + "2" * 64,
    },
    "kserve": {
        "kserve/agent:v0.21.0": "sha256:" + "3" * 64,
        "kserve/kserve-controller:v0.21.0": "sha256:" + "4" * 64,
        "kserve/storage-initializer:v0.21.0": "",
    },
    "pipelines": {
        "ghcr.io/kubeflow/kfp-driver:2.17.0": "sha256:" + "5" * 64,
        "mysql:8.4": "sha256:" + "6" * 64,
        "quay.io/argoproj/workflow-controller:v4.0.8": "sha256:" + "7" * 64,
    },
}
"""What the stand-ins' manifests name; one of them no registry has."""
DIGESTS = {"node": "sha256:" + "a" * 64, "redis": "sha256:" + "b" * 64, "postgres": "sha256:" + "c" * 64}


class _Registry(http.server.BaseHTTPRequestHandler):
    """Wants a token for its repository, as Docker Hub does."""

    def do_GET(self) -> None:
        name = self.path.partition("scope=repository%3A")[2].partition("%3Apull")[0]
        body = f'{{"token": "for {name.replace("%2F", "/")}"}}'.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        _, _, *repository, _, tag = self.path.split("/")
        name = "/".join(repository)
        allowed = self.headers.get("authorization") == f"Bearer for {name}"
        found = DIGESTS.get(repository[-1]) if tag == "7" else None
        self.send_response((200 if found else 404) if allowed else 401)
        if allowed and found and "application/vnd.oci.image.index.v1+json" in self.headers["accept"]:
            self.send_header("docker-content-digest", found)
        if not allowed:
            here = f"http://localhost:{self.server.server_port}/token"
            scope = f'service="registry",scope="repository:{name}:pull"'
            self.send_header("www-authenticate", f'Bearer realm="{here}",{scope}')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("localhost", 0), _Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def lists(versions_file: Path, tmp_path: Path, registry: str) -> tuple[Path, Path]:
    """A list of versions, and a kustomization that names the images of ``registry``."""
    require_kubectl()
    text = versions_file.read_text().replace("kindest/node:v{kubernetes}", f"{registry}/kindest/node:7")
    versions_file.write_text(text)
    kustomization = tmp_path / "kustomization.yaml"
    images = [f"- {{name: {name}, newName: {registry}/library/{name}, newTag: '7'}}" for name in ("redis", "postgres")]
    kustomization.write_text("images:\n" + "\n".join(images))
    return versions_file, kustomization


def asked(image: Image) -> str:
    """The digest that the image's registry says; quay.io and the others are a dictionary here."""
    if image.name.startswith("localhost:"):
        return digest(image)
    found = {name: known for table in NAMED.values() for name, known in table.items()}[image.name]
    if not found:
        raise Failed(f"{image.name} was not found")
    return found


def tables(named: dict[str, dict[str, str]]) -> str:
    lines = [
        [f"[named.{part}]", *(f'"{name}" = "{found}"' for name, found in table.items()), ""]
        for part, table in named.items()
    ]
    return "\n".join(line for table in lines for line in table)


def test_it_records_what_is_not_known_and_leaves_the_rest(lists: tuple[Path, Path]) -> None:
    before = lists[0].read_text()
    pin(*lists, print, asked)
    after = lists[0].read_text()
    sums = {name: f'sha256 = "{hashlib.sha256(content).hexdigest()}"' for name, content in FILES.items()}
    expected = before
    for old, new in {
        'file = "cert-manager.yaml"': sums["cert-manager.yaml"],
        'file = "kserve-1.yaml"': sums["kserve.yaml"],
        'file = "pipelines.tar.gz"': sums["pipelines.tar.gz"],
        'file = "argo-workflows.tar.gz"': sums["argo-workflows.tar.gz"],
        "[images.redis]": f'digest = "{DIGESTS["redis"]}"',
        "[images.postgres]": f'digest = "{DIGESTS["postgres"]}"',
        '/kindest/node:7"': f'digest = "{DIGESTS["node"]}"',
    }.items():
        assert expected.count(old) == 1
        expected = expected.replace(old, f"{old}\n{new}")
    assert after == f"{expected}\n{tables(NAMED)}"
    assert {part: {i.name: i.digest for i in images} for part, images in read(*lists).named.items()} == NAMED
    assert read(*lists).images["redis"].digest == DIGESTS["redis"]


def test_a_second_time_it_changes_nothing(lists: tuple[Path, Path]) -> None:
    pin(*lists, print, asked)
    once = lists[0].read_text()
    assert len(pin(*lists, print, asked)) == 8 + 8
    assert lists[0].read_text() == once


def test_an_image_that_is_named_no_more_goes_and_a_digest_that_was_known_stays(lists: tuple[Path, Path]) -> None:
    pin(*lists, print, asked)
    whole = lists[0].read_text()
    absent, known = '"kserve/storage-initializer:v0.21.0" = ""', f'"sha256:{"8" * 64}"'
    lists[0].write_text(whole.replace(absent, f'"kserve/old:v1" = {known}\n{absent.replace(chr(34) * 2, known)}'))
    lines = pin(*lists, print, asked)
    assert lists[0].read_text() == whole.replace(absent, absent.replace(chr(34) * 2, known))
    assert not [line for line in lines if line.startswith("kserve/old")]


def test_a_named_image_that_became_another_is_said_and_not_overwritten(lists: tuple[Path, Path]) -> None:
    pin(*lists, print, asked)
    recorded = NAMED["pipelines"]["mysql:8.4"]
    changed = lists[0].read_text().replace(recorded, "sha256:" + "9" * 64)
    lists[0].write_text(changed)
    with pytest.raises(Failed, match=rf"\[named.pipelines\] has the mysql:8.4 sha256:9+ .* gives {recorded}"):
        pin(*lists, print, asked)
    assert lists[0].read_text() == changed


def test_where_one_thing_is_out_of_reach_nothing_is_recorded(lists: tuple[Path, Path]) -> None:
    lists[0].write_text(lists[0].read_text().replace("node:7", "node:8"))
    before = lists[0].read_text()
    with pytest.raises(Failed, match="kindest/node:8 was not found"):
        pin(*lists, print, asked)
    assert lists[0].read_text() == before


def test_what_became_another_thing_is_said_and_not_overwritten(lists: tuple[Path, Path]) -> None:
    recorded = read(*lists).downloads["kind-linux-amd64"].sha256
    lists[0].write_text(lists[0].read_text().replace(recorded, "0" * 64))
    before = lists[0].read_text()
    with pytest.raises(
        Failed, match=rf"\[downloads.kind-linux-amd64\] has the sha256 0+ recorded, .* gives {recorded}"
    ):
        pin(*lists, print, asked)
    assert lists[0].read_text() == before


def test_a_tag_that_the_registry_does_not_have(registry: str) -> None:
    with pytest.raises(Failed, match="redis:6 was not found"):
        digest(Image(f"{registry}/library/redis:6"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("redis:7.2.11", ("registry-1.docker.io", "library/redis", "7.2.11")),
        ("kindest/node:v1", ("registry-1.docker.io", "kindest/node", "v1")),
        ("ghcr.io/kubeflow/kfp:2", ("ghcr.io", "kubeflow/kfp", "2")),
        ("localhost:5000/a/b:1", ("localhost:5000", "a/b", "1")),
        ("localhost:5000/a/b", ("localhost:5000", "a/b", "latest")),
        ("kserve/art-explainer", ("registry-1.docker.io", "kserve/art-explainer", "latest")),
        ("quay.io/a/b@sha256:0a", ("quay.io", "a/b", "sha256:0a")),
    ],
)
def test_names_are_read_as_docker_reads_them(name: str, expected: tuple[str, str, str]) -> None:
    assert located(name) == expected


def test_a_line_goes_behind_the_last_of_its_table() -> None:
    text = with_line(VERSIONS, "images.redis", "x = 1")
    assert "[images.redis]\nx = 1\n\n[images.postgres]" in text
    assert with_line(VERSIONS, "images.postgres", "x = 1").endswith("[images.postgres]\nx = 1\n")
