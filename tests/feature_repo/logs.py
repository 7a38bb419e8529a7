"""A random log with the situations that features must survive."""

import numpy as np

from newsrec import events
from newsrec.events import EventLog
from newsrec.features import EMBEDDING_DIM, HOUR

START = 1_700_000_000_123_457
"""Microseconds that are no whole millisecond, so that a store which rounds is found out."""
READERS = [f"reader {i}" for i in range(8)]


def random_log(rng: np.random.Generator, requests: int = 60) -> EventLog:
    """Some 60 hours of requests: late and same-moment arrivals, several requests of one moment, readers never seen.

    One article in five has no embedding; some are published while the log runs.
    """
    articles = []
    for i in range(12):
        embedding = None if i % 5 == 0 else rng.normal(size=EMBEDDING_DIM).astype(np.float32).tolist()
        published = START + int(rng.integers(-30, 30)) * HOUR + i
        articles.append({"article_id": f"article {i}", "published_at": published, "embedding": embedding})
    recommendations, feedback = [], []
    for i in range(requests):
        time = START + i // 2 * 2 * HOUR + int(rng.integers(0, 3)) * 900_000_001  # pairs of requests stand together
        user, shown = READERS[rng.integers(0, 6)], rng.permutation(12)[:5]
        candidates = [f"article {a}" for a in shown]
        offset = {"utc_offset_minutes": int(rng.choice([-480, 0, 540]))}
        row = {"request_id": f"request {i}", "user_id": user, "session_id": "s", "time": time, "policy": "random"}
        recommendations.append(row | {"context": offset, "candidates": candidates, "slate": candidates[:3]})
        for j, kind in enumerate(rng.choice(["impression", "click", "dwell", "like", "leave"], rng.integers(0, 5))):
            late = int(rng.choice([1, 5_000_000, 5_000_000, 7 * HOUR]))
            article = None if kind == "leave" else candidates[j % 3]
            event = {"event_id": f"{i}-{j}", "request_id": f"request {i}", "user_id": user, "article_id": article}
            moments = {"time": time + j, "received_at": time + j + late}
            dwell = {"dwell_seconds": float(rng.integers(1, 90)) if kind == "dwell" else None}
            feedback.append(event | moments | dwell | {"kind": str(kind)})
    tables = {"articles": articles, "recommendations": recommendations, "feedback": feedback}
    return EventLog(**{name: events.validate(events.from_rows(name, rows), name) for name, rows in tables.items()})
