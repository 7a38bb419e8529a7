"""What newsrec stands on: cert-manager, KServe in Standard mode, Kubeflow Pipelines.

Each is applied anew at every call, which changes nothing where it is as it should be.
"""

import copy
import os
import re
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from newsrec.files import whole_directory, write_whole
from scripts.kind_cluster.commands import Cluster, Failed, kustomize
from scripts.kind_cluster.downloads import Downloads, copied
from scripts.kind_cluster.host import load
from scripts.kind_cluster.versions import ROOT

KSERVE = ROOT / "manifests" / "kind" / "kserve"
ARGO = re.compile(r"https://github\.com/argoproj/argo-workflows/(manifests/[^?\s]+)\?ref=v([^&\s]+)\S*")
"""How kustomizations of Kubeflow Pipelines refer to folders of Argo Workflows; the folder, the version."""
OWNED = ("--server-side", "--force-conflicts")
"""KServe's definitions are too large for the annotation that a plain apply leaves."""
Say = Callable[[str], None]


def cert_manager(downloads: Downloads, say: Say) -> list[str]:
    """The manifests, as they are applied, one after the other; so for the other two."""
    return [downloads.get("cert-manager", say).read_text()]


def kserve(downloads: Downloads, say: Say) -> list[str]:
    folder = downloads.folder / "kserve"
    copied(downloads.get("kserve", say), folder, "kserve.yaml")
    for path in KSERVE.iterdir():
        copied(path, folder, path.name)
    documents = re.split(r"(?m)^---$", kustomize(folder))
    definitions = [text for text in documents if re.search(r"(?m)^kind: CustomResourceDefinition$", text)]
    others = [text for text in documents if text not in definitions]
    return ["---".join(definitions), "---".join(others)]


def pipelines(downloads: Downloads, say: Say) -> list[str]:
    """Those of Kubeflow Pipelines, with Argo's in them."""
    kubeflow = pipelines_manifests(downloads, say)
    return [kustomize(kubeflow / folder) for folder in ("cluster-scoped-resources", "env/platform-agnostic")]


PARTS: dict[str, Callable[[Downloads, Say], list[str]]] = {
    "cert-manager": cert_manager,
    "kserve": kserve,
    "pipelines": pipelines,
}


def install_cert_manager(cluster: Cluster, downloads: Downloads, say: Say) -> list[str]:
    """Returns the images that the manifests name; so do the other two."""
    (manifests,) = cert_manager(downloads, say)
    named = load(cluster, manifests, downloads.versions)
    cluster.apply(manifests)
    cluster.wait("cert-manager", say)
    return named


def install_kserve(cluster: Cluster, downloads: Downloads, say: Say) -> list[str]:
    definitions, others = kserve(downloads, say)
    named = load(cluster, others, downloads.versions)
    cluster.apply(definitions, *OWNED)
    established(cluster, say)
    cluster.apply(others, *OWNED)
    cluster.wait("kserve", say)
    patch = ROOT / "manifests" / "storage-initializer.yaml"
    cluster.kubectl("patch", "clusterstoragecontainer", "default", "--type=merge", f"--patch-file={patch}")
    return named


def install_pipelines(cluster: Cluster, downloads: Downloads, say: Say) -> list[str]:
    named: set[str] = set()
    for manifests in pipelines(downloads, say):
        named.update(load(cluster, manifests, downloads.versions))
        cluster.apply(manifests)
        established(cluster, say)
    cluster.wait("kubeflow", say)
    return sorted(named)


def established(cluster: Cluster, say: Say) -> None:
    say("waiting for the definitions")
    cluster.kubectl("wait", "--for=condition=Established", "customresourcedefinition", "--all", "--timeout=120s")


def pipelines_manifests(downloads: Downloads, say: Say) -> Path:
    """The folder manifests/kustomize of Kubeflow Pipelines with Argo's manifests beside it instead of at github.com.

    Raises Failed where it refers to another version of Argo than the one that is listed.
    """
    argo = downloads.folder / "argo-workflows"
    with whole_directory(argo) as folder:
        unpack(downloads.get("argo-workflows", say), folder)
    pipelines = downloads.folder / "pipelines"
    version = downloads.versions.numbers["argo-workflows"]
    with whole_directory(pipelines) as folder:
        unpack(downloads.get("pipelines", say), folder)
        for path in folder.rglob("kustomization.yaml"):
            text = path.read_text()
            if ARGO.search(text):
                write_whole(path, with_argo_here(text, os.path.relpath(argo, path.parent), version))
    return pipelines / "manifests" / "kustomize"


def with_argo_here(kustomization: str, argo: str, version: str) -> str:
    """``kustomization`` with references to folders in ``argo`` in place of those to github.com. Raises Failed."""
    others = {found for _, found in ARGO.findall(kustomization)} - {version}
    if others:
        found = f"Kubeflow Pipelines refers to Argo Workflows {', '.join(sorted(others))}, {version} is listed"
        raise Failed(found, "name that version in manifests/kind/versions.toml, and delete the sha256 of the old one")
    return ARGO.sub(lambda reference: f"{argo}/{reference[1]}", kustomization)


def extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Nothing leaves ``folder``. Python before 3.11.4 has no filters: files and folders alone. Raises TarError."""
    if hasattr(tarfile, "data_filter"):
        tar.extract(member, folder, filter="data")
        return
    if ".." in PurePosixPath(member.name).parts or not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name} is no file or folder inside")
    tar.extract(member, folder)


def unpack(archive: Path, folder: Path) -> None:
    """Write the folder ``manifests`` of the sources in ``archive`` to ``folder``. Raises Failed."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                inside = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                if inside.parts[:1] == ("manifests",):
                    renamed = copy.copy(member)
                    renamed.name = str(inside)
                    extract(tar, renamed, folder)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise Failed(f"{archive} cannot be unpacked: {error}", f"delete {archive}") from None
    if not (folder / "manifests").is_dir():
        raise Failed(f"{archive} has no folder manifests", f"delete {archive}")
