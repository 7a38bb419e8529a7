"""One day of events held against the data contract: whether they may be learned from.

The schema has been validated when a log is read, and is not checked again: required values, keys that are there once,
slates that hold an article once and only candidates, propensities in (0, 1] and as many as the slate is long, known
kinds, positions and dwell of 0 or more, times with a timezone. What is left are rows that are valid each and wrong
together. The day's decisions are those *made* in it, its feedback is what was *received* in it.

Shares of few rows say little: below ``min_rows`` they are measured and not judged, so that a small site is not refused
for one bad event. A log that a database exported has no feedback on unknown requests: there it waits in quarantine.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import ORDINAL_TIME, EventLog, InvalidEvents, join, microseconds
from newsrec.features import DAY, HOUR
from newsrec.monitoring.contract import Check, ContractConfig

USUAL_DAYS = 7
"""Days before, whose median is what traffic is held against."""


class _Day(NamedTuple):
    """The tables of [start, until)."""

    log: EventLog
    start: int
    until: int
    made: pa.Table
    """The log's decisions, imported reads aside; those of the day are ``decisions``."""
    decisions: pa.Table
    feedback: pa.Table
    config: ContractConfig

    def check(self, name: str, value: float | None, what: str, rows: int, ask: str, least: int | None = None) -> Check:
        """The clause whose range is min_NAME to max_NAME; judged from ``least`` rows on, else from ``min_rows``."""
        low, high = (getattr(self.config, f"{end}_{name}", None) for end in ("min", "max"))
        return Check(name, value, low, high, what, rows, self.config.min_rows if least is None else least, ask)

    def share(self, name: str, bad: np.ndarray, what: str, ask: str, least: int | None = None) -> Check:
        """The clause on the share of True in ``bad``."""
        value = float(bad.mean()) if len(bad) else None
        return self.check(name, value, f"of {len(bad):,} {what}", len(bad), ask, least)


def check(log: EventLog, until: int, config: ContractConfig, days: int = 1) -> list[Check]:
    """Every clause on the ``days`` before ``until`` (microseconds); of a day without decisions the first alone.

    Raises InvalidEvents for a log whose times are made up: it has no day.
    """
    if ORDINAL_TIME in log.flags:
        raise InvalidEvents(f"the log's times only give an order ({ORDINAL_TIME}), expected a clock: it has no day")
    start = until - days * DAY
    made = log.decisions
    today = _Day(
        log,
        start,
        until,
        made,
        made.filter(_within(microseconds(made["time"]), start, until)),
        log.feedback.filter(_within(microseconds(log.feedback["received_at"]), start, until)),
        config,
    )
    counts = _counts(today)
    if not today.decisions.num_rows:
        return counts[:1]
    return [*counts, _traffic(today), *_ids(today), *_times(today), *_slates(today), *_reading(today)]


_FEED = "does the article feed lag behind?"


def _within(time: np.ndarray, start: int, end: int) -> pa.Array:
    return pa.array((time >= start) & (time < end))


def _counts(day: _Day) -> list[Check]:
    end = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=day.until)
    when = f"in the {(day.until - day.start) // HOUR} h up to {end:%Y-%m-%d %H:%M} UTC"
    found = {
        "decisions": (day.decisions.num_rows, "decisions", "is the collector up?"),
        "feedback": (day.feedback.num_rows, "feedback events", "does the site report what readers do?"),
        "readers": (pc.count_distinct(day.decisions["user_id"]).as_py(), "readers", "do requests name their readers?"),
    }
    return [day.check(name, count, f"{what} {when}", count, ask, least=0) for name, (count, what, ask) in found.items()]


def _traffic(day: _Day) -> Check:
    """Against those of the seven days before that the log covers."""
    time, length = microseconds(day.made["time"]), day.until - day.start
    starts = [day.start - i * length for i in range(1, USUAL_DAYS + 1)]
    counts = [np.count_nonzero((time >= s) & (time < s + length)) for s in starts if s >= time.min()]
    usual = float(np.median(counts)) if counts else 0.0
    value = day.decisions.num_rows / usual if usual else None
    return day.check("traffic", value, f"times the usual {usual:,.0f} decisions", int(usual), "is a part of it lost?")


