"""SQLite on one machine, PostgreSQL in a cluster: what differs between the two, so that nothing else needs to know.

In both a commit is on disk when it returns, writers take turns, and a reader sees one moment.
"""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from newsrec.config import InvalidConfig

LOCK_SECONDS = 30
"""How long a writer waits for its turn before the database's error reaches the caller."""

_OPENING = {
    ("sqlite", "write"): "BEGIN IMMEDIATE",
    ("sqlite", "read"): "BEGIN",
    ("postgresql", "write"): "SELECT pg_advisory_xact_lock(7954801911)",
    ("postgresql", "read"): "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
}
"""The first statement of a transaction: a writer waits for its turn, a reader sees one moment."""
_AMONG: dict[str, tuple[str, Callable[[list[str]], Any]]] = {
    "sqlite": ("IN (SELECT value FROM json_each(?))", json.dumps),
    "postgresql": ("= ANY(%s)", list),
}
"""How a value is asked for among a list of texts, and the list as the one parameter that it travels in."""


def connect(url: str) -> sa.Engine:
    """An engine for ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``. Raises InvalidConfig."""
    expected = "expected sqlite:///FILE or postgresql://USER@HOST/NAME"
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # the latter for a port that is no number
        raise InvalidConfig(f"event log {without_password(url)!r} is no database URL; {expected}") from None
    if parsed.drivername == "sqlite" and parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            parsed, connect_args={"timeout": LOCK_SECONDS, "isolation_level": None}, hide_parameters=True
        )
        sa.event.listen(engine, "connect", _prepare_sqlite)
        return engine
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        wait = f"-c lock_timeout={LOCK_SECONDS}s -c idle_in_transaction_session_timeout={LOCK_SECONDS}s"
        url_of_driver = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(url_of_driver, pool_pre_ping=True, connect_args={"options": wait}, hide_parameters=True)
    raise InvalidConfig(f"event log {without_password(url)!r} cannot be shared or is unknown; {expected}")


def without_password(text: str) -> str:
    """``text`` with ``***`` for whatever may be a password in a URL, however wrong it is."""
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", re.sub(r"(?s):.*@", ":***@", text))


@contextmanager
def transaction(engine: sa.Engine, kind: Literal["read", "write"]) -> Iterator[sa.Connection]:
    """A connection; what was written is committed at the end, and nothing of it after an error."""
    with engine.begin() as connection:
        connection.exec_driver_sql(_OPENING[engine.name, kind])
        yield connection


def members(connection: sa.Connection, values: Iterable[str]) -> sa.Select:
    """A query for ``values``, which travel as one parameter however many they are."""
    if connection.engine.name == "sqlite":
        rows = sa.func.json_each(sa.literal(list(values), sa.JSON)).table_valued("value")
    else:
        rows = sa.func.unnest(sa.literal(list(values), sa.ARRAY(sa.Text))).table_valued("value").render_derived()
    return sa.select(rows.c.value)


def held(connection: sa.Connection, key: sa.Column, values: Iterable[str]) -> set[str]:
    """Those of ``values`` that stand in the column ``key``.

    Asked with every batch of a log, in plain SQL: a statement of SQLAlchemy's takes longer to make than to answer.
    """
    among, given = _AMONG[connection.dialect.name]
    asked = f"SELECT DISTINCT {key.name} FROM {key.table.name} WHERE {key.name} {among}"
    return set(connection.exec_driver_sql(asked, (given(list(values)),)).scalars())


def flush_deletions(engine: sa.Engine) -> bool:
    """Bring what was deleted out of SQLite's write-ahead log, too; False while somebody still reads an older state.

    PostgreSQL does so in its own time, by its vacuum.
    """
    if engine.name != "sqlite":
        return True
    with engine.connect() as connection:
        return connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0] == 0


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA synchronous=FULL")  # a commit is on disk before it returns
    connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten with zeros, in freed pages too
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not wait for each other
            return
        except sqlite3.OperationalError as error:  # two switch a new file at once: SQLite's timeout skips this case
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
