"""Vectors of texts from their words, for any script, without a model to download or to train.

Every feature (word, character n-gram, category) has a fixed vector of EMBEDDING_DIM random signs, taken from the bits
of its hash; a text is the weighted sum of its features, scaled to length 1. That is a random projection of a bag of
features with a Rademacher matrix (Achlioptas 2003) that nobody has to store: two processes agree without sharing
anything, and the cosine of two vectors estimates the cosine of the bags with a standard deviation of about
``EMBEDDING_DIM ** -0.5``.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from newsrec.features import EMBEDDING_DIM

ABSTRACT_WEIGHT = 0.5
"""Weight of a feature of the abstract; one of the title weighs 1."""
CATEGORY_WEIGHTS = (1.0, 0.5)
"""Category and subcategory, against a whole text of length 1."""
LONG_WORD = 8
"""Letters from which a word counts in full; shorter ones are mostly function words and count less."""

Encode = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""Titles and abstracts -> [n, EMBEDDING_DIM] of length 1, or zeros for a text without any word."""
_SYLLABIC = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
"""Kana, Han and Hangul: one character carries about as much as half a word."""
_TOKENS = re.compile(rf"[{_SYLLABIC}]+|[^\W_{_SYLLABIC}]+")
_IS_SYLLABIC = re.compile(rf"[{_SYLLABIC}]")


def vectors(titles: Sequence[str], abstracts: Sequence[str]) -> np.ndarray:
    """[n, EMBEDDING_DIM] float64 of length 1, or zeros for a text without any word."""
    rows = [_signed(bag(title, abstract)) for title, abstract in zip(titles, abstracts, strict=True)]
    return np.array(rows).reshape(len(rows), EMBEDDING_DIM)


def bag(title: str, abstract: str = "") -> dict[str, float]:
    """Each feature of a text with its weight, in the order of the text."""
    found: dict[str, float] = defaultdict(float)
    for text, weight in ((title, 1.0), (abstract, ABSTRACT_WEIGHT)):
        for token in _TOKENS.findall(unicodedata.normalize("NFKC", text).casefold()):
            for feature, share in _features(token):
                found[feature] += weight * share
    return found


def _signed(found: dict[str, float]) -> np.ndarray:
    """[EMBEDDING_DIM] float64."""
    signs = np.concatenate([_signs(feature) for feature in found] or [np.zeros(0)]).reshape(-1, EMBEDDING_DIM)
    scale = np.sqrt(np.fromiter(found.values(), np.float64))[:, None]
    return unit(np.add.reduce(scale * signs, 0))  # row after row, in the order of the bag


def with_category(vector: np.ndarray, category: str) -> np.ndarray:
    """[EMBEDDING_DIM] float64 of length 1: that of a text and the category's; zeros without either.

    A category may have a second level: ``sports/football`` is near ``sports``.
    """
    levels = category.strip().casefold().split("/") if category.strip() else []
    for depth, weight in enumerate(CATEGORY_WEIGHTS[: len(levels)], 1):
        vector = vector + weight * unit(_signs("category " + "/".join(levels[:depth])))
    return unit(vector)


@lru_cache(maxsize=50_000)
def _features(token: str) -> tuple[tuple[str, float], ...]:
    """Each feature of ``token`` with its weight.

    Scripts of syllables give characters and pairs of characters; alphabets give words and their trigrams, which keep
    inflected forms together.
    """
    if _IS_SYLLABIC.match(token):
        pairs = ((token[i : i + 2], 0.5) for i in range(len(token) - 1))
        return *((character, 1.0) for character in token), *pairs
    weight = min(len(token), LONG_WORD) / LONG_WORD
    trigrams = [f"<{token}>"[i : i + 3] for i in range(len(token))]
    return (token, weight), *((trigram, weight / len(trigrams) ** 0.5) for trigram in trigrams)


@lru_cache(maxsize=200_000)
def _signs(feature: str) -> np.ndarray:
    """[EMBEDDING_DIM] float64, each -1 or 1: the bits of the feature's hash."""
    bits = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=EMBEDDING_DIM // 8).digest()
    return np.unpackbits(np.frombuffer(bits, np.uint8)) * 2.0 - 1.0


def unit(vector: np.ndarray) -> np.ndarray:
    """``vector`` [EMBEDDING_DIM] at length 1; zeros stay zeros."""
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector
