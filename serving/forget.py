"""Delete everything that is stored of one reader: event log, offline rows, online rows, and keep it deleted.

The order makes an interruption harmless. A tombstone comes first, so no append takes the reader's past any more; the
log's rows go before the rows that are folded from them; ``finished`` is noted last. Whoever is interrupted asks again.
"""

import json
from typing import NamedTuple

from feature_repo.store import Forgotten
from newsrec.erasure import Removed
from serving.backends import Backends
from serving.precompute import STATE


class Deletion(NamedTuple):
    """What became of one reader's data."""

    until: int
    """Microseconds: what is from before is gone and does not come back; what follows is a new reader's."""
    log: Removed
    store: Forgotten
    flushed: bool
    """The event log's files hold no deleted bytes any more, as far as the database lets us know."""
    unfinished: int
    """Deletions of other readers that were interrupted and have to be asked for again."""

    def __str__(self) -> str:
        counts = (
            f"{self.log.recommendations} recommendations, {self.log.feedback} feedback events and "
            f"{self.log.quarantined} waiting ones in the event log, {self.store.offline} offline rows, "
            f"{self.store.online} online rows"
        )
        lines = [f"deleted: {counts}"]
        if not self.flushed:
            lines.append("the event log is being read: its write-ahead log keeps deleted bytes until the next deletion")
        if self.unfinished:
            lines.append(f"{self.unfinished} earlier deletions were interrupted; ask for them again")
        return "\n".join(lines)


def forget(backends: Backends, reader: str) -> Deletion:
    """Delete all of ``reader``, the id as the application gives it.

    Raises FeatureStoreError, OSError, or the database's error, where a part cannot be reached; the tombstone then stays
    unfinished. A folder that cannot be written, as in the collector's pod, spares only what is in that folder.
    """
    user_id, database = backends.stored_id(reader), backends.database
    until, removed = database.forget(user_id, backends.clock())
    try:
        store = backends.store.forget_readers([user_id], database.tombstones())
    except OSError:
        backends.store.erase_readers([user_id])
        raise
    progress = backends.store.root / STATE
    if progress.exists() and json.dumps(user_id) in progress.read_text(encoding="utf-8"):
        progress.unlink()  # names the last reader that an interrupted run had scored; the next run begins anew
    return Deletion(until, removed, store, database.flush_deletions(), database.finish_forgetting(user_id))
