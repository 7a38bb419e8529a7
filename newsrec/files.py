"""Directories and files that appear whole or not at all, whatever kills the process that writes them."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_directory(target: str | Path) -> Iterator[Path]:
    """An empty folder beside ``target`` to write into; it takes the name ``target`` when the block ends without error.

    What ``target`` held before is replaced. After an error nothing of the new folder stays.
    """
    target = Path(target).absolute()
    partial = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    partial.mkdir(parents=True)
    try:
        yield partial
        _sync(partial)
        old = partial.with_name(f"{partial.name}.old")
        if target.exists():
            os.rename(target, old)
        os.rename(partial, target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_whole(target: str | Path, text: str) -> None:
    """Write ``text`` to the file ``target``, replacing it in one step."""
    target = Path(target).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Flush every file below ``directory`` to the disk, so that the rename never outruns the bytes."""
    for path in directory.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
