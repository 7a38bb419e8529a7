"""Which feedback may be read: what fits its recommendation. The rest waits in the table ``quarantine``.

Feedback can arrive before its recommendation, which then releases it, with a new ``received_at``. Feedback on another
reader's slate, or on an article that was not in it, stays for good.
"""

import sqlalchemy as sa

from newsrec.database import members
from newsrec.event_tables import FEEDBACK, QUARANTINE, RECOMMENDATIONS
from newsrec.events import SCHEMAS

UNKNOWN_REQUEST = "unknown request_id"
OTHER_READER = "the request is another reader's"
NOT_SHOWN = "the article was not in the slate"


def release(connection: sa.Connection, request_ids: list[str], now: int) -> None:
    """Move the feedback that waits for ``request_ids`` out of quarantine, in the order of its arrival."""
    theirs = QUARANTINE.c.request_id.in_(members(connection, request_ids))
    columns = [QUARANTINE.c[name] for name in SCHEMAS["feedback"].names]
    waiting = sa.select(*columns).where(theirs).order_by("received_at", "event_id")
    rows = [dict(row) for row in connection.execute(waiting).mappings()]
    connection.execute(QUARANTINE.delete().where(theirs))
    admit(connection, rows, now)


def admit(connection: sa.Connection, rows: list[dict], now: int) -> list[dict]:
    """Accept the rows that fit their recommendation, quarantine the others; those that were accepted."""
    wanted = RECOMMENDATIONS.c.request_id.in_(members(connection, {row["request_id"] for row in rows}))
    columns = (RECOMMENDATIONS.c.request_id, RECOMMENDATIONS.c.user_id, RECOMMENDATIONS.c.slate)
    found = connection.execute(sa.select(*columns).where(wanted))
    shown = {request_id: (user_id, slate) for request_id, user_id, slate in found}
    reasons = [_misfit(row, shown.get(row["request_id"])) for row in rows]
    usable = [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
    _accept(connection, usable, now)
    waiting = [{**row, "reason": reason} for row, reason in zip(rows, reasons, strict=True) if reason is not None]
    if waiting:
        connection.execute(QUARANTINE.insert(), waiting)
    return usable


def _accept(connection: sa.Connection, rows: list[dict], now: int) -> None:
    """Store feedback, each event received later than every earlier one of its reader, ``now`` at the earliest."""
    if not rows:
        return
    readers = members(connection, {row["user_id"] for row in rows}).subquery()
    latest = sa.select(sa.func.max(FEEDBACK.c.received_at)).where(FEEDBACK.c.user_id == readers.c.value)
    found = connection.execute(sa.select(readers.c.value, latest.scalar_subquery()))
    last = {reader: received for reader, received in found if received is not None}
    for row in rows:
        reader = row["user_id"]
        last[reader] = row["received_at"] = max(now, last.get(reader, now - 1) + 1)
    connection.execute(FEEDBACK.insert(), rows)


def _misfit(row: dict, shown: tuple[str, list[str]] | None) -> str | None:
    """Why ``row`` is not feedback on the slate that its reader was ``shown``, None where it is."""
    if shown is None:
        return UNKNOWN_REQUEST
    user_id, slate = shown
    if row["user_id"] != user_id:
        return OTHER_READER
    if row["article_id"] is not None and row["article_id"] not in slate:
        return NOT_SHOWN
    return None
