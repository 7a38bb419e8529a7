"""The durable event log: idempotent append and scan of articles, recommendations and feedback in a SQL database.

SQLite serves one machine: several processes and threads share its file. PostgreSQL serves the cluster. Writers take
turns in both, so rows become visible in the order of their stamps (``received_at`` of a reader's feedback,
``updated_at`` of an article), and whoever polls for what is newer than the last stamp seen misses nothing.

Feedback that arrives before its recommendation waits in the table ``quarantine`` and is released, with a new
``received_at``, by the recommendation. Feedback on another reader's slate, or on an article that was not in it, stays
there for good: it never reaches a history.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from newsrec.config import InvalidConfig
from newsrec.event_tables import ARTICLES, FEEDBACK, METADATA, PROBE, QUARANTINE, RECOMMENDATIONS, records, scan
from newsrec.events import SCHEMAS, EventLog, InvalidEvents

LOCK_SECONDS = 30
"""How long a writer waits for its turn before the database's error reaches the caller."""
UNKNOWN_REQUEST = "unknown request_id"
OTHER_READER = "the request is another reader's"
NOT_SHOWN = "the article was not in the slate"

_OPENING = {
    ("sqlite", "write"): "BEGIN IMMEDIATE",
    ("sqlite", "read"): "BEGIN",
    ("postgresql", "write"): "SELECT pg_advisory_xact_lock(7954801911)",
    ("postgresql", "read"): "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
}
"""The first statement of a transaction: a writer waits for its turn, a reader sees one moment."""
_SAME_REQUEST = RECOMMENDATIONS.c.request_id == FEEDBACK.c.request_id


class AppendResult(NamedTuple):
    """What became of the rows of one call: stored as new, already there, waiting for their recommendation."""

    accepted: int
    repeated: int
    quarantined: int


