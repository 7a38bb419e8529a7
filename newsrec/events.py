"""The one schema: articles, recommendations and feedback as Arrow tables; read, write, validate, join.

The simulator, the readers of public data and the live collector all write these three tables, so nothing that reads
them can tell where they came from. Recommendations and feedback are joined by ``request_id`` and never stored joined.
Times are UTC microseconds. On disk a log is a directory of Parquet::

    LOG/articles.parquet  LOG/recommendations.parquet  LOG/feedback.parquet

where each ``X.parquet`` may also be a folder of shards. The Parquet metadata carry the schema's version and the log's
flags. A reader of version N ignores columns that it does not know and fills optional ones that are missing with null.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from newsrec.files import whole_directory

SCHEMA_VERSION = 1
KINDS = ("impression", "click", "dwell", "like", "share", "comment", "hide", "leave")
MAX_CANDIDATES = 500
IMPORTED_POLICY = "imported"
"""Policy name of reads that came with a log but were not its decisions (the history column of MIND or EB-NeRD)."""

ORDINAL_TIME = "ordinal_time"
"""Flag: the log had no clock; times only give the order of its rows."""
HISTORY_TIME_MADE_UP = "history_time_made_up"
"""Flag: the imported reads had an order but no clock; they stand before the log's first decision."""
FIRST_SIGHT = "published_at_first_sight"
"""Flag: ``published_at`` is the first time that the log showed the article."""
CANDIDATES_CUT = "candidates_cut"
"""Flag: of slates longer than MAX_CANDIDATES the last articles without a click were left out."""
NO_READER_IDS = "no_reader_ids"
"""Flag: the log did not say who the readers were; each decision is a reader of its own."""

TIME = pa.timestamp("us", tz="UTC")
CONTEXT = pa.struct(
    [("device", pa.string()), ("surface", pa.string()), ("locale", pa.string()), ("utc_offset_minutes", pa.int16())]
)


def _field(name: str, dtype: pa.DataType, required: bool = False) -> pa.Field:
    return pa.field(name, dtype, nullable=not required)


ARTICLES = pa.schema(
    [
        _field("article_id", pa.string(), required=True),
        _field("published_at", TIME, required=True),
        _field("title", pa.string()),
        _field("abstract", pa.string()),
        _field("category", pa.string()),
        _field("subcategory", pa.string()),
        _field("body_length", pa.int32()),
        _field("embedding", pa.list_(pa.float32())),
        _field("hidden_at", TIME),
    ]
)
RECOMMENDATIONS = pa.schema(
    [
        _field("request_id", pa.string(), required=True),
        _field("user_id", pa.string(), required=True),
        _field("session_id", pa.string(), required=True),
        _field("time", TIME, required=True),
        _field("context", CONTEXT),
        _field("feature_version", pa.string()),
        _field("policy", pa.string(), required=True),
        _field("policy_version", pa.string()),
        _field("experiment", pa.string()),
        _field("arm", pa.string()),
        _field("catalogue_version", pa.string()),
        _field("candidates", pa.list_(pa.string()), required=True),
        _field("slate", pa.list_(pa.string()), required=True),
        _field("propensities", pa.list_(pa.float64())),
    ]
)
FEEDBACK = pa.schema(
    [
        _field("event_id", pa.string(), required=True),
        _field("request_id", pa.string(), required=True),
        _field("user_id", pa.string(), required=True),
        _field("article_id", pa.string()),
        _field("position", pa.int16()),
        _field("kind", pa.string(), required=True),
        _field("dwell_seconds", pa.float32()),
        _field("time", TIME, required=True),
        _field("received_at", TIME, required=True),
    ]
)
SCHEMAS = {"articles": ARTICLES, "recommendations": RECOMMENDATIONS, "feedback": FEEDBACK}
_KEYS = {"articles": "article_id", "recommendations": "request_id", "feedback": "event_id"}


class InvalidEvents(ValueError):
    """A table that breaks the schema; the message names table, row and column, what was found and what was expected."""


