"""Tables of nobody's schema (text or Parquet): columns found by what they are for, values cast or refused by line."""

import re
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.config import InvalidConfig
from newsrec.datasets import delimited, foreign
from newsrec.events import InvalidEvents

DELIMITERS = {".csv": ",", ".tsv": "\t", ".inter": "\t", ".item": "\t"}
GUESSES = {
    "user": ("userid", "user", "uid", "readerid", "reader", "visitorid"),
    "item": ("itemid", "item", "iid", "articleid", "article", "newsid", "nid", "movieid", "contentid"),
    "rating": ("rating", "score", "stars"),
    "time": ("timestamp", "time", "datetime", "date", "eventtime", "createdat"),
    "title": ("title", "movietitle", "headline", "name"),
    "abstract": ("abstract", "description", "summary", "subtitle"),
    "category": ("category", "class", "genre", "genres", "topic", "section"),
}
"""Names that a column is found by, the first that fits; case, punctuation and RecBole's ``:token`` do not matter."""
UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3))
"""Numeric times below the first number are worth so many microseconds: seconds, milli-, micro- and nanoseconds."""


class GuessedTable:
    """The table in ``path``. Raises InvalidEvents for what cannot be read, FileNotFoundError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text: delimited.TextTable | None = None
        if path.suffix == ".parquet":
            self.data = foreign.parquet(path)
            if not self.data.num_rows:
                raise InvalidEvents(f"{path} holds no rows")
        elif path.suffix in DELIMITERS:
            self.text = delimited.read(path, DELIMITERS[path.suffix], quoted=path.suffix == ".csv")
            self.data = self.text.data
        else:
            raise InvalidEvents(f"{path}: expected a file .parquet {' '.join(DELIMITERS)}")
        self.names = self.data.column_names
        self.bare = [name.partition(":")[0] for name in self.names]

    def find(self, role: str, name: str | None = None) -> str | None:
        """The column called ``name`` (InvalidConfig where it is missing), else the first guess that fits, else None."""
        if name is not None:
            if name not in (*self.names, *self.bare):
                raise InvalidConfig(f"{role}: {self.path} has no column {name}; found {', '.join(self.names)}")
            return name if name in self.names else self.names[self.bare.index(name)]
        plain = [re.sub(r"[\W_]", "", column.lower()) for column in self.bare]
        return next((self.names[plain.index(guess)] for guess in GUESSES[role] if guess in plain), None)

    def need(self, role: str, name: str | None = None) -> str:
        """``find`` that raises InvalidEvents where no guess fits."""
        column = self.find(role, name)
        if column is None:
            found = ", ".join(self.names)
            raise InvalidEvents(f"{self.path}: no column looks like the {role}; found {found}; name it (--{role})")
        return column

    def ids(self, column: str) -> pa.Array:
        """The column as text, empty nowhere."""
        values = self._cast(column, pa.string(), "an id")
        self._check(column, pc.not_equal(values, ""), "an id")
        return values

    def texts(self, column: str | None) -> pa.Array:
        """The column as text, empty cells as null; all null for no column."""
        if column is None:
            return pa.nulls(self.data.num_rows, pa.string())
        values = self._cast(column, pa.string(), "text")
        return pc.if_else(pc.equal(values, ""), None, values)

    def numbers(self, column: str) -> np.ndarray:
        """float64 [N]"""
        values = self._cast(column, pa.float64(), "a number")
        self._check(column, pc.is_finite(values), "a number")
        return values.to_numpy()

    def times(self, column: str, timezone: str | None) -> np.ndarray:
        """int64 microseconds UTC [N], of numbers since 1970 UTC or of ISO 8601; what the first row is, all must be."""
        dtype, where = self.data[column].type, f"{self.path} column {column}"
        if pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
            self._check(column, self.data[column].is_valid(), "a time")
            stamps = self.data[column].combine_chunks()
            stamps = stamps.cast(pa.timestamp("us")) if pa.types.is_date(dtype) else stamps
            return foreign.localised(stamps, timezone, where)[0]
        sample = self.data[column][0].as_py() if pa.types.is_string(dtype) else None
        if sample is None or re.fullmatch(r"[+-]?[\d.]+(e\+?\d+)?", sample, re.IGNORECASE):
            values = self.numbers(column)
            largest = np.abs(values).max()
            self._check(column, pa.array(np.abs(values) < UNITS[-1][0]), "a time since 1970")
            return np.round(values * next(unit for limit, unit in UNITS if largest < limit)).astype(np.int64)
        zoned = re.search(r"(Z|[+-]\d\d(:?\d\d)?)$", sample) if ":" in sample else None
        expected = f"an ISO 8601 time with{'' if zoned else 'out'} an offset from UTC, as in the first row"
        stamps = self._cast(column, pa.timestamp("us", "UTC" if zoned else None), expected)
        return foreign.localised(stamps, timezone, where)[0]

    def _cast(self, column: str, dtype: pa.DataType, expected: str) -> pa.Array:
        values = self.data[column].combine_chunks()
        try:
            return values.cast(dtype, safe=not pa.types.is_floating(dtype))
        except pa.ArrowException:
            self._refuse(delimited.first_failure(values, dtype), column, expected)

    def _check(self, column: str, good: pa.Array, expected: str) -> None:
        bad = np.flatnonzero(~pc.fill_null(good, False).to_numpy(zero_copy_only=False))
        if len(bad):
            self._refuse(int(bad[0]), column, expected)

    def _refuse(self, row: int, column: str, expected: str) -> NoReturn:
        if self.text:
            self.text.refuse(row, column, expected)
        found = self.data[column][row].as_py()
        raise InvalidEvents(f"{self.path} row {row}, column {column}: found {found!r}, expected {expected}")
