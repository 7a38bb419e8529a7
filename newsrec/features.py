"""Feature names and dtypes, how they are packed, and how one reader's features follow from their feedback.

Feast takes its fields from ``READER_FEATURES`` and ``ARTICLE_FEATURES``. Offline (``snapshots``) and online (the
collector) fold feedback with the same ``ReaderState``. The predictor refuses an artefact whose ``feature_hash``
differs from the store's.
"""

import bisect
import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from newsrec.config import InvalidConfig
from newsrec.events import KINDS

HISTORY_LENGTH = 50
"""Reads kept in a reader's history, the latest by read time."""
SHOWN_LENGTH = 64
"""Impressions kept of a reader, the latest by their time: six slates of ten and a bit."""
EMBEDDING_DIM = 64
SESSION_GAP_MINUTES = 30
"""A reader who was silent for longer starts a new session."""
ACTIVE_DAYS_WINDOW = 28
POPULARITY_HALF_LIFE_HOURS = {"clicks_hour": 1.0, "clicks_day": 24.0, "impressions_day": 24.0, "dwell_day": 24.0}
_HALF_LIVES = np.array(list(POPULARITY_HALF_LIFE_HOURS.values()))
TYPICAL_DWELL_SECONDS, LONGEST_DWELL_SECONDS = 30.0, 900.0
"""An article whose dwell is unknown looks as if it had the first; one event counts as the second at most."""
VIEW_VERSION = 2
HOUR, DAY = 3_600_000_000, 86_400_000_000
"""Microseconds."""


class Feature(NamedTuple):
    """One stored column: ``dtype`` is one of bytes, int64 and float32.

    Moments are int64 microseconds since 1970 UTC: Feast's own timestamp type keeps whole seconds online.
    """

    name: str
    dtype: str
    meaning: str


READER_FEATURES = (
    Feature("history", "bytes", f"the last {HISTORY_LENGTH} reads, packed by pack_history, oldest first"),
    Feature("reads", "int64", "clicks so far"),
    Feature("sessions", "int64", f"visits so far, split by {SESSION_GAP_MINUTES} silent minutes"),
    Feature("active_days", "int64", "bit i: active on the reader-local day last_day - i, i < 28"),
    Feature("last_day", "int64", "reader-local day of the latest activity, days since 1970"),
    Feature("last_seen", "int64", "latest activity, microseconds"),
    Feature("gap_hours", "float32", "silent hours before the current session, 0 in the first"),
    Feature("shown", "bytes", f"the last {SHOWN_LENGTH} impressions, packed by pack_shown, oldest first"),
)
ARTICLE_FEATURES = (
    Feature("embedding", "bytes", f"content vector, {EMBEDDING_DIM} little-endian float32"),
    Feature("published_at", "int64", "publication, microseconds"),
    Feature("clicks_hour", "float32", "clicks, each halved every hour until as_of"),
    Feature("clicks_day", "float32", "clicks, each halved every day until as_of"),
    Feature("impressions_day", "float32", "impressions, each halved every day until as_of"),
    Feature("dwell_day", "float32", "seconds of dwell, each halved every day until as_of"),
    Feature("as_of", "int64", "moment up to which the four counts are decayed, microseconds"),
)
READER_NUMBERS = tuple(feature for feature in READER_FEATURES if feature.dtype != "bytes")
POPULARITY_FEATURES = ("log_clicks_hour", "log_clicks_day", "click_rate_day", "log_dwell_day")
"""What a policy sees of an article's counts, computed for the moment of the request."""


ENCODER_VARIABLE = "NEWSREC_ENCODER"
"""Environment variable with the folder of the site's title encoder; hashed vectors without it."""
ENCODER_FILE = "encoder.json"
"""In that folder: what the encoder is."""
HASHED = "hashed-1"


def encoder_folder() -> str:
    """The folder of the site's title encoder; empty for the hashed one."""
    return os.environ.get(ENCODER_VARIABLE, "")


def encoder_version() -> str:
    """Name and version of the encoder that all article vectors of this site come from. Raises InvalidConfig."""
    return _version_in(encoder_folder())


@lru_cache(maxsize=4)
def _version_in(folder: str) -> str:
    if not folder:
        return HASHED
    path = Path(folder) / ENCODER_FILE
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{ENCODER_VARIABLE} is {folder!r}, and {path} cannot be read ({type(error).__name__})"
        raise InvalidConfig(f"{found}; expected the folder of a student that newsrec titles train made") from None


