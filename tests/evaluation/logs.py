"""A small log whose every figure can be worked out by hand, and policies for it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from newsrec import dataset, events
from newsrec.decisions import Decisions
from newsrec.events import EventLog
from newsrec.features import EMBEDDING_DIM, HOUR
from newsrec.policy import mask_scores
from newsrec.transitions import Candidates, State

START = 1_767_225_600_000_000
"""1 January 2026, 00:00 UTC."""


class ByWorth:
    """Scores the first number of the content: article ``a{i}`` of ``small_log`` has worth i."""

    config: Any = None

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        return mask_scores(candidates.content[..., 0], candidates)


class ByFate:
    """Worth turned round."""

    config: Any = None

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        return mask_scores(-candidates.content[..., 0], candidates)


class Constant:
    """The same score for everything."""

    config: Any = None

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        return mask_scores(torch.zeros(candidates.mask.shape), candidates)


class ByIdentity:
    """A number of its own for each article of its training, a little worth for all, and affinity to what was read."""

    config: Any = None

    def __init__(self, articles: int) -> None:
        numbers = torch.randn(articles, generator=torch.Generator().manual_seed(3))
        self.numbers = torch.cat([torch.zeros(1), numbers])

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        read = (self.numbers[state.history_index] * state.history_mask).sum(1, keepdim=True)
        worth = self.numbers[candidates.article_index] + candidates.content[..., 0] / 100  # [B, C]
        return mask_scores(worth * (1.0 + read), candidates)


def article(i: int, published_at: int = START - HOUR, **more: object) -> dict:
    embedding = np.zeros(EMBEDDING_DIM)
    embedding[0] = i
    return {"article_id": f"a{i}", "published_at": published_at, "embedding": embedding.tolist()} | more


def decision(
    name: str, user: str, hours: float, slate: Iterable, clicks: Iterable = "", others: Iterable = ""
) -> tuple[dict, list]:
    """A slate and its feedback; articles by their numbers (or a string of digits), ``others`` candidates not shown."""
    time = START + int(hours * HOUR)
    ids, clicked = [f"a{i}" for i in slate], {f"a{i}" for i in clicks}
    row = {"request_id": name, "user_id": user, "session_id": name, "time": time, "policy": "editor"}
    row |= {"candidates": [f"a{i}" for i in others] + ids[::-1], "slate": ids}
    feedback = [
        {"event_id": f"{name}-{kind}-{a}", "request_id": name, "user_id": user, "article_id": a, "kind": kind}
        | {"position": position, "time": time + 1_000_000, "received_at": time + 2_000_000}
        for position, a in enumerate(ids)
        for kind in (["impression", "click"] if a in clicked else ["impression"])
    ]
    return row, feedback


def build_log(articles: list[dict], decisions: list[tuple[dict, list]]) -> EventLog:
    rows, feedback = zip(*decisions, strict=True)
    tables = {"articles": articles, "recommendations": rows, "feedback": [event for some in feedback for event in some]}
    return EventLog(*(events.validate(events.from_rows(name, table), name) for name, table in tables.items()))


def small_log() -> EventLog:
    """Two hours of readers ann, bob and cem on eight articles."""
    return build_log(
        [article(i) for i in range(8)],
        [
            decision("r0", "ann", 0.1, "0123", clicks="1", others="4"),
            decision("r1", "bob", 0.2, "3210", clicks="32"),
            decision("r2", "cem", 0.3, "012"),
            decision("r3", "ann", 1.1, "567", clicks="7", others="1"),
            decision("r4", "bob", 1.2, "765", clicks="5"),
        ],
    )


def random_log(seed: int, readers: int = 30, articles: int = 60, decisions: int = 300) -> EventLog:
    """Random slates over a few days; readers tend to click the article of the highest worth."""
    generator = np.random.default_rng(seed)
    rows = []
    for i in range(decisions):
        offered = generator.permutation(articles)[:12].tolist()
        clicks = [a for a in offered[:6] if generator.random() < 0.1 + 0.5 * a / articles]
        rows.append(decision(f"r{i}", f"u{generator.integers(readers)}", i / 4, offered[:6], clicks, offered[6:]))
    published = START + generator.integers(-20, 40, articles) * HOUR
    return build_log([article(i, int(published[i])) for i in range(articles)], rows)


def reordered(log: EventLog, order: np.ndarray) -> EventLog:
    return log._replace(articles=log.articles.take(pa.array(order)))


def decisions_of(log: EventLog, use_time: bool = True) -> Decisions:
    return dataset.from_log(log, use_time=use_time)
