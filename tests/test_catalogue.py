"""The catalogue as arrays, and what becomes of its rows when articles come, change and go."""

import copy

import numpy as np
import pyarrow as pa
import pytest

from newsrec.catalogue import NEVER, PIECES, Catalogue, from_articles
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


LOOK_UPS = ("content", "fingerprints", "published_at", "hidden_at", "ids", "short_keys", "_row_by_id", "_sorted_keys")


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(("most", "steps"), [(5, 30), (2 * PIECES, 6)])
def test_look_ups_that_are_carried_on_are_those_of_a_catalogue_built_anew(warm: bool, most: int, steps: int) -> None:
    """Over articles that come, change and go, few and many at a time, and with nothing left in the one before."""
    drawn = np.random.default_rng(most)
    known = {f"n{i}": article(f"n{i}", MONDAY + i, embedding=vector(float(i))) for i in range(4 * PIECES)}
    catalogue = from_articles(table(*known.values()))
    for step in range(steps):
        some = drawn.choice([*known, *(f"s{step}-{i}" for i in range(most))], drawn.integers(0, most + 1), False)
        changed = [article(str(a), MONDAY + step, embedding=vector(drawn.normal()), title=f"{a} {step}") for a in some]
        changed = [row | {"hidden_at": MONDAY} if drawn.random() < 0.3 else row for row in changed]
        changed = [row | {"embedding": None} if drawn.random() < 0.1 else row for row in changed]
        if warm:
            _ = [getattr(catalogue, name) for name in LOOK_UPS]
        before, told = catalogue, {name: copy.deepcopy(getattr(catalogue, name)) for name in LOOK_UPS if warm}
        known |= {row["article_id"]: row for row in changed}
        catalogue = catalogue.updated(table(*changed))
        assert not warm or {"content", "fingerprints", "_sorted_keys"} <= vars(catalogue).keys()
        anew = from_articles(table(*known.values()))
        assert catalogue.articles.equals(anew.articles)
        assert max(column.num_chunks for column in catalogue.articles.columns) <= PIECES
        for name in LOOK_UPS:
            np.testing.assert_equal(getattr(catalogue, name), getattr(anew, name), err_msg=name)
            assert not warm or np.asarray(getattr(catalogue, name)).dtype == np.asarray(getattr(anew, name)).dtype
        column = pa.array([*reversed(known), "nobody"])
        assert catalogue.rows_of_ids(column).tolist() == anew.rows_of_ids(column).tolist()
        np.testing.assert_equal({name: getattr(before, name) for name in told}, told)


def test_an_update_with_nothing_changes_nothing() -> None:
    catalogue = Catalogue(table(article("a"), article("b")), trained=1)
    assert catalogue.updated(table()).articles.equals(catalogue.articles)
    assert catalogue.updated(table(article("a"))).index(np.arange(3)).tolist() == [0, 1, 0]
