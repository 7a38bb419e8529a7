"""The site that every design serves: 64 readers of 50 reads, 100 articles of today, one artefact, one event log.

Readers have read articles of last week alone, so that all live ones are candidates for everybody, whether a request
names them or not. Features follow from an event log as they always do: Feast's offline store, then a materialisation.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from feature_repo.store import Store, create_store
from newsrec import artifact, catalogue, dataset, events, releases
from newsrec.event_log import EventDatabase
from newsrec.features import EMBEDDING_DIM, HOUR
from newsrec.registry import REGISTRY
from newsrec.training import seeded

SEED = 71
READERS, LIVE, OLD, SLATE = 64, 100, 400, 10
VISITS = 6
"""Of each reader, with nine reads each: more than a history holds."""
CROWD_HOURS, CROWD = 20, 10
"""Hours in which others read the live articles, and how many of them in each."""
UPDATES, BATCH = 10, 32
POLICY = "transformer"
"""Two layers, 64 wide, 50 reads by default."""
REDIS_VARIABLE = "NEWSREC_REDIS"


class Site(NamedTuple):
    """What is on disk when servers start."""

    folder: Path
    redis_port: int | None
    """Of the online store; None for SQLite."""
    readers: list[str]
    candidates: list[str]
    """The live articles."""

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    @property
    def artifact(self) -> Path:
        return self.folder / "artifact"

    @property
    def event_log(self) -> str:
        return f"sqlite:///{self.folder / 'events.db'}"

    @property
    def environment(self) -> dict[str, str]:
        """What names the online store to our own processes."""
        return {REDIS_VARIABLE: f"127.0.0.1:{self.redis_port}" if self.redis_port else ""}

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """Our feature store, in this process."""
        with named_redis(self.environment[REDIS_VARIABLE]):
            yield create_store(self.store)


@contextmanager
def named_redis(address: str) -> Iterator[None]:
    """With the environment variable that names the online store's Redis."""
    before = os.environ.get(REDIS_VARIABLE)
    os.environ[REDIS_VARIABLE] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ[REDIS_VARIABLE]
        else:
            os.environ[REDIS_VARIABLE] = before


def make(folder: Path, now: int, redis_port: int | None = None, articles: int = LIVE) -> Site:
    """The site in ``folder`` with ``articles`` live ones, as it is at ``now`` (microseconds); its store is filled."""
    generator = np.random.default_rng(SEED)
    kinds = {"reader": READERS, "a": articles, "old": OLD}
    readers, live, old = ([f"{kind}{row:03}" for row in range(n)] for kind, n in kinds.items())
    site = Site(folder, redis_port, readers, live)
    database = EventDatabase(site.event_log)
    database.upsert_articles(_articles(live, old, now, generator), now - 400 * HOUR)
    for moment, decisions, feedback in _past(readers, live, old, now, generator):
        database.append_recommendations(decisions, moment)
        database.append_feedback(feedback, moment)
    log = database.export()
    database.close()
    _train(log, site)
    with site.opened() as store:
        store.write_offline(log)
        store.materialize(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now))
    return site


def _articles(live: list[str], old: list[str], now: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    embedding = generator.standard_normal((len(live) + len(old), EMBEDDING_DIM)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    hours = np.concatenate([generator.uniform(1.0, 40.0, len(live)), generator.uniform(150.0, 300.0, len(old))])
    rows = zip([*live, *old], hours.tolist(), embedding.tolist(), strict=True)
    return [
        {
            "article_id": article,
            "published_at": now - int(age * HOUR),
            "title": f"Article {article}",
            "embedding": vector,
        }
        for article, age, vector in rows
    ]


def _past(
    readers: list[str], live: list[str], old: list[str], now: int, generator: np.random.Generator
) -> Iterator[tuple[int, list[dict], list[dict]]]:
    """Moment, decisions and feedback: visits of the readers last week, then those of a crowd today."""
    unread = {reader: generator.permutation(old).tolist() for reader in readers}
    for visit in range(VISITS):
        moment = now - (130 - 12 * visit) * HOUR
        slates = [unread[reader][visit * SLATE : (visit + 1) * SLATE] for reader in readers]
        yield moment, *_visits(f"v{visit}", readers, slates, moment, 0.9, generator)
    for hour in range(CROWD_HOURS, 0, -1):
        names = [f"crowd{hour:02}-{number}" for number in range(CROWD)]
        slates = [generator.choice(live, SLATE, replace=False).tolist() for _ in names]
        yield now - hour * HOUR, *_visits("c", names, slates, now - hour * HOUR, 0.3, generator)


def _visits(
    name: str, readers: list[str], slates: list[list[str]], moment: int, clicks: float, generator: np.random.Generator
) -> tuple[list[dict], list[dict]]:
    decisions, feedback = [], []
    for reader, slate in zip(readers, slates, strict=True):
        request, shares = f"{name}-{reader}", [1.0 / (SLATE - position) for position in range(SLATE)]
        decisions.append(
            {"request_id": request, "user_id": reader, "session_id": request, "time": moment - HOUR // 2}
            | {"policy": "uniform", "candidates": slate, "slate": slate, "propensities": shares}
        )
        for position, article in enumerate(slate):
            happened = [("impression", None)]
            if generator.random() < clicks:
                happened += [("click", None), ("dwell", float(generator.uniform(5.0, 200.0)))]
            for number, (kind, dwell) in enumerate(happened):
                about = {"event_id": f"{request}-{position}-{number}", "request_id": request, "user_id": reader}
                time = moment - HOUR // 2 + (position * 3 + number + 1) * 1_000_000
                feedback.append(
                    about
                    | {"article_id": article, "position": position, "kind": kind, "dwell_seconds": dwell, "time": time}
                )
    return decisions, feedback


def _train(log: events.EventLog, site: Site) -> None:
    """A few steps, so that no part of the network is as it began: what it knows does not matter here."""
    decisions, entry = dataset.from_log(log), REGISTRY[POLICY]
    luck = seeded(SEED)
    policy = entry.policy(entry.config(), log.articles.num_rows)
    learner, rows = entry.learner(policy, luck), np.arange(len(decisions))
    generator = np.random.default_rng(SEED)
    for _ in range(UPDATES):
        learner.update(decisions.batch(generator.choice(rows, min(BATCH, len(rows)), replace=False)))
    artifact.save(artifact.create(POLICY, policy, catalogue.from_articles(log.articles)), site.artifact)
    releases.publish_artifact(site.releases, site.artifact, incumbent="", run="benchmark")
