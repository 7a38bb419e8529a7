"""From a request to a slate, as a pure function: the clock, the seed and all features are arguments."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from feature_repo.store import ReaderSlate, ReaderVector
from newsrec.artifact import Artifact
from newsrec.catalogue import Catalogue
from newsrec.encoders.forms import RequestForms
from newsrec.features import HOUR, POPULARITY_FEATURES, popularity
from newsrec.slate import SlateConfig, draw_one, luck_of
from newsrec.transitions import Readers
from serving import scoring
from serving.offer import Offer
from serving.retrieval import RetrievalConfig
from serving.schema import MAX_CANDIDATES, SlateRequest
from serving.shelf import Shelf, is_formed

SESSION = HOUR // 2
TICK = 10_000
"""Microseconds, in which the time of a decision counts: those of one tick share what they offer."""
_LOG_CLICKS_DAY = POPULARITY_FEATURES.index("log_clicks_day")


class UnknownArticles(ValueError):
    """A request names candidates that the catalogue does not hold."""


@dataclass(frozen=True)
class ServingConfig:
    """How a shortlist and a slate are made of live articles."""

    slate: SlateConfig = field(default_factory=lambda: SlateConfig("epsilon", epsilon=0.05))
    """Epsilon-greedy by default: unlike Plackett-Luce it means the same whatever the scale of a policy's scores."""
    shelf_life_hours: float = 72.0
    """An article older than this is expired and never shown."""
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)

    def __post_init__(self) -> None:
        if not self.shelf_life_hours > 0:
            raise ValueError(f"shelf_life_hours is {self.shelf_life_hours}, expected more than 0")


class Visit(NamedTuple):
    """A reader who asks, and what is known at that moment."""

    request: SlateRequest
    request_id: str
    user_id: str
    """As it is stored: the pseudonym where reader ids are hashed."""
    features: Readers
    """One row, empty where nothing is known."""
    degraded: bool
    """Nothing is known because the store did not answer."""
    now: int
    """The clock, microseconds."""
    read: tuple[str, ...] = ()
    """Articles read within the shelf life, beside those in the packed history of ``features``."""
    experiment: str | None = None
    """That the reader is part of; None where one policy serves everybody."""
    arm: str | None = None
    """The reader's in ``experiment``."""
    vector: ReaderVector | None = None
    """What stands in the store beside ``features``, made of them by whichever policy."""
    slate: ReaderSlate | None = None
    """What was scored in advance, by whichever policy."""

    @property
    def time(self) -> int:
        """What ages and features refer to: the last tick of the clock, unless the request names another time."""
        return self.now - self.now % TICK if self.request.time is None else self.request.time


class Decision(NamedTuple):
    """One slate and all that its answer and its log entry tell."""

    visit: Visit
    artifact: Artifact
    catalogue_version: str
    candidates: list[str]
    slate: list[str]
    scores: list[float]
    propensities: list[float]

    @property
    def cold(self) -> bool:
        """Nothing was known of the reader."""
        return bool(self.visit.features.last_seen[0] < 0 and self.visit.features.length[0] == 0)

    def answer(self) -> dict[str, Any]:
        """What the caller gets, JSON-able; the reader's id as the caller gave it."""
        columns = zip(self.slate, self.scores, self.propensities, strict=True)
        answer = {
            "request_id": self.visit.request_id,
            "user_id": self.visit.request.user_id,
            "slate": [
                {"article_id": article, "score": score, "propensity": propensity, "position": position}
                for position, (article, score, propensity) in enumerate(columns)
            ],
            "policy": self.artifact.name,
            "policy_version": self.artifact.version,
            "feature_version": self.artifact.feature_hash,
            "cold": self.cold,
        }
        return answer | {"degraded": True} if self.visit.degraded else answer

    def event(self) -> dict[str, Any]:
        """The row of the event log: exactly what was answered, with the shortlist it was chosen from."""
        visit, context = self.visit, self.visit.request.context
        return {
            "request_id": visit.request_id,
            "user_id": visit.user_id,
            "session_id": context.session_id or f"{visit.user_id}/{visit.time // SESSION}",
            "time": min(visit.time, visit.now),  # a log that reaches into the future could not be trained past
            "context": context.model_dump(exclude={"session_id"}),
            "feature_version": self.artifact.feature_hash,
            "policy": self.artifact.name,
            "policy_version": self.artifact.version,
            "experiment": visit.experiment,
            "arm": visit.arm,
            "catalogue_version": self.catalogue_version,
            "candidates": self.candidates,
            "slate": self.slate,
            "propensities": self.propensities,
        }


def recommend(visit: Visit, shelf: Shelf, artifact: Artifact, config: ServingConfig, seed: bytes) -> Decision:
    """The slate for ``visit``, the same for the same ``seed``. Raises UnknownArticles.

    A reader of whom nothing is known is ranked by the same policy from an empty history, so what is in demand and
    fresh decides.
    """
    rows, scores = ranked(visit, shelf, artifact, config)
    return chosen(visit, rows, scores, shelf, artifact, config, seed)


