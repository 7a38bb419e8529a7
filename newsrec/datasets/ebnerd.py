"""EB-NeRD (Kruse et al. 2024, https://recsys.eb.dk) to events.

A folder holds ``behaviors.parquet`` and ``history.parquet``, and it or its parent ``articles.parquet``; without that
articles have no titles and appear at first sight.

- The slate is the in-view list, in no known order: positions are null, propensities too. A click on another article
  stays a click; the slate does not grow. In-view lists over 500 are cut as in ``mind``.
- ``read_time`` is what the reader spent on the page that made the impression, so the click follows after it;
  ``next_read_time`` is the dwell on the article clicked, known where the impression had one click. (In the public
  sample the two add up to the gap to the reader's next impression.)
- The history has true times: a reader's reads become one recommendation of IMPORTED_POLICY with clicks and dwell.
- Times are naive in the files; ``timezone`` says what they are local to.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.datasets import foreign
from newsrec.events import CANDIDATES_CUT, TIME, EventLog, InvalidEvents

Types = dict[str, pa.DataType]
LISTS, STAMPS = pa.list_(pa.string()), pa.timestamp("us")
BEHAVIORS = {
    "impression_id": pa.string(),
    "user_id": pa.string(),
    "session_id": pa.string(),
    "impression_time": STAMPS,
    "article_ids_inview": LISTS,
    "article_ids_clicked": LISTS,
}
MORE_BEHAVIORS = {
    "article_id": pa.string(),
    "device_type": pa.int64(),
    "read_time": pa.float64(),
    "next_read_time": pa.float64(),
}
HISTORY = {
    "user_id": pa.string(),
    "article_id_fixed": LISTS,
    "impression_time_fixed": pa.list_(STAMPS),
    "read_time_fixed": pa.list_(pa.float64()),
}
ARTICLES = {"article_id": pa.string(), "title": pa.string(), "published_time": STAMPS}
MORE_ARTICLES = {"subtitle": pa.string(), "category_str": pa.string(), "body": pa.string()}
DEVICES = {1: "desktop", 2: "mobile", 3: "tablet"}
"""``device_type``; others are unknown."""


def read(path: str | Path, timezone: str | None = None) -> EventLog:
    """The log in the folder ``path``. Raises InvalidEvents, InvalidConfig, FileNotFoundError."""
    path = Path(path)
    behaviors = _table(path / "behaviors.parquet", BEHAVIORS, MORE_BEHAVIORS)
    history = _table(path / "history.parquet", HISTORY)
    described = _described(path, timezone)
    time, ahead = foreign.localised(behaviors["impression_time"], timezone, str(path / "behaviors.parquet"))
    decided, was_cut = _decisions(behaviors, time, ahead)
    imported, reads = _history(path / "history.parquet", history, timezone)
    happened = pa.concat_tables([foreign.impressions(decided), *_clicks(behaviors, decided, time), reads])
    decided = pa.concat_tables([decided, imported])
    return foreign.event_log(described, decided, happened, {CANDIDATES_CUT} if was_cut else ())


def _decisions(behaviors: dict[str, pa.Array], time: np.ndarray, ahead: np.ndarray) -> tuple[pa.Table, bool]:
    """The recommendations, and whether a slate had to be cut."""
    row, article = foreign.rows_of(behaviors["article_ids_inview"]), behaviors["article_ids_inview"].flatten()
    of_clicked, clicked = foreign.rows_of(behaviors["article_ids_clicked"]), behaviors["article_ids_clicked"].flatten()
    number = foreign.codes(pa.concat_arrays([article, clicked]))
    pair = np.concatenate([row, of_clicked]) * len(number) + number
    kept = foreign.within_limit(row, np.isin(pair[: len(row)], pair[len(row) :]))
    slate = foreign.lists(row[kept], article.filter(pa.array(kept)), len(time))
    columns = {
        "request_id": behaviors["impression_id"],
        "user_id": behaviors["user_id"],
        "session_id": pc.binary_join_element_wise(behaviors["user_id"], behaviors["session_id"], "/"),
        "policy": pa.repeat("ebnerd", len(time)),
        "candidates": slate,
        "slate": slate,
    }
    device = pc.index_in(behaviors["device_type"], value_set=pa.array(DEVICES.keys()))
    context = {
        "device": pa.array(DEVICES.values()).take(device),
        "surface": pc.if_else(pc.is_null(behaviors["article_id"]), "front", "article"),
        "utc_offset_minutes": pa.array(ahead),
    }
    return foreign.recommendations(columns, time, context), not kept.all()


def _clicks(behaviors: dict[str, pa.Array], decided: pa.Table, time: np.ndarray) -> tuple[pa.Table, pa.Table]:
    """The clicks, and the dwell on the article of an only click."""
    time = time + _microseconds(pc.fill_null(behaviors["read_time"], 0.0))
    row, article = foreign.rows_of(behaviors["article_ids_clicked"]), behaviors["article_ids_clicked"].flatten()
    clicks = foreign.feedback("click", decided, row, foreign.numbers_in(row), article, time[row])
    known = np.bincount(row, minlength=len(time))[row] == 1
    known &= behaviors["next_read_time"].is_valid().to_numpy(zero_copy_only=False)[row]
    row, article = row[known], article.filter(pa.array(known))
    seconds = behaviors["next_read_time"].take(pa.array(row))
    end = time[row] + _microseconds(seconds)
    return clicks, foreign.feedback("dwell", decided, row, np.zeros_like(row), article, end, dwell_seconds=seconds)


def _history(path: Path, history: dict[str, pa.Array], timezone: str | None) -> tuple[pa.Table, pa.Table]:
    """The imported reads of all readers who have any."""
    count = pc.list_value_length(history["article_id_fixed"])
    for column in ("impression_time_fixed", "read_time_fixed"):
        unequal = pc.not_equal(pc.list_value_length(history[column]), count)
        _refuse(path, column, unequal, "as many values as article_id_fixed")
    some = pc.greater(count, 0)
    users, reads = history["user_id"].filter(some), history["article_id_fixed"].filter(some)
    stamps, dwell = history["impression_time_fixed"].flatten(), history["read_time_fixed"].flatten()
    _refuse(
        path, "impression_time_fixed", stamps.is_null(), "a time", foreign.rows_of(history["impression_time_fixed"])
    )
    time, _ = foreign.localised(stamps, timezone, str(path))
    request = pc.binary_join_element_wise("history", users, "-")
    columns = {"request_id": request, "user_id": users, "session_id": request}
    return foreign.imported_reads(columns, reads, time, pc.fill_null(dwell, np.nan).to_numpy())


def _described(path: Path, timezone: str | None) -> pa.Table:
    """Articles in the schema's columns, none where the file is missing. ``body_length`` counts characters."""
    file = next((f / "articles.parquet" for f in (path, path.parent) if (f / "articles.parquet").exists()), None)
    if file is None:
        return pa.table({"article_id": pa.array([], pa.string())})
    articles = _table(file, ARTICLES, MORE_ARTICLES)
    published, _ = foreign.localised(articles["published_time"], timezone, str(file))
    return pa.table(
        {
            "article_id": articles["article_id"],
            "published_at": pa.array(published).cast(TIME),
            "title": articles["title"],
            "abstract": articles["subtitle"],
            "category": articles["category_str"],
            "body_length": pc.utf8_length(articles["body"]),
        }
    )


