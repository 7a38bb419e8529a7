"""Large logs of plain visits, built column by column: one slate of one article a visit, clicked or not."""

import numpy as np
import pyarrow as pa

from newsrec.events import SCHEMAS, TIME, EventLog, conform, validate
from newsrec.features import HOUR

START = 1_704_067_200_000_000
"""Midnight, UTC, of Monday 1 January 2024."""


def visit_log(reader: np.ndarray, hours: np.ndarray, clicked: np.ndarray | None = None) -> EventLog:
    """A visit of each of ``reader`` [N], ``hours`` [N] after START; every one is a session of its own."""
    n, slate = len(reader), pa.array([["a"]] * len(reader))
    request = pa.array([f"r{i}" for i in range(n)])
    columns = {"user_id": pa.array([f"u{r}" for r in reader]), "session_id": request, "request_id": request}
    columns |= {"time": pa.array(START + (hours * HOUR).astype(np.int64)).cast(TIME), "policy": pa.repeat("random", n)}
    decided = conform(pa.table({**columns, "candidates": slate, "slate": slate}), "recommendations")
    rows = np.flatnonzero(np.ones(n, bool) if clicked is None else clicked)
    happened = decided.select(["request_id", "user_id", "time"]).take(rows)
    for name, column in (("event_id", happened["request_id"]), ("received_at", happened["time"])):
        happened = happened.append_column(name, column)
    for name, value in (("article_id", "a"), ("kind", "click")):
        happened = happened.append_column(name, pa.repeat(value, len(rows)))
    articles = pa.table({"article_id": ["a"], "published_at": pa.array([START]).cast(TIME)})
    tables = {"articles": articles, "recommendations": decided, "feedback": happened}
    return EventLog(**{name: validate(tables[name], name) for name in SCHEMAS})


def poisson_visits(rates: np.ndarray, hours: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Reader and time in hours of visits that come at ``rates`` [R] an hour, up to ``hours``: [N] each."""
    reader = np.repeat(np.arange(len(rates)), generator.poisson(rates * hours))
    return reader, generator.uniform(0.0, hours, len(reader))
