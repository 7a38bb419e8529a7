"""What is downloaded, and in which version: manifests/kind/versions.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
VERSIONS = ROOT / "manifests" / "kind" / "versions.toml"
KUSTOMIZATION = ROOT / "manifests" / "base" / "kustomization.yaml"


class InvalidVersions(ValueError):
    """The list of versions says what cannot be."""


@dataclass(frozen=True)
class Download:
    """One file."""

    url: str
    file: str
    """Its name here, which carries the version."""
    sha256: str = ""
    """"" where it is not known."""


@dataclass(frozen=True)
class Image:
    name: str
    """With its tag."""
    digest: str = ""
    """Of the registry's manifest, ``sha256:...``; "" where it is not known."""


@dataclass(frozen=True)
class Versions:
    """The whole list, placeholders filled in."""

    numbers: dict[str, str]
    downloads: dict[str, Download]
    images: dict[str, Image]
    named: dict[str, list[Image]]
    """Part of the cluster -> the images that its manifests name; empty until kind-pin has seen them."""


def read(path: Path = VERSIONS, kustomization: Path = KUSTOMIZATION) -> Versions:
    """The list in ``path``; images without a name there are named in ``kustomization``. Raises InvalidVersions."""
    try:
        tables = tomllib.loads(path.read_text())
        numbers = tables["versions"]
        names = {image["name"]: image for image in yaml.safe_load(kustomization.read_text())["images"]}
        downloads = {key: Download(**_filled(table, numbers)) for key, table in tables["downloads"].items()}
        images = {key: Image(**_filled(_named(key, table, names), numbers)) for key, table in tables["images"].items()}
        named = {part: [Image(*entry) for entry in table.items()] for part, table in tables.get("named", {}).items()}
    except (KeyError, TypeError, AttributeError, tomllib.TOMLDecodeError) as error:
        expected = "[versions], [downloads.NAME] with url, file, sha256, [images.NAME] with name, digest, [named.PART]"
        raise InvalidVersions(f"{path}: {error}; expected {expected}") from None
    return Versions(numbers, downloads, images, named)


def _named(key: str, table: dict[str, str], names: dict[str, Any]) -> dict[str, str]:
    if "name" in table:
        return table
    image = names[key]
    return {"name": f"{image.get('newName', key)}:{image['newTag']}", **table}


def _filled(table: dict[str, str], numbers: dict[str, str]) -> dict[str, str]:
    return {key: value.format(**numbers) for key, value in table.items()}
