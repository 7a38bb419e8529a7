"""Vectors of texts on disk, found again by what they are of: a text is encoded once and looked up ever after.

A vector's address is the digest of its text, in a folder per encoder version. What is new in a call becomes one more
Parquet file, which appears whole; two processes may write at the same time, for what both have made is the same.
"""

import hashlib
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 512
"""Texts that are encoded before they are written: what an interruption may lose."""


class VectorStore:
    """The vectors of one encoder below ``directory``."""

    def __init__(self, directory: str | Path, version: str) -> None:
        self.folder = Path(directory) / "".join(c if c.isalnum() or c in "-._+" else "_" for c in version)
        self._found: dict[bytes, np.ndarray] = {}
        for path in sorted(self.folder.glob("*.parquet")):
            table = pq.read_table(path)
            self._found.update(zip(table["text"].to_pylist(), np.array(table["vector"].to_pylist()), strict=True))

    def __len__(self) -> int:
        return len(self._found)

    def vectors(
        self,
        texts: Sequence[str],
        encode: Callable[[list[str]], np.ndarray],
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """[n, W] of ``texts``; ``encode`` is asked for those that are not stored, each once."""
        missing = [text for text in dict.fromkeys(texts) if address(text) not in self._found]
        for start in range(0, len(missing), CHUNK):
            part = missing[start : start + CHUNK]
            self._add(part, np.asarray(encode(part), np.float32))
            if progress:
                progress(start + len(part), len(missing))
        return np.array([self._found[address(text)] for text in texts])

    def _add(self, texts: list[str], vectors: np.ndarray) -> None:
        if len(vectors) != len(texts) or not np.isfinite(vectors).all():
            found = f"{np.isfinite(vectors).all(axis=-1).sum()} finite vectors for {len(texts)} texts"
            raise ValueError(f"the encoder gave {found}, expected one for each")
        keys = [address(text) for text in texts]
        self.folder.mkdir(parents=True, exist_ok=True)
        table = pa.table({"text": keys, "vector": pa.array(list(vectors), pa.list_(pa.float32()))})
        partial = self.folder / f".{uuid.uuid4().hex}"
        pq.write_table(table, partial)
        os.replace(partial, self.folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()[:16]}.parquet")
        self._found.update(zip(keys, vectors, strict=True))


def address(text: str) -> bytes:
    """Under which a text's vector stands."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
