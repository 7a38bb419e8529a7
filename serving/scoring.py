"""Scores of a reader's candidates from what is there already: article vectors of the shelf, the reader's vector.

Most policies' scores are functions of few linear forms (``newsrec.encoders.forms``): what depends on the reader and the
request is computed once a request, what depends on an article alone once an article. Nothing here looks at a network's
inside, and ``Policy.scores`` on the same features gives the same numbers up to rounding. A policy without forms scores
in full.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from feature_repo.store import ReaderVector
from newsrec import transitions
from newsrec.artifact import Artifact
from newsrec.encoders.article import MOST_SHOWN, ArticleEncoder
from newsrec.encoders.forms import RequestForms
from newsrec.transitions import Readers
from serving import reads
from serving.offer import Offer, demand_numbers, times_shown
from serving.shelf import Shelf, is_formed

if TYPE_CHECKING:
    from serving.recommend import Visit

_NOW = np.zeros(1, np.int64)
"""What a reader's vector knows of the time of a request: nothing."""


def has_tower(policy: Any) -> bool:
    """Whether the policy makes a vector of few numbers of a reader's history, which is worth being stored."""
    return is_formed(policy) and isinstance(getattr(policy, "article", None), ArticleEncoder)


def made_by(stored: ReaderVector | None, read: np.ndarray, shelf: Shelf, artifact: Artifact) -> np.ndarray | None:
    """[1, W]: the vector of ``stored`` where it is what this policy would make of the very same reads, else None.

    ``read`` are the ``read_rows`` of the row beside which it is stored.
    """
    if stored is None or stored.policy_version != artifact.version.encode():
        return None
    if stored.content != shelf.fingerprints[read].sum():
        return None
    return np.frombuffer(stored.vector, "<f4")[None].copy()  # torch warns of what it could not write to


def read_rows(features: Readers, shelf: Shelf) -> np.ndarray:
    """[H] int64: catalogue rows of the one reader's history, 0 for what the shelf does not know."""
    return shelf.catalogue.rows_of_keys(features.key[0, : features.length[0]])


def fingerprints(readers: Readers, shelf: Shelf) -> np.ndarray:
    """[B] int64: one number for the contents of all articles in each history, as the shelf has them."""
    histories = (shelf.catalogue.rows_of_keys(key[:n]) for key, n in zip(readers.key, readers.length, strict=True))
    return np.array([shelf.fingerprints[rows].sum() for rows in histories], np.int64)


def reader_vectors(readers: Readers, shelf: Shelf, artifact: Artifact) -> np.ndarray:
    """[B, W] float32: what the policy makes of the histories of ``readers`` [B]."""
    if artifact.one_reader is not None:
        return reads.reader_vectors(readers, shelf, artifact.one_reader, artifact.use_time)
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


def forms_of(visit: "Visit", shelf: Shelf, artifact: Artifact, read: np.ndarray | None = None) -> RequestForms:
    """What the policy asks of every article for the reader and at the time of ``visit``.

    ``read`` are the reader's ``read_rows``, where they are known already.
    """
    features, finder = visit.features, shelf.finder_of(artifact)
    vector = made_by(visit.vector, read_rows(features, shelf) if read is None else read, shelf, artifact)
    if vector is None and not features.length[0] and finder:
        vector = shelf.nobody
    if vector is None:
        vector = reader_vectors(features, shelf, artifact)
    offset = visit.request.context.utc_offset_minutes
    context = transitions.context_of_one(features, visit.time, offset, artifact.use_time)
    if finder:
        return finder.table(vector[0], context[0])
    return RequestForms.of(artifact.policy, vector[0], context[0])


def offer(rows: np.ndarray, time: int, shelf: Shelf, artifact: Artifact) -> Offer:
    """``rows`` [C] at ``time``, for a policy that has forms."""
    catalogue = shelf.catalogue
    demand = demand_numbers(rows, time, catalogue, shelf.counts, shelf.as_of, artifact.use_time)
    return Offer.of(rows, shelf.vectors(artifact, rows), demand, catalogue)


def scores(
    visit: "Visit", rows: np.ndarray, shelf: Shelf, artifact: Artifact, forms: RequestForms | None = None
) -> np.ndarray:
    """[C] float32: the policy's scores of the articles in ``rows`` [C] for the reader and at the time of ``visit``.

    ``forms`` are ``forms_of`` the visit, where they are known already.
    """
    if not is_formed(artifact.policy):
        return _by_policy(visit, rows, shelf, artifact)
    forms = forms_of(visit, shelf, artifact) if forms is None else forms
    return offered_scores(visit.features, offer(rows, visit.time, shelf, artifact), forms, shelf, artifact)


def offered_scores(
    features: Readers, offered: Offer, forms: RequestForms, shelf: Shelf, artifact: Artifact
) -> np.ndarray:
    """[C] float32: ``scores`` of what is ``offered`` to the reader of ``features``."""
    values = offered.demand @ forms.demand.T + forms.level  # [C, F]
    values += offered.vectors @ forms.article.T
    seen = times_shown(features, offered.rows, offered.keys)
    values += np.minimum(seen, MOST_SHOWN)[:, None] * forms.shown
    finder, policy = shelf.finder_of(artifact), artifact.policy
    if finder and finder.table.is_score:
        return values[:, 0]
    with torch.inference_mode():
        found: Tensor = policy.combined(torch.from_numpy(values))  # [C]
        if hasattr(policy, "reranked"):
            content = torch.from_numpy(shelf.catalogue.content[offered.rows])
            found = policy.reranked(found[None], content[None])[0]
        return found.numpy()


def _by_policy(visit: "Visit", rows: np.ndarray, shelf: Shelf, artifact: Artifact) -> np.ndarray:
    """[C] float32: ``scores`` from the tensors that training sees, for a policy that has no forms."""
    features, now = visit.features, np.array([visit.time])
    offset, use_time = np.array([visit.request.context.utc_offset_minutes]), artifact.use_time
    state = transitions.state(features, now, offset, shelf.catalogue, use_time)
    counts, as_of = shelf.counts[rows][None], shelf.as_of[rows][None]
    candidates = transitions.candidates(rows[None], features, counts, as_of, now, shelf.catalogue, use_time)
    with torch.inference_mode():
        return artifact.policy.scores(state, candidates)[0].numpy()
