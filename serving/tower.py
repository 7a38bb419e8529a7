"""The history towers of what is released, where feedback arrives: a reader's vector is computed when their row changes.

A request then finds it beside the row and computes a product. It is the policy of the reader's arm whose tower runs; a
policy without one, such as popularity, has no vector.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from feature_repo.store import ReaderVector
from newsrec.transitions import Readers
from serving.bundle import Bundle
from serving.scoring import has_tower, stored_vectors


class Tower:
    """Of the ``bundle``, which ``adopt`` replaces; safe for several threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def adopt(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def vectors(self, user_ids: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[ReaderVector | None]:
        """What is made of each row of READER_FEATURES; None without a tower. Raises ValueError for other packings."""
        bundle, readers = self.bundle, Readers.from_rows(rows)
        arms = [bundle.arms.of(user_id) for user_id in user_ids]
        found: list[ReaderVector | None] = [None] * len(arms)
        for shelf in {arm.shelf for arm in arms}:
            places = [place for place, arm in enumerate(arms) if arm.shelf == shelf]
            artifact = arms[places[0]].artifact
            if has_tower(artifact.policy):
                made = stored_vectors(readers.take(np.array(places)), bundle.live.shelves[shelf], artifact)
                for place, vector in zip(places, made, strict=True):
                    found[place] = vector
        return found