class EventDatabase:
    """The event log in the database at ``url``: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.

    Missing tables are created. What a method wrote is on disk when it returns, the whole call or none of it. Rows are
    dictionaries of the schema's columns, times in microseconds; methods that take rows raise InvalidEvents for the
    first bad one, naming row and column, before anything is written. ``now`` is the caller's clock in microseconds.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        with self._transaction("write") as connection:
            METADATA.create_all(connection)

    def close(self) -> None:
        """Close the connections that no call is using."""
        self.engine.dispose()

    def append_recommendations(self, rows: list[dict], now: int) -> int:
        """How many of ``rows`` were new; a repeated ``request_id`` changes nothing.

        Feedback that waited for one of them becomes readable in the same transaction, received ``now``.
        """
        given = records("recommendations", rows)
        with self._transaction("write") as connection:
            held = self._held(connection, RECOMMENDATIONS.c.request_id, (row["request_id"] for row in given))
            new = [row for row in given if row["request_id"] not in held]
            if new:
                connection.execute(RECOMMENDATIONS.insert(), new)
                self._release(connection, [row["request_id"] for row in new], now)
        return len(new)

    def append_feedback(self, rows: list[dict], now: int) -> AppendResult:
        """What became of each row; a repeated ``event_id`` changes nothing.

        Each ``received_at`` is set here: ``now``, or the microsecond after the reader's last one where that is later.
        """
        given = records("feedback", [{**row, "received_at": now} for row in rows])
        with self._transaction("write") as connection:
            ids = [row["event_id"] for row in given]
            held = self._held(connection, FEEDBACK.c.event_id, ids) | self._held(connection, QUARANTINE.c.event_id, ids)
            new = [row for row in given if row["event_id"] not in held]
            usable = self._admit(connection, new, now)
        return AppendResult(usable, len(rows) - len(new), len(new) - usable)

    def upsert_articles(self, rows: list[dict], now: int) -> int:
        """How many articles are new or changed; what was withdrawn stays withdrawn.

        Of two rows of one article the later one counts. Raises InvalidEvents too where an embedding is not as long as
        those already stored.
        """
        given = records("articles", rows, newest=True)
        with self._transaction("write") as connection:
            _refuse_other_width(connection, given)
            among = ARTICLES.c.article_id.in_(self._select(row["article_id"] for row in given))
            stored = {row["article_id"]: row for row in connection.execute(sa.select(ARTICLES).where(among)).mappings()}
            changed = []
            for row in given:
                old = stored.get(row["article_id"])
                if old is not None and old["hidden_at"] is not None:
                    hidden_at = old["hidden_at"] if row["hidden_at"] is None else row["hidden_at"]
                    row["hidden_at"] = min(old["hidden_at"], hidden_at)
                if old is None or any(old[column] != value for column, value in row.items()):
                    changed.append(row)
            if changed:
                stamp = _next_update(connection, now)
                replaced = ARTICLES.c.article_id.in_(self._select(row["article_id"] for row in changed))
                connection.execute(ARTICLES.delete().where(replaced))
                connection.execute(ARTICLES.insert(), [{**row, "updated_at": stamp} for row in changed])
        return len(changed)

    def hide_article(self, article_id: str, now: int) -> bool:
        """Withdraw the article from ``now`` on (an earlier ``hidden_at`` stays); False where it is unknown."""
        this = ARTICLES.c.article_id == article_id
        shown = sa.or_(ARTICLES.c.hidden_at.is_(None), ARTICLES.c.hidden_at > now)
        with self._transaction("write") as connection:
            values = {"hidden_at": now, "updated_at": _next_update(connection, now)}
            connection.execute(ARTICLES.update().where(this, shown).values(values))
            return bool(connection.scalar(sa.select(sa.exists().where(this))))

    def articles(self, updated_after: int | None = None) -> tuple[pa.Table, int | None]:
        """The articles that changed after the stamp ``updated_after``, or all; and the stamp to ask with next time.

        They come in the order of their changes, articles of one change by id.
        """
        changed = sa.true() if updated_after is None else ARTICLES.c.updated_at > updated_after
        query = sa.select(ARTICLES).where(changed).order_by("updated_at", "article_id")
        with self._transaction("read") as connection:
            stamp = connection.scalar(sa.select(sa.func.max(ARTICLES.c.updated_at)))
            return scan(connection, "articles", query), stamp

    def feedback_of(self, user_id: str, received_after: int | None = None) -> list[dict]:
        """One reader's feedback in the order of ``received_at``, from which the reader's state is folded.

        Each row has the columns of feedback and ``utc_offset_minutes`` of its recommendation's context, or None.
        """
        offset = RECOMMENDATIONS.c.context["utc_offset_minutes"].as_integer().label("utc_offset_minutes")
        later = sa.true() if received_after is None else FEEDBACK.c.received_at > received_after
        mine = sa.select(FEEDBACK, offset).join(RECOMMENDATIONS, _SAME_REQUEST).where(FEEDBACK.c.user_id == user_id)
        with self._transaction("read") as connection:
            rows = connection.execute(mine.where(later).order_by(FEEDBACK.c.received_at))
            return [dict(row) for row in rows.mappings()]

    def read_since(self, user_id: str, time: int) -> list[str]:
        """The articles that the reader opened at ``time`` or later, however many a packed history keeps."""
        mine = (FEEDBACK.c.user_id == user_id, FEEDBACK.c.kind.in_(("click", "dwell")), FEEDBACK.c.time >= time)
        with self._transaction("read") as connection:
            return list(connection.scalars(sa.select(FEEDBACK.c.article_id).where(*mine).distinct()))

    def export(self, received_before: int | None = None, since: int | None = None) -> EventLog:
        """The log as it was known at ``received_before``, in a fixed order (time, then key).

        Decisions were made before that moment, and from ``since`` on; feedback belongs to one of them and was received
        before that moment. The catalogue is the current one, whole.
        """
        made, received = RECOMMENDATIONS.c.time, FEEDBACK.c.received_at
        window = [] if since is None else [made >= since]
        known = []
        if received_before is not None:
            window.append(made < received_before)
            known.append(received < received_before)
        decisions = sa.select(RECOMMENDATIONS).where(*window)
        feedback = sa.select(FEEDBACK).join(RECOMMENDATIONS, _SAME_REQUEST).where(*window, *known)
        with self._transaction("read") as connection:
            return EventLog(
                scan(connection, "articles", sa.select(ARTICLES).order_by("article_id")),
                scan(connection, "recommendations", decisions.order_by(made, "request_id")),
                scan(connection, "feedback", feedback.order_by(received, FEEDBACK.c.event_id)),
            )

    def watermark(self) -> dict[str, list[int | None]]:
        """Rows and latest moment of each exported table: numbers that change when what ``export`` returns changes."""
        moments = {ARTICLES: ARTICLES.c.updated_at, RECOMMENDATIONS: RECOMMENDATIONS.c.time}
        moments[FEEDBACK] = FEEDBACK.c.received_at
        with self._transaction("read") as connection:
            return {
                table.name: list(connection.execute(sa.select(sa.func.count(), sa.func.max(moment))).one())
                for table, moment in moments.items()
            }

    def quarantine_size(self) -> int:
        """How many feedback events wait for their recommendation."""
        with self._transaction("read") as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(QUARANTINE)) or 0

    def quarantined(self) -> list[dict]:
        """The feedback that waits, oldest first: its columns and the ``reason``."""
        waiting = sa.select(QUARANTINE).order_by("received_at", "event_id")
        with self._transaction("read") as connection:
            return [dict(row) for row in connection.execute(waiting).mappings()]

    def check_writable(self) -> None:
        """Nothing where a row can be stored; else the database's error, as for a full or a read-only disk.

        The row goes into a new table, which is dropped in the same transaction: that takes a page that the database
        has not had, as events do, where overwriting a row goes on for long on a full disk.
        """
        with self._transaction("write") as connection:
            PROBE.create(connection, checkfirst=False)
            connection.execute(PROBE.insert(), {"stored": True})
            PROBE.drop(connection, checkfirst=False)

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sa.Connection]:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(_OPENING[self.engine.name, kind])
            yield connection

    def _select(self, values: Iterable[str]) -> sa.Select:
        """A query for ``values``, which travel as one parameter however many they are."""
        if self.engine.name == "sqlite":
            members = sa.func.json_each(sa.literal(list(values), sa.JSON)).table_valued("value")
        else:
            array = sa.literal(list(values), sa.ARRAY(sa.Text))
            members = sa.func.unnest(array).table_valued("value").render_derived()
        return sa.select(members.c.value)

    def _held(self, connection: sa.Connection, key: sa.Column, values: Iterable[str]) -> set[str]:
        """Those of ``values`` that stand in the column ``key``."""
        return set(connection.scalars(sa.select(key).where(key.in_(self._select(values)))))

    def _accept(self, connection: sa.Connection, rows: list[dict], now: int) -> None:
        """Store feedback, each event received later than every earlier one of its reader, ``now`` at the earliest."""
        if not rows:
            return
        readers = self._select({row["user_id"] for row in rows}).subquery()
        latest = sa.select(sa.func.max(FEEDBACK.c.received_at)).where(FEEDBACK.c.user_id == readers.c.value)
        found = connection.execute(sa.select(readers.c.value, latest.scalar_subquery()))
        last = {reader: received for reader, received in found if received is not None}
        for row in rows:
            reader = row["user_id"]
            last[reader] = row["received_at"] = max(now, last.get(reader, now - 1) + 1)
        connection.execute(FEEDBACK.insert(), rows)

    def _release(self, connection: sa.Connection, request_ids: list[str], now: int) -> None:
        """Move the feedback that waits for ``request_ids`` out of quarantine, in the order of its arrival."""
        theirs = QUARANTINE.c.request_id.in_(self._select(request_ids))
        columns = [QUARANTINE.c[name] for name in SCHEMAS["feedback"].names]
        waiting = sa.select(*columns).where(theirs).order_by("received_at", "event_id")
        rows = [dict(row) for row in connection.execute(waiting).mappings()]
        connection.execute(QUARANTINE.delete().where(theirs))
        self._admit(connection, rows, now)

    def _admit(self, connection: sa.Connection, rows: list[dict], now: int) -> int:
        """Accept the rows that fit their recommendation, quarantine the others; how many were accepted."""
        wanted = RECOMMENDATIONS.c.request_id.in_(self._select({row["request_id"] for row in rows}))
        columns = (RECOMMENDATIONS.c.request_id, RECOMMENDATIONS.c.user_id, RECOMMENDATIONS.c.slate)
        found = connection.execute(sa.select(*columns).where(wanted))
        shown = {request_id: (user_id, slate) for request_id, user_id, slate in found}
        reasons = [_misfit(row, shown.get(row["request_id"])) for row in rows]
        usable = [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
        self._accept(connection, usable, now)
        waiting = [{**row, "reason": reason} for row, reason in zip(rows, reasons, strict=True) if reason is not None]
        if waiting:
            connection.execute(QUARANTINE.insert(), waiting)
        return len(usable)


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


def _engine(url: str) -> sa.Engine:
    """An engine whose commits are on disk when they return and whose writers wait. Raises InvalidConfig."""
    expected = "expected sqlite:///FILE or postgresql://USER@HOST/NAME"
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise InvalidConfig(f"event log {url!r} is no database URL; {expected}") from None
    if parsed.drivername == "sqlite" and parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(parsed, connect_args={"timeout": LOCK_SECONDS, "isolation_level": None})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        return engine
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        wait = f"-c lock_timeout={LOCK_SECONDS}s -c idle_in_transaction_session_timeout={LOCK_SECONDS}s"
        url_of_driver = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(url_of_driver, pool_pre_ping=True, connect_args={"options": wait})
    raise InvalidConfig(f"event log {parsed.render_as_string()!r} cannot be shared or is unknown; {expected}")


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA synchronous=FULL")  # a commit is on disk before it returns
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not wait for each other
            return
        except sqlite3.OperationalError as error:  # two switch a new file at once: SQLite's timeout skips this case
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _refuse_other_width(connection: sa.Connection, rows: list[dict]) -> None:
    """Raise InvalidEvents for an embedding that is not as long as those of the stored articles."""
    stored = connection.scalar(sa.select(ARTICLES.c.embedding).where(ARTICLES.c.embedding.is_not(None)).limit(1))
    for row in rows:
        if stored is not None and row["embedding"] is not None and len(row["embedding"]) != len(stored):
            found, expected = len(row["embedding"]), f"{len(stored)} as in the stored articles"
            where = f"article {row['article_id']}, column embedding"
            raise InvalidEvents(f"{where}: found {found} numbers, expected {expected}")


def _next_update(connection: sa.Connection, now: int) -> int:
    """The stamp of a change of the catalogue: ``now``, or the microsecond after the last change where that is later."""
    last = connection.scalar(sa.select(sa.func.max(ARTICLES.c.updated_at)))
    return now if last is None else max(now, last + 1)
