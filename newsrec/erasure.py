"""What leaves the event log before its time: all data of one reader, and whatever is older than a site wants to keep.

A tombstone is committed first. From then on no append takes the reader's rows from before its moment, so deleting in
steps loses against nobody, and a deletion that was interrupted is completed by asking again. Each step is a short
transaction of at most ``BATCH`` decisions: writers wait for one step, not for all.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from newsrec.database import members, transaction
from newsrec.event_tables import FEEDBACK, QUARANTINE, RECOMMENDATIONS, SETTINGS, TOMBSTONES
from newsrec.tombstones import Tombstones, reader_hash

BATCH = 1000
SCAN = 100_000
"""Decisions that one scan finds at most."""
SALT = "tombstone_salt"

Step = Callable[[], object]


class Removed(NamedTuple):
    """Rows of the event log that are gone."""

    recommendations: int = 0
    feedback: int = 0
    quarantined: int = 0

    def plus(self, recommendations: int = 0, feedback: int = 0, quarantined: int = 0) -> "Removed":
        more = (recommendations, feedback, quarantined)
        return Removed(*(mine + theirs for mine, theirs in zip(self, more, strict=True)))


def forgotten(connection: sa.Connection, user_ids: Iterable[str]) -> dict[str, int]:
    """Those of ``user_ids`` that were forgotten, and up to when (microseconds)."""
    salt = connection.scalar(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == SALT))
    if salt is None:  # nobody ever was
        return {}
    reader_of = {reader_hash(user_id, salt): user_id for user_id in set(user_ids)}
    among = TOMBSTONES.c.reader.in_(members(connection, reader_of))
    found = connection.execute(sa.select(TOMBSTONES.c.reader, TOMBSTONES.c.forgotten_at).where(among))
    return {reader_of[reader]: moment for reader, moment in found}


def without_forgotten(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """``rows`` (of decisions or feedback) less those from before their reader was forgotten."""
    moments = forgotten(connection, (row["user_id"] for row in rows))
    if not moments:
        return rows
    return [row for row in rows if row["user_id"] not in moments or row["time"] > moments[row["user_id"]]]


def tombstones(connection: sa.Connection) -> Tombstones:
    """All of the log."""
    salt = connection.scalar(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == SALT))
    if salt is None:
        return Tombstones()
    found = connection.execute(sa.select(TOMBSTONES.c.reader, TOMBSTONES.c.forgotten_at))
    return Tombstones({salt: {reader: moment for reader, moment in found}})


def bury(connection: sa.Connection, user_id: str, now: int) -> int:
    """Put up the tombstone, unfinished, and return its moment: ``now``, or the reader's last arrival if that is later.

    Asked again, it moves on: the reader wants to be forgotten as of the later moment.
    """
    salt = connection.scalar(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == SALT))
    if salt is None:
        salt = secrets.token_hex(16)
        connection.execute(SETTINGS.insert(), {"name": SALT, "value": salt})
    arrived = connection.scalar(sa.select(sa.func.max(FEEDBACK.c.received_at)).where(FEEDBACK.c.user_id == user_id))
    reader = reader_hash(user_id, salt)
    this = TOMBSTONES.c.reader == reader
    before = connection.scalar(sa.select(TOMBSTONES.c.forgotten_at).where(this))
    moment = max(time for time in (now, arrived, before) if time is not None)
    connection.execute(TOMBSTONES.delete().where(this))
    connection.execute(TOMBSTONES.insert(), {"reader": reader, "forgotten_at": moment, "finished": False})
    return moment


def finish(connection: sa.Connection, user_id: str) -> int:
    """Note that nothing of the reader is left anywhere; how many deletions of others were begun and never finished."""
    salt = connection.scalar(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == SALT))
    this = TOMBSTONES.c.reader == reader_hash(user_id, salt or "")
    connection.execute(TOMBSTONES.update().where(this).values(finished=True))
    unfinished = sa.select(sa.func.count()).select_from(TOMBSTONES).where(sa.not_(TOMBSTONES.c.finished))
    return connection.scalar(unfinished) or 0


def remove_reader(engine: sa.Engine, user_id: str, moment: int) -> Removed:
    """Delete the reader's decisions up to ``moment``, all feedback on them or from that time, and what waits."""
    removed = _remove_decisions(engine, sa.and_(RECOMMENDATIONS.c.user_id == user_id, RECOMMENDATIONS.c.time <= moment))
    with transaction(engine, "write") as connection:
        for table in (FEEDBACK, QUARANTINE):
            old = sa.or_(table.c.time <= moment, table.c.received_at <= moment)
            gone = connection.execute(table.delete().where(table.c.user_id == user_id, old)).rowcount
            removed = removed.plus(**{"feedback" if table is FEEDBACK else "quarantined": gone})
    return removed


def remove_before(engine: sa.Engine, moment: int, between: Step = lambda: None) -> Removed:
    """Delete the decisions from before ``moment`` with all their feedback, and feedback that has waited since then.

    ``between`` is called after each batch. Articles stay: readers' histories and policies refer to them by their keys.
    """
    removed = _remove_decisions(engine, RECOMMENDATIONS.c.time < moment, between)
    waiting = sa.select(QUARANTINE.c.event_id).where(QUARANTINE.c.received_at < moment).limit(BATCH)
    while True:
        with transaction(engine, "write") as connection:
            ids = connection.scalars(waiting).all()
            connection.execute(QUARANTINE.delete().where(QUARANTINE.c.event_id.in_(members(connection, ids))))
        removed = removed.plus(quarantined=len(ids))
        if len(ids) < BATCH:
            return removed
        between()


def _remove_decisions(engine: sa.Engine, which: sa.ColumnElement[bool], between: Step = lambda: None) -> Removed:
    """Delete the decisions ``which`` with their feedback.

    They are found in a transaction that only reads: there is no index on what is asked for, a scan of a large table
    takes seconds, and writers need not wait for it. Feedback has the reader of its decision, and an index on readers.
    """
    removed = Removed()
    found = sa.select(RECOMMENDATIONS.c.request_id, RECOMMENDATIONS.c.user_id).where(which).limit(SCAN)
    while True:
        with transaction(engine, "read") as connection:
            rows = connection.execute(found).all()
        for start in range(0, len(rows), BATCH):
            ids, readers = zip(*rows[start : start + BATCH], strict=True)
            with transaction(engine, "write") as connection:
                theirs = FEEDBACK.c.user_id.in_(members(connection, set(readers)))
                on_them = FEEDBACK.c.request_id.in_(members(connection, ids))
                feedback = connection.execute(FEEDBACK.delete().where(theirs, on_them)).rowcount
                these = RECOMMENDATIONS.c.request_id.in_(members(connection, ids))
                removed = removed.plus(connection.execute(RECOMMENDATIONS.delete().where(these)).rowcount, feedback)
            between()
        if len(rows) < SCAN:
            return removed
