"""What a run starts from: the release that is served, the state of its source, its moment.

They are read by the run's first task, where the folders and the database are, and handed on as values: KFP's cache sees
values only, and whoever submits a run from elsewhere can see none of the three.
"""

import hashlib
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from newsrec import config, releases, tombstones
from newsrec.config import InvalidConfig
from newsrec.event_log import EventDatabase
from newsrec.ingestion import SIMULATED, split


class RunStart(NamedTuple):
    """The values, as texts."""

    incumbent: str
    """Version of the served release, "" where nothing was published yet."""
    data: str
    """Digest of the source."""
    until: str
    """Microseconds since 1970."""


def resolve(releases_root: str | Path, source: str, until: str = "", store: str | Path = "") -> RunStart:
    """What a run on ``source`` starts from; ``until`` is a time as ISO 8601 with its zone, "" for now.

    Readers who were forgotten by the feature store in the folder ``store`` change the source's digest: a cached log
    that still knows them is not used again. Raises InvalidConfig, FileNotFoundError, InvalidArtifact.
    """
    served = releases.current(releases_root)
    data, forgotten = data_digest(source), tombstones.read(store).moments if store else {}
    if forgotten:
        data = config.digest(data, forgotten)
    return RunStart(served.version if served else "", data, str(_moment(until)))


def data_digest(source: str) -> str:
    """Sixteen hex digits over the bytes behind ``kind:PATH``, or over the state of the event log ``log:URL``.

    A simulated log has none: its configuration says all. Raises FileNotFoundError.
    """
    if source == SIMULATED:
        return ""
    kind, where = split(source)
    path = Path(where.removeprefix("sqlite:///"))
    if kind == "log" and (path.exists() or not where.startswith("sqlite:///")):
        database = EventDatabase(where)
        try:
            return config.digest(database.watermark())
        finally:
            database.close()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected the log of {source!r}")
    return digest_files([p for p in path.rglob("*") if p.is_file()] or [path], path)


def digest_files(files: Iterable[Path], root: Path) -> str:
    """Sixteen hex digits over names below ``root`` and bytes of ``files``."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(str(path.relative_to(root)).encode())
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def _moment(until: str) -> int:
    if not until:
        return time.time_ns() // 1_000
    try:
        parsed = datetime.fromisoformat(until)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise InvalidConfig(f"until is {until!r}, expected a time with its zone, such as 2026-01-31T04:00:00Z")
    return (parsed - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
