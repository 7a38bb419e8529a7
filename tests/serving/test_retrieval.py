"""What is retrieved is what the full ranking has at its top, whatever the policy, and never what may not be shown."""

import functools
import gc
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec import catalogue as catalogues
from newsrec import events, transitions
from newsrec.artifact import Artifact, create
from newsrec.catalogue import Catalogue
from newsrec.encoders.forms import RequestForms
from newsrec.features import EMBEDDING_DIM, HOUR, ReaderState, article_key
from newsrec.registry import REGISTRY
from newsrec.slate import SlateConfig
from newsrec.transitions import Readers, State
from serving import scoring
from serving.approximate import VectorIndex
from serving.live_articles import without_counts
from serving.recommend import ServingConfig, Shelf, Visit, recommend, shortlist
from serving.retrieval import Finder, RetrievalConfig
from serving.schema import SlateRequest
from serving.stored_readers import unknown_reader

NOW = 1_700_000_000_000_000
SHELF_LIFE = 72 * HOUR
POLICIES = ("transformer", "matrix_factorization", "popularity", "dwell", "iql", "decision_transformer")
"""One form, none of the reader, two forms, and a head beside the ranking."""


def shelf(seed: int, articles: int, trained: int = 20) -> Shelf:
    """Articles of any age from a day that is still to come to expired ones, some withdrawn, with counts."""
    draw = np.random.default_rng(seed)
    rows = [
        {
            "article_id": f"a{i}",
            "published_at": NOW - int(draw.uniform(-24, 96) * HOUR),
            "hidden_at": NOW + int(draw.uniform(-5, 5) * HOUR) if draw.random() < 0.2 else None,
            "embedding": draw.standard_normal(EMBEDDING_DIM).astype(np.float32).tolist(),
        }
        for i in range(articles)
    ]
    found = without_counts(Catalogue(events.from_rows("articles", rows), min(trained, articles)))
    found.counts[1:] = draw.exponential(20.0, (articles, 4))
    found.as_of[1:] = NOW - draw.integers(0, 5 * HOUR, articles)
    return found.warmed()


@functools.cache
def policy(name: str, trained: int = 20) -> Any:
    """With random weights, no head near the zeros that it starts from."""
    entry = REGISTRY[name]
    made = entry.policy(entry.config(), trained)
    with torch.no_grad():
        for i, parameter in enumerate(made.parameters()):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)))
    return made.eval()


def reader(seed: int, articles: int) -> Readers:
    """Who has read some of the articles, and was shown some more, a few of them often."""
    draw, state = np.random.default_rng(seed), ReaderState()
    for i in draw.integers(0, articles, 6):
        state.observe("click", article_key(f"a{i}"), NOW - HOUR, None)
    for i in draw.integers(0, articles, 30):
        state.observe("impression", article_key(f"a{i}"), NOW - HOUR, None)
    return Readers.from_rows([state.row()])


class Asked(NamedTuple):
    now: int
    barred: np.ndarray
    use_time: bool


def ranked(on: Shelf, name: str, known: Readers, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """All rows that may be shown, one by one, and the policy's own scores of them."""
    cat, now = on.catalogue, asked.now
    rows = [
        row
        for row in range(1, len(cat.ids))
        if now - SHELF_LIFE < cat.published_at[row] <= now
        and cat.hidden_at[row] > max(now, NOW)
        and row not in asked.barred
    ]
    servable, moment = np.array(rows, np.int64), np.array([now])
    told = transitions.state(known, moment, np.array([0]), cat, asked.use_time)
    offered = transitions.candidates(
        servable[None], known, on.counts[servable][None], on.as_of[servable][None], moment, cat, asked.use_time
    )
    with torch.inference_mode():
        return servable, policy(name).scores(told, offered)[0].numpy()


def found_by(finder: Finder, known: Readers, asked: Asked) -> np.ndarray:
    told = transitions.state(known, np.array([asked.now]), np.array([0]), finder.catalogue, asked.use_time)
    forms, oldest = forms_of(finder, told), asked.now - SHELF_LIFE
    return finder.find(forms, known, asked.now, oldest, max(asked.now, NOW), asked.barred, finder.config.size)


def forms_of(finder: Finder, told: State) -> RequestForms:
    with torch.inference_mode():
        vector = finder.policy.reader(told)[0].numpy()
    return finder.table(vector, told.context[0].numpy())


def make(on: Shelf, name: str, use_time: bool = True, before: Finder | None = None, **config: int) -> Finder:
    return Finder(policy(name), on, NOW, NOW - SHELF_LIFE, use_time, RetrievalConfig(**config), before)


def refuse_worse(found: np.ndarray, servable: np.ndarray, scores: np.ndarray, size: int) -> None:
    """Each of ``found`` may be shown, none stands twice, and nothing better was left out."""
    assert len(found) == len(set(found.tolist())) == min(size, len(servable))
    assert set(found.tolist()) <= set(servable.tolist())
    chosen = np.isin(servable, found)
    if 0 < chosen.sum() < len(servable):
        assert scores[chosen].min() >= scores[~chosen].max() - 1e-3


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    articles=st.integers(1, 60),
    size=st.integers(1, 30),
    name=st.sampled_from(POLICIES),
    hours=st.sampled_from([0.0, 0.01, -30.0, 20.0]),
    use_time=st.booleans(),
)
def test_the_best_that_may_be_shown(
    seed: int, articles: int, size: int, name: str, hours: float, use_time: bool
) -> None:
    """Also at another time than that for which demand was computed."""
    on, known = shelf(seed, articles), reader(seed, articles)
    barred = np.random.default_rng(seed).integers(0, articles + 1, 5)  # 0: what the catalogue does not hold
    asked = Asked(NOW + int(hours * HOUR), barred, use_time)
    found = found_by(make(on, name, use_time, size=size), known, asked)
    refuse_worse(found, *ranked(on, name, known, asked), size)
    published = on.catalogue.published_at[found]
    assert (np.diff(published) <= 0).all()


