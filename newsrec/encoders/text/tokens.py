"""Texts as numbered tokens: what a student looks up.

Tokens are those of the hashed encoder: characters and pairs of characters for scripts of syllables, so Hangul syllables
stay whole, words and their trigrams for alphabets. A token's number is its hash, so no vocabulary is kept, none can be
missing, and a text in a script that no title of the training had still gets tokens, whose vectors mean nothing yet.
"""

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from newsrec.encoders.text import hashed


class Tokens(NamedTuple):
    """The tokens of n texts, one text after the other."""

    bucket: np.ndarray
    """[M] int64, below the number of buckets."""
    weight: np.ndarray
    """[M] float32; the squares of each text's weights add up to 1."""
    offsets: np.ndarray
    """[n + 1] int64: text i has the tokens from offsets[i] to offsets[i + 1]."""

    def of(self, rows: np.ndarray) -> "Tokens":
        """Those of some of the texts."""
        count = np.diff(self.offsets)[rows]
        ends = np.cumsum(count)
        at = np.arange(count.sum()) + np.repeat(self.offsets[rows] - ends + count, count)
        return Tokens(self.bucket[at], self.weight[at], np.concatenate([[0], ends]))

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """Buckets [n, T] int64 and weights [n, T] float32; what is beyond a text's end weighs nothing."""
        count = np.diff(self.offsets)
        real = np.arange(max(1, count.max(initial=0))) < count[:, None]
        bucket, weight = np.zeros(real.shape, np.int64), np.zeros(real.shape, np.float32)
        bucket[real], weight[real] = self.bucket, self.weight
        return bucket, weight


def tokens(titles: Sequence[str], abstracts: Sequence[str], buckets: int) -> Tokens:
    """The tokens of n texts; an abstract's count less than a title's."""
    bags = [hashed.bag(title, abstract) for title, abstract in zip(titles, abstracts, strict=True)]
    bucket = np.array([_bucket(token, buckets) for bag in bags for token in bag], np.int64)
    share = np.array([weight for bag in bags for weight in bag.values()], np.float64)
    count = np.array([len(bag) for bag in bags], np.int64)
    total = np.bincount(np.repeat(np.arange(len(bags)), count), share, len(bags))
    weight = np.sqrt(share / np.repeat(total, count)).astype(np.float32)
    return Tokens(bucket, weight, np.concatenate([[0], np.cumsum(count)]).astype(np.int64))


@lru_cache(maxsize=200_000)
def _bucket(token: str, buckets: int) -> int:
    return zlib.crc32(token.encode("utf-8", "surrogatepass")) % buckets