def _ids(day: _Day) -> list[Check]:
    known = day.log.articles["article_id"].combine_chunks()
    candidates = day.decisions["candidates"].combine_chunks().flatten()
    articles = day.feedback["article_id"].drop_null()
    asked = join(day.log.recommendations, day.feedback)
    return [
        day.share("unknown_requests", asked < 0, "feedback events on unknown requests", "is the log cut?"),
        day.share("unknown_candidates", _not_in(candidates, known), "candidates not in the catalogue", _FEED, least=0),
        day.share("unknown_articles", _not_in(articles, known), "feedback on articles not in the catalogue", _FEED),
    ]


def _not_in(ids: pa.Array | pa.ChunkedArray, known: pa.Array) -> np.ndarray:
    return ~pc.is_in(ids, value_set=known).to_numpy(zero_copy_only=False)


def _times(day: _Day) -> list[Check]:
    config, end = day.config, day.until + int(day.config.overrun_hours * HOUR)
    time, received = (microseconds(day.feedback[name]) for name in ("time", "received_at"))
    late = float(np.quantile((received - time) / HOUR, config.lateness_quantile)) if len(time) else None
    future = int(
        np.count_nonzero(time > received + int(config.clock_minutes * 60_000_000))
    )  # of earlier days' clocks earlier runs have complained
    for table, name in ((day.made, "time"), (day.log.feedback, "received_at")):
        future += int(np.count_nonzero(microseconds(table[name]) >= end))
    hours = f"hours to arrive ({config.lateness_quantile:.0%} of the feedback are faster)"
    after = f"events over {config.clock_minutes:g} min after their arrival, or {config.overrun_hours:g} h after the day"
    return [
        day.check("lateness_hours", late, hours, len(time), "is the collector, or what feeds it, stuck?"),
        day.check("from_the_future", future, after, future, "whose clock is wrong, or is the log of a later day?", 0),
    ]


def _slates(day: _Day) -> list[Check]:
    ours = pc.is_valid(day.decisions["policy_version"]).to_numpy()
    missing = pc.is_null(day.decisions["propensities"]).to_numpy()
    empty = pc.equal(pc.list_value_length(day.decisions["slate"]), 0).to_numpy()
    old = microseconds(day.decisions["time"]) < day.until - int(day.config.max_lateness_hours * HOUR)
    seen = day.log.feedback.filter(pc.equal(day.log.feedback["kind"], "impression"))["request_id"]
    unseen = _not_in(day.decisions["request_id"], seen.combine_chunks())
    release = "decisions of a release lack propensities"
    return [
        day.share("missing_propensities", missing[ours], release, "does the predictor log what it draws?", least=0),
        day.share("empty_slates", empty, "slates are empty", "is the catalogue withdrawn or expired?"),
        day.share("unseen_slates", unseen[old & ~empty], "slates have no impression", "does the site report them?"),
    ]


def _reading(day: _Day) -> list[Check]:
    kinds = {count["values"]: count["counts"] for count in pc.value_counts(day.feedback["kind"]).to_pylist()}
    impressions = kinds.get("impression", 0)
    rate = kinds.get("click", 0) / impressions if impressions else None
    dwell = day.feedback.filter(pc.equal(day.feedback["kind"], "dwell"))["dwell_seconds"].to_numpy()
    median = float(np.median(dwell)) if len(dwell) else None
    clicks = f"clicks for each of {impressions:,} impressions"
    return [
        day.check("click_rate", rate, clicks, impressions, "are clicks lost, or sent twice?"),
        day.check("dwell_seconds", median, f"as the median of {len(dwell):,} dwells", len(dwell), "which unit is it?"),
    ]
