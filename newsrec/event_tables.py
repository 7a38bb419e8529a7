"""The SQL tables of the event schema, and the rows that go in and out of them.

A table has the columns of its Arrow schema in ``newsrec.events``, the first one its key; times are BIGINT microseconds,
lists and the context are JSON, embeddings are bytes. ``records`` checks rows before they are stored.
"""

import reprlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from newsrec.events import CONTEXT, SCHEMAS, TIME, InvalidEvents, from_rows, validate

MAX_ID_BYTES = 512
"""Longest identifier in UTF-8; an index of PostgreSQL holds no entry above 2,704 bytes."""
SCAN_ROWS = 10_000
"""Rows that ``scan`` holds as Python objects at a time."""


class _Float32List(sa.types.TypeDecorator):
    """A list of float32 as little-endian bytes: exact, and a fifth of its JSON."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> bytes | None:
        return None if value is None else np.asarray(value, "<f4").tobytes()

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> list[float] | None:
        return None if value is None else np.frombuffer(value, "<f4").tolist()


TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # both databases order by bytes
_JSON = sa.JSON(none_as_null=True)
_SQL_TYPES: dict[pa.DataType, Any] = {
    pa.string(): TEXT,
    TIME: sa.BigInteger,
    pa.int16(): sa.Integer,
    pa.int32(): sa.Integer,
    pa.float32(): sa.Double,
    CONTEXT: _JSON,
    pa.list_(pa.string()): _JSON,
    pa.list_(pa.float64()): _JSON,
    pa.list_(pa.float32()): _Float32List,
}
METADATA = sa.MetaData()


def _table(name: str, schema: pa.Schema, *more: sa.schema.SchemaItem) -> sa.Table:
    columns = [
        sa.Column(field.name, _SQL_TYPES[field.type], primary_key=number == 0, nullable=field.nullable)
        for number, field in enumerate(schema)
    ]
    return sa.Table(name, METADATA, *columns, *more)


ARTICLES = _table("articles", SCHEMAS["articles"], sa.Column("updated_at", sa.BigInteger, nullable=False, index=True))
RECOMMENDATIONS = _table("recommendations", SCHEMAS["recommendations"])
FEEDBACK = _table(
    "feedback",
    SCHEMAS["feedback"],
    sa.Index("feedback_of_reader", "user_id", "received_at"),
    sa.Index("feedback_by_arrival", "received_at"),
)
QUARANTINE = _table(
    "quarantine",
    SCHEMAS["feedback"],
    sa.Column("reason", TEXT, nullable=False),
    sa.Index("quarantine_of_request", "request_id"),
)
TOMBSTONES = sa.Table(
    "tombstones",
    METADATA,
    sa.Column("reader", TEXT, primary_key=True),
    sa.Column("forgotten_at", sa.BigInteger, nullable=False),
    sa.Column("finished", sa.Boolean, nullable=False),
)
"""Readers who asked to be forgotten: their salted hash, up to when, and whether nothing of them is left anywhere."""
SETTINGS = sa.Table(
    "settings", METADATA, sa.Column("name", TEXT, primary_key=True), sa.Column("value", TEXT, nullable=False)
)
"""What belongs to this log: the salt of its tombstones, up to when feedback has reached the online store."""
PROBE = sa.Table("write_probe", sa.MetaData(), sa.Column("stored", sa.Boolean))
"""Made and dropped again by whoever asks whether the database takes anything."""


def records(name: str, rows: list[dict], newest: bool = False) -> list[dict]:
    """The validated ``rows`` as they are stored: of each key the first one, or the ``newest``. Raises InvalidEvents."""
    table = _typed(name, rows)
    keys = list(enumerate(table[0].to_pylist()))
    kept = {key: number for number, key in (keys if newest else reversed(keys))}
    distinct = [key if kept[key] == number else f"{key} again in row {number}" for number, key in keys]
    table = validate(table.set_column(0, table.field(0), pa.array(distinct, pa.string())), name)
    for position, field in enumerate(SCHEMAS[name]):
        if field.type == pa.string():
            _refuse_text(name, field.name, table[position])
        elif field.type == TIME:
            table = table.set_column(position, field.name, table[position].cast(pa.int64()))
    return table.take(pa.array(sorted(kept.values()), pa.int64())).to_pylist()


def scan(connection: sa.Connection, name: str, query: sa.Select) -> pa.Table:
    """The validated rows of ``query`` in the schema ``name``."""
    result = connection.execute(query, execution_options={"yield_per": SCAN_ROWS})
    parts = [validate(from_rows(name, (dict(row._mapping) for row in part)), name) for part in result.partitions()]
    return pa.concat_tables(parts) if parts else validate(from_rows(name, []), name)


def _typed(name: str, rows: list[dict]) -> pa.Table:
    """``rows`` as an Arrow table; the error for a value of a wrong type names its row and column."""
    unfit = (pa.ArrowException, TypeError, ValueError, OverflowError)
    try:
        return from_rows(name, rows)
    except unfit:
        for number, row in enumerate(rows):
            for field in SCHEMAS[name]:
                value = row.get(field.name)
                try:
                    pa.array([value], field.type)
                except unfit:
                    where, found = f"{name} row {number}, column {field.name}", reprlib.repr(value)
                    raise InvalidEvents(f"{where}: found {found}, expected {field.type}") from None
        raise


def _refuse_text(name: str, column: str, values: pa.ChunkedArray) -> None:
    """Raise InvalidEvents for a NUL (PostgreSQL holds none), and an identifier that is empty or outgrows an index."""
    bad, expected = pc.match_substring(values, "\0"), "text without NUL"
    if column.endswith("_id"):
        size = pc.binary_length(values)
        bad = pc.or_(bad, pc.or_(pc.equal(size, 0), pc.greater(size, MAX_ID_BYTES)))
        expected += f" of 1 to {MAX_ID_BYTES} bytes"
    row = pc.index(pc.fill_null(bad, False), True).as_py()
    if row >= 0:
        found = reprlib.repr(values[row].as_py())
        raise InvalidEvents(f"{name} row {row}, column {column}: found {found}, expected {expected}")
