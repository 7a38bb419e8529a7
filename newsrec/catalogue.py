"""The articles as arrays: what training, the simulator and the predictor look up by row.

Row 0 is the unknown article. Rows 1..``trained`` existed when the policy was trained and have an index of their own;
later ones share index 0 and are carried by their content, age and popularity.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import microseconds
from newsrec.features import EMBEDDING_DIM, article_key, short_key

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Catalogue:
    """N articles, sorted as the artefact has them; arrays have N + 1 rows, row 0 being the unknown article."""

    articles: pa.Table
    """The article events, in the order of the rows."""
    trained: int
    """Rows 1..trained are known to the policy by index."""

    @cached_property
    def content(self) -> np.ndarray:
        """[N + 1, EMBEDDING_DIM] float32; zeros for an article without an embedding."""
        content = np.zeros((self.articles.num_rows + 1, EMBEDDING_DIM), np.float32)
        embedding = self.articles["embedding"].combine_chunks()
        present = pc.is_valid(embedding).to_numpy(zero_copy_only=False)
        if present.any():
            values = embedding.drop_null().flatten().to_numpy().reshape(present.sum(), -1)
            if values.shape[1] != EMBEDDING_DIM:
                raise ValueError(f"embeddings have {values.shape[1]} numbers, expected {EMBEDDING_DIM}")
            content[1:][present] = values
        return content

    @cached_property
    def published_at(self) -> np.ndarray:
        """[N + 1] int64, microseconds; 0 for the unknown article."""
        return np.concatenate([[0], microseconds(self.articles["published_at"])])

    @cached_property
    def hidden_at(self) -> np.ndarray:
        """[N + 1] int64, microseconds; NEVER where the article is not withdrawn."""
        hidden = microseconds(pc.fill_null(self.articles["hidden_at"].cast(pa.int64()), NEVER))
        return np.concatenate([[NEVER], hidden])

    @cached_property
    def ids(self) -> list[str]:
        """Article ids by row; row 0 is the empty string."""
        return ["", *self.articles["article_id"].to_pylist()]

    @cached_property
    def short_keys(self) -> np.ndarray:
        """[N + 1] uint32: under which a reader's impressions hold the articles; 0 for the unknown article."""
        return np.array([0, *(short_key(article_key(a)) for a in self.ids[1:])], np.uint32)

    @cached_property
    def _row_by_id(self) -> dict[str, int]:
        return {article_id: row for row, article_id in enumerate(self.ids) if row}

    @cached_property
    def _sorted_keys(self) -> tuple[np.ndarray, np.ndarray]:
        keys = np.array([article_key(a) for a in self.ids[1:]], np.uint64)
        order = np.argsort(keys)
        return keys[order], order + 1

    def rows(self, article_ids: list[str]) -> np.ndarray:
        """[n] int64 rows of ``article_ids``, 0 where unknown."""
        return np.array([self._row_by_id.get(a, 0) for a in article_ids], np.int64)

    def rows_of_ids(self, article_ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """``rows`` for a whole column, null being unknown."""
        found = pc.index_in(article_ids, value_set=self.articles["article_id"], skip_nulls=True)
        return pc.fill_null(found, -1).to_numpy().astype(np.int64) + 1

    def rows_of_keys(self, keys: np.ndarray) -> np.ndarray:
        """Rows of the keys in a packed history, any shape, 0 where unknown."""
        known, rows = self._sorted_keys
        if not len(known):
            return np.zeros(keys.shape, np.int64)
        at = np.minimum(known.searchsorted(keys), len(known) - 1)
        return rows[at] * (known[at] == keys)

    def index(self, rows: np.ndarray) -> np.ndarray:
        """What a policy knows of ``rows``: the row itself, or 0 for an article newer than its training."""
        return np.where(rows <= self.trained, rows, 0)

    def updated(self, articles: pa.Table) -> "Catalogue":
        """The catalogue with ``articles`` replaced where known and added at the end where new."""
        known = pc.fill_null(pc.index_in(self.articles["article_id"], value_set=articles["article_id"]), -1).to_numpy()
        rows = np.where(known >= 0, self.articles.num_rows + known, np.arange(self.articles.num_rows))
        new = pc.invert(pc.is_in(articles["article_id"], value_set=self.articles["article_id"])).to_numpy()
        rows = np.concatenate([rows, self.articles.num_rows + np.flatnonzero(new)])
        both = pa.concat_tables([self.articles, articles.select(self.articles.column_names)], promote_options="default")
        return Catalogue(both.take(pa.array(rows)).combine_chunks(), self.trained)


def from_articles(articles: pa.Table) -> Catalogue:
    """The catalogue of a log's article events, all of them known to the policy that will be trained on it."""
    return Catalogue(articles.combine_chunks(), articles.num_rows)
