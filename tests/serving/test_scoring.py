"""What is served is what the policy scores: by stored vectors and by the tower, for every policy of the registry."""

import functools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.store import ReaderVector
from newsrec import catalogue as catalogues
from newsrec import transitions
from newsrec.artifact import Artifact, create
from newsrec.catalogue import Catalogue
from newsrec.encoders.article import demand_features
from newsrec.features import HISTORY_LENGTH, HOUR, SHOWN_LENGTH, ReaderState, article_key, short_key
from newsrec.registry import REGISTRY
from newsrec.transitions import Readers
from serving import scoring
from serving.live_articles import without_counts
from serving.offer import demand_numbers, times_shown
from serving.recommend import ServingConfig, Visit, recommend
from serving.retrieval import RetrievalConfig
from serving.schema import SlateRequest
from serving.shelf import Shelf
from serving.stored_readers import unknown_reader
from tests.serving import small_log

NOW = 1_700_000_000_000_000
ARTICLES = small_log.articles(NOW)
IDS = ARTICLES["article_id"].to_pylist()
IN_FULL = ("popularity", "ease", "als", "bpr", "lightgcn")
"""Make no vector of a reader, or one as long as the catalogue."""
TOWERS = [name for name in REGISTRY if name not in IN_FULL]
every_policy = pytest.mark.parametrize("name", REGISTRY)
every_tower = pytest.mark.parametrize("name", TOWERS)


@functools.cache
def artifact(name: str, use_time: bool = True, seed: int = 0) -> Artifact:
    """Random weights in every head, trained on all but the last five articles."""
    entry = REGISTRY[name]
    generator = torch.Generator().manual_seed(seed)
    policy = entry.policy(entry.config(), len(IDS) - 5)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return create(name, policy, Catalogue(ARTICLES, len(IDS) - 5), use_time)


def shelf(seed: int = 0) -> Shelf:
    """The small log's articles with some clicks."""
    found = without_counts(Catalogue(ARTICLES, len(IDS) - 5))
    clicks = np.random.default_rng(seed).exponential(5.0, found.counts.shape)
    found.counts[1:], found.as_of[1:] = clicks[1:] * [1, 4, 40, 90], NOW - HOUR
    return found.warmed()


def reader(reads: int, shown: int = 20, seed: int = 0) -> Readers:
    """Reads and impressions of the small log's articles, some of them of articles that nobody knows."""
    generator, state = np.random.default_rng(seed), ReaderState()
    for number in range(reads):
        article = generator.choice(IDS) if number % 7 else f"nowhere {number}"
        state.observe("click", article_key(article), NOW - 9 * HOUR + number * 60_000_000, generator.exponential(30.0))
    for number in range(shown):
        state.observe("impression", article_key(generator.choice(IDS)), NOW - HOUR + number, None)
    return Readers.from_row(state.row()) if reads or shown else unknown_reader()


def visit(features: Readers, vector: ReaderVector | None = None, **request: Any) -> Visit:
    asked = SlateRequest(user_id="ann", **{"k": 10, **request})
    return Visit(asked, "r", "ann", features, False, NOW, vector=vector)


def by_policy(who: Visit, rows: np.ndarray, on: Shelf, by: Artifact) -> np.ndarray:
    """The policy's own scores of the tensors that training sees."""
    now, offset = np.array([who.time]), np.array([who.request.context.utc_offset_minutes])
    state = transitions.state(who.features, now, offset, on.catalogue, by.use_time)
    counts, as_of = on.counts[rows][None], on.as_of[rows][None]
    candidates = transitions.candidates(rows[None], who.features, counts, as_of, now, on.catalogue, by.use_time)
    with torch.inference_mode():
        return by.policy.scores(state, candidates)[0].numpy()


def made_by(stored: ReaderVector, features: Readers, on: Shelf, by: Artifact) -> np.ndarray | None:
    return scoring.made_by(stored, scoring.read_rows(features, on), on, by)


