"""Logs with a known answer: readers and articles are even or odd, and readers click articles of their own parity only.

A policy that has learnt anything puts the right parity on top; a policy that has not is right half of the time.
"""

from typing import Any

import numpy as np
import torch

from newsrec import training
from newsrec.artifact import Artifact
from newsrec.decisions import Decisions, time_split
from newsrec.events import KINDS, EventLog, from_rows
from newsrec.features import EMBEDDING_DIM, HOUR
from newsrec.training import RunConfig, TrainingConfig

START = 1_704_067_200_000_000
SLATE = 6


def log(
    decisions: int = 1200,
    articles: int = 40,
    readers: int = 30,
    hours: int = 240,
    *,
    content: bool = False,
    replaced_at: float = 2.0,
    daily: bool = False,
    dwell_seconds: float = 0.0,
    seed: int = 0,
) -> EventLog:
    """One click a decision, on slates of half even and half odd articles, which are all the candidates.

    ``content``: embeddings show the parity (else articles have none). From the share ``replaced_at`` of the time on,
    only articles that were not there before are shown. ``daily``: even readers come on even days, odd ones on odd days,
    so that popularity tells the parity; else they come in turns, and popularity tells nothing. ``dwell_seconds`` are
    logged of each read, unless 0.
    """
    rng = np.random.default_rng(seed)
    sign = np.where(np.arange(articles) % 2, 1.0, -1.0)[:, None]
    vectors = sign * rng.normal(size=EMBEDDING_DIM) + rng.normal(size=(articles, EMBEDDING_DIM)) / 4
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    late = np.arange(articles) >= articles // 2 if replaced_at < 1.0 else np.zeros(articles, bool)
    change = int(hours * replaced_at) * HOUR
    rows: dict[str, list[dict[str, Any]]] = {"articles": [], "recommendations": [], "feedback": []}
    for i in range(articles):
        published = START + (change if late[i] else -HOUR)
        embedding = vectors[i].tolist() if content else None
        rows["articles"].append({"article_id": f"a{i}", "published_at": published, "embedding": embedding})
    for number in range(decisions):
        time = START + number * hours * HOUR // decisions
        parity = (time - START) // (24 * HOUR) % 2 if daily else number % 2
        reader = f"u{2 * rng.integers(readers // 2) + parity}"
        open_ = np.flatnonzero(late == (time - START >= change))
        halves = [rng.choice(open_[open_ % 2 == half], SLATE // 2, replace=False) for half in (0, 1)]
        slate = [f"a{i}" for i in rng.permutation(np.concatenate(halves))]
        wanted = f"a{rng.choice(halves[parity])}"
        request = {"request_id": f"r{number}", "user_id": reader}
        shown = {"session_id": "s", "time": time, "policy": "random", "candidates": slate, "slate": slate}
        shown["propensities"] = [1.0 / left for left in range(SLATE, 0, -1)]
        rows["recommendations"].append(request | shown)
        read = [wanted] if dwell_seconds else []
        for kind, seen in (("impression", slate), ("click", [wanted]), ("dwell", read)):
            for article in seen:
                event = {"event_id": f"{kind} {number} {article}", "article_id": article, "kind": kind}
                arrival = {"time": time, "received_at": time + 10_000_000}
                lasted = {"dwell_seconds": dwell_seconds} if kind == "dwell" else {}
                rows["feedback"].append(request | event | arrival | lasted | {"position": slate.index(article)})
    return EventLog(**{name: from_rows(name, table) for name, table in rows.items()})


def solve(policy: str, decisions: Decisions, epochs: int = 12, **model: Any) -> tuple[Artifact, Decisions, np.ndarray]:
    """The policy trained by the real loop, the decisions as its catalogue numbers them, the rows it has not seen."""
    loop = TrainingConfig(epochs=epochs, patience=4, batch_size=64, validation=0.1, test=0.2)
    found = training.train(decisions, RunConfig(policy, model=model, training=loop), progress=lambda line: None)
    _, _, test = time_split(decisions.time, loop.validation, loop.test)
    return found, decisions.numbered_by(found.catalogue), test


def accuracy(found: Artifact, decisions: Decisions, rows: np.ndarray) -> float:
    """The share of ``rows`` where the article on top has the parity of the article that was clicked."""
    batch = decisions.batch(rows)
    with torch.inference_mode():
        top = found.policy.scores(batch.state, batch.candidates).argmax(1)
    clicked = batch.slate.gather(1, batch.feedback[..., KINDS.index("click")].argmax(1, keepdim=True)).squeeze(1)
    parity = np.array([int(name[1:]) % 2 if name else -1 for name in decisions.catalogue.ids])
    first = decisions.candidate.offsets[rows]
    article = decisions.candidate.values
    return float((parity[article[first + top.numpy()]] == parity[article[first + clicked.numpy()]]).mean())