def feature_hash() -> str:
    """Sixteen hex digits that change whenever a stored feature's name, type, packing or meaning changes.

    Behind them stands the encoder of article vectors wherever it is not the hashed one. Raises InvalidConfig.
    """
    packing = (_HISTORY_VERSION, _READ.descr, HISTORY_LENGTH, EMBEDDING_DIM, _SHOWN.descr, SHOWN_LENGTH)
    windows = (SESSION_GAP_MINUTES, ACTIVE_DAYS_WINDOW, POPULARITY_HALF_LIFE_HOURS)
    dwell = (TYPICAL_DWELL_SECONDS, LONGEST_DWELL_SECONDS)
    definition = repr((VIEW_VERSION, packing, windows, dwell, READER_FEATURES, ARTICLE_FEATURES))
    digits = hashlib.sha256(definition.encode()).hexdigest()[:16]
    return digits if encoder_version() == HASHED else f"{digits}+{encoder_version()}"


@lru_cache(maxsize=1_000_000)
def article_key(article_id: str) -> int:
    """The 64-bit number under which a packed history holds an article."""
    return int.from_bytes(hashlib.blake2b(article_id.encode(), digest_size=8).digest(), "little")


_READ = np.dtype([("key", "<u8"), ("time", "<u4"), ("dwell", "<f2")])
_HISTORY_VERSION = b"\x01"


def pack_history(keys: np.ndarray, seconds: np.ndarray, dwell: np.ndarray) -> bytes:
    """Reads as bytes: a version byte, then 14 bytes a read (article key, read time in s since 1970, dwell in s)."""
    reads = np.empty(len(keys), _READ)
    reads["key"], reads["time"], reads["dwell"] = keys, seconds, np.minimum(dwell, 60_000)
    return _HISTORY_VERSION + reads.tobytes()


def unpack_history(packed: bytes | None) -> np.ndarray:
    """The reads of ``pack_history`` as a structured array (key, time, dwell); empty for None. Raises ValueError."""
    return _unpacked(packed, _READ, "history")


def _unpacked(packed: bytes | None, dtype: np.dtype, what: str) -> np.ndarray:
    if not packed:
        return np.empty(0, dtype)
    if packed[:1] != _HISTORY_VERSION:
        raise ValueError(f"packed {what} has version {packed[0]}, expected {_HISTORY_VERSION[0]}")
    return np.frombuffer(packed, dtype, offset=1)


_SHOWN = np.dtype([("time", "<u4"), ("key", "<u4")])


def short_key(key: int) -> int:
    """The 32 bits of ``article_key`` under which impressions hold an article."""
    return key & 0xFFFFFFFF


def pack_shown(seconds: np.ndarray, keys: np.ndarray) -> bytes:
    """Impressions as bytes: a version byte, then 8 bytes each (time in s since 1970, short article key)."""
    impressions = np.empty(len(keys), _SHOWN)
    impressions["time"], impressions["key"] = seconds, keys
    return _HISTORY_VERSION + impressions.tobytes()


def unpack_shown(packed: bytes | None) -> np.ndarray:
    """The impressions of ``pack_shown`` as a structured array (time, key); empty for None. Raises ValueError."""
    return _unpacked(packed, _SHOWN, "impressions")


def pack_embedding(embedding: np.ndarray) -> bytes:
    return np.asarray(embedding, "<f4").tobytes()


def unpack_embedding(packed: bytes | None) -> np.ndarray:
    """[EMBEDDING_DIM] float32, zeros for None."""
    return np.frombuffer(packed, "<f4") if packed else np.zeros(EMBEDDING_DIM, np.float32)


