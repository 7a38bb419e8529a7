"""Offline rows without certain readers, and the lock that keeps those who rewrite offline rows out of each other's way.

Whoever writes offline rows or moves them online holds the lock from reading the tombstones to the end. So a reader who
is forgotten meanwhile is either left out by the writer, or found in what it wrote.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LOCK = ".lock"


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the lock of the store in ``root``; another process waits for it, and a killed one gives it back."""
    with (root / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def erase_offline(root: Path, key: str, ids: Sequence[str]) -> int:
    """Rewrite every Parquet file below ``root/offline`` that has rows with one of ``ids`` in ``key``; how many rows.

    Each file is replaced whole. What an interrupted writer left beside them goes too: it may hold the same rows. The
    caller holds the lock.
    """
    for left in (*root.glob(".offline.*"), *root.glob("offline/.*.parquet.*")):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return sum(_rewrite(path, key, pa.array(ids)) for path in sorted(root.glob("offline/*.parquet")))


def _rewrite(path: Path, key: str, ids: pa.Array) -> int:
    """One row group in memory at a time."""
    with pq.ParquetFile(path) as file:
        if key not in file.schema_arrow.names:
            return 0
        groups = range(file.num_row_groups)
        gone = sum(pc.sum(pc.is_in(file.read_row_group(g, [key])[key], value_set=ids)).as_py() or 0 for g in groups)
        if not gone:
            return 0
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            with partial.open("wb") as out:
                with pq.ParquetWriter(out, file.schema_arrow) as writer:
                    for group in groups:
                        rows = file.read_row_group(group)
                        writer.write_table(rows.filter(pc.invert(pc.is_in(rows[key], value_set=ids))))
                out.flush()
                os.fsync(out.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return gone
