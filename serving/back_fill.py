"""Vectors of all readers at once: after a release, whose tower has made none of them yet.

Requests compute what is missing, and feedback brings a reader's own up to date, so nothing waits for this; it spares
requests the tower. What is fresh already is left alone, so an interrupted run goes on where it ended.
"""

from collections.abc import Callable
from typing import NamedTuple

from feature_repo.store import Store
from newsrec.transitions import Readers
from serving.scoring import made_by, read_rows
from serving.tower import Tower


class Filled(NamedTuple):
    """What became of readers: a new vector, one that was fresh already, none (no row, or a policy without a tower)."""

    written: int
    fresh: int
    none: int

    def __add__(self, other: "Filled") -> "Filled":  # type: ignore[override]
        return Filled(*(mine + more for mine, more in zip(self, other, strict=True)))


def back_fill(store: Store, tower: Tower, told: Callable[[int], object] = lambda _: None) -> Filled:
    """Write the vectors of all readers with offline rows, some at a time; ``told`` hears of each batch's size.

    Raises FeatureStoreError, and ValueError for a row of another packing.
    """
    total = Filled(0, 0, 0)
    for user_ids in store.reader_ids():
        tower.bundle.live.poll()
        total += _fill(store, tower, user_ids)
        told(len(user_ids))
    return total


def _fill(store: Store, tower: Tower, user_ids: list[str]) -> Filled:
    bundle, wanted, fresh = tower.bundle, {}, 0
    for user_id, (row, vector) in zip(user_ids, store.readers_and_vectors(user_ids), strict=True):
        if row["event_timestamp"] is None:
            continue
        arm, features = bundle.arms.of(user_id), Readers.from_row(row)
        shelf = bundle.live.shelves[arm.shelf]
        if made_by(vector, read_rows(features, shelf), shelf, arm.artifact) is None:
            wanted[user_id] = row
        else:
            fresh += 1
    made = tower.vectors(list(wanted), list(wanted.values()))
    rows = zip(wanted.items(), made, strict=True)
    vectors = [(user_id, vector, row["event_timestamp"]) for (user_id, row), vector in rows if vector is not None]
    written = store.write_vectors(vectors) if vectors else 0
    return Filled(written, fresh, len(user_ids) - written - fresh)
