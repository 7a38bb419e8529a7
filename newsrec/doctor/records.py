"""How it was written down: the clock, publication, arrival, duplicates, and what refers to nothing."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.doctor.evidence import Evidence, in_slate, repeated, share, true
from newsrec.doctor.finding import CALIBRATION, FREE, GATE, NO_CLOCK, OFF_POLICY, RETENTION, TEXT, Finding, costs
from newsrec.events import FIRST_SIGHT, HISTORY_TIME_MADE_UP, ORDINAL_TIME, microseconds
from newsrec.features import DAY, HOUR
from newsrec.monitoring.contract import ContractConfig

SLACK = 60_000_000
"""Microseconds by which two clocks may differ."""
TOLERATED = 0.01
"""Share of rows that may be wrong."""
YEAR_2000 = 946_684_800_000_000
CONTRACT = ContractConfig()
"""How many events are expected to arrive within how many hours."""


def clock(e: Evidence) -> Finding:
    """Whether times are true ones: not before 2000, not of the future, not before their cause, not rounded to hours."""
    if ORDINAL_TIME in e.log.flags:
        cost = costs("limited", f"{NO_CLOCK}: policies have to be trained with use_time = false", GATE)
        cost += costs("unfit", NO_CLOCK, RETENTION)
        cost += costs("limited", f"{NO_CLOCK}: no habits, no law of return", CALIBRATION)
        return Finding("clock", None, {}, f"{NO_CLOCK}: times only give an order", cost)
    counts, made, happened = _impossible(e), len(e.decisions), len(e.feedback)
    cost, dated = FREE, counts["before_2000"] + counts["in_the_future"]
    if share(dated, made) > TOLERATED:
        reason = f"the clock is wrong: {dated:,} of {made:,} decisions stand before 2000 or in the future"
        cost += costs("unfit", reason, RETENTION) + costs("limited", reason, GATE, CALIBRATION)
    for name in ("before_their_decision", "after_their_arrival"):
        if share(counts[name], happened) > TOLERATED:
            reason = f"{counts[name]:,} of {happened:,} events stand {name.replace('_', ' ')}"
            cost += costs("limited", reason, GATE, RETENTION, CALIBRATION)
    unit = next((name for name, size in (("days", DAY), ("hours", HOUR)) if not (e.time % size).any()), None)
    if unit:
        cost += costs("limited", f"times are full {unit}: neither visits nor gaps can be told", RETENTION, CALIBRATION)
    sentence = f"times are full {unit}" if unit else "times are true"
    if HISTORY_TIME_MADE_UP in e.log.flags:
        sentence += ", those of imported reads made up"
    wrong = sum(counts.values())
    return Finding("clock", wrong, counts, f"{sentence}; {wrong:,} are impossible", cost)


def _impossible(e: Evidence) -> dict[str, int]:
    """Decisions and events at moments that cannot be."""
    happened, received = microseconds(e.feedback["time"]), microseconds(e.feedback["received_at"])
    return {
        "before_2000": int((e.time < YEAR_2000).sum()),
        "in_the_future": 0 if e.now is None else int((e.time > e.now + SLACK).sum()),
        "before_their_decision": int((happened < e.time[e.row] - SLACK).sum()),
        "after_their_arrival": int((happened > received + SLACK).sum()),
    }


def local_time(e: Evidence) -> Finding:
    """Whether the readers' own time is known, in which habits are."""
    made = len(e.decisions)
    offset = pc.struct_field(e.decisions["context"].combine_chunks(), "utc_offset_minutes")
    known = made - offset.null_count
    cost = FREE
    if share(offset.null_count, made) > TOLERATED:
        reason = f"the reader's time is known for {known:,} of {made:,} decisions: UTC is taken for the others"
        cost = costs("limited", reason, CALIBRATION)
    sentence = f"{known:,} of {made:,} decisions carry utc_offset_minutes"
    return Finding("local time", share(known, made), {"decisions": made, "known": known}, sentence, cost)


def publication(e: Evidence) -> Finding:
    """Whether it is known how old an article was when it was shown."""
    shown, articles = e.slate.flatten(), e.log.articles
    rows = np.repeat(np.arange(len(e.slate)), pc.list_value_length(e.slate).to_numpy())
    at = pc.index_in(shown, value_set=articles["article_id"].combine_chunks())
    published = microseconds(articles["published_at"].combine_chunks().take(at))
    early = int((published > e.time[rows] + SLACK).sum())
    cost = FREE
    if FIRST_SIGHT in e.log.flags:
        cost += costs("limited", "publication is the first sight: how news ages cannot be told", CALIBRATION)
    if share(early, len(shown)) > TOLERATED:
        reason = f"{early:,} of {len(shown):,} articles were shown before publication"
        cost += costs("limited", reason, GATE, CALIBRATION)
    what = "taken from the first sight" if FIRST_SIGHT in e.log.flags else "given"
    sentence = f"{what}; {early:,} of {len(shown):,} articles were shown before it"
    return Finding("publication", share(early, len(shown)), {"shown": len(shown), "before": early}, sentence, cost)


