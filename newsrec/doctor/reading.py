"""What readers did with the slates, and what there was to read."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.decisions import time_split
from newsrec.doctor.evidence import FEW_READERS, Evidence, share, true
from newsrec.doctor.finding import CALIBRATION, FREE, GATE, OFF_POLICY, RETENTION, TEXT, Finding, Verdict, costs
from newsrec.events import KINDS
from newsrec.monitoring.contract import ContractConfig
from newsrec.training import TrainingConfig

CONTRACT = ContractConfig()
"""Its range of click rates: outside, it is rather the log that is odd than its readers."""
MOST_CLICKED = 0.9
"""Share of the decisions with a click above which the log was selected by clicks."""
HARDLY, MOSTLY = 0.1, 0.9
"""Shares of what was shown: below the first there is nothing to learn from, from the second on it is all there."""
OPINIONS = ("like", "share", "comment", "hide")


def click_rate(e: Evidence) -> Finding:
    """Whether there are clicks, of how many impressions, and whether slates that nobody clicked are there too."""
    made, clicked = len(e.decisions), int(e.clicked.sum())
    clicks, shown = e.count("click"), e.count("impression")
    low, high = CONTRACT.min_click_rate, CONTRACT.max_click_rate
    counts = {"clicks": clicks, "impressions": shown, "decisions": made, "with_a_click": clicked}
    cost = FREE
    if not clicks:
        cost = costs("unfit", "nobody clicked anything", GATE, RETENTION, OFF_POLICY, TEXT, CALIBRATION)
    elif not shown:
        cost = costs("limited", "impressions are not logged", CALIBRATION)
    elif not low <= clicks / shown <= high:
        odd = f"the click rate is {clicks / shown:.2%}, expected {low:.2%} to {high:.0%}"
        cost = costs("limited", odd, GATE, RETENTION, OFF_POLICY, CALIBRATION)
    if share(clicked, made) > MOST_CLICKED:
        reason = f"{clicked:,} of {made:,} decisions have a click: what nobody clicked was left out"
        cost += costs("limited", reason, OFF_POLICY, CALIBRATION)
    rate = clicks / shown if shown else None
    told = f"{clicks:,} clicks of {shown:,} impressions" + (f", {rate:.2%}" if rate is not None else "")
    sentence = f"{told}; {clicked:,} of {made:,} decisions have a click"
    return Finding("click rate", rate, counts, sentence, cost)


def judged(e: Evidence) -> Finding:
    """Whether the last decisions, on which training stops and the gate judges, have clicks of enough readers."""
    shares = TrainingConfig()
    parts = time_split(e.time, shares.validation, shares.test)
    clicks = [int(e.clicked[rows].sum()) for rows in parts]
    train, validation, test = (len(rows) for rows in parts)
    readers = len(np.unique(e.reader[parts[2]][e.clicked[parts[2]]]))
    counts = {"train": train, "validation": validation, "test": test, "validation_clicked": clicks[1]}
    counts |= {"test_clicked": clicks[2], "test_readers": readers}
    cost = FREE
    if not train or not validation or not test:
        reason = f"{train:,} decisions to train on, {validation:,} to stop on, {test:,} to judge: expected some of each"
        cost = costs("unfit", reason, GATE, TEXT)
    elif not clicks[1] or readers < 2:
        reason = (
            f"{clicks[1]:,} decisions to stop on and {readers:,} readers to judge have a click: expected some of both"
        )
        cost = costs("unfit", reason, GATE, TEXT)
    elif readers < FEW_READERS:
        reason = f"{readers:,} readers to judge have a click: expected {FEW_READERS} for an interval"
        cost = costs("limited", reason, GATE, TEXT)
    sentence = f"{clicks[2]:,} of the last {test:,} decisions have a click, of {readers:,} readers"
    return Finding("clicks to judge", readers, counts, sentence, cost)


def kinds(e: Evidence) -> Finding:
    """Which kinds of feedback the log holds: a click alone does not tell a good read from a bait."""
    counts = {kind: e.count(kind) for kind in KINDS}
    held = [kind for kind in KINDS if counts[kind]]
    cost = FREE
    if not counts["dwell"]:
        cost += costs("limited", "no dwell: a good read cannot be told from a bait", RETENTION, CALIBRATION)
    if not any(counts[kind] for kind in OPINIONS):
        cost += costs("limited", "no likes, shares, comments or hides", CALIBRATION)
    sentence = ", ".join(f"{counts[kind]:,} {kind}" for kind in held) or "none"
    return Finding("feedback", len(held), counts, sentence, cost)


def titles(e: Evidence) -> Finding:
    """Whether what was shown has titles, or any content, weighed by how often it was shown."""
    articles, shown = e.log.articles, e.slate.flatten()
    named = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(articles["title"]), ""), False)
    with_title = articles["article_id"].filter(named).combine_chunks()
    counts = {"articles": articles.num_rows, "titled": len(with_title)}
    counts |= {"shown": len(shown), "shown_titled": true(pc.is_in(shown, value_set=with_title))}
    content = pc.or_(named, pc.or_(articles["category"].is_valid(), _embedded(articles)))
    with_content = articles["article_id"].filter(content).combine_chunks()
    counts["shown_with_content"] = true(pc.is_in(shown, value_set=with_content))
    covered = share(counts["shown_titled"], len(shown))
    cost = FREE
    if not len(with_title):
        cost = costs("unfit", "no titles", TEXT)
    elif covered < MOSTLY:
        verdict: Verdict = "unfit" if covered < HARDLY else "limited"
        cost = costs(verdict, f"{covered:.1%} of what was shown has a title", TEXT)
    if share(counts["shown_with_content"], len(shown)) < HARDLY:
        bare = f"{len(shown) - counts['shown_with_content']:,} of {len(shown):,} shown articles have no title, category"
        cost += costs("limited", f"{bare} or embedding: policies see their age and popularity alone", GATE, RETENTION)
    told = f"{len(with_title):,} of {articles.num_rows:,} articles have a title"
    return Finding("titles", covered, counts, f"{told}, {covered:.1%} of what was shown", cost)


def _embedded(articles: pa.Table) -> pa.Array:
    """True where an article has a vector that is not zero, which is that of an article without words."""
    vectors = articles["embedding"].combine_chunks()
    held = vectors.is_valid().to_numpy(zero_copy_only=False).copy()
    held[held] = vectors.flatten().to_numpy().reshape(held.sum(), -1).any(1) if held.any() else False
    return pa.array(held)
