"""What happened comes in here: feedback and articles, on disk in the event log before they are acknowledged.

After feedback the reader's history in the online store is brought up to date, so the next slate knows it. The event log
is the truth: while the store is down feedback is taken all the same, and the store catches up by itself.
"""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import prometheus_client
import pyarrow as pa
from fastapi import FastAPI, HTTPException, Request
from prometheus_client import Counter
from starlette.responses import JSONResponse, Response

from feature_repo.store import FeatureStoreError, Store
from newsrec.encoders.text import embed_articles
from newsrec.events import InvalidEvents, from_rows, microseconds
from newsrec.features import POPULARITY_HALF_LIFE_HOURS, pack_embedding
from serving.admission import Admission, Places
from serving.backends import Backends
from serving.failures import EVENT_LOG_FAILURES, one_line
from serving.group_commit import GroupCommit
from serving.mirror import Mirror
from serving.online_store import STORE_FAILURES, SWEEP_SECONDS, Histories
from serving.openapi import COLLECTOR, describe
from serving.overtaken import Overtaken
from serving.refusals import BodyLimit, answer_refusals
from serving.replay import Replay
from serving.retention import Retention
from serving.schema import MAX_BODY_BYTES, ArticleBatch, ArticlesAnswer, FeedbackAnswer, FeedbackBatch, Identifier
from serving.security import BearerToken, everything_but_health
from serving.tower import Tower

MAX_CONCURRENCY = 32
"""Fewer than the server has threads, so that health and metrics always find one."""
WRITE_CHECK_MICROSECONDS = 1_000_000
"""How long readiness relies on one successful write."""
FEEDBACK = Counter("newsrec_feedback", "Feedback events by what became of them", ["outcome"])
ARTICLES = Counter("newsrec_articles", "Articles that were published, changed or withdrawn", ["what"])

log = logging.getLogger(__name__)


class Sweeper(threading.Thread):
    """Tries every second to bring up to date the readers whom the store did not take, until ``stop``."""

    def __init__(self, histories: Histories) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._histories, self._stopped = histories, threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(SWEEP_SECONDS):
            self._histories.sweep()

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def create_app(
    backends: Backends,
    token: str | None = None,
    max_concurrency: int = MAX_CONCURRENCY,
    retain_days: int | None = None,
    tower: Tower | Mirror | None = None,
) -> FastAPI:
    """The collector's routes; all but health and metrics for those who bear ``token``, where there is one.

    Of these at most ``max_concurrency`` requests are at work at a time. The log keeps ``retain_days``, None: forever.
    With a ``tower`` a reader's vector is computed as their feedback comes.
    """
    store, database, clock, histories = backends.store, backends.database, backends.clock, Histories(backends, tower)
    written, together = 0, GroupCommit(database)
    overtaken = Overtaken(database, histories.catch_up)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threads = [Sweeper(histories), overtaken, Replay(backends, histories)]
        if retain_days is not None:
            threads.append(Retention(database, retain_days, clock))
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.stop()

    app = FastAPI(title="newsrec collector", lifespan=lifespan)
    app.add_middleware(BodyLimit, limit=MAX_BODY_BYTES)
    app.add_middleware(Admission, places=Places(max_concurrency), guarded=everything_but_health)
    if token is not None:
        app.add_middleware(BearerToken, token=token)
    answer_refusals(app)

    @app.exception_handler(InvalidEvents)
    async def invalid_events(request: Request, error: InvalidEvents) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    async def no_event_log(request: Request, error: Exception) -> JSONResponse:
        log.error("the event log does not answer: %s", one_line(error))
        return JSONResponse({"error": "the event log does not answer; nothing was stored, send it again"}, 503)

    for kind in EVENT_LOG_FAILURES:
        app.add_exception_handler(kind, no_event_log)

    @app.post("/v1/feedback", response_model_exclude_defaults=True)
    def feedback(batch: FeedbackBatch) -> FeedbackAnswer:
        now = clock()
        rows = [event.model_dump() for event in batch.events]
        for row in rows:
            row["user_id"] = backends.stored_id(row["user_id"])
            row["time"] = now if row["time"] is None else min(row["time"], now)  # a reader's clock may be fast
        result = together.append(rows, now)
        for outcome, count in result._asdict().items():
            FEEDBACK.labels(outcome).inc(count)
        early = database.early_feedback(row["event_id"] for row in rows) if result.quarantined + result.repeated else {}
        overtaken.add(early)
        updated = [histories.catch_up(user_id) for user_id in dict.fromkeys(row["user_id"] for row in rows)]
        return FeedbackAnswer(**result._asdict(), history="updated" if all(updated) and not early else "pending")

    @app.post("/v1/articles")
    def publish(batch: ArticleBatch) -> ArticlesAnswer:
        table = embed_articles(from_rows("articles", [article.model_dump() for article in batch.articles]))
        changed = database.upsert_articles(table.to_pylist(), clock())
        ARTICLES.labels("published").inc(changed)
        _store_articles(store, table)
        return ArticlesAnswer(changed=changed)

    @app.delete("/v1/articles/{article_id:path}")
    def withdraw(article_id: Identifier) -> dict[str, str]:
        if not database.hide_article(article_id, clock()):
            raise HTTPException(404, f"article {article_id!r} is unknown")
        ARTICLES.labels("withdrawn").inc()
        return {"withdrawn": article_id}

    @app.get("/healthz")
    def healthz() -> dict[str, int]:
        nonlocal written
        now = clock()
        if abs(now - written) >= WRITE_CHECK_MICROSECONDS:
            database.check_writable()
            written = now
        return {"quarantined": database.quarantine_size()}

    @app.get("/metrics", response_class=Response)
    def metrics() -> Response:
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    describe(app, COLLECTOR)
    return app


def _store_articles(store: Store, articles: pa.Table) -> None:
    """Write content and publication to the online store, keeping the counts that it holds.

    The predictor takes articles from the event log, so a store that does not answer loses nothing but time: the next
    materialisation writes these rows.
    """
    published = microseconds(articles["published_at"]).tolist()
    columns = zip(articles["article_id"].to_pylist(), published, articles["embedding"].to_pylist(), strict=True)
    try:
        stored = store.articles(articles["article_id"].to_pylist())
        rows = []
        for (article_id, published_at, embedding), old in zip(columns, stored, strict=True):
            row = {"article_id": article_id, "published_at": published_at, "embedding": pack_embedding(embedding)}
            if old["event_timestamp"] is None:  # as the first snapshot has it, so that any later one replaces it
                row |= {"event_timestamp": published_at, "as_of": published_at}
                row |= dict.fromkeys(POPULARITY_HALF_LIFE_HOURS, 0.0)
            else:
                row |= {name: old[name] for name in (*POPULARITY_HALF_LIFE_HOURS, "as_of")}
                row["event_timestamp"] = old["event_timestamp"] + 1
            rows.append(row)
        store.write_articles(rows)
    except FeatureStoreError as error:
        STORE_FAILURES.labels("write").inc()
        log.warning("%d articles are not in the feature store yet: %s", articles.num_rows, one_line(error))
