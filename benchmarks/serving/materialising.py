"""One materialisation in a process of its own, whose peak is told: ROOT WHO READERS SNAPSHOTS, answered in JSON."""

import hashlib
import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.serving.memory import NOW, _row
from feature_repo.served import moment
from feature_repo.store import Store, open_store
from feature_repo.views import EVENT_TIME
from newsrec.features import ARTICLE_FEATURES, READER_FEATURES, VIEW_VERSION
from newsrec.snapshots import _schema

CHUNK = 2_000
READERS, ARTICLES = _schema("user_id", READER_FEATURES), _schema("article_id", ARTICLE_FEATURES)


def write_offline(store: Store, readers: int, snapshots: int) -> None:
    """As ``Store.write_offline`` leaves it, of random readers, and one article."""
    folder, draw = store.root / "offline", np.random.default_rng(0)
    folder.mkdir()
    _, schema = _stamped([], READERS)
    with pq.ParquetWriter(folder / f"reader_v{VIEW_VERSION}.parquet", schema) as writer:
        for start in range(0, readers, CHUNK):
            rows = [
                {"user_id": _name(number), "event_timestamp": NOW + snapshot, **_row(draw, impressions=True)}
                for number in range(start, min(start + CHUNK, readers))
                for snapshot in range(snapshots)
            ]
            writer.write_table(_stamped(rows, READERS)[0])
    article = {"article_id": "a", "event_timestamp": NOW, "published_at": NOW, "as_of": NOW}
    pq.write_table(_stamped([article], ARTICLES)[0], folder / f"article_v{VIEW_VERSION}.parquet")


def _stamped(rows: list[dict[str, Any]], schema: pa.Schema) -> tuple[pa.Table, pa.Schema]:
    table = pa.Table.from_pylist(rows, schema=schema)
    table = table.append_column(EVENT_TIME, table["event_timestamp"].cast(pa.int64()))
    return table, table.schema


def _name(number: int) -> str:
    return f"reader-{number:08}"


def digest_offline(store: Store) -> str:
    """Of the latest row of each reader, in the order of their ids."""
    digest = hashlib.sha256()
    latest: dict[str, Any] = {}
    for batch in pq.ParquetFile(store.root / "offline" / f"reader_v{VIEW_VERSION}.parquet").iter_batches(CHUNK):
        for row in batch.drop_columns(["event_timestamp"]).to_pylist():
            if latest and latest["user_id"] != row["user_id"]:
                _add(digest, latest)
            latest = row
    _add(digest, latest)
    return digest.hexdigest()


def digest_online(store: Store, readers: int) -> str:
    """The same of the rows that are online."""
    digest = hashlib.sha256()
    for start in range(0, readers, CHUNK):
        ids = [_name(number) for number in range(start, min(start + CHUNK, readers))]
        for user_id, row in zip(ids, store.readers(ids), strict=True):
            _add(digest, {**row, "user_id": user_id, EVENT_TIME: row.pop("event_timestamp")})
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", row: dict[str, Any]) -> None:
    row.pop("event_timestamp", None)
    digest.update(repr(sorted(row.items())).encode())


def peak_mib() -> float:
    """Resident memory of this program at its most: ``ru_maxrss`` would be that of the process that started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def main(root: str, who: str, readers: int, snapshots: int) -> None:
    """Materialise the store in ``root`` by ``who``, ours or feast."""
    store = open_store(root)
    until = moment(NOW + snapshots)
    start, worked = time.perf_counter(), time.process_time()
    if who == "ours":
        store.materialize(until)
    else:
        views = [store._reader.view.name, store._article.view.name]
        store._feast.materialize(until - timedelta(days=1), until, views)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    told = {"seconds": seconds, "cpu_seconds": worked, "peak_mib": peak_mib()}
    print(json.dumps(told | {"expected": digest_offline(store), "found": digest_online(store, readers)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
