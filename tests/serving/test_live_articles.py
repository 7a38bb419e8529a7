"""The articles in memory: what the event log says, with the counts that the store holds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.store import Store, open_store
from newsrec import catalogue as catalogues
from newsrec import events
from newsrec.event_log import EventDatabase
from newsrec.features import POPULARITY_HALF_LIFE_HOURS
from serving.backends import Backends
from serving.live_articles import LiveArticles
from tests.serving import small_log
from tests.serving.conftest import Site


@pytest.fixture
def store(site: Site) -> Store:
    return open_store(site.untouched_store)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[EventDatabase]:
    opened = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}")
    yield opened
    opened.close()


def live(site: Site, store: Store, database: EventDatabase) -> LiveArticles:
    backends = Backends(store, database, None, lambda: site.now)
    return LiveArticles([catalogues.from_articles(small_log.articles(site.now))], backends)


def test_articles_of_the_artefact_are_added_to_the_log_and_those_of_the_log_win(
    site: Site, store: Store, database: EventDatabase
) -> None:
    database.upsert_articles([{"article_id": "a01", "published_at": site.now, "title": "corrected"}], site.now)
    shelf = live(site, store, database).shelves[0]
    stored = {row["article_id"]: row for row in database.articles()[0].to_pylist()}
    assert set(stored) == set(shelf.catalogue.ids[1:])
    assert stored["a01"]["title"] == "corrected"
    assert shelf.catalogue.published_at[shelf.catalogue.rows(["a01"])[0]] == site.now
    assert live(site, store, database).shelves[0].version == shelf.version  # a second predictor changes nothing


def test_poll_takes_what_is_new_changed_and_withdrawn_and_keeps_rows_and_counts(
    site: Site, store: Store, database: EventDatabase
) -> None:
    articles = live(site, store, database)
    before = articles.shelves[0]
    assert articles.poll() == 0
    assert articles.shelves[0] is before
    database.upsert_articles([{"article_id": "new", "published_at": site.now}], site.now + 1)
    database.hide_article("a05", site.now + 2)
    assert articles.poll() == 2
    shelf, row = articles.shelves[0], before.catalogue.rows(["a05"])[0]
    assert shelf.version != before.version
    assert shelf.catalogue.rows(["a05", "new"]).tolist() == [row, len(before.catalogue.ids)]
    assert shelf.catalogue.hidden_at[row] == site.now + 2
    assert before.catalogue.hidden_at[row] > site.now + 2  # requests under way keep what they began with
    assert shelf.counts[row].tolist() == before.counts[row].tolist()
    assert shelf.counts[-1].tolist() == [0.0] * 4
    assert shelf.newest_first[0][1] == shelf.catalogue.rows(["new"])[0]  # after "next", which comes out tomorrow


def test_counts_are_those_of_the_store(site: Site, store: Store, database: EventDatabase) -> None:
    articles = live(site, store, database)
    shelf = articles.shelves[0]
    (stored,) = store.articles(["a05"])
    (row,) = shelf.catalogue.rows(["a05"])
    assert shelf.counts[row].tolist() == [stored[name] for name in POPULARITY_HALF_LIFE_HOURS]
    assert shelf.counts[row, 1] > 5.0  # six clicks within the hour before the count
    assert shelf.as_of[row] == stored["as_of"]
    database.upsert_articles([{"article_id": "new", "published_at": site.now}], site.now + 1)
    articles.poll()
    articles.count()
    assert articles.shelves[0].counts[-1].tolist() == [0.0] * 4
    assert articles.shelves[0].counts[row].tolist() == shelf.counts[row].tolist()


def test_two_catalogues_have_the_same_articles_and_counts_each_in_rows_of_its_own(
    site: Site, store: Store, database: EventDatabase
) -> None:
    """As two policies were trained: the second one on fewer articles, in another order, and on one of its own."""
    both = small_log.articles(site.now)
    extra = events.from_rows("articles", [{"article_id": "extra", "published_at": site.now}])
    fewer = pa.concat_tables([both.take(pa.array(np.arange(20)[::-1])), extra], promote_options="default")
    backends = Backends(store, database, None, lambda: site.now)
    live = LiveArticles([catalogues.from_articles(both), catalogues.from_articles(fewer)], backends)
    database.upsert_articles([{"article_id": "new", "published_at": site.now}], site.now + 1)
    database.hide_article("a07", site.now + 2)
    assert live.poll() == 2
    for _ in range(2):  # as after a poll, and after a count
        first, second = live.shelves
        assert first.version == second.version
        assert first.catalogue.ids[1:21] == second.catalogue.ids[20:0:-1]
        rows = second.catalogue.rows(first.catalogue.ids)[1:]
        assert sorted(rows) == list(range(1, len(first.catalogue.ids)))
        assert (len(first.catalogue.ids), "extra" in first.catalogue.ids) == (1 + 44 + 2, True)
        for name in ("hidden_at", "published_at", "content"):
            assert np.array_equal(getattr(second.catalogue, name)[rows], getattr(first.catalogue, name)[1:]), name
        assert np.array_equal(second.counts[rows], first.counts[1:])
        assert np.array_equal(second.as_of[rows], first.as_of[1:])
        assert first.counts[first.catalogue.rows(["a05"])[0], 1] > 5.0
        assert (first.catalogue.trained, second.catalogue.trained) == (44, 21)
        live.count()
