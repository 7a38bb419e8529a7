"""Who asked to be forgotten, and up to when: known by a salted hash, so that the list names nobody.

A tombstone says that nothing of a reader from before a moment may come back, from wherever it comes: a late event, an
old export, a back-fill, a materialisation. What the reader does after that moment is a new reader's.

The hash is HMAC-SHA256 of the stored reader id under a salt of the event log's own. A pipeline, which has no key of
reader ids, can so check an old log; whoever holds salt and list can only try out ids that they know already.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import EventLog, join, microseconds
from newsrec.files import write_whole

FILE = "tombstones.json"
"""In the folder of a feature store."""


def reader_hash(user_id: str, salt: str) -> str:
    """64 hex digits of the reader ``user_id``, as it is stored, under ``salt``."""
    return hmac.new(salt.encode(), user_id.encode(), hashlib.sha256).hexdigest()


class Tombstones(NamedTuple):
    """Salt -> hash of a reader -> microseconds up to which, included, the reader's data are gone.

    One event log has one salt; a store that knew two logs keeps both lists.
    """

    moments: Mapping[str, Mapping[str, int]] = {}

    def forgotten_at(self, user_id: str) -> int | None:
        """Up to when ``user_id`` is forgotten, None for a reader who never asked for it."""
        found = [forgotten.get(reader_hash(user_id, salt)) for salt, forgotten in self.moments.items() if forgotten]
        return max((moment for moment in found if moment is not None), default=None)

    def merged(self, others: "Tombstones") -> "Tombstones":
        """All of both, of one reader the later moment."""
        moments = {salt: dict(forgotten) for salt, forgotten in self.moments.items()}
        for salt, forgotten in others.moments.items():
            mine = moments.setdefault(salt, {})
            for reader, moment in forgotten.items():
                mine[reader] = max(moment, mine.get(reader, moment))
        return Tombstones(moments)

    def without(self, log: EventLog) -> EventLog:
        """``log`` less the decisions that forgotten readers got up to their moments, and all feedback on these."""
        if not any(self.moments.values()):
            return log
        kept = self._kept(log.recommendations)
        request = join(log.recommendations, log.feedback)
        of_kept = np.append(kept, True)[request]  # the last one: feedback without its decision
        keep = self._kept(log.feedback) & of_kept
        return log._replace(
            recommendations=log.recommendations.filter(pa.array(kept)), feedback=log.feedback.filter(pa.array(keep))
        )

    def _kept(self, table: pa.Table) -> np.ndarray:
        """Which rows of user_id and time may stay. [N] bool"""
        readers = pc.unique(table["user_id"])
        never = np.iinfo(np.int64).min
        found = [self.forgotten_at(reader) for reader in readers.to_pylist()]
        moments = np.array([never if moment is None else moment for moment in found], np.int64)
        return microseconds(table["time"]) > moments[pc.index_in(table["user_id"], value_set=readers).to_numpy()]


def read(folder: str | Path) -> Tombstones:
    """The tombstones that ``add`` left in ``folder``; none where it never did."""
    path = Path(folder) / FILE
    return Tombstones(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Tombstones()


def add(folder: str | Path, tombstones: Tombstones) -> None:
    """Keep ``tombstones``, with those that are there already, in ``folder``."""
    write_whole(Path(folder) / FILE, json.dumps(read(folder).merged(tombstones).moments, indent=1, sort_keys=True))
