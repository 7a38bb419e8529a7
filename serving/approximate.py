"""An index of article vectors, for more live ones than a request can look at: inner product, by inverted lists.

faiss's IVF with flat lists: of the libraries that were compared (see ``pyproject.toml``) it builds fastest, adds in
microseconds and really removes. Vectors are clustered once; an article that comes later joins the nearest cluster.
"""

import threading

import numpy as np

LISTS_EACH, LEAST_IN_LIST = 4.0, 39
"""Clusters for each square root of the number of vectors, and the fewest vectors a cluster, as faiss advises."""
PROBED = 64
"""Clusters that a search looks through."""
TRAINED_ON = 50
"""Vectors a cluster that training takes at most; more change nothing."""


class VectorIndex:
    """The ``vectors`` [n, W] float32 of ``rows`` [n], to be searched and brought up to date by several threads."""

    def __init__(self, rows: np.ndarray, vectors: np.ndarray, seed: int = 0) -> None:
        import faiss  # an extra that few sites need

        width, lists = vectors.shape[1], max(1, min(round(LISTS_EACH * len(rows) ** 0.5), len(rows) // LEAST_IN_LIST))
        quantizer = faiss.IndexFlatIP(width)
        self._index = faiss.IndexIVFFlat(quantizer, width, lists, faiss.METRIC_INNER_PRODUCT)
        sample = np.random.default_rng(seed).permutation(len(rows))[: TRAINED_ON * lists]
        self._index.train(np.ascontiguousarray(vectors[sample]))
        self._index.add_with_ids(np.ascontiguousarray(vectors), rows)
        self._index.set_direct_map_type(faiss.DirectMap.Hashtable)
        self._index.nprobe = min(PROBED, lists)
        self._held, self._lock = np.sort(rows), threading.Lock()

    def update(self, changed: np.ndarray, vectors: np.ndarray, held: np.ndarray) -> None:
        """Take the vectors of rows ``changed`` from ``vectors`` [N, W]; forget each row that is not in ``held``."""
        with self._lock:
            out = np.union1d(np.setdiff1d(self._held, held), np.intersect1d(self._held, changed))
            into = np.union1d(np.setdiff1d(held, self._held), changed)
            if len(out):
                self._index.remove_ids(out)
            if len(into):
                self._index.add_with_ids(np.ascontiguousarray(vectors[into]), into)
            self._held = held

    def search(self, queries: np.ndarray, count: int) -> np.ndarray:
        """Rows of about the ``count`` largest inner products with each of ``queries`` [Q, W], in turn. [n] int64"""
        with self._lock:
            _, rows = self._index.search(np.ascontiguousarray(queries, np.float32), count)
        return rows[rows >= 0]
