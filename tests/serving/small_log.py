"""A log small enough to know by heart: forty articles of two topics, six readers, relative to a moment ``now``.

``a00`` is the oldest article and ``a39`` the newest, half an hour apart, the newest published an hour before ``now``;
even ones are about football, odd ones about politics. Every reader clicked ``a05`` three hours before ``now``; ``ann``
read ``a10`` and ``a12`` too. ``old`` is a hundred hours old, ``gone`` was withdrawn, ``next`` comes out tomorrow, and
``wrong`` is there to be withdrawn.
"""

import pyarrow as pa

from newsrec import events
from newsrec.encoders.text import embed_articles
from newsrec.events import EventLog
from newsrec.features import HOUR

TITLES = ("Late goal wins the football cup final", "Parliament votes on the budget after the election")
READERS = ("ann", "bob", "cid", "dot", "eve", "fay")


def articles(now: int) -> pa.Table:
    rows = [
        {"article_id": f"a{i:02}", "published_at": now - HOUR - (39 - i) * HOUR // 2, "title": f"{TITLES[i % 2]} {i}"}
        for i in range(40)
    ]
    rows += [
        {"article_id": "old", "published_at": now - 100 * HOUR, "title": TITLES[0]},
        {"article_id": "gone", "published_at": now - 4 * HOUR, "title": TITLES[0], "hidden_at": now - 2 * HOUR},
        {"article_id": "wrong", "published_at": now - 50 * HOUR, "title": TITLES[1]},
        {"article_id": "next", "published_at": now + 24 * HOUR, "title": TITLES[1]},
    ]
    return embed_articles(events.from_rows("articles", rows))


def log(now: int) -> EventLog:
    """Each reader's decision four hours before ``now`` and what followed within the hour."""
    decisions, feedback = [], []
    slate = ["a05", "a10", "a12", "a01", "a20"]
    for reader in READERS:
        request, time = f"log-{reader}", now - 4 * HOUR
        decisions.append(
            {"request_id": request, "user_id": reader, "session_id": reader, "time": time, "policy": "uniform"}
            | {"candidates": slate, "slate": slate, "propensities": [0.2, 0.25, 1 / 3, 0.5, 1.0]}
        )
        clicks = slate[:3] if reader == "ann" else slate[:1]
        kinds = [("impression", article) for article in slate] + [("click", article) for article in clicks]
        for number, (kind, article) in enumerate(kinds):
            moment = time + HOUR + number * 1_000_000
            feedback.append(
                {"event_id": f"{request}-{number}", "request_id": request, "user_id": reader, "article_id": article}
                | {"position": slate.index(article), "kind": kind, "time": moment, "received_at": moment}
            )
    rows = (events.from_rows("recommendations", decisions), events.from_rows("feedback", feedback))
    return EventLog(articles(now), *rows)
