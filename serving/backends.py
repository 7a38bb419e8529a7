"""What predictor and collector of one site share."""

from collections.abc import Callable
from typing import NamedTuple

from feature_repo.store import Store
from newsrec.assignment import pseudonym
from newsrec.event_log import EventDatabase


class Backends(NamedTuple):
    """Feature store, event log, the key that hashes reader ids (None: stored as they are), and the clock."""

    store: Store
    database: EventDatabase
    reader_key: bytes | None
    clock: Callable[[], int]
    """Microseconds since 1970."""

    def stored_id(self, user_id: str) -> str:
        """The id under which a reader is stored, applied to every id as it comes in."""
        return pseudonym(user_id, self.reader_key)