def test_equal_scores_keep_the_newest() -> None:
    """A policy without a clock knows nothing of articles without content: the newest are as good as any."""
    rows = [{"article_id": f"a{i}", "published_at": NOW - i * 1_000_000} for i in range(50)]
    on = without_counts(catalogues.from_articles(events.from_rows("articles", rows))).warmed()
    found = found_by(make(on, "popularity", use_time=False, size=7), reader(0, 50), Asked(NOW, np.zeros(0, int), False))
    assert [on.catalogue.ids[row] for row in found] == [f"a{i}" for i in range(7)]


def changed(on: Shelf, *rows: dict[str, Any]) -> Shelf:
    """``on`` with ``rows`` published or changed."""
    catalogue = on.catalogue.updated(events.from_rows("articles", list(rows)))
    more = len(catalogue.ids) - len(on.as_of)
    return Shelf(catalogue, np.pad(on.counts, ((0, more), (0, 0))), np.pad(on.as_of, (0, more))).warmed()


@pytest.mark.parametrize("exact", [100_000, 20])
def test_a_finder_made_from_the_last_one_is_as_good_as_a_new_one(exact: int) -> None:
    """New, changed and withdrawn articles, with and without the index."""
    if exact == 20:
        pytest.importorskip("faiss")
    on, known = shelf(1, 60), reader(1, 60)
    before = make(on, "transformer", size=20, exact=exact, proposed=30)
    old = {row["article_id"]: row for row in on.catalogue.articles.to_pylist()}
    shown = found_by(before, known, Asked(NOW, np.zeros(0, int), True))
    first, second = (on.catalogue.ids[row] for row in shown[:2])
    other = [-value for value in old[first]["embedding"]]
    fresh = {"article_id": "fresh", "published_at": NOW - 1, "embedding": [9 * value for value in other]}
    then = changed(on, old[first] | {"embedding": other}, old[second] | {"hidden_at": NOW - 1}, fresh)
    after, anew = (make(then, "transformer", size=20, exact=exact, proposed=30, before=last) for last in (before, None))
    torch.testing.assert_close(after.vectors, anew.vectors)
    for seed in range(20):
        asked = Asked(NOW, np.zeros(0, int), True)
        rows = found_by(after, reader(seed, 60), asked)
        assert rows.tolist() == found_by(anew, reader(seed, 60), asked).tolist()
        assert then.catalogue.rows([second])[0] not in rows
        refuse_worse(rows, *ranked(then, "transformer", reader(seed, 60), asked), 20)
    assert sum(then.catalogue.rows(["fresh"])[0] in found_by(after, reader(s, 60), asked) for s in range(20)) > 3


def test_a_finder_keeps_no_earlier_state_of_the_shelf() -> None:
    """Or a predictor would keep all of them: a shelf holds the finder of the state before."""
    on = shelf(1, 10)
    first = make(on, "transformer")
    object.__setattr__(on, "finder", first)
    second, kept = make(on, "transformer", before=first), weakref.ref(first)
    del on, first
    gc.collect()
    assert kept() is None
    assert len(second.vectors) == 11


@pytest.mark.parametrize("name", ["transformer", "dwell"])
def test_an_index_finds_what_all_of_them_hold(name: str) -> None:
    """Nearly: of the ten best of two thousand by the full ranking, with lists left unsearched."""
    pytest.importorskip("faiss")
    on = shelf(3, 2_000)
    whole, indexed = make(on, name, size=50), make(on, name, size=50, exact=100, proposed=400)
    hits, asked = [], Asked(NOW, np.zeros(0, int), True)
    for seed in range(30):
        known = reader(seed, 2_000)
        servable, scores = ranked(on, name, known, asked)
        best = set(servable[np.argsort(-scores)[:10]].tolist())
        assert best <= set(found_by(whole, known, asked).tolist())
        found = found_by(indexed, known, asked)
        assert set(found.tolist()) <= set(servable.tolist())
        hits.append(len(best & set(found.tolist())) / 10)
    assert np.mean(hits) > 0.9