class EventLog(NamedTuple):
    """One log: the catalogue, what was recommended and what happened, in the schemas above.

    ``flags`` say what the log's source could not give (``ORDINAL_TIME`` ...); they travel in the Parquet metadata.
    """

    articles: pa.Table
    recommendations: pa.Table
    feedback: pa.Table
    flags: frozenset[str] = frozenset()

    @property
    def decisions(self) -> pa.Table:
        """The recommendations that somebody chose: all but imported reads, in the order of the log."""
        return self.recommendations.filter(pc.not_equal(self.recommendations["policy"], IMPORTED_POLICY))

    @property
    def has_propensities(self) -> bool:
        """Whether every logged decision carries the probabilities it was drawn with."""
        decisions = self.decisions
        return decisions.num_rows > 0 and decisions["propensities"].null_count == 0


def from_rows(name: str, rows: Iterable[dict]) -> pa.Table:
    """A table of ``rows`` (dictionaries; missing keys become null) in the schema called ``name``; not yet validated."""
    return pa.Table.from_pylist(list(rows), schema=_nullable(SCHEMAS[name]))


def conform(table: pa.Table, name: str) -> pa.Table:
    """``table`` with exactly the columns of the schema ``name``: cast, in order, optional ones filled with null.

    Raises InvalidEvents for a required column that is missing and for a column whose type cannot be cast.
    """
    schema, columns = SCHEMAS[name], []
    for field in schema:
        if table.column_names.count(field.name) > 1:
            raise InvalidEvents(f"{name}: column {field.name} stands there twice, expected once")
        if field.name not in table.column_names:
            if not field.nullable:
                found = ", ".join(table.column_names) or "no columns"
                raise InvalidEvents(f"{name}: column {field.name} is missing; found {found}")
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table[field.name]
        if pa.types.is_timestamp(field.type) and pa.types.is_timestamp(column.type) and column.type.tz is None:
            raise InvalidEvents(f"{name}: column {field.name} has times without a timezone, expected UTC microseconds")
        try:
            columns.append(column.cast(field.type))
        except pa.ArrowException as error:
            found = f"{name}: column {field.name} is {column.type}"
            raise InvalidEvents(f"{found}, expected {field.type}: {error}") from None
    return pa.table(columns, schema=_nullable(schema)).combine_chunks()


def validate(table: pa.Table, name: str) -> pa.Table:
    """``table`` conformed to the schema ``name``, every value checked. Raises InvalidEvents at the first bad row."""
    table = conform(table, name)
    for field in SCHEMAS[name]:
        if not field.nullable:
            _refuse(name, field.name, table[field.name], pc.is_null(table[field.name]), "a value")
    key = table[_KEYS[name]].combine_chunks()
    _refuse(name, _KEYS[name], key, _repeated(key), "each key once")
    {"articles": _check_articles, "recommendations": _check_recommendations, "feedback": _check_feedback}[name](table)
    return table


def _check_articles(table: pa.Table) -> None:
    embedding = table["embedding"].combine_chunks()
    lengths = pc.list_value_length(embedding).drop_null()
    if len(pc.unique(lengths)) > 1:
        first, lengths = lengths[0].as_py(), pc.list_value_length(embedding)
        _refuse("articles", "embedding", lengths, pc.not_equal(lengths, first), f"{first} numbers as in the first row")
    _refuse_inner("articles", "embedding", embedding, _not(pc.is_finite(embedding.flatten())), "finite numbers")


