"""One reader's vector straight from the reads of their row, for policies whose tower has a form for one reader.

The collector as feedback arrives and a request without a stored vector come here alike, so that both make the same
vector, bit for bit.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from feature_repo.store import ReaderVector
from newsrec.artifact import Artifact
from newsrec.encoders.one_reader import OneReader
from newsrec.features import unpack_history
from newsrec.transitions import Readers
from serving.shelf import Shelf


def reader_vectors(readers: Readers, shelf: Shelf, tower: OneReader, use_time: bool) -> np.ndarray:
    """[B, W] float32 of ``readers`` [B], one after the other."""
    columns = zip(readers.key, readers.time, readers.dwell, readers.length.tolist(), strict=True)
    found = []
    for key, time, dwell, length in columns:
        rows = shelf.catalogue.rows_of_keys(key[:length])
        found.append(_vector(rows, time[:length], dwell[:length], shelf, tower, use_time))
    return np.stack(found)


def stored_vector(
    row: Mapping[str, Any], shelf: Shelf, artifact: Artifact, tower: OneReader, before: ReaderVector | None = None
) -> ReaderVector:
    """Of a row of READER_FEATURES, as it is stored beside the row. Raises ValueError for another packing.

    ``before`` is what was made of the very same reads: it is given back where nothing has changed since.
    """
    reads = unpack_history(row["history"])
    rows, version = shelf.catalogue.rows_of_keys(reads["key"]), artifact.version.encode()
    content = int(shelf.fingerprints[rows].sum())
    if before is not None and (before.policy_version, before.content) == (version, content):
        return before
    vector = _vector(rows, reads["time"], reads["dwell"].astype(np.float32), shelf, tower, artifact.use_time)
    return ReaderVector(vector.astype("<f4", copy=False).tobytes(), version, content)


def _vector(
    rows: np.ndarray, time: np.ndarray, dwell: np.ndarray, shelf: Shelf, tower: OneReader, use_time: bool
) -> np.ndarray:
    """[W] float32 of the reads of catalogue ``rows`` at ``time`` (seconds), as ``newsrec.transitions.state`` has them.

    All [H], oldest first.
    """
    hours = np.zeros(len(rows), np.float32)
    if use_time and len(rows):
        hours[:] = (time.max() - time) / 3600.0
    catalogue = shelf.catalogue
    return tower.vector(catalogue.index(rows), catalogue.content.take(rows, 0), hours, dwell)
