"""The checksum of each download and the digest of each image, from the network into the list of versions."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from newsrec.files import write_whole
from scripts.kind_cluster.commands import Failed
from scripts.kind_cluster.downloads import Downloads, blocks, from_network, sha256, write_checked
from scripts.kind_cluster.images import named_in
from scripts.kind_cluster.registry import digest
from scripts.kind_cluster.stack import PARTS
from scripts.kind_cluster.versions import Image, Versions, read


def pin(
    path: Path, kustomization: Path, say: Callable[[str], None], resolve: Callable[[Image], str] = digest
) -> list[str]:
    """Write what is not recorded in ``path`` yet, after all of it is known; a line about each entry.

    ``resolve`` tells an image's digest. Raises Failed, with nothing changed, where something is out of reach or is not
    what was recorded. Of the images that manifests name, those that no registry gives are recorded without a digest:
    not all of them are started.
    """
    versions = read(path, kustomization)
    text, lines = path.read_text(), []
    with tempfile.TemporaryDirectory() as folder:
        here = Downloads(versions, Path(folder))
        for key, download in versions.downloads.items():
            write_checked(here.folder / download.file, replace(download, sha256=""), from_network(download.url, say))
            found = sha256(blocks(here.folder / download.file))
            text = _recorded(text, f"downloads.{key}", "sha256", download.sha256, found)
            lines.append(f"{download.file}  sha256:{found}")
        rendered = {part: "---\n".join(render(here, say)) for part, render in PARTS.items()}
    for key, image in versions.images.items():
        say(image.name)
        found = resolve(image)
        text = _recorded(text, f"images.{key}", "digest", image.digest, found)
        lines.append(f"{image.name}  {found}")
    tables = {part: _digests(part, versions, named_in(manifests), resolve, say) for part, manifests in rendered.items()}
    lines += [f"{name}  {found or 'not found'}" for table in tables.values() for name, found in table.items()]
    write_whole(path, with_named(text, tables))
    return lines


def _digests(
    part: str, versions: Versions, names: list[str], resolve: Callable[[Image], str], say: Callable[[str], None]
) -> dict[str, str]:
    """Image -> its digest, or ""."""
    known, found = {image.name: image.digest for image in versions.named.get(part, [])}, {}
    for name in names:
        say(name)
        try:
            found[name] = resolve(Image(name))
        except Failed:
            found[name] = known.get(name, "")
        if known.get(name) and known[name] != found[name]:
            raise _changed(f"named.{part}", name, known[name], found[name])
    return found


def _recorded(text: str, table: str, key: str, known: str, found: str) -> str:
    if known and known != found:
        raise _changed(table, key, known, found)
    return text if known else with_line(text, table, f'{key} = "{found}"')


def _changed(table: str, key: str, known: str, found: str) -> Failed:
    what = f"[{table}] has the {key} {known} recorded, and the network gives {found}"
    return Failed(what, "the same version became another thing: find out why before you delete the recorded line")


def with_named(text: str, tables: dict[str, dict[str, str]]) -> str:
    """``text`` with ``tables`` as its [named.PART], which are its last ones, in place of those that it has."""
    kept = re.split(r"(?m)^\[named\.", text, maxsplit=1)[0].rstrip()
    lines = [kept]
    for part, table in tables.items():
        lines += ["", f"[named.{part}]", *(f'"{name}" = "{found}"' for name, found in table.items())]
    return "\n".join(lines) + "\n"


def with_line(text: str, table: str, line: str) -> str:
    """``text`` with ``line`` behind the last one of the TOML table ``table``; all else stays as it is."""
    lines = text.splitlines()
    at = lines.index(f"[{table}]") + 1
    while at < len(lines) and re.match(r"[\w-]+ *=", lines[at]):
        at += 1
    return "\n".join([*lines[:at], line, *lines[at:]]) + "\n"