def _check_recommendations(table: pa.Table) -> None:
    candidates, slate = table["candidates"].combine_chunks(), table["slate"].combine_chunks()
    propensities = table["propensities"].combine_chunks()
    counts = pc.list_value_length(candidates)
    imported = pc.equal(table["policy"].combine_chunks(), IMPORTED_POLICY)
    too_many = pc.and_(pc.greater(counts, MAX_CANDIDATES), pc.invert(imported))
    _refuse("recommendations", "candidates", counts, too_many, f"at most {MAX_CANDIDATES}")
    for column, values in (("candidates", candidates), ("slate", slate)):
        _refuse_inner("recommendations", column, values, pc.is_null(values.flatten()), "article ids")
        twice = _repeated(_row_and_value(values))
        _refuse_inner("recommendations", column, values, twice, "each article once")
    outside = pc.invert(pc.is_in(_row_and_value(slate), value_set=_row_and_value(candidates)))
    _refuse_inner("recommendations", "slate", slate, outside, "articles that stand in candidates")
    counts = pc.list_value_length(propensities)
    unequal = pc.not_equal(counts, pc.list_value_length(slate))
    _refuse("recommendations", "propensities", counts, unequal, "one for each slate article")
    p = propensities.flatten()
    bad = _not(pc.and_(pc.greater(p, 0.0), pc.less_equal(p, 1.0)))
    _refuse_inner("recommendations", "propensities", propensities, bad, "a probability in (0, 1], or null for the row")


def _check_feedback(table: pa.Table) -> None:
    kind, dwell, position = table["kind"], table["dwell_seconds"], table["position"]
    _refuse("feedback", "kind", kind, pc.invert(pc.is_in(kind, value_set=pa.array(KINDS))), "one of " + " ".join(KINDS))
    _refuse("feedback", "position", position, pc.less(position, 0), "0 or more, counted from the top")
    no_article = pc.and_(pc.is_null(table["article_id"]), pc.not_equal(kind, "leave"))
    _refuse("feedback", "article_id", table["article_id"], no_article, "an article (only leave has none)")
    good = pc.and_(pc.is_finite(dwell), pc.greater_equal(dwell, 0.0))
    _refuse("feedback", "dwell_seconds", dwell, pc.invert(good), "seconds, 0 or more")
    no_dwell = pc.and_(pc.is_null(dwell), pc.equal(kind, "dwell"))
    _refuse("feedback", "dwell_seconds", dwell, no_dwell, "seconds for an event of kind dwell")


def _refuse(table: str, column: str, values: pa.Array, bad: pa.Array, expected: str) -> None:
    """Raise InvalidEvents for the first row where ``bad`` is true (null counts as fine)."""
    rows = np.flatnonzero(pc.fill_null(bad, False).to_numpy(zero_copy_only=False))
    if len(rows):
        more = f" ({len(rows)} such rows)" if len(rows) > 1 else ""
        found = values[int(rows[0])].as_py()
        raise InvalidEvents(f"{table} row {rows[0]}, column {column}: found {found!r}, expected {expected}{more}")


def _refuse_inner(table: str, column: str, lists: pa.ListArray, bad: pa.Array, expected: str) -> None:
    """``_refuse`` for a condition on the flattened elements of a list column."""
    if pc.any(bad).as_py():
        rows = np.zeros(len(lists), bool)
        rows[_parents(lists)[pc.fill_null(bad, False).to_numpy(zero_copy_only=False)]] = True
        _refuse(table, column, lists, pa.array(rows), expected)


def _not(good: pa.Array) -> pa.Array:
    """True where ``good`` is false or null."""
    return pc.invert(pc.fill_null(good, False))


def _parents(lists: pa.ListArray) -> np.ndarray:
    """The row of each element of ``lists.flatten()``, which skips what a null row covers. [N] int64"""
    return np.repeat(np.arange(len(lists)), pc.fill_null(pc.list_value_length(lists), 0).to_numpy())


def _row_and_value(lists: pa.ListArray) -> pa.Array:
    """Each element as the string ``row/value``, so that one hash look-up compares lists row by row."""
    row = pc.cast(pa.array(_parents(lists)), pa.string())
    return pc.binary_join_element_wise(row, pc.fill_null(lists.flatten(), ""), "/")


def _repeated(values: pa.Array) -> pa.Array:
    """True where a value already stood earlier in ``values``."""
    first = np.zeros(len(values), bool)
    codes = values.dictionary_encode()
    codes = (codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes).indices
    first[np.unique(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False), return_index=True)[1]] = True
    return pa.array(~first)


