"""Files from the network, or from a folder that stands in for it: fetched once, checked, whole or not there."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts.kind_cluster.commands import Failed
from scripts.kind_cluster.versions import Download, Versions

BLOCK = 1 << 20


@dataclass(frozen=True)
class Downloads:
    """The files of ``versions`` in ``folder``."""

    versions: Versions
    folder: Path
    source: Path | None = None
    """A folder with the files under their names here; None for the network."""

    def get(self, key: str, say: Callable[[str], None]) -> Path:
        """The path of the file ``key``, fetched if it is not there. Raises Failed."""
        wanted = self.versions.downloads[key]
        target = self.folder / wanted.file
        if target.exists() and (not wanted.sha256 or sha256(blocks(target)) == wanted.sha256):
            return target
        if self.source is None:
            write_checked(target, wanted, from_network(wanted.url, say))
        elif (self.source / wanted.file).is_file():
            write_checked(target, wanted, blocks(self.source / wanted.file))
        else:
            found = f"{self.source / wanted.file} does not exist"
            raise Failed(f"{found}, and KIND_DOWNLOADS is set", f"put the file from {wanted.url} there")
        return target


def write_checked(target: Path, wanted: Download, content: Iterable[bytes]) -> None:
    """Write ``content`` to ``target`` in one step, if it is what ``wanted`` says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    total = hashlib.sha256()
    try:
        with partial.open("wb") as file:
            for block in content:
                total.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        if wanted.sha256 and total.hexdigest() != wanted.sha256:
            found = f"{wanted.file} has the sha256 {total.hexdigest()}, expected {wanted.sha256}"
            advice = f"see who changed it on the way; it was to be the file at {wanted.url}"
            raise Failed(found, advice)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def from_network(url: str, say: Callable[[str], None]) -> Iterator[bytes]:
    """The content behind ``url``, block by block. Raises Failed."""
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=60) as answer:
            answer.raise_for_status()
            done = 0
            for block in answer.iter_bytes(BLOCK):
                done += len(block)
                say(f"{url.rsplit('/', 1)[1]}: {done / 1e6:.0f} MB")
                yield block
    except httpx.HTTPError as error:
        advice = "give this host a way there, or put the file into a folder: KIND_DOWNLOADS, see manifests/kind"
        raise Failed(f"{url} was not fetched: {error or type(error).__name__}", advice) from None


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def sha256(content: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for block in content:
        total.update(block)
    return total.hexdigest()


def executable(path: Path) -> str:
    """``path``, which anybody may run from now on."""
    path.chmod(0o755)
    return str(path)


def copied(path: Path, folder: Path, name: str) -> Path:
    """A copy of ``path`` as ``folder``/``name``."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(path, folder / name))