def test_an_index_forgets_adds_and_moves() -> None:
    pytest.importorskip("faiss")
    vectors = np.eye(8, dtype=np.float32)
    index = VectorIndex(np.arange(6), vectors[:6])
    assert index.search(vectors[3:4], 1).tolist() == [3]
    moved = vectors.copy()
    moved[2] = 2 * vectors[3]
    index.update(np.array([2]), moved, np.array([2, 4, 5, 6, 7]))
    assert index.search(vectors[3:4], 5)[0] == 2
    assert set(index.search(vectors[:1], 8).tolist()) == {2, 4, 5, 6, 7}
    assert index.search(vectors[7:], 1).tolist() == [7]


@pytest.mark.parametrize("options", [{"size": 0}, {"proposed": 0}, {"size": 200, "exact": 100}])
def test_refuses_sizes_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        RetrievalConfig(**options)


def test_a_slate_from_more_articles_than_a_shortlist_holds() -> None:
    """Greedy slates of the whole catalogue, whatever was read, excluded or withdrawn: those of the full ranking."""
    on, size = shelf(5, 400, trained=20), 40
    by = create("transformer", policy("transformer"), on.catalogue)
    seen = on.seen_by(by, NOW, NOW - SHELF_LIFE, RetrievalConfig(size=size))
    config = ServingConfig(SlateConfig("greedy"), 72.0)
    for seed in range(10):
        known, excluded = reader(seed, 400), [f"a{i}" for i in range(seed, 400, 7)]
        visit = Visit(SlateRequest(user_id="u", exclude=excluded), "r", "u", known, False, NOW, read=("a1", "a2"))
        found, whole = (
            recommend(visit, which, by, config, b"") for which in (seen, on)
        )  # without a finder all are scored
        assert len(found.candidates) == size
        assert found.slate == whole.slate
        np.testing.assert_allclose(found.scores, whole.scores, rtol=1e-5)
        assert not {"a1", "a2", *excluded} & set(found.candidates)
    named = visit._replace(request=SlateRequest(user_id="u", candidates=[f"a{i}" for i in range(100)]))
    assert recommend(named, seen, by, config, b"").candidates == whole_of(named, on, by, config)


def whole_of(visit: Visit, on: Shelf, by: Artifact, config: ServingConfig) -> list[str]:
    """The candidates where no finder is asked."""
    return recommend(visit, on, by, config, b"").candidates


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("hours", [0, 20])
def test_all_are_ranked_by_the_policys_own_scores(name: str, hours: int) -> None:
    """To rounding: with what the reader was shown, and at another time with the demand of that time."""
    on, known, now = shelf(8, 300), reader(8, 300), NOW + hours * HOUR
    finder, asked = make(on, name), Asked(now, np.zeros(0, np.int64), True)
    servable, expected = ranked(on, name, known, asked)
    told = transitions.state(known, np.array([now]), np.array([0]), on.catalogue)
    places = np.sort(finder._place[servable])
    forms = forms_of(finder, told)
    with torch.inference_mode():
        some = finder._scores(forms, known, now, places).numpy()
        every = finder._scores(forms, known, now, slice(0, len(on.catalogue.ids) - 1)).numpy()
    by_row = dict(zip(servable.tolist(), expected, strict=True))
    wanted = [by_row[row] for row in finder._rows[places].tolist()]
    np.testing.assert_allclose(some, wanted, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(every[places], wanted, rtol=1e-4, atol=1e-3)


def test_what_is_offered_to_all_is_kept_for_a_moment_and_is_what_one_would_be_offered() -> None:
    on, by = shelf(3, 60), create("transformer", policy("transformer"), shelf(3, 60).catalogue)
    finder, catalogue = make(on, "transformer"), on.catalogue
    kept = finder.offer(NOW, NOW - SHELF_LIFE, NOW, 60)
    assert kept is not None
    live = finder.live(NOW, NOW - SHELF_LIFE)
    assert finder.offer(NOW, NOW - SHELF_LIFE, NOW, live) is kept, "requests of one moment share it"
    visit = Visit(SlateRequest(user_id="a", time=NOW), "r", "a", unknown_reader(), False, NOW)
    alone = scoring.offer(shortlist(visit, on, ServingConfig()), NOW, on, by)
    assert len(alone.ids) > 20
    for found, expected in zip(kept, alone, strict=True):
        np.testing.assert_array_equal(found, expected)
    gone = np.array([0, kept.rows[0], kept.rows[7]])
    left = kept.without(gone, catalogue)
    places = [place for place in range(len(kept.ids)) if place not in (0, 7)]
    for found, expected in zip(left, kept, strict=True):
        np.testing.assert_array_equal(found, np.asarray(expected)[places])
    assert kept.without(np.zeros(3, np.int64), catalogue) is kept

    later = finder.offer(NOW + HOUR, NOW + HOUR - SHELF_LIFE, NOW + HOUR, 60)
    assert later is not None
    assert not np.array_equal(later.demand[-5:], kept.demand[-5:])
    assert set(later.ids) != set(kept.ids), "some are new, some are expired"
    assert finder.offer(NOW, NOW - SHELF_LIFE, NOW, live - 1) is None, "more than are asked for"
    hidden = finder.offer(NOW, NOW - SHELF_LIFE, catalogue.hidden_at[kept.rows].min(), 60)
    assert hidden is not None
    assert set(hidden.ids) < set(kept.ids)