def _nullable(schema: pa.Schema) -> pa.Schema:
    """The schema with every field nullable: nulls in required columns are reported by ``validate``, by row."""
    return pa.schema([f.with_nullable(True) for f in schema])


def join(recommendations: pa.Table, feedback: pa.Table) -> np.ndarray:
    """For each feedback row the row number of its recommendation, -1 where its ``request_id`` is unknown. [F] int64"""
    found = pc.index_in(feedback["request_id"], value_set=recommendations["request_id"].combine_chunks())
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def write(log: EventLog, directory: str | Path) -> Path:
    """Validate ``log`` and write it as ``directory``, which appears whole (by rename) or not at all.

    Raises InvalidEvents, and FileExistsError where ``directory`` holds anything but an older event log.
    """
    tables = {name: validate(getattr(log, name), name) for name in SCHEMAS}
    with new_log(directory) as partial:
        for name, table in tables.items():
            pq.write_table(table.replace_schema_metadata(metadata(name, log.flags)), partial / f"{name}.parquet")
    return Path(directory)


@contextmanager
def new_log(directory: str | Path) -> Iterator[Path]:
    """An empty folder for the tables of a log, which becomes ``directory`` when the block ends without error.

    Raises FileExistsError where ``directory`` holds anything but an older event log.
    """
    directory = Path(directory)
    if directory.exists() and not _only_a_log(directory):
        raise FileExistsError(f"{directory} exists and is no event log; expected a new or an empty folder")
    with whole_directory(directory) as partial:
        yield partial


def metadata(name: str, flags: frozenset[str] = frozenset()) -> dict[str, str]:
    """What a Parquet file of the table ``name`` says of itself."""
    return {"newsrec": json.dumps({"version": SCHEMA_VERSION, "table": name, "flags": sorted(flags)})}


def _only_a_log(directory: Path) -> bool:
    return directory.is_dir() and {path.name for path in directory.iterdir()} <= {f"{name}.parquet" for name in SCHEMAS}


def read(directory: str | Path) -> EventLog:
    """The validated event log in ``directory``. Raises InvalidEvents, FileNotFoundError."""
    directory, tables = Path(directory), {}
    flags: set[str] = set()
    for name in SCHEMAS:
        path = directory / f"{name}.parquet"
        if not path.exists():
            expected = ", ".join(f"{n}.parquet" for n in SCHEMAS)
            raise FileNotFoundError(f"{path} is missing; expected a folder with {expected}")
        shards = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not shards:
            raise InvalidEvents(f"{path} is an empty folder, expected at least one shard *.parquet")
        parts = [_read_shard(shard, name) for shard in shards]
        tables[name] = validate(pa.concat_tables(table for table, _ in parts), name)
        flags.update(*(shard_flags for _, shard_flags in parts))
    return EventLog(tables["articles"], tables["recommendations"], tables["feedback"], frozenset(flags))


def _read_shard(path: Path, name: str) -> tuple[pa.Table, list[str]]:
    """One file conformed to the schema ``name``, and the flags in its metadata (a file of other makers has none)."""
    try:
        table = pq.read_table(path, partitioning=None)
        table.validate(full=True)
        meta = json.loads((table.schema.metadata or {}).get(b"newsrec", b"{}"))
        holds, flags = meta.get("table", name), list(meta.get("flags", ()))
    except (pa.ArrowException, OSError) as error:
        raise InvalidEvents(f"{path} is no readable Parquet file: {error}") from None
    except (ValueError, TypeError, AttributeError):
        found = table.schema.metadata[b"newsrec"]
        raise InvalidEvents(f"{path}: metadata newsrec is {found!r}, expected JSON with table and flags") from None
    if holds != name:
        raise InvalidEvents(f"{path} holds {holds}, expected {name}")
    return conform(table, name), flags


def microseconds(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A time column as int64 microseconds since 1970 UTC; null becomes the smallest int64."""
    return pc.fill_null(column.cast(pa.int64()), np.iinfo(np.int64).min).to_numpy().astype(np.int64)