@every_policy
@pytest.mark.parametrize("use_time", [True, False], ids=["time", "no time"])
@pytest.mark.parametrize("reads", [0, 3, HISTORY_LENGTH])
def test_served_scores_are_the_policys(name: str, use_time: bool, reads: int) -> None:
    """From a shelf that knows the policy's vectors and from one that does not."""
    plain, by, who = shelf(), artifact(name, use_time), visit(reader(reads), context={"utc_offset_minutes": 540})
    seen = plain.seen_by(by, NOW, NOW - 72 * HOUR, RetrievalConfig())
    rows = np.arange(1, len(IDS) + 1)[::-1].copy()
    expected = by_policy(who, rows, plain, by)
    assert expected.std() > 0.01 or (name == "popularity" and not use_time)
    if reads == 0 and seen.nobody is not None:
        unknown = scoring.reader_vectors(who.features, plain, by)
        assert np.array_equal(seen.nobody, unknown)
    for on in (plain, seen):
        np.testing.assert_allclose(scoring.scores(who, rows, on, by), expected, rtol=1e-4, atol=1e-4)


@every_tower
def test_a_stored_vector_and_the_head_are_the_full_computation(name: str) -> None:
    """The vector as it comes back from the store gives the very scores, bit for bit, and so the very slate."""
    on, by, features = shelf(), artifact(name), reader(30)
    assert scoring.has_tower(by.policy)
    (stored,) = scoring.stored_vectors(features, on, by)
    online, nearline = visit(features), visit(features, stored)
    assert made_by(stored, features, on, by) is not None
    rows = np.arange(1, len(IDS) + 1)
    assert np.array_equal(scoring.scores(nearline, rows, on, by), scoring.scores(online, rows, on, by))
    decisions = [recommend(who, on, by, ServingConfig(), b"3") for who in (online, nearline)]
    assert decisions[0].answer() == decisions[1].answer()


def test_of_many_readers_each_has_their_own_vector() -> None:
    """A back-fill computes them together, to rounding the same."""
    on, by, histories = shelf(), artifact("transformer"), [reader(n, seed=n) for n in (0, 1, 5, 50, 30)]
    together = Readers(*(np.concatenate(columns) for columns in zip(*histories, strict=True)))
    for features, found in zip(histories, scoring.stored_vectors(together, on, by), strict=True):
        (alone,) = scoring.stored_vectors(features, on, by)
        assert found[1:] == alone[1:]
        np.testing.assert_allclose(np.frombuffer(found.vector, "<f4"), np.frombuffer(alone.vector, "<f4"), atol=1e-5)


def test_without_a_tower_nothing_is_stored() -> None:
    assert not any(scoring.has_tower(artifact(name).policy) for name in IN_FULL if name in REGISTRY)


def test_a_vector_of_another_release_or_of_other_contents_is_not_used() -> None:
    """Neither changes what is answered, even where the stored vector is wrong."""
    on, by, features = shelf(), artifact("transformer"), reader(30)
    (stored,) = scoring.stored_vectors(features, on, by)
    wrong = stored._replace(vector=np.full(64, 9.0, "<f4").tobytes())
    rows = np.arange(1, len(IDS) + 1)
    expected = scoring.scores(visit(features), rows, on, by)
    assert not np.allclose(scoring.scores(visit(features, wrong), rows, on, by), expected), "it would be used"
    other = artifact("transformer", seed=1)
    assert other.version != by.version
    changed = ARTICLES.to_pylist()
    (row,) = (i for i, article in enumerate(changed) if article["article_id"] == "a05")
    read = on.catalogue.rows_of_keys(features.key[0, : features.length[0]]).tolist()
    for place in {read[1] - 1, row}:
        changed[place]["embedding"] = [0.25] * 64
    catalogue = on.catalogue.updated(ARTICLES.from_pylist(changed, ARTICLES.schema))
    corrected = Shelf(catalogue, on.counts, on.as_of).warmed()
    assert made_by(wrong._replace(policy_version=other.version.encode()), features, on, by) is None
    assert made_by(wrong, features, corrected, by) is None
    assert made_by(wrong, features, on, by) is not None
    newer = visit(features, wrong)
    found = scoring.scores(newer, rows, corrected, by)
    assert np.array_equal(found, scoring.scores(visit(features), rows, corrected, by))


