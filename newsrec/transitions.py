"""The tensors that policies see: a reader's state, the candidates, and what followed.

Letters: B rows of a batch, H reads of history, C candidates, K positions of a slate, E content numbers, X context
features, P popularity features, F kinds of feedback. Training and serving make them with the same two functions.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from newsrec.catalogue import Catalogue
from newsrec.events import KINDS
from newsrec.features import (
    ACTIVE_DAYS_WINDOW,
    DAY,
    EMBEDDING_DIM,
    HISTORY_LENGTH,
    HOUR,
    POPULARITY_FEATURES,
    READER_NUMBERS,
    SHOWN_LENGTH,
    popularity,
    unpack_history,
    unpack_shown,
)

CONTEXT_FEATURES = (
    "known_reader",
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
    "log_silent_hours",
    "log_gap_hours",
    "active_share",
    "log_reads",
    "log_sessions",
)
"""Hours and weekdays are the reader's own; active_share is the share of the last 28 days with a visit."""
CONTEXT_DIM, POPULARITY_DIM = len(CONTEXT_FEATURES), len(POPULARITY_FEATURES)


class State(NamedTuple):
    """B readers at the moment of a request. Reads stand oldest first, padding behind them."""

    history_index: Tensor
    """[B, H] int64, the article's index in the artefact, 0 where unknown or padding."""
    history_content: Tensor
    """[B, H, E] float32."""
    history_age_hours: Tensor
    """[B, H] float32, hours before the newest read: does not depend on the time of the request."""
    history_dwell_seconds: Tensor
    """[B, H] float32."""
    history_mask: Tensor
    """[B, H] bool, True for a read."""
    context: Tensor
    """[B, X] float32, CONTEXT_FEATURES."""


class Candidates(NamedTuple):
    """C articles for each of B readers."""

    article_index: Tensor
    """[B, C] int64, 0 for an article newer than the policy's training."""
    content: Tensor
    """[B, C, E] float32."""
    age_hours: Tensor
    """[B, C] float32, since publication."""
    popularity: Tensor
    """[B, C, P] float32, POPULARITY_FEATURES at the moment of the request."""
    shown: Tensor
    """[B, C] float32, how often the article is among the reader's last SHOWN_LENGTH impressions."""
    mask: Tensor
    """[B, C] bool, False for padding."""


class Transitions(NamedTuple):
    """B decisions and what followed each."""

    state: State
    candidates: Candidates
    slate: Tensor
    """[B, K] int64, positions in the candidates, top first; 0 where ``slate_mask`` is False."""
    slate_mask: Tensor
    """[B, K] bool."""
    feedback: Tensor
    """[B, K, F] float32, how often each of events.KINDS happened; dwell in seconds."""
    reward: Tensor
    """[B] float32, engagement in clicks."""
    discount: Tensor
    """[B] float32, worth of the next decision's return; where the log ends before it, what habit lets expect."""
    censored: Tensor
    """[B] bool, True where the log ends before the reader came back: not the same as never coming back. Their next
    state and candidates are their own."""
    visit_end: Tensor
    """[B] bool, True for the last decision of a visit."""
    returned: Tensor
    """[B] float32, 1 where the next visit began within the horizon (``RewardConfig``), else 0."""
    expected: Tensor
    """[B] float32, next visits that habit predicts for the time that was seen of that horizon (``newsrec.habit``)."""
    log_propensity: Tensor
    """[B, K] float32, log probability of each shown article given those above; NaN where the log has none."""
    return_to_go: Tensor
    """[B] float32, reward plus the discounted rewards up to the end of the log."""
    retention: Tensor
    """[B] float32, visits: what the decision is credited with of the next visit, against habit (``RewardConfig``)."""
    next_state: State | None = None
    next_candidates: Candidates | None = None


