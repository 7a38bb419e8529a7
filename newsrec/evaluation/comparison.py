"""Several policies on the same decisions, as one JSON value: protocol, metrics, paired differences, slices.

The gate decides from it and the report is drawn from it, so neither can say what the other does not know::

    {"format": 1,
     "protocol": {"decisions", "readers", "from", "to", "k", "confidence", "draws", "seed"},
     "definitions": {METRIC: sentence},
     "policies": {NAME: {METRIC: {"mean", "low", "high", "decisions"}}},
     "differences": {BASELINE: {NAME: {"same_lists", "metrics": {METRIC: {"mean", "low", "high"}}}}},
     "slices": {"time" | "reads": [{"slice", "decisions", "policies": {NAME: {"mean", "low", "high"}}}]}}

A number that is not defined is null.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from newsrec.evaluation.intervals import Interval, clustered_means
from newsrec.evaluation.ranking import Ranking, definitions
from newsrec.features import HOUR

FORMAT = 1
READS = {"no reads": 0, "1-4 reads": 1, "5-19 reads": 5, "20+ reads": 20}
"""Slices of readers by the reads in their history, each with its smallest number."""
BUCKET_HOURS = (1, 3, 6, 12, 24, 72, 168, 720)
MOST_BUCKETS = 14


@dataclass(frozen=True)
class ComparisonConfig:
    """How the intervals are made."""

    confidence: float = 0.95
    draws: int = 1000
    """Bootstrap resamples of the readers."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(f"confidence is {self.confidence}, expected a share between 0 and 1, such as 0.95")
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}, expected 1 or more")


def compare(
    rankings: Mapping[str, Ranking], baselines: Sequence[str] = (), config: ComparisonConfig | None = None
) -> dict[str, Any]:
    """The comparison of ``rankings`` by policy name, with paired differences of each against every baseline.

    Raises ValueError where the rankings are of different decisions and where a baseline is not among them.
    """
    config = config or ComparisonConfig()
    _check(rankings, baselines)
    some = next(iter(rankings.values()))
    columns = {("policy", name, m): values for name, r in rankings.items() for m, values in r.metrics.items()}
    pairs = [(baseline, name) for baseline in baselines for name in rankings if name != baseline]
    for baseline, name in pairs:
        for m, values in rankings[name].metrics.items():
            columns[baseline, name, m] = values - rankings[baseline].metrics[m]
    found = dict(zip(columns, _intervals(list(columns.values()), some.reader, config), strict=True))
    policies: dict[str, dict] = {}
    differences: dict[str, dict] = {baseline: {} for baseline in baselines}
    for name, ranking in rankings.items():
        policies[name] = {
            m: _plain(found["policy", name, m]) | {"decisions": int(np.count_nonzero(~np.isnan(values)))}
            for m, values in ranking.metrics.items()
        }
        coverage = Interval(ranking.coverage, math.nan, math.nan)
        policies[name][f"coverage_at_{ranking.k}"] = _plain(coverage) | {"decisions": len(ranking.time)}
    for baseline, name in pairs:
        same = (rankings[baseline].lists == rankings[name].lists).all(1).mean()
        metrics = {m: _plain(found[baseline, name, m]) for m in rankings[name].metrics}
        differences[baseline][name] = {"same_lists": float(same), "metrics": metrics}
    return {
        "format": FORMAT,
        "protocol": _protocol(some, config),
        "definitions": definitions(some.k),
        "policies": policies,
        "differences": differences,
        "slices": {
            "time": _sliced(rankings, _time_slices(some.time), config),
            "reads": _sliced(rankings, _reads_slices(some.reads), config),
        },
    }


def _check(rankings: Mapping[str, Ranking], baselines: Sequence[str]) -> None:
    if not rankings:
        raise ValueError("found no policies to compare, expected at least one")
    missing = [name for name in baselines if name not in rankings]
    if missing:
        raise ValueError(f"baseline {missing[0]} is not among the policies {', '.join(rankings)}")
    first_name, first = next(iter(rankings.items()))
    for name, ranking in rankings.items():
        same = np.array_equal(ranking.time, first.time) and np.array_equal(ranking.reader, first.reader)
        if not same or ranking.k != first.k:
            raise ValueError(
                f"{name} and {first_name} were judged on different decisions, expected the same rows and k"
            )


def _protocol(ranking: Ranking, config: ComparisonConfig) -> dict[str, Any]:
    return {
        "decisions": len(ranking.time),
        "readers": len(np.unique(ranking.reader)),
        "from": _moment(ranking.time.min()),
        "to": _moment(ranking.time.max()),
        "k": ranking.k,
        "confidence": config.confidence,
        "draws": config.draws,
        "seed": config.seed,
    }


def _sliced(rankings: Mapping[str, Ranking], slices: dict[str, np.ndarray], config: ComparisonConfig) -> list[dict]:
    """nDCG of each policy in each slice that has decisions."""
    some, result = next(iter(rankings.values())), []
    for label, rows in slices.items():
        if rows.any():
            columns = [ranking.metrics[f"ndcg_at_{ranking.k}"][rows] for ranking in rankings.values()]
            found = _intervals(columns, some.reader[rows], config)
            policies = {name: _plain(interval) for name, interval in zip(rankings, found, strict=True)}
            result.append({"slice": label, "decisions": int(rows.sum()), "policies": policies})
    return result


def _time_slices(time: np.ndarray) -> dict[str, np.ndarray]:
    """Equal stretches of UTC time, the shortest of BUCKET_HOURS that gives at most MOST_BUCKETS of them."""
    for hours in BUCKET_HOURS:
        bucket = time // (hours * HOUR)
        if bucket.max() - bucket.min() < MOST_BUCKETS:
            break
    return {_moment(b * hours * HOUR): bucket == b for b in np.unique(bucket)}


def _reads_slices(reads: np.ndarray) -> dict[str, np.ndarray]:
    ends = [*list(READS.values())[1:], math.inf]
    return {label: (reads >= least) & (reads < end) for (label, least), end in zip(READS.items(), ends, strict=True)}


def _intervals(columns: list[np.ndarray], reader: np.ndarray, config: ComparisonConfig) -> list[Interval]:
    generator = np.random.default_rng(config.seed)
    return clustered_means(np.stack(columns, axis=1), reader, generator, config.confidence, config.draws)


def _plain(interval: Interval) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in interval._asdict().items()}


def _moment(microseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds))).isoformat(timespec="minutes")
