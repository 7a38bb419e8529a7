"""The history towers of what is released, where feedback arrives: a reader's vector is computed when their row changes.

A request then finds it beside the row and computes a product. It is the policy of the reader's arm whose tower runs; a
policy without one, such as popularity, has no vector.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from feature_repo.store import ReaderVector
from newsrec.transitions import Readers
from serving.bundle import Bundle
from serving.reads import stored_vector
from serving.scoring import has_tower, stored_vectors

Before = tuple[Mapping[str, Any], ReaderVector | None]
"""A reader's row and the vector beside it, as they stand in the store."""


class Tower:
    """Of the ``bundle``, which ``adopt`` replaces; safe for several threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def adopt(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def vector(self, user_id: str, row: Mapping[str, Any], before: Before) -> ReaderVector | None:
        """``vectors`` of one reader. Where no read is new since the row ``before``, its vector is that of ``row``."""
        bundle, (earlier, vector) = self.bundle, before
        arm = bundle.arms.of(user_id)
        if (tower := arm.artifact.one_reader) is None:
            return self.vectors([user_id], [row])[0]
        same = vector if earlier["history"] == row["history"] else None
        return stored_vector(row, bundle.live.shelves[arm.shelf], arm.artifact, tower, same)

    def vectors(self, user_ids: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[ReaderVector | None]:
        """What is made of each row of READER_FEATURES; None without a tower. Raises ValueError for other packings."""
        bundle = self.bundle
        arms = [bundle.arms.of(user_id) for user_id in user_ids]
        found: list[ReaderVector | None] = [None] * len(arms)
        for number in {arm.shelf for arm in arms}:
            places = [place for place, arm in enumerate(arms) if arm.shelf == number]
            artifact, shelf = arms[places[0]].artifact, bundle.live.shelves[number]
            if (tower := artifact.one_reader) is not None:
                made = [stored_vector(rows[place], shelf, artifact, tower) for place in places]
            elif has_tower(artifact.policy):
                made = stored_vectors(Readers.from_rows([rows[place] for place in places]), shelf, artifact)
            else:
                continue
            for place, vector in zip(places, made, strict=True):
                found[place] = vector
        return found