class Readers(NamedTuple):
    """Stored reader features of N readers as arrays; ``last_seen`` in microseconds, -1 where never."""

    key: np.ndarray  # [N, H] uint64
    time: np.ndarray  # [N, H] uint32, seconds
    dwell: np.ndarray  # [N, H] float32, seconds
    length: np.ndarray  # [N] int64
    reads: np.ndarray  # [N]
    sessions: np.ndarray  # [N]
    active_days: np.ndarray  # [N]
    last_day: np.ndarray  # [N]
    last_seen: np.ndarray  # [N]
    gap_hours: np.ndarray  # [N]
    shown_time: np.ndarray  # [N, S] uint32, seconds, oldest first and 0 in front where there are fewer
    shown_key: np.ndarray  # [N, S] uint32, short article keys

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> "Readers":
        """From stored rows, READER_FEATURES by name, None for whatever a new reader lacks."""
        rows = list(rows)
        columns = {}
        for feature in READER_NUMBERS:
            missing = _MISSING.get(feature.name, 0)
            values = [missing if row[feature.name] is None else row[feature.name] for row in rows]
            columns[feature.name] = np.array(values, feature.dtype)
        columns |= _impressions([row["shown"] for row in rows])
        return cls(*_histories([row["history"] for row in rows]), **columns)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Readers":
        """``from_rows`` of one row, in a fraction of its time."""
        reads, shown = unpack_history(row["history"]), unpack_shown(row["shown"])
        length = len(reads)
        key, time, dwell = (np.zeros((1, HISTORY_LENGTH), dtype) for dtype in (np.uint64, np.uint32, np.float32))
        key[0, :length], time[0, :length], dwell[0, :length] = reads["key"], reads["time"], reads["dwell"]
        shown_time, shown_key = np.zeros((1, SHOWN_LENGTH), np.uint32), np.zeros((1, SHOWN_LENGTH), np.uint32)
        if len(shown):
            shown_time[0, -len(shown) :], shown_key[0, -len(shown) :] = shown["time"], shown["key"]
        numbers = {}
        for feature in READER_NUMBERS:
            value = row[feature.name]
            numbers[feature.name] = np.array([_MISSING.get(feature.name, 0) if value is None else value], feature.dtype)
        return cls(key, time, dwell, np.array([length]), shown_time=shown_time, shown_key=shown_key, **numbers)

    @classmethod
    def from_table(cls, table: pa.Table) -> "Readers":
        """From an Arrow table with READER_FEATURES as columns."""
        columns = {}
        for feature in READER_NUMBERS:
            values = pc.fill_null(table[feature.name], _MISSING.get(feature.name, 0))
            columns[feature.name] = values.to_numpy().astype(feature.dtype)
        columns |= _impressions(table["shown"].to_pylist())
        return cls(*_histories(table["history"].to_pylist()), **columns)

    def take(self, rows: np.ndarray) -> "Readers":
        return Readers(*(column[rows] for column in self))


_MISSING = {"last_seen": -1}
"""What stands for null where it is not 0."""


