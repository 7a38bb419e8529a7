"""The catalogue as arrays, and what becomes of its rows when articles come, change and go."""

import numpy as np
import pyarrow as pa
import pytest

from newsrec.catalogue import NEVER, Catalogue, from_articles
from newsrec.events import from_rows
from newsrec.features import EMBEDDING_DIM, article_key
from tests.logs import MONDAY, article


def table(*rows: dict) -> pa.Table:
    return from_rows("articles", rows)


def vector(value: float) -> list[float]:
    return [value] * EMBEDDING_DIM


def test_row_zero_is_the_unknown_article() -> None:
    rows = [article("a", MONDAY, embedding=vector(0.5)), article("b", MONDAY + 1, hidden_at=MONDAY + 2), article("c")]
    catalogue = from_articles(table(*rows))
    assert catalogue.ids == ["", "a", "b", "c"]
    assert catalogue.content.dtype == np.float32
    assert catalogue.content[:, [0, -1]].tolist() == [[0.0, 0.0], [0.5, 0.5], [0.0, 0.0], [0.0, 0.0]]
    assert catalogue.published_at.tolist() == [0, MONDAY, MONDAY + 1, MONDAY]
    assert catalogue.hidden_at.tolist() == [NEVER, NEVER, MONDAY + 2, NEVER]


def test_rows_are_found_by_id_column_and_key() -> None:
    catalogue = from_articles(table(*(article(a) for a in "cab")))
    assert catalogue.rows(["a", "x", "b", "c", ""]).tolist() == [2, 0, 3, 1, 0]
    assert catalogue.rows([]).dtype == np.int64
    column = pa.chunked_array([["a", None], ["x", "b"]])
    assert catalogue.rows_of_ids(column).tolist() == [2, 0, 0, 3]
    assert catalogue.rows_of_ids(pa.array([], pa.string())).tolist() == []
    keys = np.array([[article_key("b"), 0], [article_key("x"), article_key("c")]], np.uint64)
    assert catalogue.rows_of_keys(keys).tolist() == [[3, 0], [0, 1]]


def test_every_article_is_found_by_its_key() -> None:
    catalogue = from_articles(table(*(article(f"n{i}") for i in range(1000))))
    keys = np.array([article_key(f"n{i}") for i in range(1000)], np.uint64)
    assert catalogue.rows_of_keys(keys).tolist() == list(range(1, 1001))


def test_an_empty_catalogue_knows_nothing() -> None:
    catalogue = from_articles(table())
    assert catalogue.content.shape == (1, EMBEDDING_DIM)
    assert catalogue.rows_of_keys(np.zeros((2, 3), np.uint64)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert catalogue.rows(["a"]).tolist() == [0]


def test_an_embedding_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers, expected 64"):
        _ = from_articles(table(article("a", embedding=[1.0, 2.0, 3.0]))).content


def test_an_update_keeps_rows_and_gives_new_articles_no_index() -> None:
    trained = from_articles(table(article("a", embedding=vector(1.0)), article("b", embedding=vector(2.0))))
    edited = article("b", MONDAY + 7, embedding=vector(3.0), title="Corrected", hidden_at=MONDAY + 9)
    catalogue = trained.updated(table(article("new", embedding=vector(4.0)), edited, article("newer")))
    assert catalogue.ids == ["", "a", "b", "new", "newer"]
    assert catalogue.content[:, 0].tolist() == [0.0, 1.0, 3.0, 4.0, 0.0]
    assert catalogue.published_at[2] == MONDAY + 7
    assert catalogue.hidden_at[2] == MONDAY + 9
    assert catalogue.articles["title"].to_pylist() == [None, "Corrected", None, None]
    assert catalogue.rows_of_keys(np.array([article_key("newer"), article_key("b")], np.uint64)).tolist() == [4, 2]
    assert catalogue.index(np.arange(5)).tolist() == [0, 1, 2, 0, 0]
    assert trained.ids == ["", "a", "b"]
    again = catalogue.updated(table(article("newest"), article("new", embedding=vector(5.0))))
    assert again.ids == ["", "a", "b", "new", "newer", "newest"]
    assert again.content[:, 0].tolist() == [0.0, 1.0, 3.0, 5.0, 0.0, 0.0]
    assert again.index(np.arange(6)).tolist() == [0, 1, 2, 0, 0, 0]


def test_an_update_with_nothing_changes_nothing() -> None:
    catalogue = Catalogue(table(article("a"), article("b")), trained=1)
    assert catalogue.updated(table()).articles.equals(catalogue.articles)
    assert catalogue.updated(table(article("a"))).index(np.arange(3)).tolist() == [0, 1, 0]
