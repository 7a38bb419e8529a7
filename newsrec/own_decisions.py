"""A short way into the event log for the decisions of the project's own predictor, which are right by construction.

``EventDatabase.append_recommendations`` checks every value of rows from anywhere, which costs more than a hundred
microseconds a row while the process could be answering readers. Here a row goes to the database as it is: SQLite takes
all in one prepared statement, PostgreSQL as one JSON document that the server takes apart. What the log promises stays:
a repeated ``request_id`` changes nothing, and feedback that waits for a decision is released in the same transaction.
"""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from newsrec.database import held
from newsrec.event_tables import QUARANTINE, RECOMMENDATIONS
from newsrec.quarantine import release

Encode = Callable[[Any], bytes]
"""Makes JSON in UTF-8."""

_NAMES = [column.name for column in RECOMMENDATIONS.columns]
_JSON = [isinstance(column.type, sa.JSON) for column in RECOMMENDATIONS.columns]
_INSERT = f"INSERT INTO {RECOMMENDATIONS.name} ({', '.join(_NAMES)})"
_NOTHING_TWICE = "ON CONFLICT (request_id) DO NOTHING"
_SQLITE = f"{_INSERT} VALUES ({', '.join('?' * len(_NAMES))}) {_NOTHING_TWICE}"


def append(connection: sa.Connection, rows: Sequence[dict[str, Any]], now: int, encode: Encode) -> int:
    """How many of ``rows`` were new. Each has every column of the schema; none is checked here."""
    if not rows:
        return 0
    if connection.dialect.name == "sqlite":
        done = connection.exec_driver_sql(_SQLITE, [_stored(row, encode) for row in rows])
    else:
        done = connection.exec_driver_sql(_postgresql(connection.dialect), (encode(rows).decode(),))
    if waiting := held(connection, QUARANTINE.c.request_id, [row["request_id"] for row in rows]):
        release(connection, sorted(waiting), now)
    return done.rowcount


def _stored(row: dict[str, Any], encode: Encode) -> tuple[Any, ...]:
    """The values of ``row`` in the order of the table; lists and the context as JSON."""
    values = (row[name] for name in _NAMES)
    return tuple(
        encode(value).decode() if is_json and value is not None else value
        for value, is_json in zip(values, _JSON, strict=True)
    )


def _postgresql(dialect: sa.Dialect) -> str:
    """The statement that takes a JSON list of rows; a null in it is a null of the column."""
    types = (f"{column.name} {column.type.compile(dialect).split(' COLLATE')[0]}" for column in RECOMMENDATIONS.columns)
    source = f"json_to_recordset(%s::json) AS row ({', '.join(types)})"
    return f"{_INSERT} SELECT {', '.join(_NAMES)} FROM {source} {_NOTHING_TWICE}"
