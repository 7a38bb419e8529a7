"""Plain interactions (reader, item, perhaps a rating and a time) to events: CSV, TSV, Parquet, RecBole's ``.inter``.

No slate was logged, so there are no decisions: each session becomes one recommendation of IMPORTED_POLICY, each
interaction a click in it. A session ends after 30 silent minutes. Without times they are made up, one minute a row in
the order of the file (ORDINAL_TIME), and all rows of a reader are one session.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from newsrec.config import InvalidConfig
from newsrec.datasets import foreign
from newsrec.datasets.guessed import GuessedTable
from newsrec.events import ORDINAL_TIME, EventLog, InvalidEvents


@dataclass(frozen=True)
class Columns:
    """Names of columns as the file writes them; None is guessed (``guessed.GUESSES``)."""

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    time: str | None = None


GUESS = Columns()


def read(
    path: str | Path,
    items: str | Path | None = None,
    columns: Columns = GUESS,
    min_rating: float | None = None,
    timezone: str | None = None,
) -> EventLog:
    """The log of the interactions in ``path``, a file or a folder that holds one ``.inter``.

    ``items`` describes the articles; a ``.item`` beside an ``.inter`` is used unasked. Interactions rated below
    ``min_rating`` are left out. Naive times are local to ``timezone``. Raises InvalidEvents, InvalidConfig,
    FileNotFoundError.
    """
    path = _file(Path(path))
    table = GuessedTable(path)
    users, articles = (table.ids(table.need(role, getattr(columns, role))) for role in ("user", "item"))
    clock = table.find("time", columns.time)
    time = foreign.ordinal_time(len(users)) if clock is None else table.times(clock, timezone)
    if min_rating is not None:
        kept = _rated(table, columns, min_rating)
        users, articles, time = users.filter(pa.array(kept)), articles.filter(pa.array(kept)), time[kept]
    session = np.zeros(len(users), np.int64) if clock is None else foreign.sessions(users, time)
    flags = {ORDINAL_TIME} if clock is None else set()
    return foreign.event_log(_described(path, items), *_visits(users, articles, time, session), flags)


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.inter"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InvalidEvents(f"{path}: found {names}, expected one file .inter in the folder, or the path of a file")
    return found[0]


def _rated(table: GuessedTable, columns: Columns, min_rating: float) -> np.ndarray:
    rating = table.find("rating", columns.rating)
    if rating is None:
        raise InvalidConfig(f"min_rating: {table.path} has no ratings; found columns {', '.join(table.names)}")
    kept = table.numbers(rating) >= min_rating
    if not kept.any():
        raise InvalidEvents(f"{table.path}: no interaction is rated {min_rating} or more")
    return kept


def _visits(users: pa.Array, articles: pa.Array, time: np.ndarray, session: np.ndarray) -> tuple[pa.Table, pa.Table]:
    """Each session of each reader as an imported recommendation, and its clicks in order of time."""
    user = foreign.codes(users)
    order = np.lexsort([time, session, user])
    opens = (np.diff(user[order], prepend=-1) != 0) | (np.diff(session[order], prepend=-1) != 0)
    opening = pa.array(order[opens])
    request = foreign.numbered(users.take(opening), session[order[opens]])
    reads = foreign.lists(np.cumsum(opens) - 1, articles.take(pa.array(order)), len(opening))
    return foreign.imported_reads(
        {"request_id": request, "user_id": users.take(opening), "session_id": request}, reads, time[order]
    )


def _described(path: Path, items: str | Path | None) -> pa.Table:
    beside = path.with_suffix(".item")
    if items is None and (path.suffix != ".inter" or not beside.exists()):
        return pa.table({"article_id": pa.array([], pa.string())})
    table = GuessedTable(beside if items is None else Path(items))
    described = {role: table.texts(table.find(role)) for role in ("title", "abstract", "category")}
    return pa.table({"article_id": table.ids(table.need("item")), **described})