def _histories(packed: list[bytes | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Packed histories as key, time and dwell [N, H], and their lengths [N]."""
    histories = [unpack_history(history) for history in packed]
    reads = np.concatenate([unpack_history(None), *histories])
    length = np.array([len(history) for history in histories], np.int64)
    mask = np.arange(HISTORY_LENGTH) < length[:, None]  # [N, H]
    key, time, dwell = (np.zeros(mask.shape, dtype) for dtype in (np.uint64, np.uint32, np.float32))
    key[mask], time[mask], dwell[mask] = reads["key"], reads["time"], reads["dwell"]
    return key, time, dwell, length


def _impressions(packed: list[bytes | None]) -> dict[str, np.ndarray]:
    """Packed impressions as ``shown_time`` and ``shown_key`` [N, S]."""
    found = [unpack_shown(impressions) for impressions in packed]
    impressions = np.concatenate([unpack_shown(None), *found])
    length = np.array([len(of_reader) for of_reader in found], np.int64)
    mask = np.arange(SHOWN_LENGTH) >= SHOWN_LENGTH - length[:, None]  # [N, S]
    time, key = np.zeros(mask.shape, np.uint32), np.zeros(mask.shape, np.uint32)
    time[mask], key[mask] = impressions["time"], impressions["key"]
    return {"shown_time": time, "shown_key": key}


def state(
    readers: Readers, now: np.ndarray, utc_offset_minutes: np.ndarray, catalogue: Catalogue, use_time: bool = True
) -> State:
    """The state of each reader at ``now`` [B] (microseconds). With ``use_time`` False, ages and context are zero."""
    width = max(1, int(readers.length.max(initial=0)))
    mask = np.arange(width) < readers.length[:, None]  # [B, H]
    rows = np.where(mask, catalogue.rows_of_keys(readers.key[:, :width]), 0)  # [B, H]
    time = readers.time[:, :width].astype(np.float64)  # [B, H]
    ages = np.where(mask, (time.max(1, keepdims=True) - time) / 3600.0, 0.0)  # [B, H]
    if not use_time:
        ages = np.zeros_like(ages)
    return State(
        torch.from_numpy(catalogue.index(rows)),
        torch.from_numpy(catalogue.content[rows]),
        torch.from_numpy(ages.astype(np.float32)),
        torch.from_numpy(np.where(mask, readers.dwell[:, :width], 0).astype(np.float32)),
        torch.from_numpy(mask),
        torch.from_numpy(context(readers, now, utc_offset_minutes, use_time)),
    )


def context(readers: Readers, now: np.ndarray, utc_offset_minutes: np.ndarray, use_time: bool = True) -> np.ndarray:
    """[B, X] float32: CONTEXT_FEATURES of each reader at ``now`` [B]; without ``use_time`` the first one alone."""
    local = now + utc_offset_minutes.astype(np.int64) * 60_000_000
    hour, weekday = local % DAY / HOUR, (local // DAY + 3) % 7  # 1 January 1970 was a Thursday
    seen = readers.last_seen >= 0
    silent = np.where(seen, np.maximum(now - readers.last_seen, 0) / HOUR, 0.0)
    days = np.clip(local // DAY - readers.last_day, 0, ACTIVE_DAYS_WINDOW)
    recent = (readers.active_days << days) & ((1 << ACTIVE_DAYS_WINDOW) - 1)
    columns = [
        readers.length > 0,
        np.sin(2 * np.pi * hour / 24),
        np.cos(2 * np.pi * hour / 24),
        np.sin(2 * np.pi * weekday / 7),
        np.cos(2 * np.pi * weekday / 7),
        np.log1p(silent),
        np.log1p(readers.gap_hours),
        np.bitwise_count(recent) / ACTIVE_DAYS_WINDOW,
        np.log1p(readers.reads),
        np.log1p(readers.sessions),
    ]
    found = np.stack([np.asarray(c, np.float32) for c in columns], 1)
    if not use_time:
        found[:, 1:] = 0.0
    return found


def context_of_one(readers: Readers, now: int, utc_offset_minutes: int, use_time: bool = True) -> np.ndarray:
    """[1, X] float32: ``context`` of the one reader in ``readers``, up to rounding, in a fraction of its time."""
    known = float(readers.length[0] > 0)
    if not use_time:
        return np.array([[known] + [0.0] * (CONTEXT_DIM - 1)], np.float32)
    local, seen = now + utc_offset_minutes * 60_000_000, int(readers.last_seen[0])
    hour, weekday = local % DAY / HOUR, (local // DAY + 3) % 7
    days = min(max(local // DAY - int(readers.last_day[0]), 0), ACTIVE_DAYS_WINDOW)
    recent = (int(readers.active_days[0]) << days) & ((1 << ACTIVE_DAYS_WINDOW) - 1)
    columns = (
        known,
        math.sin(2 * math.pi * hour / 24),
        math.cos(2 * math.pi * hour / 24),
        math.sin(2 * math.pi * weekday / 7),
        math.cos(2 * math.pi * weekday / 7),
        math.log1p(max(now - seen, 0) / HOUR if seen >= 0 else 0.0),
        math.log1p(readers.gap_hours[0]),
        recent.bit_count() / ACTIVE_DAYS_WINDOW,
        math.log1p(readers.reads[0]),
        math.log1p(readers.sessions[0]),
    )
    return np.array([columns], np.float32)


def candidates(
    rows: np.ndarray,
    readers: Readers,
    counts: np.ndarray,
    as_of: np.ndarray,
    now: np.ndarray,
    catalogue: Catalogue,
    use_time: bool = True,
) -> Candidates:
    """The candidates of ``readers`` [B] at catalogue ``rows`` [B, C], -1 for padding.

    ``counts`` [B, C, 4] are the stored counts decayed up to ``as_of`` [B, C]; ``now`` [B] in microseconds. With
    ``use_time`` False, age and popularity are zero.
    """
    mask = rows >= 0
    rows = np.maximum(rows, 0)
    ages = np.maximum(now[:, None] - catalogue.published_at[rows], 0) / HOUR * (rows > 0)  # [B, C]
    popular = popularity(counts, as_of, now[:, None]) * mask[..., None]  # [B, C, P]
    if not use_time:
        ages, popular = np.zeros_like(ages), np.zeros_like(popular)
    return Candidates(
        torch.from_numpy(catalogue.index(rows)),
        torch.from_numpy(catalogue.content[rows]),
        torch.from_numpy(ages.astype(np.float32)),
        torch.from_numpy(popular),
        torch.from_numpy(_times_shown(readers, rows, catalogue)),
        torch.from_numpy(mask),
    )


def _times_shown(readers: Readers, rows: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """[B, C] float32, 0 for the unknown article."""
    key = catalogue.short_keys[rows]  # [B, C]
    return ((key[:, :, None] == readers.shown_key[:, None]).sum(2) * (rows > 0)).astype(np.float32)


def empty_state(batch: int) -> State:
    """The state of ``batch`` readers of whom nothing is known, at no particular time."""
    zeros = torch.zeros(batch, 1)
    content = torch.zeros(batch, 1, EMBEDDING_DIM)
    return State(zeros.long(), content, zeros, zeros, zeros.bool(), torch.zeros(batch, CONTEXT_DIM))


def shown(batch: Transitions) -> Candidates:
    """[B, K]: the candidates that stood in the slate, top first."""

    def pick(column: Tensor) -> Tensor:
        return column[torch.arange(len(column))[:, None], batch.slate]

    candidates = batch.candidates
    return Candidates(
        pick(candidates.article_index),
        pick(candidates.content),
        pick(candidates.age_hours),
        pick(candidates.popularity),
        pick(candidates.shown),
        batch.slate_mask,
    )


def clicked(batch: Transitions) -> Tensor:
    """[B, K] bool: what was clicked of the slate."""
    return batch.feedback[..., KINDS.index("click")] > 0
