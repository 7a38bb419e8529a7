"""What is watched for drift: features of readers, requests, articles and reading, as columns with a moment a row.

Reader features are those of a decision's moment, article features those of every candidate in every full hour: the
candidates are what the newsroom offers, the shown articles would be what a policy likes. The rows of one reader, and of
one article, resemble one another, so each row names its cluster.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.decisions import Decisions
from newsrec.events import KINDS, EventLog
from newsrec.features import ACTIVE_DAYS_WINDOW, DAY, HOUR, POPULARITY_FEATURES, popularity
from newsrec.transitions import Readers

MISSING = "missing"
"""The category of a null."""
_MEMORY_DAYS = {
    **dict.fromkeys(("history_length", "history_dwell_seconds", "active_days"), ACTIVE_DAYS_WINDOW),
    **dict.fromkeys(("silent_hours", "gap_hours", *POPULARITY_FEATURES), 7),
}
"""How long features grow with the log: 28 days are remembered, counts halve every day, absences are mostly weeks."""


class Column(NamedTuple):
    """One feature over N rows in any order."""

    values: np.ndarray
    """[N] float64, NaN where there is none, or texts: categories."""
    time: np.ndarray
    """[N] int64, microseconds."""
    cluster: np.ndarray
    """[N] int64, the reader or the article."""
    memory_days: int = 0
    """Age of the log from which on the feature no longer grows with it."""

    def between(self, start: int, end: int) -> "Column":
        """The rows with ``start`` <= time < ``end``."""
        rows = (self.time >= start) & (self.time < end)
        return self._replace(values=self.values[rows], time=self.time[rows], cluster=self.cluster[rows])


def columns(log: EventLog, decisions: Decisions) -> dict[str, Column]:
    """Every watched feature of ``decisions``, which were built from ``log``, by name."""
    found: dict[str, Column] = {}
    for name, values in (_of_readers(decisions) | _of_requests(log, decisions)).items():
        found[name] = Column(values, decisions.time, decisions.user, _MEMORY_DAYS.get(name, 0))
    stored = decisions.stored
    for name, values in _of_articles(decisions).items():
        found[name] = Column(values, stored.hour * HOUR, stored.article, _MEMORY_DAYS.get(name, 0))
    found["dwell_seconds"] = _dwell(decisions)
    return found


def _of_readers(decisions: Decisions) -> dict[str, np.ndarray]:
    readers: Readers = decisions.readers
    day = (decisions.time + decisions.utc_offset * 60_000_000) // DAY
    passed = np.clip(day - readers.last_day, 0, ACTIVE_DAYS_WINDOW)
    active = np.bitwise_count((readers.active_days << passed) & ((1 << ACTIVE_DAYS_WINDOW) - 1))
    seen = readers.last_seen >= 0
    silent = np.where(seen, (decisions.time - readers.last_seen) / HOUR, np.nan)
    mask = np.arange(readers.dwell.shape[1]) < readers.length[:, None]  # [N, H]
    dwell = np.where(mask, readers.dwell, 0.0).sum(1) / np.where(readers.length > 0, readers.length, np.nan)
    return {
        "history_length": readers.length.astype(float),
        "history_dwell_seconds": dwell,
        "active_days": active.astype(float),
        "silent_hours": silent,
        "gap_hours": readers.gap_hours.astype(float),
        "reads": readers.reads.astype(float),
        "sessions": readers.sessions.astype(float),
    }


def _of_requests(log: EventLog, decisions: Decisions) -> dict[str, np.ndarray]:
    made = log.decisions
    context = made.sort_by([("time", "ascending"), ("request_id", "ascending")])["context"].combine_chunks()
    local = (decisions.time + decisions.utc_offset * 60_000_000) % DAY // HOUR
    parts = np.array([f"{3 * i:02}-{3 * i + 3:02} h" for i in range(8)])
    fields = {name: _texts(pc.struct_field(context, name)) for name in ("device", "surface", "locale")}
    return {"local_hour": parts[local // 3], **fields}


def _of_articles(decisions: Decisions) -> dict[str, np.ndarray]:
    stored, catalogue = decisions.stored, decisions.catalogue
    now = stored.hour * HOUR
    age = np.maximum(now - catalogue.published_at[stored.article], 0) / HOUR
    popular = popularity(stored.counts, stored.as_of, now).astype(float)
    categories = _texts(catalogue.articles["category"].combine_chunks())
    return {
        "age_hours": age,
        **dict(zip(POPULARITY_FEATURES, popular.T, strict=True)),
        "category": categories[stored.article - 1],
    }


def _dwell(decisions: Decisions) -> Column:
    """Of each article that was read."""
    dwell = decisions.feedback[:, KINDS.index("dwell")].astype(float)
    row = decisions.slate.row[dwell > 0]
    return Column(dwell[dwell > 0], decisions.time[row], decisions.user[row])


def _texts(column: pa.Array) -> np.ndarray:
    texts: Any = pc.fill_null(column, MISSING).to_numpy(zero_copy_only=False)
    return texts.astype(str)
