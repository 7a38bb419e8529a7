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
PIECES = 64
"""Of which the table of an updated catalogue is made at most; each is looked up by itself."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
"""An odd number without a pattern, whose powers weigh the numbers of a content vector."""


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
    def fingerprints(self) -> np.ndarray:
        """[N + 1] int64: a number for the content of each article, 0 where there is none."""
        bits = self.content.view(np.uint32)  # [N + 1, E]
        total = np.zeros(len(bits), np.uint64)
        with np.errstate(over="ignore"):
            for column in range(EMBEDDING_DIM):
                total = total * _BASE + bits[:, column]
        return total.view(np.int64)

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
        """The catalogue with ``articles``, each given once, replaced where known and added at the end where new.

        Look-ups that this one has are copied and changed in their places, not built anew.
        """
        articles = articles.select(self.articles.column_names)
        rows = self.rows(articles["article_id"].to_pylist())  # [n], 0 where new
        new = np.flatnonzero(rows == 0)
        rows[new] = len(self.ids) + np.arange(len(new))
        catalogue, changed = Catalogue(_laid(self.articles, articles, rows), self.trained), Catalogue(articles, 0)
        built = vars(self).keys()
        for name in ("content", "published_at", "hidden_at", "short_keys", "fingerprints"):
            if name in built:
                values = getattr(changed, name)[1:]
                copy = np.concatenate([getattr(self, name), values[new]])
                copy[rows] = values
                vars(catalogue)[name] = copy
        added = [changed.ids[1 + at] for at in new.tolist()]
        vars(catalogue)["ids"] = [*self.ids, *added]
        vars(catalogue)["_row_by_id"] = self._row_by_id | dict(zip(added, rows[new].tolist(), strict=True))
        if "_sorted_keys" in built:
            (keys, of), (more, order) = self._sorted_keys, Catalogue(articles.take(new), 0)._sorted_keys
            at = keys.searchsorted(more)
            vars(catalogue)["_sorted_keys"] = np.insert(keys, at, more), np.insert(of, at, rows[new][order - 1])
        return catalogue


def from_articles(articles: pa.Table) -> Catalogue:
    """The catalogue of a log's article events, all of them known to the policy that will be trained on it."""
    return Catalogue(articles.combine_chunks(), articles.num_rows)


def _laid(table: pa.Table, articles: pa.Table, rows: np.ndarray) -> pa.Table:
    """``table`` with ``articles`` at ``rows`` [n] of its catalogue, those beyond its end in their order.

    A few are put between pieces of the table, which are not copied until there are many.
    """
    order = np.argsort(rows, kind="stable")
    replaced = int((rows <= table.num_rows).sum())
    if replaced > PIECES // 2:
        at = np.arange(table.num_rows + len(rows) - replaced)
        at[rows - 1] = table.num_rows + np.arange(len(rows))
        return pa.concat_tables([table, articles], promote_options="default").take(pa.array(at)).combine_chunks()
    pieces, end = [], 0
    for at in order[:replaced].tolist():
        pieces += [table.slice(end, rows[at] - 1 - end), articles.slice(at, 1)]
        end = int(rows[at])
    pieces += [table.slice(end), articles.take(order[replaced:])]
    whole = pa.concat_tables(pieces, promote_options="default")
    return whole.combine_chunks() if max((c.num_chunks for c in whole.columns), default=0) > PIECES else whole
