"""Logs of experiments: a few visits that can be counted by hand, and large ones of active days."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from newsrec.events import SCHEMAS, TIME, EventLog, conform, from_rows, validate
from newsrec.features import DAY, HOUR

START = 1_704_067_200_000_000
"""Midnight, UTC, of Monday 1 January 2024."""
NAME = "front-page"


def visit(
    user: str,
    day: float,
    arm: str | None = None,
    session: str = "",
    clicks: str = "",
    hides: str = "",
    dwell: Iterable[float] = (),
    policy: str = "editor",
) -> tuple[dict, list[dict]]:
    """A slate of articles a and b, ``day`` after START, and its feedback."""
    time = START + round(day * DAY)
    name = f"{user}-{day}"
    row = {"request_id": name, "user_id": user, "session_id": session or name, "time": time, "policy": policy}
    row |= {"candidates": ["a", "b"], "slate": ["a", "b"]}
    row |= {"experiment": NAME if arm else None, "arm": arm}
    kinds = [("impression", a, None) for a in "ab"] + [("click", a, None) for a in clicks]
    kinds += [("hide", a, None) for a in hides] + [("dwell", a, s) for a, s in zip("ab", dwell, strict=False)]
    feedback = [
        {"event_id": f"{name}-{kind}-{article}", "request_id": name, "user_id": user, "article_id": article}
        | {"kind": kind, "dwell_seconds": seconds, "time": time + 1, "received_at": time + 2}
        for kind, article, seconds in kinds
    ]
    return row, feedback


def log_of(visits: list[tuple[dict, list[dict]]], **more: object) -> EventLog:
    """Not validated: some logs are broken on purpose."""
    rows, feedback = zip(*visits, strict=True)
    articles = [{"article_id": a, "published_at": START - HOUR, "title": a} for a in "ab"]
    tables = {"articles": articles, "recommendations": rows, "feedback": [event for some in feedback for event in some]}
    return EventLog(*(conform(from_rows(name, table), name) for name, table in tables.items()))._replace(**more)


def active_log(
    active: np.ndarray, first_day: np.ndarray, arms: np.ndarray | None, since: int = 0, names: str = "u"
) -> EventLog:
    """A visit at noon of each active day [N, D], counted from ``first_day`` [N] after START; ``arms`` [N] strings.

    Visits before the day ``since`` are in no experiment. A click on every second visit.
    """
    reader, day = np.nonzero(active)
    day = day + first_day[reader]
    time = START + day * DAY + HOUR * 12
    n = len(reader)
    request = pa.array([f"{names}{r}-{d}" for r, d in zip(reader, day, strict=True)])
    user = pa.array([f"{names}{r}" for r in reader])
    slate = pa.array([["a", "b"]] * n)
    times = pa.array(time).cast(TIME)
    columns = {"request_id": request, "user_id": user, "session_id": request, "time": times}
    columns |= {"policy": pa.repeat("editor", n), "candidates": slate, "slate": slate}
    if arms is not None:
        inside = day >= since
        columns |= {"experiment": pa.array([NAME if i else None for i in inside])}
        columns |= {"arm": pa.array([arms[r] if i else None for r, i in zip(reader, inside, strict=True)])}
    shown = {"request_id": request, "user_id": user, "time": times, "received_at": times}
    parts = []
    for kind, rows in (("impression", np.arange(n)), ("click", np.arange(0, n, 2))):
        part = {name: column.take(pa.array(rows)) for name, column in shown.items()}
        ids = pa.array([f"{kind}{names}{i}" for i in rows])
        part |= {"event_id": ids, "article_id": pa.repeat("a", len(rows)), "kind": pa.repeat(kind, len(rows))}
        parts.append(conform(pa.table(part), "feedback"))
    articles = from_rows("articles", [{"article_id": a, "published_at": START - HOUR} for a in "ab"])
    tables = {"articles": articles, "recommendations": conform(pa.table(columns), "recommendations")}
    tables["feedback"] = pa.concat_tables(parts)
    return EventLog(**{name: validate(tables[name], name) for name in SCHEMAS})


def merged(*logs: EventLog) -> EventLog:
    """One log of readers who are not in several."""
    return EventLog(
        logs[0].articles,
        pa.concat_tables(log.recommendations for log in logs),
        pa.concat_tables(log.feedback for log in logs),
    )