def arrival(e: Evidence) -> Finding:
    """How late feedback comes, and whether the log tells."""
    hours = (microseconds(e.feedback["received_at"]) - microseconds(e.feedback["time"])) / HOUR
    counts = {"events": len(hours), "over_an_hour": int((hours > 1).sum()), "over_a_day": int((hours > 24).sum())}
    if not hours.any():
        reason = "when feedback arrived is not logged"
        return Finding("arrival", None, counts, "not logged: taken as immediate", costs("limited", reason, CALIBRATION))
    middle, late = np.quantile(hours, [0.5, CONTRACT.lateness_quantile])
    cost = FREE
    if late > CONTRACT.max_lateness_hours:
        slow = f"{1 - CONTRACT.lateness_quantile:.0%} of the feedback takes over {late:.1f} hours to arrive"
        reason = f"{slow}: that of the last decisions is missing"
        cost = costs("limited", reason, GATE, RETENTION, OFF_POLICY)
    sentence = f"half of the feedback within {_span(middle)}, {CONTRACT.lateness_quantile:.0%} within {_span(late)}; "
    sentence += f"{counts['over_a_day']:,} of {len(hours):,} events after more than a day"
    return Finding("arrival", float(late), counts, sentence, cost)


def _span(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1.0 else f"{hours * 3600:.1f} s"


def duplicates(e: Evidence) -> Finding:
    """Rows that say the same under different keys (equal keys are refused when a log is read)."""
    impressions = e.feedback.filter(pc.equal(e.feedback["kind"], "impression"))
    others = e.feedback.filter(pc.not_equal(e.feedback["kind"], "impression"))
    retried = e.decisions.append_column("shown", pc.binary_join(e.slate, "\x1f"))
    counts = {
        "decisions": repeated(retried, ["user_id", "time", "shown"]),
        "impressions": repeated(impressions, ["request_id", "article_id"]),
        "other_feedback": repeated(others, ["request_id", "article_id", "kind", "time"]),
    }
    cost = FREE
    for name, rows in (("decisions", e.decisions), ("impressions", impressions), ("other_feedback", others)):
        if share(counts[name], len(rows)) > TOLERATED:
            what = name.replace("_", " ")
            reason = f"{counts[name]:,} of {len(rows):,} {what} are there before under another key"
            cost += costs("limited", reason, GATE, RETENTION, OFF_POLICY, CALIBRATION)
    listed = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    return Finding("duplicates", sum(counts.values()), counts, listed, cost)


def references(e: Evidence) -> Finding:
    """Feedback on unknown requests, of another reader or outside the slate; articles that the catalogue lacks."""
    known = e.log.articles["article_id"].combine_chunks()
    candidates = e.decisions["candidates"].combine_chunks().flatten()
    named = e.feedback.filter(e.feedback["article_id"].is_valid())
    row = e.row[e.feedback["article_id"].is_valid().to_numpy()]
    asked = pc.is_in(e.log.feedback["request_id"], value_set=e.log.recommendations["request_id"].combine_chunks())
    theirs = e.decisions["user_id"].combine_chunks().take(pa.array(e.row))
    counts = {
        "unknown_candidates": len(candidates) - true(pc.is_in(candidates, value_set=known)),
        "unknown_requests": e.log.feedback.num_rows - true(asked),
        "of_another_reader": true(pc.not_equal(e.feedback["user_id"], pa.chunked_array([theirs]))),
        "outside_the_slate": int((~in_slate(e.slate, row, named["article_id"])).sum()),
    }
    cost = FREE
    if counts["unknown_candidates"]:
        reason = f"{counts['unknown_candidates']:,} of {len(candidates):,} candidates are not in articles.parquet"
        cost += costs("unfit", reason, GATE, RETENTION, OFF_POLICY, TEXT)
    totals = (e.log.feedback.num_rows, len(e.row), len(row))
    for name, total in zip(list(counts)[1:], totals, strict=True):
        if share(counts[name], total) > TOLERATED:
            where = {"unknown_requests": "on unknown requests"}.get(name, name.replace("_", " "))
            reason = f"{counts[name]:,} of {total:,} feedback events are {where}"
            cost += costs("limited", reason, GATE, RETENTION, OFF_POLICY, CALIBRATION)
    listed = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    return Finding("references", sum(counts.values()), counts, listed, cost)
