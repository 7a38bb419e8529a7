"""The durable event log: idempotent append and scan of articles, recommendations and feedback in a SQL database.

SQLite serves one machine: several processes and threads share its file. PostgreSQL serves the cluster. Writers take
turns in both, so rows become visible in the order of their stamps (``received_at`` of a reader's feedback,
``updated_at`` of an article), and whoever polls for what is newer than the last stamp seen misses nothing.

Feedback that does not fit a recommendation never reaches a history: ``newsrec.quarantine`` keeps it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from newsrec import erasure, own_decisions
from newsrec.database import connect, flush_deletions, held, members, transaction
from newsrec.event_tables import (
    ARTICLES,
    FEEDBACK,
    METADATA,
    PROBE,
    QUARANTINE,
    RECOMMENDATIONS,
    SETTINGS,
    records,
    scan,
)
from newsrec.events import EventLog, InvalidEvents
from newsrec.quarantine import UNKNOWN_REQUEST, admit, release
from newsrec.tombstones import Tombstones

_FOLDED_UNTIL = "folded_until"
_SAME_REQUEST = RECOMMENDATIONS.c.request_id == FEEDBACK.c.request_id


class AppendResult(NamedTuple):
    """What became of the rows of one call: stored as new, already there, waiting for their recommendation."""

    accepted: int
    repeated: int
    quarantined: int
    forgotten: int = 0
    """Dropped: they are from before their reader was forgotten."""


class EventDatabase:
    """The event log in the database at ``url``: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.

    Missing tables are created. What a method wrote is on disk when it returns, the whole call or none of it. Rows are
    dictionaries of the schema's columns, times in microseconds; methods that take rows raise InvalidEvents for the
    first bad one, naming row and column, before anything is written. ``now`` is the caller's clock in microseconds.
    """

    def __init__(self, url: str) -> None:
        self.engine = connect(url)
        with transaction(self.engine, "write") as connection:
            METADATA.create_all(connection)
            for index in FEEDBACK.indexes:  # a table of older code lacks one
                index.create(connection, checkfirst=True)

    def close(self) -> None:
        """Close the connections that no call is using."""
        self.engine.dispose()

    def append_recommendations(self, rows: list[dict], now: int) -> int:
        """How many of ``rows`` were new; a repeated ``request_id`` changes nothing.

        Feedback that waited for one of them becomes readable in the same transaction, received ``now``.
        """
        checked = records("recommendations", rows)
        with transaction(self.engine, "write") as connection:
            given = erasure.without_forgotten(connection, checked)
            known = held(connection, RECOMMENDATIONS.c.request_id, (row["request_id"] for row in given))
            new = [row for row in given if row["request_id"] not in known]
            if new:
                connection.execute(RECOMMENDATIONS.insert(), new)
                release(connection, [row["request_id"] for row in new], now)
        return len(new)

    def append_decisions(self, rows: list[dict], now: int, encode: own_decisions.Encode) -> int:
        """As ``append_recommendations``, for complete rows of this project's own making, which are not checked."""
        with transaction(self.engine, "write") as connection:
            return own_decisions.append(connection, erasure.without_forgotten(connection, rows), now, encode)

    def has_request(self, request_id: str) -> bool:
        """Whether the decision ``request_id`` is in the log."""
        with transaction(self.engine, "read") as connection:
            this = sa.select(sa.exists().where(RECOMMENDATIONS.c.request_id == request_id))
            return bool(connection.scalar(this))

    def append_feedback(self, rows: list[dict], now: int) -> AppendResult:
        """What became of each row; a repeated ``event_id`` changes nothing.

        Each ``received_at`` is set here: ``now``, or the microsecond after the reader's last one where that is later.
        """
        return self.append_feedback_calls([rows], now)[0]

    def append_feedback_calls(self, calls: Sequence[list[dict]], now: int) -> list[AppendResult]:
        """``append_feedback`` of each of ``calls``, one after the other, in one commit: all of them or none."""
        checked = records("feedback", [{**row, "received_at": now} for rows in calls for row in rows])
        with transaction(self.engine, "write") as connection:
            given = erasure.without_forgotten(connection, checked)
            ids = [row["event_id"] for row in given]
            known = held(connection, FEEDBACK.c.event_id, ids) | held(connection, QUARANTINE.c.event_id, ids)
            new = [row for row in given if row["event_id"] not in known]
            usable = admit(connection, new, now)
        became: dict[str, str] = {}
        for outcome, rows in (("forgotten", checked), ("repeated", given), ("quarantined", new), ("accepted", usable)):
            became |= {row["event_id"]: outcome for row in rows}
        return [_counted(rows, became) for rows in calls]

    def upsert_articles(self, rows: list[dict], now: int) -> int:
        """How many articles are new or changed; what was withdrawn stays withdrawn.

        Of two rows of one article the later one counts. Raises InvalidEvents too where an embedding is not as long as
        those already stored.
        """
        given = records("articles", rows, newest=True)
        with transaction(self.engine, "write") as connection:
            _refuse_other_width(connection, given)
            among = ARTICLES.c.article_id.in_(members(connection, (row["article_id"] for row in given)))
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
                replaced = ARTICLES.c.article_id.in_(members(connection, (row["article_id"] for row in changed)))
                connection.execute(ARTICLES.delete().where(replaced))
                connection.execute(ARTICLES.insert(), [{**row, "updated_at": stamp} for row in changed])
        return len(changed)

    def hide_article(self, article_id: str, now: int) -> bool:
        """Withdraw the article from ``now`` on (an earlier ``hidden_at`` stays); False where it is unknown."""
        this = ARTICLES.c.article_id == article_id
        shown = sa.or_(ARTICLES.c.hidden_at.is_(None), ARTICLES.c.hidden_at > now)
        with transaction(self.engine, "write") as connection:
            values = {"hidden_at": now, "updated_at": _next_update(connection, now)}
            connection.execute(ARTICLES.update().where(this, shown).values(values))
            return bool(connection.scalar(sa.select(sa.exists().where(this))))

    def articles(self, updated_after: int | None = None) -> tuple[pa.Table, int | None]:
        """The articles that changed after the stamp ``updated_after``, or all; and the stamp to ask with next time.

        They come in the order of their changes, articles of one change by id.
        """
        changed = sa.true() if updated_after is None else ARTICLES.c.updated_at > updated_after
        query = sa.select(ARTICLES).where(changed).order_by("updated_at", "article_id")
        with transaction(self.engine, "read") as connection:
            stamp = connection.scalar(sa.select(sa.func.max(ARTICLES.c.updated_at)))
            return scan(connection, "articles", query), stamp

    def feedback_of(self, user_id: str, received_after: int | None = None) -> list[dict]:
        """One reader's feedback in the order of ``received_at``, from which the reader's state is folded.

        Each row has the columns of feedback and ``utc_offset_minutes`` of its recommendation's context, or None.
        """
        with transaction(self.engine, "read") as connection:
            return _feedback_of(connection, user_id, received_after)

    def unfolded(self, user_id: str, folded_until: int | None) -> tuple[int | None, int | None, list[dict]]:
        """What a reader's state lacks that holds what arrived up to ``folded_until``, all as of one moment.

        Up to when the reader was forgotten; ``folded_until``, None where that state is from before; ``feedback_of``.
        """
        with transaction(self.engine, "read") as connection:
            forgotten = erasure.forgotten(connection, [user_id]).get(user_id)
            if forgotten is not None and folded_until is not None and folded_until <= forgotten:
                folded_until = None
            return forgotten, folded_until, _feedback_of(connection, user_id, folded_until)

    def read_since(self, user_id: str, time: int) -> list[str]:
        """The articles that the reader opened at ``time`` or later, however many a packed history keeps."""
        mine = (FEEDBACK.c.user_id == user_id, FEEDBACK.c.kind.in_(("click", "dwell")), FEEDBACK.c.time >= time)
        with transaction(self.engine, "read") as connection:
            return list(connection.scalars(sa.select(FEEDBACK.c.article_id).where(*mine).distinct()))

    def arrivals(self, received_after: int, user_after: str, most: int) -> list[tuple[str, int]]:
        """Readers with feedback since ``received_after``, and when their latest arrived; in the order of their ids.

        At most ``most`` of them, those whose ids come after ``user_after``.
        """
        reader, newest = FEEDBACK.c.user_id, sa.func.max(FEEDBACK.c.received_at)
        since = (FEEDBACK.c.received_at > received_after, reader > user_after)
        query = sa.select(reader, newest).where(*since).group_by(reader).order_by(reader).limit(most)
        with transaction(self.engine, "read") as connection:
            return [(user_id, moment) for user_id, moment in connection.execute(query)]

    def folded_until(self) -> int:
        """The arrival (microseconds) up to which all feedback is in readers' histories, as far as was noted."""
        with transaction(self.engine, "read") as connection:
            return int(connection.scalar(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == _FOLDED_UNTIL)) or -1)

    def set_folded_until(self, moment: int) -> None:
        """Note that all feedback up to this arrival is in readers' histories."""
        this = SETTINGS.c.name == _FOLDED_UNTIL
        with transaction(self.engine, "write") as connection:
            connection.execute(SETTINGS.delete().where(this))
            connection.execute(SETTINGS.insert(), {"name": _FOLDED_UNTIL, "value": str(moment)})

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
        with transaction(self.engine, "read") as connection:
            return EventLog(
                scan(connection, "articles", sa.select(ARTICLES).order_by("article_id")),
                scan(connection, "recommendations", decisions.order_by(made, "request_id")),
                scan(connection, "feedback", feedback.order_by(received, FEEDBACK.c.event_id)),
            )

    def watermark(self) -> dict[str, list[int | None]]:
        """Rows and latest moment of each exported table: numbers that change when what ``export`` returns changes."""
        moments = {ARTICLES: ARTICLES.c.updated_at, RECOMMENDATIONS: RECOMMENDATIONS.c.time}
        moments[FEEDBACK] = FEEDBACK.c.received_at
        with transaction(self.engine, "read") as connection:
            return {
                table.name: list(connection.execute(sa.select(sa.func.count(), sa.func.max(moment))).one())
                for table, moment in moments.items()
            }

    def early_feedback(self, event_ids: Iterable[str]) -> dict[str, str]:
        """Those of ``event_ids`` that wait for a recommendation which is not there yet, each with its reader."""
        columns = (QUARANTINE.c.event_id, QUARANTINE.c.user_id)
        with transaction(self.engine, "read") as connection:
            these = QUARANTINE.c.event_id.in_(members(connection, event_ids))
            found = connection.execute(sa.select(*columns).where(these, QUARANTINE.c.reason == UNKNOWN_REQUEST))
            return {event: reader for event, reader in found}

    def quarantine_size(self) -> int:
        """How many feedback events wait for their recommendation."""
        with transaction(self.engine, "read") as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(QUARANTINE)) or 0

    def quarantined(self) -> list[dict]:
        """The feedback that waits, oldest first: its columns and the ``reason``."""
        waiting = sa.select(QUARANTINE).order_by("received_at", "event_id")
        with transaction(self.engine, "read") as connection:
            return [dict(row) for row in connection.execute(waiting).mappings()]

    def forget(self, user_id: str, now: int) -> tuple[int, erasure.Removed]:
        """Delete all of one reader up to ``now``, for good; the moment of the tombstone, and what was deleted.

        No append takes anything of the reader from before that moment any more. Interrupted, it is completed by another
        call. ``finish_forgetting`` is for when the other places are empty as well.
        """
        with transaction(self.engine, "write") as connection:
            moment = erasure.bury(connection, user_id, now)
        return moment, erasure.remove_reader(self.engine, user_id, moment)

    def finish_forgetting(self, user_id: str) -> int:
        """Note that nothing of the reader is left anywhere; how many deletions were begun and did not come so far."""
        with transaction(self.engine, "write") as connection:
            return erasure.finish(connection, user_id)

    def forgotten_at(self, user_id: str) -> int | None:
        """Up to when the reader was forgotten; None for a reader who never was."""
        with transaction(self.engine, "read") as connection:
            return erasure.forgotten(connection, [user_id]).get(user_id)

    def tombstones(self) -> Tombstones:
        """All readers who were forgotten, by their hashes."""
        with transaction(self.engine, "read") as connection:
            return erasure.tombstones(connection)

    def retain(self, since: int, between: erasure.Step = lambda: None) -> erasure.Removed:
        """Delete the decisions from before ``since`` with their feedback, and feedback that has waited since then.

        ``between`` is called after each of many short transactions. Articles stay.
        """
        return erasure.remove_before(self.engine, since, between)

    def flush_deletions(self) -> bool:
        """Whether nothing that was deleted is left in the database's own files, as far as that is in our hands."""
        return flush_deletions(self.engine)

    def check_writable(self) -> None:
        """Nothing where a row can be stored; else the database's error, as for a full or a read-only disk.

        The row goes into a new table, which is dropped in the same transaction: that takes a page that the database
        has not had, as events do, where overwriting a row goes on for long on a full disk.
        """
        with transaction(self.engine, "write") as connection:
            PROBE.create(connection, checkfirst=False)
            connection.execute(PROBE.insert(), {"stored": True})
            PROBE.drop(connection, checkfirst=False)


def _counted(rows: list[dict], became: dict[str, str]) -> AppendResult:
    """What became of ``rows``: ``became`` tells it of the first row of each event, and loses it; others repeat it."""
    counts = Counter(became.pop(row["event_id"], "repeated") for row in rows)
    return AppendResult(**{outcome: counts[outcome] for outcome in AppendResult._fields})


def _feedback_of(connection: sa.Connection, user_id: str, received_after: int | None) -> list[dict]:
    offset = RECOMMENDATIONS.c.context["utc_offset_minutes"].as_integer().label("utc_offset_minutes")
    later = sa.true() if received_after is None else FEEDBACK.c.received_at > received_after
    mine = sa.select(FEEDBACK, offset).join(RECOMMENDATIONS, _SAME_REQUEST).where(FEEDBACK.c.user_id == user_id)
    return [dict(row) for row in connection.execute(mine.where(later).order_by(FEEDBACK.c.received_at)).mappings()]


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
