"""A log as the findings look at it: its own decisions, and the feedback on them."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import EventLog, join, microseconds
from newsrec.features import DAY

HORIZON_DAYS = 7.0
"""A week, in which habits repeat, and after which a reward's discount is down to a fifth."""
FEW_READERS = 40
"""Intervals of fewer readers are too narrow: see ``evaluation.intervals``."""


class Evidence(NamedTuple):
    """N decisions in order of time (imported reads are none) and F feedback events on them."""

    log: EventLog
    horizon: int
    """Microseconds within which a return counts."""
    now: int | None
    """The moment of the examination, microseconds; None: nothing is taken for a thing of the future."""
    decisions: pa.Table
    feedback: pa.Table
    row: np.ndarray  # [F] int64, the decision of each event
    time: np.ndarray  # [N] int64, microseconds
    reader: np.ndarray  # [N] int64, numbered from 0
    slate: pa.Array  # [N] lists of article ids
    clicked: np.ndarray  # [N] bool, whether an article of the slate was clicked

    @classmethod
    def of(cls, log: EventLog, horizon_days: float, now: int | None) -> "Evidence":
        made = log.decisions
        decisions = made.sort_by([("time", "ascending"), ("request_id", "ascending")]).combine_chunks()
        at = join(decisions, log.feedback)
        feedback, row = log.feedback.filter(pa.array(at >= 0)), at[at >= 0]
        slate = decisions["slate"].combine_chunks()
        clicks = pc.equal(feedback["kind"], "click").to_numpy()
        inside = in_slate(slate, row[clicks], feedback["article_id"].filter(pa.array(clicks)))
        clicked = np.zeros(len(decisions), bool)
        clicked[row[clicks][inside]] = True
        return cls(
            log=log,
            horizon=int(horizon_days * DAY),
            now=now,
            decisions=decisions,
            feedback=feedback,
            row=row,
            time=microseconds(decisions["time"]),
            reader=numbers(decisions["user_id"]),
            slate=slate,
            clicked=clicked,
        )

    @property
    def readers(self) -> int:
        """How many readers decided something."""
        return int(self.reader.max(initial=-1)) + 1

    def count(self, kind: str) -> int:
        """How many events of one kind there are."""
        return true(pc.equal(self.feedback["kind"], kind))


def in_slate(slate: pa.Array, row: np.ndarray, article: pa.ChunkedArray) -> np.ndarray:
    """[n] bool: whether each ``article`` [n] stands in the slate of ``row`` [n]."""
    rows = np.repeat(np.arange(len(slate)), pc.list_value_length(slate).to_numpy())
    shown = _pairs(rows, slate.flatten())
    return pc.is_in(_pairs(row, article), value_set=shown).to_numpy(zero_copy_only=False)


def _pairs(row: np.ndarray, article: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(article, pa.ChunkedArray):
        article = article.combine_chunks()
    return pc.binary_join_element_wise(pa.array(row).cast(pa.string()), pc.fill_null(article, ""), "/")


def numbers(values: pa.ChunkedArray) -> np.ndarray:
    """Equal values as equal numbers from 0 on. int64"""
    return pc.rank(values, tiebreaker="dense").to_numpy().astype(np.int64) - 1


def repeated(table: pa.Table, columns: list[str]) -> int:
    """How many rows repeat ``columns`` of a row before them."""
    return table.num_rows - table.select(columns).group_by(columns).aggregate([]).num_rows


def true(mask: pa.ChunkedArray | pa.Array) -> int:
    """How many are True; null counts as False."""
    return pc.sum(mask).as_py() or 0


def share(part: float, whole: float) -> float:
    """0 of nothing."""
    return part / whole if whole else 0.0