def ranked(visit: Visit, shelf: Shelf, artifact: Artifact, config: ServingConfig) -> tuple[np.ndarray, np.ndarray]:
    """Catalogue rows of the candidates and their scores, [C] each. Raises UnknownArticles."""
    read = scoring.read_rows(visit.features, shelf)
    if not is_formed(artifact.policy):
        rows = shortlist(visit, shelf, config, read)
        return rows, scoring.scores(visit, rows, shelf, artifact)
    forms = scoring.forms_of(visit, shelf, artifact, read)
    offered = offer(visit, shelf, artifact, config, read, forms)
    return offered.rows, scoring.offered_scores(visit.features, offered, forms, shelf, artifact)


def offer(
    visit: Visit, shelf: Shelf, artifact: Artifact, config: ServingConfig, read: np.ndarray, forms: RequestForms
) -> Offer:
    """The ``shortlist`` for a policy that has forms, with what they need of it.

    Where more articles are live than a shortlist holds, and the request names none, the policy itself chooses it.
    """
    finder, request, now = shelf.finder_of(artifact), visit.request, visit.time
    oldest, unhidden = now - int(config.shelf_life_hours * HOUR), max(now, visit.now)
    if request.candidates is not None or finder is None:
        return scoring.offer(shortlist(visit, shelf, config, read), now, shelf, artifact)
    size, gone = max(finder.config.size, request.k), barred(visit, shelf, read)
    if (offered := finder.offer(now, oldest, -(-unhidden // TICK) * TICK, size)) is not None:
        return offered.without(gone, shelf.catalogue)
    rows = finder.find(forms, visit.features, now, oldest, unhidden, gone, size)
    return scoring.offer(rows, now, shelf, artifact)


def barred(visit: Visit, shelf: Shelf, read: np.ndarray | None = None) -> np.ndarray:
    """[n] int64: catalogue rows that the reader has read or the request excludes, 0 for what the shelf does not know.

    ``read`` are the reader's ``scoring.read_rows``, where they are known already.
    """
    read = scoring.read_rows(visit.features, shelf) if read is None else read
    if not visit.request.exclude and not visit.read:
        return read
    return np.concatenate([read, shelf.catalogue.rows([*visit.request.exclude, *visit.read])])


def chosen(
    visit: Visit,
    rows: np.ndarray,
    scores: np.ndarray,
    shelf: Shelf,
    artifact: Artifact,
    config: ServingConfig,
    seed: bytes,
) -> Decision:
    """The slate that is drawn from what was ``ranked``."""
    k = visit.request.k
    drawn = draw_one(scores, k, config.slate, luck_of(seed, len(scores) + k))  # [K]
    ids = shelf.catalogue.ids
    candidates = [ids[row] for row in rows.tolist()]
    slate = [candidates[place] for place in drawn.chosen.tolist()]
    propensities = drawn.propensity.tolist()
    return Decision(visit, artifact, shelf.version, candidates, slate, scores[drawn.chosen].tolist(), propensities)


def shortlist(visit: Visit, shelf: Shelf, config: ServingConfig, read: np.ndarray | None = None) -> np.ndarray:
    """Catalogue rows of the candidates, at most MAX_CANDIDATES. [C] int64

    They are published and not expired at the visit's time, not read and not excluded; an article that is withdrawn by
    now never appears, whatever time the request names. Where the request names no candidates and too many are left,
    half are the newest, and the others those with the most clicks of late. Raises UnknownArticles.
    """
    catalogue, request, now = shelf.catalogue, visit.request, visit.time
    oldest = now - int(config.shelf_life_hours * HOUR)
    if request.candidates is None:
        rows, negated_times = shelf.newest_first
        rows = rows[np.searchsorted(negated_times, -now) : np.searchsorted(negated_times, -oldest)]
    else:
        rows = _named(request.candidates, catalogue)
        rows = rows[(catalogue.published_at[rows] <= now) & (catalogue.published_at[rows] > oldest)]
    gone = np.zeros(len(catalogue.ids), np.bool_)
    gone[barred(visit, shelf, read)] = True
    rows = rows[(catalogue.hidden_at[rows] > max(now, visit.now)) & ~gone[rows]]
    if len(rows) <= MAX_CANDIDATES:
        return rows
    newest, others = rows[: MAX_CANDIDATES // 2], rows[MAX_CANDIDATES // 2 :]
    clicks = popularity(shelf.counts[others], shelf.as_of[others], np.array(now))[:, _LOG_CLICKS_DAY]
    popular = np.argsort(-clicks, kind="stable")[: MAX_CANDIDATES - len(newest)]
    return np.concatenate([newest, others[popular]])


def _named(article_ids: list[str], catalogue: Catalogue) -> np.ndarray:
    """Their rows, each once, in their order. [C] int64"""
    distinct = list(dict.fromkeys(article_ids))
    rows = catalogue.rows(distinct)
    if not rows.all():
        unknown = [article for article, row in zip(distinct, rows, strict=True) if not row]
        raise UnknownArticles(f"candidates: {', '.join(unknown[:3])} unknown ({len(unknown)} of {len(distinct)})")
    return rows
