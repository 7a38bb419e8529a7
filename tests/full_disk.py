"""A disk without room, as SQLite sees it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from newsrec.event_log import EventDatabase


@contextmanager
def full(database: EventDatabase) -> Iterator[None]:
    """The file of ``database`` may not grow from the block's beginning to its end."""
    sa.event.listen(database.engine, "checkout", _limit)
    try:
        yield
    finally:
        sa.event.remove(database.engine, "checkout", _limit)
        database.engine.dispose()  # the limit goes with the connections


def _limit(connection: Any, *_: object) -> None:
    connection.execute("PRAGMA max_page_count=1")  # which SQLite takes for the size that it has
