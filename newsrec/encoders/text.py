"""Content vectors of articles from their words, for any script, without a model to download.

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
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.features import EMBEDDING_DIM

ABSTRACT_WEIGHT = 0.5
"""Weight of a feature of the abstract; one of the title weighs 1."""
CATEGORY_WEIGHTS = (1.0, 0.5)
"""Category and subcategory, against a whole text of length 1."""
LONG_WORD = 8
"""Letters from which a word counts in full; shorter ones are mostly function words and count less."""

_SYLLABIC = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
"""Kana, Han and Hangul: one character carries about as much as half a word."""
_TOKENS = re.compile(rf"[{_SYLLABIC}]+|[^\W_{_SYLLABIC}]+")
_IS_SYLLABIC = re.compile(rf"[{_SYLLABIC}]")


def embed_articles(articles: pa.Table) -> pa.Table:
    """``articles`` (the event schema) with every null ``embedding`` filled from title, abstract and category."""
    embedding = articles["embedding"].combine_chunks()
    missing = pc.is_null(embedding).to_numpy(zero_copy_only=False)
    bare = articles.filter(pa.array(missing))
    categories = pc.coalesce(
        pc.binary_join_element_wise(bare["category"], bare["subcategory"], "/"), bare["category"], bare["subcategory"]
    )
    vectors = embed(bare["title"].to_pylist(), bare["abstract"].to_pylist(), categories.to_pylist())
    both = pa.concat_arrays([embedding, pa.array(list(vectors), embedding.type)])
    rows = np.where(missing, len(articles) + np.cumsum(missing) - 1, np.arange(len(articles)))
    at = articles.schema.get_field_index("embedding")
    return articles.set_column(at, articles.schema.field(at), both.take(pa.array(rows)))


def embed(
    titles: Sequence[str | None], abstracts: Sequence[str | None], categories: Sequence[str | None]
) -> np.ndarray:
    """[n, EMBEDDING_DIM] float32 of length 1, or zeros for an article without any text.

    A category may have a second level: ``sports/football`` is near ``sports``.
    """
    columns = zip(titles, abstracts, categories, strict=True)
    rows = [_embed_one(title or "", abstract or "", category or "") for title, abstract, category in columns]
    return np.array(rows, np.float32).reshape(len(rows), EMBEDDING_DIM)


def _embed_one(title: str, abstract: str, category: str) -> np.ndarray:
    """[EMBEDDING_DIM] float64."""
    bag: dict[str, float] = defaultdict(float)
    for text, weight in ((title, 1.0), (abstract, ABSTRACT_WEIGHT)):
        for token in _TOKENS.findall(unicodedata.normalize("NFKC", text).casefold()):
            for feature, share in _features(token):
                bag[feature] += weight * share
    signs = np.concatenate([_signs(feature) for feature in bag] or [np.zeros(0)]).reshape(-1, EMBEDDING_DIM)
    scale = np.sqrt(np.fromiter(bag.values(), np.float64))[:, None]
    vector = _unit(np.add.reduce(scale * signs, 0))  # row after row, in the order of the bag
    levels = category.strip().casefold().split("/") if category.strip() else []
    for depth, weight in enumerate(CATEGORY_WEIGHTS[: len(levels)], 1):
        vector = vector + weight * _unit(_signs("category " + "/".join(levels[:depth])))
    return _unit(vector)


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


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector
