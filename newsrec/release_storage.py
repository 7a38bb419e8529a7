"""Releases in an object store: each version under its name, and the one that is current; and a folder made of them.

    STORAGE/VERSION/   an artefact or a mixture, never changed; ``policy.json`` or ``mixture.json`` last, so that a
                       prefix that has it is whole
    STORAGE/CURRENT    a copy of the releases' own ``CURRENT``, written once the version is whole

``storage`` is s3://BUCKET/PREFIX. The store is found by AWS_ENDPOINT_URL (Amazon's own without), AWS_REGION,
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import os
import shutil
from pathlib import Path

from pyarrow.fs import FileSelector, FileType, S3FileSystem

from newsrec import releases
from newsrec.artifact import MIXTURE_FILE, InvalidArtifact
from newsrec.files import whole_directory, write_whole

_LAST = ("policy.json", MIXTURE_FILE)


class DeploymentFailed(RuntimeError):
    """The object store or the InferenceService could not be brought up to the releases; the message says what to do."""


def version_uri(storage: str, version: str) -> str:
    """``STORAGE/VERSION``. Raises DeploymentFailed for what is no s3://BUCKET/PREFIX."""
    prefix = storage.removeprefix("s3://").strip("/")
    if not storage.startswith("s3://") or not all(prefix.split("/")):
        raise DeploymentFailed(f"storage is {storage!r}, expected s3://BUCKET/PREFIX; correct the configuration")
    return f"s3://{prefix}/{version}"


def upload(directory: Path, uri: str) -> None:
    """Complete ``uri`` to a copy of ``directory``. What is there is compared first and never written again.

    Raises DeploymentFailed.
    """
    prefix = uri.removeprefix("s3://")
    names = [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]
    parts = {name: (directory / name).read_bytes() for name in sorted(names, key=lambda name: (name in _LAST, name))}
    try:
        store = _store()
        found = store.get_file_info([f"{prefix}/{name}" for name in parts])
        missing = [name for name, part in zip(parts, found, strict=True) if part.type == FileType.NotFound]
        for name in [name for name in parts if name not in missing]:
            with store.open_input_file(f"{prefix}/{name}") as there:
                if there.readall() != parts[name]:
                    difference = f"{uri}/{name} differs from {directory / name}, expected equal bytes"
                    raise DeploymentFailed(f"{difference}; find out who wrote it, delete it and repeat the run")
        for name in missing:
            with store.open_output_stream(f"{prefix}/{name}") as new:
                new.write(parts[name])
    except OSError as error:
        raise _not_written(uri, error) from None


def write_current(root: Path, storage: str) -> None:
    """Make ``STORAGE/CURRENT`` equal to that of ``root``. Raises DeploymentFailed."""
    path, text = f"{storage.removeprefix('s3://')}/CURRENT", (root / "CURRENT").read_bytes()
    try:
        store = _store()
        if store.get_file_info(path).type != FileType.NotFound:
            with store.open_input_file(path) as there:
                if there.readall() == text:
                    return
        with store.open_output_stream(path) as new:
            new.write(text)
    except OSError as error:
        raise _not_written(f"{storage}/CURRENT", error) from None


def fetch(storage: str, root: str | Path) -> bool:
    """Bring the releases folder ``root`` up to what ``storage`` names; whether another release is current by now.

    Keeps the current version and the one before. Raises OSError, InvalidArtifact and DeploymentFailed; the folder then
    stays as it was.
    """
    root, prefix, store = Path(root), version_uri(storage, "").removeprefix("s3://").rstrip("/"), _store()
    if store.get_file_info(f"{prefix}/CURRENT").type == FileType.NotFound:
        return False
    with store.open_input_file(f"{prefix}/CURRENT") as there:
        text = there.readall().decode("utf-8", "replace")
    before = (root / "CURRENT").read_text(encoding="utf-8") if (root / "CURRENT").exists() else ""
    if text == before:
        return False
    version = releases.named(text, f"{storage}/CURRENT")
    target = root / "versions" / version
    if not target.exists():
        with whole_directory(target) as partial:
            for part in store.get_file_info(FileSelector(f"{prefix}/{version}", recursive=True)):
                if part.type == FileType.File:
                    place = partial / part.path.removeprefix(f"{prefix}/{version}/")
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with store.open_input_file(part.path) as there:
                        place.write_bytes(there.readall())
            found = releases.load(partial).version
            if found != version:
                raise InvalidArtifact(f"{storage}/{version} holds {found}, expected the version that it is called")
    write_whole(root / "CURRENT", text)
    kept = {version, releases.named(before, "") if before else ""}
    for old in [path for path in (root / "versions").iterdir() if path.name not in kept]:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _store() -> S3FileSystem:
    return S3FileSystem(endpoint_override=os.environ.get("AWS_ENDPOINT_URL"))  # which it does not read itself


def _not_written(uri: str, error: OSError) -> DeploymentFailed:
    expected = "expected a bucket that this account may list, read and write"
    advice = "check its name, AWS_ENDPOINT_URL and the credentials, and repeat the run"
    return DeploymentFailed(f"{uri} was not written: {' '.join(str(error).split())}; {expected}: {advice}")