@dataclass
class ReaderState:
    """A reader's features as the fold of their feedback in order of arrival.

    A late event changes what it can still change (a read takes its place by read time, a day becomes active), and
    never the order of what was known before it: sessions and gaps follow the latest activity that had arrived.
    """

    history: dict[int, tuple[int, float]] = field(default_factory=dict)
    """Article key -> (read time in s, dwell in s)."""
    reads: int = 0
    sessions: int = 0
    active_days: int = 0
    last_day: int = 0
    last_seen: int | None = None
    gap_hours: float = 0.0
    shown: list[tuple[int, int]] = field(default_factory=list)
    """Impressions (time in s, short article key), oldest first: which they are does not depend on their arrival."""

    def observe(self, kind: str, key: int | None, time: int, dwell: float | None, utc_offset_minutes: int = 0) -> None:
        """Fold one event; ``time`` in microseconds, ``key`` by ``article_key``."""
        self.remember(kind, key, time, dwell)
        if kind == "impression" and key is not None:
            bisect.insort(self.shown, (time // 1_000_000, short_key(key)))
            del self.shown[:-SHOWN_LENGTH]
        day = (time + utc_offset_minutes * 60_000_000) // DAY
        if self.last_seen is None or day > self.last_day:
            shift = ACTIVE_DAYS_WINDOW if self.last_seen is None else min(day - self.last_day, ACTIVE_DAYS_WINDOW)
            self.active_days = (self.active_days << shift) & ((1 << ACTIVE_DAYS_WINDOW) - 1) | 1
            self.last_day = day
        elif self.last_day - day < ACTIVE_DAYS_WINDOW:
            self.active_days |= 1 << (self.last_day - day)
        if self.last_seen is None or time - self.last_seen > SESSION_GAP_MINUTES * 60_000_000:
            self.sessions += 1
            self.gap_hours = 0.0 if self.last_seen is None else (time - self.last_seen) / HOUR
        self.last_seen = time if self.last_seen is None else max(self.last_seen, time)

    def remember(self, kind: str, key: int | None, time: int, dwell: float | None) -> None:
        """Only the read itself: for imported reads whose clock is made up."""
        if key is None or kind not in ("click", "dwell"):
            return
        self.reads += kind == "click"
        seconds, longest = self.history.get(key, (0, 0.0))
        self.history[key] = (max(seconds, time // 1_000_000), max(longest, dwell or 0.0))
        if len(self.history) > HISTORY_LENGTH:
            del self.history[min(self.history, key=lambda k: (self.history[k][0], k))]

    def row(self) -> dict[str, Any]:
        """The values of READER_FEATURES by name."""
        reads = sorted([(seconds, key, dwell) for key, (seconds, dwell) in self.history.items()])
        seconds, keys, dwell = zip(*reads, strict=True) if reads else ((), (), ())
        packed = pack_history(np.array(keys, np.uint64), np.array(seconds, np.uint32), np.array(dwell, np.float32))
        return {
            "history": packed,
            "reads": self.reads,
            "sessions": self.sessions,
            "active_days": self.active_days,
            "last_day": self.last_day,
            "last_seen": self.last_seen,
            "gap_hours": float(np.float32(self.gap_hours)),
            "shown": pack_shown(*np.array(self.shown, np.uint32).reshape(-1, 2).T),
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "ReaderState":
        """The state that ``row`` came from, able to go on folding; None is what a new reader has."""
        history = {key: (seconds, dwell) for key, seconds, dwell in unpack_history(row["history"]).tolist()}
        numbers = {feature.name: row[feature.name] for feature in READER_NUMBERS if row[feature.name] is not None}
        return cls(history, shown=unpack_shown(row["shown"]).tolist(), **numbers)


def count_weights(kind: np.ndarray, dwell_seconds: np.ndarray) -> np.ndarray:
    """[M, 4] float64: what M events add to an article's counts, in the order of POPULARITY_HALF_LIFE_HOURS.

    ``kind`` numbers events.KINDS; ``dwell_seconds`` may be NaN. Dwell in parts adds up.
    """
    click, impression, dwell = (kind == KINDS.index(name) for name in ("click", "impression", "dwell"))
    seconds = np.where(dwell & (dwell_seconds > 0), np.minimum(dwell_seconds, LONGEST_DWELL_SECONDS), 0.0)
    return np.stack([click, click, impression, seconds], 1).astype(np.float64)


def popularity(counts: np.ndarray, as_of: np.ndarray, now: np.ndarray) -> np.ndarray:
    """POPULARITY_FEATURES at ``now``: [..., 4] float32.

    ``counts`` [..., 4] in the order of POPULARITY_HALF_LIFE_HOURS, decayed up to ``as_of`` (microseconds). The click
    rate is pulled towards 5 % by 20 impressions, dwell a click towards the typical one by 3 reads; of this the
    log of the ratio, 0 where no dwell was ever told.
    """
    hours = np.maximum(now - as_of, 0)[..., None] / HOUR
    decayed = counts * np.exp2(-hours / _HALF_LIVES)
    clicks_hour, clicks_day, impressions_day, dwell_day = (decayed[..., i] for i in range(4))
    found = np.empty(decayed.shape, np.float32)
    found[..., 0], found[..., 1] = np.log1p(clicks_hour), np.log1p(clicks_day)
    found[..., 2] = (clicks_day + 1.0) / (impressions_day + 20.0)
    typical = np.log((dwell_day / TYPICAL_DWELL_SECONDS + 3.0) / (clicks_day + 3.0))
    found[..., 3] = np.where(dwell_day > 0.0, typical, 0.0)
    return found