def test_an_article_that_becomes_known_makes_a_vector_old() -> None:
    """A collector that had not heard of it yet pooled nothing in its place."""
    on, by, state = shelf(), artifact("transformer"), ReaderState()
    for number, article in enumerate(("a05", "a10")):
        state.observe("click", article_key(article), NOW - HOUR + number, None)
    features = Readers.from_row(state.row())
    keep = np.flatnonzero(np.array(IDS) != "a10")
    fewer = without_counts(catalogues.from_articles(ARTICLES.take(keep))).warmed()
    (stored,) = scoring.stored_vectors(features, fewer, by)
    assert made_by(stored, features, on, by) is None
    assert made_by(stored, features, fewer, by) is not None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), hours=st.floats(-100, 1_000), use_time=st.booleans())
def test_demand_and_times_shown_are_those_of_training(seed: int, hours: float, use_time: bool) -> None:
    on, features = shelf(seed), reader(5, SHOWN_LENGTH, seed)
    rows = np.random.default_rng(seed).permutation(len(IDS) + 1)[:20]  # the unknown article now and then
    now = NOW + int(hours * HOUR)
    made = transitions.candidates(
        rows[None], features, on.counts[rows][None], on.as_of[rows][None], np.array([now]), on.catalogue, use_time
    )
    expected = demand_features(made)[0].numpy()
    found = demand_numbers(rows, now, on.catalogue, on.counts, on.as_of, use_time)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    assert times_shown(features, rows, on.catalogue.short_keys[rows]).tolist() == made.shown[0].tolist()
    assert short_key(article_key(IDS[0])) == on.catalogue.short_keys[1]


@settings(max_examples=60, deadline=None)
@given(reads=st.integers(0, 60), shown=st.integers(0, 80), seed=st.integers(0, 1_000), missing=st.booleans())
def test_one_row_alone_is_read_as_among_many(reads: int, shown: int, seed: int, missing: bool) -> None:
    generator, state = np.random.default_rng(seed), ReaderState()
    for number in range(reads):
        state.observe("click", article_key(generator.choice(IDS)), NOW + number * 1_000_000, float(number))
    for number in range(shown):
        state.observe("impression", article_key(generator.choice(IDS)), NOW + number * 1_000_000, None)
    row = dict.fromkeys(state.row()) if missing else state.row()
    for alone, among in zip(Readers.from_row(row), Readers.from_rows([row]), strict=True):
        assert np.array_equal(alone, among)
        assert alone.dtype == among.dtype


@settings(max_examples=100, deadline=None)
@given(
    numbers=st.tuples(*[st.integers(0, 2**28 - 1)] * 3),
    day=st.integers(18_000, 21_000),
    seen=st.none() | st.integers(0, NOW),
    gap=st.floats(0, 5_000, width=32),
    offset=st.integers(-1440, 1440),
    use_time=st.booleans(),
)
def test_the_context_of_one_request_is_that_of_training(
    numbers: tuple[int, int, int], day: int, seen: int | None, gap: float, offset: int, use_time: bool
) -> None:
    reads, sessions, active = numbers
    row = {"history": None, "shown": None, "reads": reads, "sessions": sessions, "active_days": active}
    features = Readers.from_row(row | {"last_day": day, "last_seen": seen, "gap_hours": gap})
    expected = transitions.context(features, np.array([NOW]), np.array([offset]), use_time)
    found = transitions.context_of_one(features, NOW, offset, use_time)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=3e-7, atol=1e-7)
