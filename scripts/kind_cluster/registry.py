"""What the registries of images say."""

import re

import httpx

from scripts.kind_cluster.commands import Failed
from scripts.kind_cluster.versions import Image

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)


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
    """Registry, repository and tag or digest of an image's name; what is left out is what Docker takes for it."""
    repository, _, tag = name.partition("@")
    if not tag:
        repository, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            repository, tag = name, "latest"
    first, slash, rest = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest, tag
    return "registry-1.docker.io", repository if slash else f"library/{repository}", tag
