"""The checksum of each download and the digest of each image, from the network into the list of versions."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx

from newsrec.files import write_whole
from scripts.kind_cluster.commands import Failed
from scripts.kind_cluster.downloads import from_network, sha256
from scripts.kind_cluster.versions import Image, read

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)


def pin(path: Path, kustomization: Path, say: Callable[[str], None]) -> list[str]:
    """Write what is not recorded in ``path`` yet, after all of it is known; a line about each entry.

    Raises Failed, with nothing changed, where something is out of reach or is not what was recorded.
    """
    versions = read(path, kustomization)
    text, lines = path.read_text(), []
    for key, download in versions.downloads.items():
        found = sha256(from_network(download.url, say))
        text = _recorded(text, f"downloads.{key}", "sha256", download.sha256, found)
        lines.append(f"{download.file}  sha256:{found}")
    for key, image in versions.images.items():
        say(image.name)
        found = digest(image)
        text = _recorded(text, f"images.{key}", "digest", image.digest, found)
        lines.append(f"{image.name}  {found}")
    write_whole(path, text)
    return lines


def _recorded(text: str, table: str, key: str, known: str, found: str) -> str:
    if known and known != found:
        what = f"[{table}] has the {key} {known} recorded, and the network gives {found}"
        raise Failed(what, "the same version became another thing: find out why before you delete the recorded line")
    return text if known else with_line(text, table, f'{key} = "{found}"')


def with_line(text: str, table: str, line: str) -> str:
    """``text`` with ``line`` behind the last one of the TOML table ``table``; all else stays as it is."""
    lines = text.splitlines()
    at = lines.index(f"[{table}]") + 1
    while at < len(lines) and re.match(r"[\w-]+ *=", lines[at]):
        at += 1
    return "\n".join([*lines[:at], line, *lines[at:]]) + "\n"


def digest(image: Image) -> str:
    """The digest that the registry of ``image`` has under its tag. Raises Failed."""
    host, repository, tag = located(image.name)
    scheme = "http" if host.startswith("localhost") else "https"
    url = f"{scheme}://{host}/v2/{repository}/manifests/{tag}"
    headers = {"Accept": MANIFESTS}
    try:
        with httpx.Client(follow_redirects=True, timeout=60) as client:
            answer = client.head(url, headers=headers)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                challenge = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["www-authenticate"]))
                granted = client.get(challenge.pop("realm"), params=challenge).raise_for_status().json()
                answer = client.head(url, headers={**headers, "Authorization": f"Bearer {granted['token']}"})
            return answer.raise_for_status().headers["docker-content-digest"]
    except (httpx.HTTPError, KeyError) as error:
        raise Failed(f"{image.name} was not found at {url}: {error}", "see that this host reaches it") from None


def located(name: str) -> tuple[str, str, str]:
    """Registry, repository and tag of an image's name; as Docker does, without a registry it is Docker Hub."""
    repository, _, tag = name.rpartition(":")
    first, slash, rest = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest, tag
    return "registry-1.docker.io", repository if slash else f"library/{repository}", tag
