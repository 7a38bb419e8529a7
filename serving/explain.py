"""For each position of a slate, the earlier reads that drove its article's score.

A slate is made as a prediction makes it and not logged: the same request with the same seed and time explains the slate
that was predicted, as long as reader and articles are what they were. Weights are integrated gradients of the served
score (``newsrec.evaluation.explanation``), which find most of what drove a reader; a policy without a network over
reads is asked with each read left out instead. They say what the history did to an article's score, also where the
article stands for another reason, such as exploration.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from newsrec import transitions
from newsrec.encoders.scorer import HistoryScorer
from newsrec.evaluation.explanation import Method, read_attributions
from newsrec.transitions import Candidates, State
from serving.logs import in_thread
from serving.recommend import Decision, Shelf
from serving.refusals import Busy
from serving.schema import SlateRequest

MOST_READS = 10
"""Reads that a position names."""
MAX_POSITIONS = 100
"""Of all slates of one call. Ten of a reader of fifty reads take 0.1 s of one core, and 2 s where the path is so bent
that it takes the most steps."""
MAX_WAITING = 8
"""Calls that wait or are computed; one is computed at a time."""

Decide = Callable[[SlateRequest], tuple[Decision, Shelf]]
"""Makes a slate, and says from which shelf."""


class TooMuch(ValueError):
    """A call asks for more positions than are explained at once."""


class Explainer:
    """One thread, so that explanations never take more than one core from slates."""

    def __init__(self) -> None:
        self._thread, self._waiting = ThreadPoolExecutor(1, "explain"), 0

    async def explain(self, requests: list[SlateRequest], decide: Decide) -> list[dict[str, Any]]:
        """What ``explanation`` says of each request. Raises TooMuch, Busy, and what ``decide`` raises."""
        positions = sum(request.k for request in requests)
        if positions > MAX_POSITIONS:
            raise TooMuch(f"instances: {positions} positions are asked for, expected at most {MAX_POSITIONS} in all")
        if self._waiting >= MAX_WAITING:
            raise Busy(f"{MAX_WAITING} explanations wait already; ask again")
        self._waiting += 1
        try:
            return await in_thread(self._thread, lambda: [explanation(*decide(request)) for request in requests])
        finally:
            self._waiting -= 1


def explanation(decision: Decision, shelf: Shelf) -> dict[str, Any]:
    """The answer to one request, JSON-able, of a slate chosen from ``shelf``."""
    visit, artifact = decision.visit, decision.artifact
    method, weights, reason = _weights(decision, shelf)
    columns = zip(decision.slate, decision.scores, decision.propensities, weights, strict=True)
    reads = _reads(decision, shelf)
    answer = {
        "user_id": visit.request.user_id,
        "policy": artifact.name,
        "policy_version": artifact.version,
        "feature_version": artifact.feature_hash,
        "reads": len(reads),
        "method": method,
        "reason": reason,
        "slate": [
            {
                "article_id": article,
                "position": position,
                "score": score,
                "propensity": propensity,
                "weight": float(weight.sum()),
                "driven_by": _driven_by(weight, reads),
            }
            for position, (article, score, propensity, weight) in enumerate(columns)
        ],
    }
    return answer | {"degraded": True} if visit.degraded else answer


def _weights(decision: Decision, shelf: Shelf) -> tuple[Method | None, np.ndarray, str | None]:
    """The method, [K, H] for K positions and H reads, and where no read drove anything why."""
    positions, length = len(decision.slate), int(decision.visit.features.length[0])
    nothing = np.zeros((positions, length))
    if decision.visit.degraded:
        return None, nothing, "the feature store did not answer, so that no read was known"
    if not length:
        return None, nothing, "nothing that the reader read is known"
    if not positions:
        return None, nothing, "no article is left to show"
    policy, name = decision.artifact.policy, decision.artifact.name
    method: Method = "integrated_gradients" if isinstance(policy, HistoryScorer) else "leave_one_out"
    state, candidates = _asked(decision, shelf)
    row = {article: position for position, article in enumerate(decision.candidates)}
    at = torch.tensor([row[article] for article in decision.slate])  # [K]
    try:
        found = read_attributions(policy, state, candidates, at, method)  # type: ignore[arg-type]
    except ArithmeticError:  # the gradients do not add up: what was done instead stands in the answer
        method = "leave_one_out"
        found = read_attributions(policy, state, candidates, at, method)  # type: ignore[arg-type]
    if not found.any():
        return None, nothing, f"the scores of {name} do not depend on what was read"
    return method, found.double().numpy(), None


def _asked(decision: Decision, shelf: Shelf) -> tuple[State, Candidates]:
    """What the policy saw, once for each of the K positions."""
    visit, use_time, catalogue = decision.visit, decision.artifact.use_time, shelf.catalogue
    rows, moment = catalogue.rows(decision.candidates), np.array([visit.time])
    offset = np.array([visit.request.context.utc_offset_minutes])
    state = transitions.state(visit.features, moment, offset, catalogue, use_time)
    counts, as_of = shelf.counts[rows][None], shelf.as_of[rows][None]
    candidates = transitions.candidates(rows[None], visit.features, counts, as_of, moment, catalogue, use_time)
    times = len(decision.slate)
    return (
        State(*(column.expand(times, *column.shape[1:]) for column in state)),
        Candidates(*(column.expand(times, *column.shape[1:]) for column in candidates)),
    )


def _reads(decision: Decision, shelf: Shelf) -> list[dict[str, Any]]:
    """The reads that are known, oldest first; no name for an article that the catalogue no longer holds."""
    known, ids = decision.visit.features, shelf.catalogue.ids
    length = known.length[0]
    rows = shelf.catalogue.rows_of_keys(known.key[0, :length])
    return [
        {"article_id": ids[row] if row else None, "time": int(time) * 1_000_000, "dwell_seconds": float(dwell)}
        for row, time, dwell in zip(rows, known.time[0, :length], known.dwell[0, :length], strict=True)
    ]


def _driven_by(weight: np.ndarray, reads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The MOST_READS reads with the largest weights, whatever their sign, with their shares of all weights."""
    whole = np.abs(weight).sum() or 1.0
    order = np.argsort(-np.abs(weight), kind="stable")[:MOST_READS]
    return [reads[j] | {"weight": float(weight[j]), "share": float(weight[j] / whole)} for j in order if weight[j]]
