"""MIND (Wu et al. 2020, https://msnews.github.io) and logs in its layout to events.

A folder holds ``behaviors.tsv``: impression id, user, time, history, shown articles with ``-1`` (clicked) or ``-0``;
and ``news.tsv``. NeMig leaves the time out: times are then made up, one minute a row in the order of the file, flagged
ORDINAL_TIME, and each row is a session of its own.

- The slate is all that was shown. The file lists it in shuffled order, so positions are null, propensities too.
- An impression stands at the row's time, a click one second later; both are received when they happen.
- A reader's history, as their first impression lists it, becomes one recommendation of IMPORTED_POLICY with a click
  a minute, the last an hour before the log's first decision (HISTORY_TIME_MADE_UP). Of a repeated read the last counts.
- Slates over 500 keep the clicked articles and the first of the others (CANDIDATES_CUT).
- ``published_at`` is the first sight: NeMig's dates are real, but its other times are not.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.datasets import delimited, foreign
from newsrec.datasets.delimited import TextTable
from newsrec.events import CANDIDATES_CUT, HISTORY_TIME_MADE_UP, ORDINAL_TIME, EventLog

BEHAVIORS = ("impression_id", "user_id", "time", "history", "shown")
NEWS = ("article_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities")
TRANSLATED = ("article_id", "title", "abstract")
HEADER = {"nid": "article_id", "topic": "category"}
"""Names in the header of NeMig's news.tsv that are not the schema's."""
TIME_FORMAT = "%m/%d/%Y %I:%M:%S %p"


def read(path: str | Path, timezone: str | None = None, titles: str = "news.tsv") -> EventLog:
    """The log in the folder ``path``.

    ``timezone`` is that of the file's times, not used where it has none. ``titles`` may name a file of translated
    titles (xMIND: article, title and perhaps abstract); categories are then still those of news.tsv. Raises
    InvalidEvents, InvalidConfig, FileNotFoundError.
    """
    path = Path(path)
    table = delimited.read(path / "behaviors.tsv", "\t", (BEHAVIORS, (*BEHAVIORS[:2], *BEHAVIORS[3:])))
    described = _described(path, titles)
    for column in ("impression_id", "user_id"):
        table.check(column, pc.not_equal(table[column], ""), "an id")
    users, surface = table["user_id"], pa.repeat("front", len(table["user_id"]))
    if "time" in table.data.column_names:
        time, ahead = _times(table, timezone)
        session = foreign.numbered(users, foreign.sessions(users, time))
        context, flags = {"surface": surface, "utc_offset_minutes": pa.array(ahead)}, set()
    else:
        time, session = foreign.ordinal_time(len(users)), table["impression_id"]
        context, flags = {"surface": surface}, {ORDINAL_TIME}
    row, article, clicked = _shown(table)
    kept = foreign.within_limit(row, clicked)
    row, article, clicked = row[kept], article.filter(pa.array(kept)), clicked[kept]
    slate = foreign.lists(row, article, len(users))
    columns = {"request_id": table["impression_id"], "user_id": users, "session_id": session}
    columns |= {"policy": pa.repeat("mind", len(users)), "candidates": slate, "slate": slate}
    decided = foreign.recommendations(columns, time, context)
    number, moment = foreign.numbers_in(row), time[row] + foreign.CLICK_AFTER
    of = (row[clicked], number[clicked], article.filter(pa.array(clicked)), moment[clicked])
    happened = [foreign.impressions(decided), foreign.feedback("click", decided, *of)]
    histories = _histories(table, time)
    if histories is not None:
        decided, happened = pa.concat_tables([decided, histories[0]]), [*happened, histories[1]]
    flags |= ({CANDIDATES_CUT} if not kept.all() else set()) | ({HISTORY_TIME_MADE_UP} if histories else set())
    return foreign.event_log(described, decided, pa.concat_tables(happened), flags)


def _words(texts: pa.Array) -> pa.Array:
    """The words of each text; none of a blank one."""
    texts = pc.utf8_trim_whitespace(texts)
    words = pc.utf8_split_whitespace(texts)
    return pc.if_else(pc.equal(texts, ""), pa.scalar([], words.type), words)


def _times(table: TextTable, timezone: str | None) -> tuple[np.ndarray, np.ndarray]:
    stamps = pc.strptime(table["time"], format=TIME_FORMAT, unit="us", error_is_null=True)
    table.check("time", stamps.is_valid(), "a time such as 11/13/2019 8:36:57 AM")
    return foreign.localised(stamps, timezone, str(table.path))


def _shown(table: TextTable) -> tuple[np.ndarray, pa.Array, np.ndarray]:
    """Row, article and whether it was clicked, of each shown article."""
    shown = _words(table["shown"])
    table.check("shown", pc.greater(pc.list_value_length(shown), 0), "at least one article")
    row, words = foreign.rows_of(shown), shown.flatten()
    table.check("shown", pc.match_substring_regex(words, r".-[01]$"), "articles such as N1-0 or, clicked, N1-1", row)
    return row, pc.utf8_slice_codeunits(words, 0, -2), pc.ends_with(words, "-1").to_numpy(zero_copy_only=False)


def _histories(table: TextTable, time: np.ndarray) -> tuple[pa.Table, pa.Table] | None:
    """The imported reads: what the first impression of each reader lists, None where all those lists are empty."""
    user, history = foreign.codes(table["user_id"]), _words(table["history"])
    order = np.lexsort([time, user])
    first = np.sort(order[np.diff(user[order], prepend=-1) != 0])
    first = first[pc.list_value_length(history).to_numpy()[first] > 0]
    if not len(first):
        return None
    users, history = table["user_id"].take(pa.array(first)), history.take(pa.array(first))
    row, articles = foreign.rows_of(history), history.flatten()
    last = foreign.last_in_row(row, articles)
    row, articles = row[last], articles.filter(pa.array(last))
    from_end = np.bincount(row)[row] - 1 - foreign.numbers_in(row)
    request = pc.binary_join_element_wise("history", users, "-")
    columns = {"request_id": request, "user_id": users, "session_id": request}
    reads = foreign.lists(row, articles, len(users))
    return foreign.imported_reads(columns, reads, time.min() - foreign.HOUR - from_end * foreign.MINUTE)


def _described(path: Path, titles: str) -> pa.Table:
    articles = _news(path / titles)
    if titles == "news.tsv" or not (path / "news.tsv").exists():
        return articles
    original = _news(path / "news.tsv")
    at = pc.index_in(articles["article_id"], value_set=original["article_id"])
    for column in ("category", "subcategory"):
        if column in original.column_names:
            articles = articles.append_column(column, original[column].take(at))
    return articles


def _news(path: Path) -> pa.Table:
    """The schema's columns that the file holds; an empty cell, and NeMig's topic -1 (none), become null."""
    header = [HEADER.get(name, name) for name in delimited.first_line(path, "\t")]
    if "article_id" in header and "title" in header:
        data = delimited.read(path, "\t").data.rename_columns(header)
    else:
        data = delimited.read(path, "\t", (NEWS, TRANSLATED, TRANSLATED[:2])).data
    columns = {}
    for name in NEWS[:5]:
        if name in data.column_names:
            none = pa.array(["", "-1"] if name == "category" else [""])
            columns[name] = pc.if_else(pc.is_in(data[name], value_set=none), None, data[name])
    return pa.table(columns)
