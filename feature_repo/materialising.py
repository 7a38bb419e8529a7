"""The latest offline rows to the online store, in batches: memory does not grow with the number of readers.

DuckDB reads the Parquet file within LIMIT and spills to disk beyond it. The first pass reads moments alone and asks the
online store which rows lag behind; the second moves these and reads their moments back, since an engine that wrote
nothing can report success.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from feature_repo.errors import MaterialisationFailed
from feature_repo.served import BATCH, Served, moment
from feature_repo.views import EVENT_TIME

LIMIT = "256MB"
"""Of DuckDB's own memory."""


class Moved(NamedTuple):
    """What became of one view."""

    rows: int
    """Entities with an offline row up to the moment; each is online, as new as offline or newer."""
    lagged: int
    """Of these, those that were missing or older online before."""


def bring_up(served: Served, path: Path, until: int) -> Moved:
    """Write the latest row of each entity in the Parquet file ``path`` up to ``until`` (microseconds) where it lags.

    A newer row that stands online stays. Raises MaterialisationFailed where rows are missing or too old afterwards.
    """
    rows = lagged = 0
    start, late = until, _Late()
    with _reading(path) as source:
        newest = f"SELECT {served.key}, max({EVENT_TIME}) FROM source WHERE {EVENT_TIME} <= {until} GROUP BY ALL"
        for batch in _batches(source, newest):
            ids, times = (column.to_pylist() for column in batch.columns)
            lagging = [time for time, lags in zip(times, _lags(served, ids, times), strict=True) if lags]
            rows, lagged, start = rows + len(ids), lagged + len(lagging), min([start, *lagging])
        if lagged:
            latest = f"SELECT * FROM source WHERE {EVENT_TIME} BETWEEN {start} AND {until} QUALIFY 1 = row_number() "
            latest += f"OVER (PARTITION BY {served.key} ORDER BY {EVENT_TIME} DESC)"
            for batch in _batches(source, latest):
                told = batch.rename_columns([_STAMP.get(name, name) for name in batch.schema.names]).to_pylist()
                served.write(told)
                late = late.and_those(served, [(row[served.key], row["event_timestamp"]) for row in told])
    if late.first is not None:
        _refuse(served, late.count, rows, *late.first)
    return Moved(rows, lagged)


def entity_ids(served: Served, path: Path) -> Iterator[list[str]]:
    """Every entity in the Parquet file ``path``, in the order of their ids, some at a time."""
    with _reading(path) as source:
        for batch in _batches(source, f"SELECT DISTINCT {served.key} FROM source ORDER BY ALL"):
            yield batch.column(0).to_pylist()


class _Late(NamedTuple):
    """How many rows are missing or too old online though they were written, and the first by its id."""

    count: int = 0
    first: tuple[str, int] | None = None

    def and_those(self, served: Served, rows: Sequence[tuple[str, int]]) -> "_Late":
        """With those of ``rows``, ids and moments."""
        ids, times = zip(*rows, strict=True)
        lags = _lags(served, ids, times)
        late = [row for row, lags_behind in zip(rows, lags, strict=True) if lags_behind]
        return _Late(self.count + len(late), min([*late, *([self.first] if self.first else [])], default=None))


_STAMP = {"event_timestamp": "moment", EVENT_TIME: "event_timestamp"}
"""Offline both are there; rows of the store have the moment as int microseconds."""


@contextmanager
def _reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose view ``source`` is the Parquet file ``path``."""
    with tempfile.TemporaryDirectory() as spilled:
        settings = {"memory_limit": LIMIT, "temp_directory": spilled, "threads": 1, "preserve_insertion_order": False}
        with duckdb.connect(config=settings) as connection:
            connection.read_parquet(str(path)).create_view("source")
            yield connection


def _batches(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    return iter(connection.sql(query).to_arrow_reader(BATCH))


def _lags(served: Served, ids: Sequence[str], times: Sequence[int]) -> list[bool]:
    """Which rows are missing or older online than ``times``."""
    online = served.event_times(ids)
    return [found is None or found < time for found, time in zip(online, times, strict=True)]


def _refuse(served: Served, behind: int, expected: int, entity_id: str, wanted: int) -> None:
    (time,) = served.event_times([entity_id])
    found = "none" if time is None else f"one of {moment(time)}"
    raise MaterialisationFailed(
        f"{behind} of {expected} rows of {served.view.name} are missing or too old online, first "
        f"{served.key} {entity_id!r}: found {found}, expected one of {moment(wanted)}"
    )
