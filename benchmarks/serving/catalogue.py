"""Slates from a whole catalogue: what it costs to choose from ten thousand or a hundred thousand live articles.

A decision is timed in process, from the reader's stored row and vector to the slate with its propensities; whole
requests are ``benchmarks.serving.whole``.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from rich.progress import track

from benchmarks.results import Bar, Part
from newsrec.artifact import Artifact, create
from newsrec.catalogue import Catalogue
from newsrec.events import from_rows
from newsrec.features import EMBEDDING_DIM, HOUR, ReaderState, article_key
from newsrec.registry import REGISTRY
from newsrec.training import seeded
from newsrec.transitions import Readers
from serving import scoring
from serving.live_articles import without_counts
from serving.recommend import ServingConfig, Visit, recommend, shortlist
from serving.retrieval import RetrievalConfig
from serving.schema import MAX_CANDIDATES, SlateRequest
from serving.shelf import Shelf

SEEDS = [0]
NOW, LIFE = 1_700_000_000_000_000, 72 * HOUR
POLICIES = ("transformer", "dwell", "diverse")
"""One form, two, and one that re-ranks what it is given."""
MOST_MS = 5.0
TOPICS, TOP = 200, 10


@dataclass(frozen=True)
class Size:
    """Articles of the catalogues, the shortlists of which the recall is told, and how many slates are made."""

    whole: int = 10_000
    large: int = 100_000
    indexed: int = 150_000
    shortlists: tuple[int, ...] = (50, 100, 200, 500)
    readers: int = 40
    slates: int = 400


FULL, QUICK = Size(), Size(whole=2_000, large=5_000, indexed=8_000, shortlists=(50, 100), readers=5, slates=40)


def protocol(size: Size) -> str:
    return (
        f"Catalogues of 100, {size.whole:,}, {size.large:,} and {size.indexed:,} live articles of {TOPICS} topics, the "
        f"last searched by the index alone; {size.slates} greedy slates of ten in turns over the catalogues by the "
        f"transformer, of {size.readers} readers with 50 reads of three topics and 64 impressions, reader vectors "
        "stored; p50 and p99 as waited for, and the median CPU time. Recall: of the ten best of all articles, how many "
        "are in the shortlist; policies with the weights that training starts from, heads moved by noise; beside it "
        "the newest 250 and the 250 most clicked."
    )


def measure(size: Size) -> Part:
    """Milliseconds a slate by catalogue; recall by catalogue, policy and shortlist."""
    shelves = {n: _shelf(n) for n in (100, size.whole, size.large, size.indexed)}
    exact = {n: RetrievalConfig() if n != size.indexed else RetrievalConfig(exact=size.large) for n in shelves}
    readers = [_reader(shelves[size.whole], seed) for seed in range(size.readers)]
    figures: dict[str, Any] = {"recall": {}}
    for name in POLICIES:
        by = {n: _artifact(name, shelf) for n, shelf in shelves.items()}
        for n in (size.whole, size.large, size.indexed):
            seen = shelves[n].seen_by(by[n], NOW, NOW - LIFE, exact[n])
            figures["recall"].setdefault(f"{n:,}", {})[name] = _recall(seen, by[n], readers, size)
    by = {n: _artifact("transformer", shelf) for n, shelf in shelves.items()}
    begun = time.perf_counter()
    seen = {n: shelf.seen_by(by[n], NOW, NOW - LIFE, exact[n]) for n, shelf in shelves.items()}
    figures["seconds_to_prepare_all"] = time.perf_counter() - begun
    figures["milliseconds"] = times = _times(seen, by, readers, size)
    slowest = times[f"{size.large:,}"]["p50"]
    least = min(of["100"] for of in figures["recall"][f"{size.whole:,}"].values())
    bars = [
        Bar(f"a slate from {size.large:,} articles, p50 ms", slowest, None, f"at most {MOST_MS:g}", slowest <= MOST_MS),
        Bar(f"recall of the ten best of {size.whole:,} in 100", least, None, "at least 0.99", least >= 0.99),
    ]
    return Part({"catalogue": figures}, bars)


def _shelf(articles: int) -> Shelf:
    draw = np.random.default_rng([*SEEDS, articles])
    topics = np.random.default_rng(SEEDS).standard_normal((TOPICS, EMBEDDING_DIM))
    content = topics[np.arange(articles) % TOPICS] + draw.standard_normal((articles, EMBEDDING_DIM))
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    published = NOW - draw.integers(0, LIFE - HOUR, articles)
    rows = [{"article_id": f"a{i}", "published_at": int(moment)} for i, moment in enumerate(published)]
    table = from_rows("articles", rows)
    at, vectors = table.schema.get_field_index("embedding"), pa.array(content.astype(np.float32).ravel())
    lists = pa.ListArray.from_arrays(np.arange(articles + 1, dtype=np.int32) * EMBEDDING_DIM, vectors)
    table = table.set_column(at, table.schema.field(at), lists.cast(table.schema.field(at).type))
    found = without_counts(Catalogue(table, articles))
    clicks = draw.pareto(1.2, articles)
    found.counts[1:] = np.stack([clicks / 10, clicks, clicks * draw.uniform(5, 50, articles), 40 * clicks], 1)
    found.as_of[1:] = NOW
    return found.warmed()


def _artifact(name: str, shelf: Shelf) -> Artifact:
    entry = REGISTRY[name]
    noise = seeded(SEEDS[0])
    policy = entry.policy(entry.config(), len(shelf.catalogue.ids) - 1)
    with torch.no_grad():
        for part, parameter in policy.named_parameters():
            if part.startswith(("value.", "bounce.", "context.", "moment.", "click_level.")):
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=noise))
    made = create(name, policy, without_counts(Catalogue(shelf.catalogue.articles.slice(0, 1), 1)).catalogue)
    return made._replace(catalogue=shelf.catalogue)


def _reader(shelf: Shelf, seed: int) -> Readers:
    draw, state = np.random.default_rng([*SEEDS, seed]), ReaderState()
    topics = draw.integers(0, TOPICS, 3)
    count = len(shelf.catalogue.ids) - 1
    for number in range(50):
        article = draw.integers(0, count // TOPICS) * TOPICS + topics[number % 3]
        state.observe("click", article_key(f"a{article}"), NOW - (60 - number) * HOUR // 10, 40.0)
    for article in draw.integers(0, count, 64):
        state.observe("impression", article_key(f"a{article}"), NOW - HOUR, None)
    return Readers.from_row(state.row())


def _visit(readers: Readers, shelf: Shelf, by: Artifact) -> Visit:
    visit = Visit(SlateRequest(user_id="u"), "r", "u", readers, False, NOW)
    return (
        visit._replace(vector=scoring.stored_vectors(readers, shelf, by)[0]) if scoring.has_tower(by.policy) else visit
    )


def _recall(seen: Shelf, by: Artifact, readers: list[Readers], size: Size) -> dict[str, float]:
    """Share of the ten best of all servable articles by size of the shortlist, and of the shortlist by rule."""
    finder, found = seen.finder, {}
    assert finder is not None
    for known in track(readers, f"recall, {len(seen.catalogue.ids) - 1:,}, {by.name}", transient=True):
        visit = _visit(known, seen, by)
        forms, read = scoring.forms_of(visit, seen, by), scoring.read_rows(known, seen)
        rows = np.setdiff1d(np.arange(1, len(seen.catalogue.ids)), read)
        scores = scoring.scores(visit, rows, seen, by, forms)
        best = rows[np.argsort(-scores, kind="stable")[:TOP]]
        lists = {str(n): finder.find(forms, known, NOW, NOW - LIFE, NOW, read, n) for n in size.shortlists}
        lists[f"newest and most clicked {MAX_CANDIDATES}"] = shortlist(visit, seen, ServingConfig(), read)
        for name, chosen in lists.items():
            found.setdefault(name, []).append(np.isin(best, chosen).mean())
    return {name: float(np.mean(shares)) for name, shares in found.items()}


def _times(
    seen: dict[int, Shelf], by: dict[int, Artifact], readers: list[Readers], size: Size
) -> dict[str, dict[str, float]]:
    """Of a slate by catalogue, in turns."""
    config, spent = ServingConfig(), {n: [] for n in seen}
    visits = {n: [_visit(known, shelf, by[n]) for known in readers] for n, shelf in seen.items()}
    for number in track(range(size.slates), "slates", transient=True):
        for n, shelf in seen.items():
            visit = visits[n][number % len(readers)]
            start, worked = time.perf_counter(), time.thread_time()
            recommend(visit, shelf, by[n], config, b"%d" % number)
            spent[n].append((1e3 * (time.perf_counter() - start), 1e3 * (time.thread_time() - worked)))
    told = {}
    for n, times in spent.items():
        waited, worked = np.array(times).T
        p50, p99 = np.quantile(waited, [0.5, 0.99])
        told[f"{n:,}"] = {"p50": float(p50), "p99": float(p99), "cpu": float(np.median(worked))}
    return told
