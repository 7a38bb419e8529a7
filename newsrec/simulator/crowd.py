"""What everybody else does to the popularity of articles, where one reader at a time is simulated."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import EventLog, microseconds
from newsrec.features import POPULARITY_HALF_LIFE_HOURS
from newsrec.snapshots import article_snapshots


class Crowd:
    """The stored counts of the articles ``article_ids`` [A] of a newsroom, from the ``log`` of its readers.

    Raises ValueError where the log is of another newsroom.
    """

    def __init__(self, log: EventLog, article_ids: pa.Array) -> None:
        if not log.articles["article_id"].combine_chunks().equals(article_ids):
            first, own = log.articles["article_id"][0].as_py(), article_ids[0].as_py()
            found = f"the crowd's log has {log.articles.num_rows} articles from {first}"
            raise ValueError(f"{found}, expected the {len(article_ids)} of this world from {own}: simulate(config)")
        snapshots = article_snapshots(log)
        article = pc.index_in(snapshots["article_id"], value_set=article_ids).to_numpy().astype(np.int64)
        moment = microseconds(snapshots["event_timestamp"])
        order = np.lexsort([moment, article])
        counts = np.stack([snapshots[name].to_numpy() for name in POPULARITY_HALF_LIFE_HOURS], 1)
        self._counts, self._as_of = counts[order], snapshots["as_of"].to_numpy()[order]  # [S, 4], [S]
        self._start = int(moment.min())
        self._span = int(moment.max()) - self._start + 1
        self._place = article[order] * self._span + moment[order] - self._start  # [S], rising

    def counts(self, articles: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Counts [B, C, 4] and as_of [B, C] of ``articles`` [B, C] as stored at ``now`` [B].

        Both are 0 for an article that was published later, and for -1.
        """
        moment = np.minimum(now - self._start, self._span - 1)[:, None]  # [B, 1]
        wanted = articles.astype(np.int64) * self._span + moment  # [B, C]
        row = np.maximum(np.searchsorted(self._place, wanted, side="right") - 1, 0)
        found = (articles >= 0) & (self._place[row] <= wanted) & (self._place[row] >= wanted - moment)
        return np.where(found[..., None], self._counts[row], 0.0), np.where(found, self._as_of[row], 0)
