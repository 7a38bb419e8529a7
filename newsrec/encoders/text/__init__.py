"""Content vectors of articles: those of their texts by the site's encoder, with their categories added.

The encoder is a choice of the whole site, for a catalogue's vectors must all come from one: the environment variable
NEWSREC_ENCODER names the folder of a student (``newsrec titles train``); without it vectors are ``hashed``. Its name
and version stand in ``newsrec.features.feature_hash``, so store, artefact and predictor refuse each other by name where
they were made with different ones. ``newsrec titles embed`` moves a log from one encoder to another.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.encoders.text import hashed
from newsrec.events import InvalidEvents
from newsrec.features import EMBEDDING_DIM, encoder_folder, encoder_version

SAME_VECTOR = 0.995
"""Cosine from which two vectors are the same one, computed on different machines."""


def embed_articles(articles: pa.Table) -> pa.Table:
    """``articles`` (the event schema) with every null ``embedding`` filled by the site's encoder.

    Vectors that are there already are kept: the hashed encoder takes them for the site's own. Any other encoder makes
    them again, and raises InvalidEvents where they are not its own, for it cannot know what they mean.
    """
    present = articles["embedding"].combine_chunks().is_valid()
    if encoder_folder() and pc.any(present).as_py():
        _refuse_other(articles.filter(present))
    return _filled(articles)


def embedded_again(articles: pa.Table) -> pa.Table:
    """``articles`` with every vector from the site's encoder, whatever they had.

    Raises InvalidEvents for an article that has a vector and no text, in whose place nothing can be made.
    """
    at = articles.schema.get_field_index("embedding")
    field = articles.schema.field(at)
    made = _filled(articles.set_column(at, field, pa.nulls(len(articles), field.type)))
    bare = [not any(vector) for vector in made["embedding"].to_pylist()]
    stranded = pc.and_(pa.array(bare, pa.bool_()), articles["embedding"].combine_chunks().is_valid())
    had = [old is not None and any(old) for old in articles["embedding"].filter(stranded).to_pylist()]
    if any(had):
        which = articles["article_id"].filter(stranded)[had.index(True)].as_py()
        found = f"{sum(had)} articles, such as {which!r}, have a vector and neither title, abstract nor category"
        raise InvalidEvents(f"articles: {found}; {encoder_version()} has nothing to read: give them a title")
    return made


def embed(
    titles: Sequence[str | None], abstracts: Sequence[str | None], categories: Sequence[str | None]
) -> np.ndarray:
    """[n, EMBEDDING_DIM] float32 of length 1, or zeros for an article without any text.

    A category may have a second level: ``sports/football`` is near ``sports``.
    """
    vectors = _encoder(encoder_folder())([title or "" for title in titles], [abstract or "" for abstract in abstracts])
    of = zip(vectors, categories, strict=True)
    rows = [hashed.with_category(vector, category or "") for vector, category in of]
    return np.array(rows, np.float32).reshape(len(rows), EMBEDDING_DIM)


@lru_cache(maxsize=4)
def _encoder(folder: str) -> hashed.Encode:
    """Titles and abstracts -> [n, EMBEDDING_DIM] by the student in ``folder``, by hashes without one."""
    if not folder:
        return hashed.vectors
    from newsrec.encoders.text.student import Student  # onnxruntime, which the hashed encoder does without

    return Student(folder).vectors


def _filled(articles: pa.Table) -> pa.Table:
    embedding = articles["embedding"].combine_chunks()
    missing = pc.is_null(embedding).to_numpy(zero_copy_only=False)
    vectors = _vectors(articles.filter(pa.array(missing)))
    both = pa.concat_arrays([embedding, pa.array(list(vectors), embedding.type)])
    rows = np.where(missing, len(articles) + np.cumsum(missing) - 1, np.arange(len(articles)))
    at = articles.schema.get_field_index("embedding")
    return articles.set_column(at, articles.schema.field(at), both.take(pa.array(rows)))


def _vectors(articles: pa.Table) -> np.ndarray:
    """[n, EMBEDDING_DIM] float32 of the articles' texts and categories."""
    category, subcategory = articles["category"], articles["subcategory"]
    categories = pc.coalesce(pc.binary_join_element_wise(category, subcategory, "/"), category, subcategory)
    return embed(articles["title"].to_pylist(), articles["abstract"].to_pylist(), categories.to_pylist())


def _refuse_other(articles: pa.Table) -> None:
    """Raise InvalidEvents where a vector of ``articles``, each of which has one, is not the site's encoder's."""
    own, found = _vectors(articles), articles["embedding"].to_pylist()
    for name, vector, expected in zip(articles["article_id"].to_pylist(), found, own, strict=True):
        given = np.array(vector)
        fits = given.shape == expected.shape
        if not fits or given @ expected < SAME_VECTOR * np.linalg.norm(given) * np.linalg.norm(expected):
            what = f"article {name!r} has a vector that is not of {encoder_version()}"
            raise InvalidEvents(
                f"articles: {what}; run newsrec titles embed on the log, so that all are of one encoder"
            )
