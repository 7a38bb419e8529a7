"""What this machine must have: Docker, kubectl, kind, our images; and what it had better have."""

import json
import platform
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from shutil import which
from typing import Any

from scripts.kind_cluster.commands import Cluster, Failed, run
from scripts.kind_cluster.downloads import Downloads, executable
from scripts.kind_cluster.images import named_in
from scripts.kind_cluster.versions import Image, Versions

INOTIFY = Path("/proc/sys/fs/inotify")
CPUS, MEMORY_GIB = 4, 12
WATCHES, INSTANCES = 524288, 512
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def docker() -> dict[str, Any]:
    """What Docker says about itself. Raises Failed where it does not answer."""
    try:
        return json.loads(run(["docker", "info", "--format={{json .}}"]))
    except Failed as error:
        raise Failed(str(error), error.advice or "start Docker, and see that `docker info` answers you") from None


def kubectl() -> None:
    if which("kubectl") is None:
        raise Failed("kubectl is not on the PATH", "install it: https://kubernetes.io/docs/tasks/tools/")


def kind(downloads: Downloads, say: Callable[[str], None]) -> str:
    """A kind of the listed version: the one on the PATH, else the file that is listed. Raises Failed."""
    wanted = downloads.versions.numbers["kind"]
    if which("kind") and re.search(rf"\bv?{re.escape(wanted)}\b", run(["kind", "version"])):
        return "kind"
    system, machine = platform.system().lower(), platform.machine()
    key = f"kind-{system}-{ARCHITECTURES.get(machine, machine)}"
    if key not in downloads.versions.downloads:
        found = f"no kind {wanted} on the PATH, and none is listed for {system} on {machine}"
        raise Failed(found, f"install kind {wanted}: https://kind.sigs.k8s.io/docs/user/quick-start/")
    return executable(downloads.get(key, say))


def shortages(info: dict[str, Any], inotify: Path = INOTIFY) -> list[str]:
    """What may stop pods later, a sentence each with what to do; ``info`` is Docker's."""
    found = []
    if info.get("NCPU", CPUS) < CPUS or info.get("MemTotal", MEMORY_GIB << 30) < 0.95 * (MEMORY_GIB << 30):
        has = f"Docker has {info['NCPU']} CPUs and {info['MemTotal'] / (1 << 30):.0f} GiB"
        found.append(f"{has}; give it {CPUS} and {MEMORY_GIB}, or pods stay Pending and training is killed")
    limits = {"max_user_watches": WATCHES, "max_user_instances": INSTANCES}
    if inotify.is_dir() and any(int((inotify / name).read_text()) < wanted for name, wanted in limits.items()):
        settings = " ".join(f"fs.inotify.{name}={wanted}" for name, wanted in limits.items())
        found.append(f"the inotify limits are low, and pods may end with 'too many open files'; sudo sysctl {settings}")
    return found


def images() -> set[str]:
    """The images that Docker has here, with their tags."""
    return set(run(["docker", "image", "ls", "--format={{.Repository}}:{{.Tag}}"]).split())


def named(manifests: str, known: set[str]) -> list[str]:
    """Those of ``known`` that ``manifests`` name anywhere: some images are arguments or variables of others."""
    return sorted(name for name in known if re.search(rf"(?<![\w.:/-]){re.escape(name)}(?![\w.:/-])", manifests))


def load(cluster: Cluster, manifests: str, versions: Versions) -> list[str]:
    """Put the images of ``manifests`` that Docker has here into the cluster; the node fetches the others itself.

    Returns all that they name. Raises Failed where one of them is another image than the list of versions says.
    """
    names = named(manifests, images())
    for image in chain(versions.images.values(), *versions.named.values()):
        if image.name in names:
            check_digest(image)
    if names:
        run([cluster.kind, "load", "docker-image", f"--name={cluster.name}", *names])
    return named_in(manifests)


def check_digest(image: Image) -> None:
    """Raises Failed where the image here came from a registry with another digest than ``image`` says."""
    digests = json.loads(run(["docker", "image", "inspect", "--format={{json .RepoDigests}}", image.name])) or []
    if image.digest and digests and not any(found.endswith(f"@{image.digest}") for found in digests):
        found = f"{image.name} here is {', '.join(digests)}, expected {image.digest}"
        raise Failed(found, f"docker image rm {image.name}, and pull it again")


def node_image(versions: Versions) -> str:
    """The node's image as kind is to take it: by its digest, except where Docker has it here by its tag."""
    image = versions.images["node"]
    if image.name in images():
        check_digest(image)
        return image.name
    return f"{image.name}@{image.digest}" if image.digest else image.name


def require_own_images(manifests: str) -> None:
    """Raises Failed where an image of newsrec that ``manifests`` name is not here."""
    missing = set(re.findall(r"image: (newsrec-\S+)", manifests)) - images()
    if missing:
        raise Failed(f"{', '.join(sorted(missing))} not on this host", "make images")
