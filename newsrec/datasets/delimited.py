"""Tables in text files (TSV, CSV): all columns as strings, and errors that name the file and the line."""

import csv
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from newsrec.events import InvalidEvents

_BLOCK_BYTES = 1 << 25  # no line may be longer


class TextTable:
    """The strings of one file; blank lines are skipped."""

    def __init__(self, path: Path, data: pa.Table, has_header: bool) -> None:
        self.path, self.data, self.has_header = path, data, has_header

    def __getitem__(self, column: str) -> pa.Array:
        return self.data[column].combine_chunks()

    def check(self, column: str, good: pa.Array, expected: str, rows: np.ndarray | None = None) -> None:
        """Raise InvalidEvents for the first of ``good`` that is not true; element i stands in row ``rows[i]``."""
        bad = np.flatnonzero(~pc.fill_null(good, False).to_numpy(zero_copy_only=False))
        if len(bad):
            row = int(bad[0] if rows is None else rows[bad[0]])
            self.refuse(row, column, expected)

    def cast(self, column: str, dtype: pa.DataType, expected: str) -> pa.Array:
        """The column as ``dtype``. Raises InvalidEvents for the first value that is none."""
        try:
            return self[column].cast(dtype)
        except pa.ArrowException:
            self.refuse(first_failure(self[column], dtype), column, expected)

    def refuse(self, row: int, column: str, expected: str) -> NoReturn:
        line, found = _line(self.path, row + self.has_header), self.data[column][row].as_py()
        found = found if len(found) <= 80 else f"{found[:80]}..."
        raise InvalidEvents(f"{self.path} line {line}, column {column}: found {found!r}, expected {expected}")


def read(
    path: Path, delimiter: str, layouts: Sequence[Sequence[str]] = (), quoted: bool = False, only: Sequence[str] = ()
) -> TextTable:
    """The file as strings. ``layouts`` names the columns of a file without header, by how many its first line has.

    Without ``layouts`` the first line is the header; ``only`` then chooses columns. A quote is an ordinary character
    unless ``quoted``. Raises FileNotFoundError; InvalidEvents for a file without rows, bytes that are not UTF-8, a
    missing or repeated column, and a line with another number of columns than the first.
    """
    header = first_line(path, delimiter, quoted)
    names = _layout(path, header, layouts) if layouts else header
    for name in only:
        if name not in names:
            raise InvalidEvents(f"{path} line 1: column {name} is missing; found {', '.join(names)}")
    repeated = [name for name in names if list(names).count(name) > 1]
    if repeated:
        raise InvalidEvents(f"{path} line 1: column {repeated[0]} stands there twice, expected once")
    broken: list[pacsv.InvalidRow] = []

    def keep(row: pacsv.InvalidRow) -> str:
        broken.append(row)
        return "skip"

    try:
        data = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, column_names=names, skip_rows=not layouts
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, quote_char='"' if quoted else False, invalid_row_handler=keep
            ),
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), include_columns=only),
        )
    except pa.ArrowInvalid as error:
        raise InvalidEvents(f"{path} is no UTF-8 text table: {error}") from None
    if broken:
        line, row = _line(path, broken[0].number - 1), broken[0]
        raise InvalidEvents(f"{path} line {line}: found {row.actual_columns} columns, expected {row.expected_columns}")
    if not data.num_rows:
        raise InvalidEvents(f"{path} holds a header only, expected rows")
    return TextTable(path, data, has_header=not layouts)


def first_failure(values: pa.Array, dtype: pa.DataType) -> int:
    """The row of the first value that cannot be cast."""
    for row, value in enumerate(values):
        try:
            value.cast(dtype)
        except pa.ArrowException:
            return row
    raise ValueError(f"every value casts to {dtype}")


def first_line(path: Path, delimiter: str, quoted: bool = False) -> list[str]:
    """The cells of the first line that is not blank. Raises InvalidEvents where there is none, FileNotFoundError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
            return next(cells for cells in lines if cells)
    except StopIteration:
        raise InvalidEvents(f"{path} is empty, expected a table") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidEvents(f"{path} is no UTF-8 text table: {error}") from None


def _layout(path: Path, first: list[str], layouts: Sequence[Sequence[str]]) -> Sequence[str]:
    for layout in layouts:
        if len(layout) == len(first):
            return layout
    expected = " or ".join(f"{len(layout)} ({', '.join(layout)})" for layout in layouts)
    raise InvalidEvents(f"{path} line 1: found {len(first)} tab-separated columns, expected {expected}")


def _line(path: Path, number: int) -> int:
    """The line, counted from 1, of the line that is ``number``-th, counted from 0, among those that are not blank."""
    with path.open("rb") as file:
        filled = (line for line, text in enumerate(file, 1) if text.strip(b"\r\n"))
        return next(islice(filled, number, None))
