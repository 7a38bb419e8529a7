"""Slates scored in advance: candidates and scores by reader, from which a request only draws.

``python -m serving precompute`` scores each reader's shortlist as a request without a context would have at that
moment, some readers at a time, and stores keys and scores with the policy's version. A request with ``--inference
batch`` leaves out what has been read, withdrawn or has expired since, and draws from the stored scores, so that
propensities are exact. What it cannot be drawn from is scored in the request and counted: a reader without a row, a row
of another policy or too old, a request that names candidates or another time, and fewer articles left than asked for.
"""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prometheus_client import Counter

from feature_repo.store import ReaderSlate
from newsrec.artifact import Artifact
from newsrec.features import HOUR, article_key
from newsrec.files import write_whole
from newsrec.transitions import Readers
from serving.backends import Backends
from serving.bundle import Bundle
from serving.recommend import ServingConfig, Visit, barred, ranked
from serving.schema import SlateRequest
from serving.shelf import Shelf

PRECOMPUTED = Counter("newsrec_precomputed_slates", "Slates under batch inference, by where they came from", ["source"])
STATE = "precompute.json"
"""In the folder of the store: how far an interrupted run came."""
_RANKED = np.dtype([("key", "<u8"), ("score", "<f4")])
_VERSION = b"\x01"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchConfig:
    """Which stored rows serve."""

    oldest_hours: float = 24.0
    """A row that was made longer ago is not drawn from."""

    def __post_init__(self) -> None:
        if not self.oldest_hours > 0:
            raise ValueError(f"oldest_hours is {self.oldest_hours}, expected more than 0")


def pack_ranking(keys: np.ndarray, scores: np.ndarray) -> bytes:
    """Candidates as bytes: a version byte, then 12 bytes each (article key, score as float32)."""
    ranking = np.empty(len(keys), _RANKED)
    ranking["key"], ranking["score"] = keys, scores
    return _VERSION + ranking.tobytes()


def unpack_ranking(packed: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Keys [C] uint64 and scores [C] float32 of ``pack_ranking``. Raises ValueError."""
    if packed[:1] != _VERSION:
        raise ValueError(f"a packed ranking begins with {packed[:1]!r}, expected {_VERSION!r}")
    ranking = np.frombuffer(packed, _RANKED, offset=1)
    return ranking["key"], ranking["score"]


def stored_ranking(
    visit: Visit, shelf: Shelf, artifact: Artifact, config: ServingConfig, batch: BatchConfig
) -> tuple[np.ndarray, np.ndarray] | None:
    """Catalogue rows of the stored candidates that may still be shown, and their scores; None where they do not serve.

    Counts what came of it.
    """
    found, source = _stored(visit, shelf, artifact, config, batch)
    PRECOMPUTED.labels(source).inc()
    return found


def _stored(
    visit: Visit, shelf: Shelf, artifact: Artifact, config: ServingConfig, batch: BatchConfig
) -> tuple[tuple[np.ndarray, np.ndarray] | None, str]:
    request, now, catalogue, slate = visit.request, visit.now, shelf.catalogue, visit.slate
    if request.candidates is not None or request.time is not None:
        return None, "asked"
    if slate is None:
        return None, "missing"
    if slate.policy_version != artifact.version.encode():
        return None, "version"
    if now - slate.made_at > batch.oldest_hours * HOUR:
        return None, "age"
    try:
        keys, scores = unpack_ranking(slate.ranking)
    except ValueError:
        return None, "packing"
    rows = catalogue.rows_of_keys(keys)  # [C], 0 for what this catalogue does not know
    gone = np.append(barred(visit, shelf), 0)
    oldest = now - int(config.shelf_life_hours * HOUR)
    published = catalogue.published_at[rows]
    shown = (published <= now) & (published > oldest) & (catalogue.hidden_at[rows] > now) & ~np.isin(rows, gone)
    if shown.sum() < request.k:
        return None, "few"
    return (rows[shown], scores[shown]), "stored"


def precompute(
    bundle: Bundle,
    backends: Backends,
    config: ServingConfig,
    oldest_hours: float = 24.0,
    told: Callable[[int], None] = lambda _: None,
) -> int:
    """Store a ranking for each reader with offline rows; how many were scored. ``told`` is called with each batch's.

    Readers are taken in the order of their ids, and how far it came is kept in the store's folder: an interrupted run
    of the same policy goes on there, unless it began more than ``oldest_hours`` ago. Raises FeatureStoreError.
    """
    store, total = backends.store, 0
    state = _State.read(store.root / STATE, bundle.released.version, backends.clock(), oldest_hours)
    if state.last is not None:
        log.info("goes on where a run was interrupted")
    for ids in store.reader_ids():
        left = [i for i in ids if state.last is None or i > state.last]
        if not left:
            continue
        bundle.live.poll()
        store.write_slates(dict(_slates(left, bundle, backends, config)))
        state = state.after(left[-1])
        total += len(left)
        told(len(left))
    state.path.unlink(missing_ok=True)
    return total


def _slates(
    ids: list[str], bundle: Bundle, backends: Backends, config: ServingConfig
) -> Iterator[tuple[str, ReaderSlate]]:
    now = backends.clock()  # before the rows are read: a reader who is forgotten meanwhile is left out
    for user_id, (row, vector) in zip(ids, backends.store.readers_and_vectors(ids), strict=True):
        arm = bundle.arms.of(user_id)
        shelf, artifact = bundle.live.shelves[arm.shelf], arm.artifact
        asked = SlateRequest.model_construct(user_id=user_id)
        visit = Visit(asked, "precompute", user_id, Readers.from_row(row), False, now, vector=vector)
        rows, scores = ranked(visit, shelf, artifact, config)
        names = [shelf.catalogue.ids[row] for row in rows.tolist()]
        keys = np.array([article_key(name) for name in names], np.uint64)
        yield user_id, ReaderSlate(pack_ranking(keys, scores), artifact.version.encode(), now)


@dataclass(frozen=True)
class _State:
    """How far a run of the policy ``version`` came."""

    path: Path
    version: str
    began: int
    last: str | None = None
    """The last reader that is done."""

    @classmethod
    def read(cls, path: Path, version: str, now: int, oldest_hours: float) -> "_State":
        """That of an interrupted run which can go on, or a new one."""
        try:
            found = cls(path, **json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls(path, version, now)
        fresh = now - found.began <= oldest_hours * HOUR
        return found if found.version == version and fresh else cls(path, version, now)

    def after(self, last: str) -> "_State":
        write_whole(self.path, json.dumps({"version": self.version, "began": self.began, "last": last}))
        return _State(self.path, self.version, self.began, last)
