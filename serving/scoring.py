"""Scores of a reader's candidates from what is there already: article vectors of the shelf, the reader's vector.

Every policy's score is a function of few linear forms (``newsrec.encoders.forms``): what depends on the reader and the
request is computed once a request, what depends on an article alone once an article. Nothing here looks at a network's
inside, and ``Policy.scores`` on the same features gives the same numbers up to rounding.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from feature_repo.store import ReaderVector
from newsrec import transitions
from newsrec.artifact import Artifact
from newsrec.encoders.article import FRESHNESS_HALF_LIFE_HOURS, MOST_SHOWN
from newsrec.encoders.scorer import HistoryScorer
from newsrec.features import HOUR, popularity
from newsrec.transitions import Readers
from serving.shelf import Shelf

if TYPE_CHECKING:
    from serving.recommend import Visit

_NOW = np.zeros(1, np.int64)
"""What a reader's vector knows of the time of a request: nothing."""


def has_tower(policy: Any) -> bool:
    """Whether a reader's history goes through a network, so that its outcome is worth being stored."""
    return isinstance(policy, HistoryScorer)


def made_by(stored: ReaderVector | None, features: Readers, shelf: Shelf, artifact: Artifact) -> np.ndarray | None:
    """[1, W]: the vector of ``stored`` where it is what this policy would make of the very same reads, else None."""
    if stored is None or stored.policy_version != artifact.version.encode():
        return None
    if stored.content != fingerprints(features, shelf)[0]:
        return None
    return np.frombuffer(stored.vector, "<f4")[None].copy()  # torch warns of what it could not write to


def fingerprints(readers: Readers, shelf: Shelf) -> np.ndarray:
    """[B] int64: one number for the contents of all articles in each history, as the shelf has them."""
    width = int(readers.length.max(initial=0))
    mask = np.arange(width) < readers.length[:, None]  # [B, H]
    rows = np.where(mask, shelf.catalogue.rows_of_keys(readers.key[:, :width]), 0)  # [B, H]
    return shelf.fingerprints[rows].sum(1)  # row 0 counts 0


def reader_vectors(readers: Readers, shelf: Shelf, artifact: Artifact) -> np.ndarray:
    """[B, W] float32: what the policy makes of the histories of ``readers`` [B]."""
    batch = len(readers.length)
    now = np.broadcast_to(_NOW, batch)
    state = transitions.state(readers, now, now, shelf.catalogue, artifact.use_time)
    with torch.inference_mode():
        return artifact.policy.reader(state).numpy()


def stored_vectors(readers: Readers, shelf: Shelf, artifact: Artifact) -> list[ReaderVector]:
    """``reader_vectors`` in the form in which they are stored."""
    version = artifact.version.encode()
    columns = zip(reader_vectors(readers, shelf, artifact), fingerprints(readers, shelf).tolist(), strict=True)
    return [ReaderVector(vector.astype("<f4").tobytes(), version, content) for vector, content in columns]


def scores(visit: "Visit", rows: np.ndarray, shelf: Shelf, artifact: Artifact) -> np.ndarray:
    """[C] float32: the policy's scores of the articles in ``rows`` [C] for the reader and at the time of ``visit``."""
    features, time, policy = visit.features, visit.time, artifact.policy
    vector = made_by(visit.vector, features, shelf, artifact)
    if vector is None:
        vector = reader_vectors(features, shelf, artifact)
    offset = np.array([visit.request.context.utc_offset_minutes])
    context = transitions.context(features, np.array([time]), offset, artifact.use_time)
    with torch.inference_mode():
        forms = policy.forms(torch.from_numpy(vector), torch.from_numpy(context))
        article, demand, shown, level = (form[0].numpy() for form in forms)  # [W, F], [D, F], [F], [F]
        values = demand_numbers(rows, time, shelf, artifact.use_time) @ demand + level  # [C, F]
        values += shelf.vectors(artifact, rows) @ article
        values += np.minimum(times_shown(features, rows, shelf), MOST_SHOWN)[:, None] * shown
        found: Tensor = policy.combined(torch.from_numpy(values))  # [C]
        if hasattr(policy, "reranked"):
            content = torch.from_numpy(shelf.catalogue.content[rows])
            found = policy.reranked(found[None], content[None])[0]
        return found.numpy()


def demand_numbers(rows: np.ndarray, time: int, shelf: Shelf, use_time: bool) -> np.ndarray:
    """[C, D] float32: ``newsrec.encoders.article.demand_features`` of ``rows`` [C] at ``time``."""
    ages = np.maximum(time - shelf.catalogue.published_at[rows], 0) / HOUR * (rows > 0)  # [C]
    popular = popularity(shelf.counts[rows], shelf.as_of[rows], np.array(time))  # [C, P]
    if not use_time:
        ages, popular = np.zeros_like(ages), np.zeros_like(popular)
    age = ages.astype(np.float32)
    found = np.empty((len(rows), 6), np.float32)
    found[:, :4] = popular
    found[:, 2] = np.log((popular[:, 2] + np.float32(0.01)) / np.float32(0.06))
    found[:, 4] = np.log1p(age)
    found[:, 5] = np.exp2(-age / np.float32(FRESHNESS_HALF_LIFE_HOURS))
    return found


def times_shown(readers: Readers, rows: np.ndarray, shelf: Shelf) -> np.ndarray:
    """[C] float32: how often the one reader was shown each of ``rows`` of late."""
    keys = shelf.catalogue.short_keys[rows]  # [C]
    return ((keys[:, None] == readers.shown_key[0]).sum(1) * (rows > 0)).astype(np.float32)