def _table(path: Path, required: Types, optional: Types | None = None) -> dict[str, pa.Array]:
    """The columns as the given types, null where an optional one is missing; required ones hold no null."""
    table, columns = foreign.parquet(path), {}
    if not table.num_rows:
        raise InvalidEvents(f"{path} holds no rows")
    for name, dtype in (required | (optional or {})).items():
        if name not in table.column_names:
            if name in required:
                raise InvalidEvents(f"{path}: column {name} is missing; found {', '.join(table.column_names)}")
            columns[name] = pa.nulls(table.num_rows, dtype)
            continue
        column = table[name].combine_chunks()
        try:
            columns[name] = column.cast(dtype)
        except pa.ArrowException:
            raise InvalidEvents(f"{path}: column {name} is {column.type}, expected {dtype}") from None
        if getattr(getattr(column.type, "value_type", column.type), "tz", None):
            raise InvalidEvents(f"{path}: column {name} is {column.type}, expected {dtype}, local time without a zone")
        if name in required:
            _refuse(path, name, columns[name].is_null(), "a value")
    return columns


def _refuse(path: Path, column: str, bad: pa.Array, expected: str, rows: np.ndarray | None = None) -> None:
    """Raise InvalidEvents at the first element where ``bad`` is true; element i stands in row ``rows[i]``."""
    where = np.flatnonzero(pc.fill_null(bad, True).to_numpy(zero_copy_only=False))
    if len(where):
        row = where[0] if rows is None else rows[where[0]]
        raise InvalidEvents(f"{path} row {row}, column {column}: expected {expected}")


def _microseconds(seconds: pa.Array) -> np.ndarray:
    return (np.nan_to_num(seconds.to_numpy()) * foreign.SECOND).astype(np.int64)
