"""For whom a policy is good: nDCG, and its lift over a baseline, of groups of readers and of categories.

A mean over all decisions hides who pays for it. Readers are told apart by what was known of them *at the decision*, so
one reader may be new in the first and heavy in the last. A category holds the decisions in which an article of it was
clicked; one with clicks in two categories counts in both. Every interval resamples readers, and the lift is paired::

    {"format": 1, "metric", "baseline", "confidence",
     "groups": {"readers" | "categories": [{"slice", "meaning", "decisions", "readers",
                                            "policies": {NAME: {"mean", "low", "high"}},
                                            "lifts": {NAME: {"mean", "low", "high"}}}]}}

Decisions are those that define the metric: without a click there is nothing to be found. A number that is not defined
is null.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc

from newsrec.decisions import Decisions
from newsrec.evaluation.comparison import ComparisonConfig
from newsrec.evaluation.intervals import clustered_means
from newsrec.evaluation.ranking import Ranking
from newsrec.events import KINDS

FORMAT = 1
HEAVY = 20
"""Reads from which on a reader is a heavy one."""
MOST_CATEGORIES = 12
"""Those with the most decisions."""
UNKNOWN = "without a category"


def slices(
    rankings: Mapping[str, Ranking],
    decisions: Decisions,
    rows: np.ndarray,
    baseline: str,
    config: ComparisonConfig | None = None,
) -> dict[str, Any]:
    """The groups of ``rankings``, all of which are of ``rows`` of ``decisions``; lifts over the policy ``baseline``.

    A slice without a decision that defines the metric is left out. Raises ValueError where rankings and rows do not
    belong together, and where the baseline is not among the rankings.
    """
    config = config or ComparisonConfig()
    _check(rankings, decisions, rows, baseline)
    some = rankings[baseline]
    metric = f"ndcg_at_{some.k}"
    values = {name: ranking.metrics[metric] for name, ranking in rankings.items()}
    groups: dict[str, list[dict[str, Any]]] = {"readers": [], "categories": []}
    for label, (meaning, members) in kinds_of_readers(some.reads).items():
        groups["readers"] += _slice(label, meaning, members, values, some.reader, baseline, config)
    for label, members in _by_category(decisions, rows).items():
        meaning = "a click on an article of this category"
        groups["categories"] += _slice(label, meaning, members, values, some.reader, baseline, config)
    groups["categories"].sort(key=lambda part: (-part["decisions"], part["slice"]))
    del groups["categories"][MOST_CATEGORIES:]
    about = {"format": FORMAT, "metric": metric, "baseline": baseline, "confidence": config.confidence}
    return about | {"groups": groups}


def clicked_articles(decisions: Decisions, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each click in ``rows``: its place in ``rows``, and its article as a row of the catalogue."""
    slot, shown = decisions.slate.padded(rows)  # [B, K]
    place, at = np.nonzero(shown & (decisions.feedback[slot, KINDS.index("click")] > 0))
    position = decisions.slate.values[slot[place, at]]
    return place, decisions.candidate.values[decisions.candidate.offsets[rows[place]] + position]


def _check(rankings: Mapping[str, Ranking], decisions: Decisions, rows: np.ndarray, baseline: str) -> None:
    if baseline not in rankings:
        raise ValueError(f"baseline {baseline} is not among the policies {', '.join(rankings)}")
    for name, ranking in rankings.items():
        if not np.array_equal(ranking.time, decisions.time[rows]):
            raise ValueError(f"{name} was judged on other decisions, expected the {len(rows)} rows that are sliced")


def kinds_of_readers(reads: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    """Slice -> what it means, and [n] bool: whose ``reads`` [n] at the decision are so many."""
    return {
        "new readers": ("nothing read before the decision", reads == 0),
        "occasional readers": (f"1 to {HEAVY - 1} reads before the decision", (reads > 0) & (reads < HEAVY)),
        "heavy readers": (f"{HEAVY} reads or more before the decision", reads >= HEAVY),
    }


def _by_category(decisions: Decisions, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Category -> [n] bool: whether an article of it was clicked."""
    names = [UNKNOWN, *pc.fill_null(decisions.catalogue.articles["category"], UNKNOWN).to_pylist()]
    place, article = clicked_articles(decisions, rows)
    found: dict[str, np.ndarray] = {}
    for at, name in zip(place.tolist(), (names[row] for row in article.tolist()), strict=True):
        found.setdefault(name, np.zeros(len(rows), bool))[at] = True
    return found


def _slice(
    label: str,
    meaning: str,
    members: np.ndarray,
    values: Mapping[str, np.ndarray],
    reader: np.ndarray,
    baseline: str,
    config: ComparisonConfig,
) -> list[dict[str, Any]]:
    """The slice of ``members`` [n], or none where nothing in it defines the metric."""
    members = members & ~np.isnan(values[baseline])
    if not members.any():
        return []
    columns = {("policies", name): value[members] for name, value in values.items()}
    columns |= {("lifts", name): (v - values[baseline])[members] for name, v in values.items() if name != baseline}
    stacked, generator = np.stack(list(columns.values()), axis=1), np.random.default_rng(config.seed)
    intervals = clustered_means(stacked, reader[members], generator, config.confidence, config.draws)
    found: dict[str, dict[str, Any]] = {"policies": {}, "lifts": {}}
    for (what, name), interval in zip(columns, intervals, strict=True):
        plain = {end: None if math.isnan(value) else value for end, value in interval._asdict().items()}
        found[what][name] = plain
    sizes = {"decisions": int(members.sum()), "readers": len(np.unique(reader[members]))}
    return [{"slice": label, "meaning": meaning, **sizes, **found}]
