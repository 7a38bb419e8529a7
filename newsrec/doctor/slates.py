"""What was chosen, and how: decisions, propensities, exploration, candidates, positions."""

import numpy as np
import pyarrow.compute as pc

from newsrec.doctor.evidence import Evidence, share, true
from newsrec.doctor.finding import (
    CALIBRATION,
    FREE,
    GATE,
    NO_PROPENSITIES,
    OFF_POLICY,
    PARTS,
    RETENTION,
    Finding,
    costs,
)
from newsrec.events import CANDIDATES_CUT, MAX_CANDIDATES


def decisions(e: Evidence) -> Finding:
    """Whether the log has decisions at all, and slates that say something."""
    made, length = len(e.decisions), pc.list_value_length(e.slate)
    imported = e.log.recommendations.num_rows - made
    counts = {"decisions": made, "imported": imported}
    counts |= {"empty_slates": true(pc.equal(length, 0)), "slates_of_one": true(pc.equal(length, 1))}
    sentence = f"{made:,} decisions, and {imported:,} imported reads, which are not visits of this log"
    cost = FREE
    if not made:
        cost = costs("unfit", "no decision was logged, only imported reads", *PARTS)
    elif counts["empty_slates"] == made:
        cost = costs("unfit", "every slate is empty", *PARTS)
    elif counts["empty_slates"] + counts["slates_of_one"] == made:
        cost = costs("limited", "every slate is one article: nothing to compare within an impression", GATE)
        cost += costs("limited", "every slate is one article: nothing tells of examination", CALIBRATION)
    return Finding("decisions", made, counts, sentence, cost)


def propensities(e: Evidence) -> Finding:
    """Whether decisions carry the probabilities that they were drawn with."""
    made, logged = len(e.decisions), true(e.decisions["propensities"].is_valid())
    cost = FREE
    if not logged:
        cost = costs("unfit", NO_PROPENSITIES, OFF_POLICY, RETENTION)
    elif logged < made:
        cost = costs("limited", f"propensities on {logged:,} of {made:,} decisions", OFF_POLICY, RETENTION)
    sentence = f"logged on {logged:,} of {made:,} decisions" if logged else "not logged"
    return Finding("propensities", share(logged, made), {"decisions": made, "logged": logged}, sentence, cost)


def exploration(e: Evidence) -> Finding:
    """Whether the logged choices could have been others: a certain slate says nothing of what else it could hold."""
    logged = e.decisions.filter(e.decisions["propensities"].is_valid())
    lists = logged["propensities"].combine_chunks()
    length = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    drawn = np.zeros(len(logged), bool)
    drawn[np.repeat(np.arange(len(logged)), length)[lists.flatten().to_numpy() < 1.0]] = True
    open_ = (pc.list_value_length(logged["candidates"]).to_numpy() > 1) & (length > 0)
    counts = {"open": int(open_.sum()), "drawn": int((drawn & open_).sum())}
    value = share(counts["drawn"], counts["open"])
    if not len(logged):
        cost = costs("unfit", NO_PROPENSITIES, OFF_POLICY, RETENTION)
        return Finding("exploration", None, counts, f"unknown: {NO_PROPENSITIES}", cost)
    cost = FREE
    if not counts["drawn"]:
        cost = costs("unfit", "no exploration: every slate was certain", OFF_POLICY, RETENTION)
    elif value < 0.5:
        reason = f"{counts['open'] - counts['drawn']:,} of {counts['open']:,} slates were certain"
        cost = costs("limited", reason, OFF_POLICY, RETENTION)
    sentence = f"{counts['drawn']:,} of {counts['open']:,} slates with a choice were drawn at random"
    return Finding("exploration", value, counts, sentence, cost)


def candidates(e: Evidence) -> Finding:
    """Whether it is known what else could have been shown."""
    made, lengths = len(e.decisions), pc.list_value_length(e.decisions["candidates"])
    wider = true(pc.greater(lengths, pc.list_value_length(e.decisions["slate"])))
    median = float(np.median(lengths.to_numpy()))
    cost = FREE
    if share(wider, made) < 0.5:
        reason = f"what else could be shown is known for {wider:,} of {made:,} decisions: only orders can be valued"
        cost += costs("limited", reason, OFF_POLICY)
    if CANDIDATES_CUT in e.log.flags:
        reason = f"slates over {MAX_CANDIDATES} lost articles without a click"
        cost += costs("limited", reason, GATE, CALIBRATION)
    sentence = f"{wider:,} of {made:,} decisions name more candidates than were shown; the median is {median:,.0f}"
    counts = {"decisions": made, "wider": wider, "median": median}
    return Finding("candidates", share(wider, made), counts, sentence, cost)


def positions(e: Evidence) -> Finding:
    """Whether impressions say where they stood: without, nothing tells attention from taste."""
    impressions = e.feedback.filter(pc.equal(e.feedback["kind"], "impression"))
    placed, all_ = true(impressions["position"].is_valid()), impressions.num_rows
    cost = FREE
    if all_ and share(placed, all_) < 0.9:
        cost = costs("limited", f"positions on {placed:,} of {all_:,} impressions", CALIBRATION)
    sentence = f"{placed:,} of {all_:,} impressions say where they stood"
    return Finding("positions", share(placed, all_), {"impressions": all_, "placed": placed}, sentence, cost)
