"""What a release is worth to readers, against the release that it replaced, on the decisions that each made itself.

    value(version) = mean over its decisions of the reward within ``feedback_hours`` of the decision
    difference     = value(live) - value(previous)

A decision counts once its hours are over: younger ones are left out, of both releases alike, and of older ones what
arrived later than that is not counted, again of both alike. No window is open, so none has to be guessed. Intervals
resample whole readers, a reader of both releases with both of their parts (``evaluation.intervals``).

The two served on different days, and a day of great news is worth more whoever chose the slates. Readers do not know
that: all of them read more on it. So a second interval takes whole days for what is drawn, and asks only how the two
releases' days *rank* (``evaluation.shift``), whatever the best of them is worth. A release is bad where both say so.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.evaluation.intervals import Interval, clustered_difference, clustered_means
from newsrec.evaluation.shift import shift
from newsrec.events import KINDS, EventLog, microseconds
from newsrec.features import DAY, HOUR
from newsrec.reward import RewardConfig, engagement

PART_OF_A_DAY = 0.25
"""A day counts for a release from this share of the decisions of its busiest day on: hand-over days are cut."""
METRICS = ("reward", "clicked")
"""Reward in clicks; share of the slates with a click."""


@dataclass(frozen=True)
class ValueConfig:
    """Which decisions are compared, and how."""

    days: int = 14
    """Decisions older than this before the run do not count: after a while a release has no predecessor to beat."""
    feedback_hours: float = 6.0
    """How long a decision is given to earn its reward."""
    confidence: float = 0.99
    """Of the intervals between readers: a release is looked at every day, so each look must be surer than 95 %."""
    day_confidence: float = 0.95
    """Of the interval between days. There are few of them: 99 % ask for one day more of harm, at least."""
    draws: int = 2000
    seed: int = 0
    reward: RewardConfig = field(default_factory=RewardConfig)

    def __post_init__(self) -> None:
        if self.days < 1:
            raise ValueError(f"days is {self.days}, expected 1 or more")
        if not self.feedback_hours > 0:
            raise ValueError(f"feedback_hours is {self.feedback_hours}, expected more than 0")
        for name in ("confidence", "day_confidence"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share between 0 and 1, such as 0.99")
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}, expected 1 or more")


class Outcomes(NamedTuple):
    """N decisions that are old enough, in the order of the log."""

    reward: np.ndarray  # [N] float64, in clicks
    clicked: np.ndarray  # [N] float64, 1 where anything was
    time: np.ndarray  # [N] int64, microseconds
    reader: np.ndarray  # [N] int64
    version: np.ndarray  # [N] texts, the release that decided, "" where the log names none

    def of(self, version: str) -> np.ndarray:
        """[N] bool: decided by ``version``; nobody's where that is ""."""
        return (self.version == version) & (version != "")

    @property
    def values(self) -> np.ndarray:
        """[N, 2], METRICS."""
        return np.stack([self.reward, self.clicked], 1)


class Served(NamedTuple):
    """One release on its own decisions; intervals by METRICS, NaN where there are too few."""

    decisions: int
    readers: int
    value: dict[str, Interval]


class Day(NamedTuple):
    """Mean reward of both releases on the decisions of one day."""

    end: int
    """Microseconds."""
    live: Interval
    previous: Interval


class LiveValue(NamedTuple):
    """The served release, the one before it, and their difference."""

    live: Served
    previous: Served
    difference: dict[str, Interval]
    """With the variance between readers."""
    between_days: Interval
    """How much higher the reward of a day is; NaN, or without ends, where there are too few days."""
    days: list[Day]
    """From the oldest; the last one ends ``feedback_hours`` before the run."""


def compare(log: EventLog, live: str, previous: str, until: int, config: ValueConfig) -> LiveValue:
    """The versions ``live`` and ``previous`` ("" for none) on their decisions of the days before ``until``."""
    found = outcomes(log, until, config)
    generator = np.random.default_rng(config.seed)
    new, old = found.of(live), found.of(previous)
    differences = {}
    for name, values in zip(METRICS, found.values.T, strict=True):
        sides = np.stack([np.where(new, values, np.nan), np.where(old, values, np.nan)], 1)
        differences[name] = clustered_difference(sides, found.reader, generator, config.confidence, config.draws)
    end = _end(until, config)
    return LiveValue(
        _served(found, new, generator, config),
        _served(found, old, generator, config),
        differences,
        shift(_day_means(found, new, end), _day_means(found, old, end), config.day_confidence),
        _by_day(found, new, old, end, generator, config),
    )


def outcomes(log: EventLog, until: int, config: ValueConfig) -> Outcomes:
    """The decisions of the last ``days`` of those whose ``feedback_hours`` were over at ``until``."""
    end, time = _end(until, config), microseconds(log.recommendations["time"])
    made = log.recommendations.filter(pa.array((time >= end - config.days * DAY) & (time < end)))
    feedback, row = _on_slates(made, log.feedback, until - end)
    version = pc.fill_null(made["policy_version"], "").to_numpy().astype(str)
    clicked = np.bincount(row, feedback[:, KINDS.index("click")], made.num_rows) > 0
    return Outcomes(
        np.bincount(row, engagement(feedback, config.reward), made.num_rows),
        clicked.astype(float),
        microseconds(made["time"]),
        made["user_id"].combine_chunks().dictionary_encode().indices.to_numpy(),
        version,
    )


def _end(until: int, config: ValueConfig) -> int:
    """The moment from which on decisions are too young."""
    return until - int(config.feedback_hours * HOUR)


def _on_slates(made: pa.Table, feedback: pa.Table, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts by kind (dwell in seconds) of each shown article [S, F], and the row of its decision [S].

    What arrived later than ``horizon`` after the decision is left out.
    """
    slate = made["slate"].combine_chunks()
    row = pc.list_parent_indices(slate).to_numpy()
    shown = pc.binary_join_element_wise(made["request_id"].combine_chunks().take(pa.array(row)), slate.flatten(), "\n")
    happened = pc.binary_join_element_wise(feedback["request_id"], feedback["article_id"], "\n")
    at = pc.fill_null(pc.index_in(happened, value_set=shown, skip_nulls=True), -1).to_numpy()
    kind = pc.index_in(feedback["kind"], value_set=pa.array(KINDS)).to_numpy()
    amount = np.where(kind == KINDS.index("dwell"), pc.fill_null(feedback["dwell_seconds"], 0).to_numpy(), 1.0)
    decided = np.append(microseconds(made["time"])[row], 0)[at]
    counted = (at >= 0) & (microseconds(feedback["received_at"]) <= decided + horizon)
    cell = at[counted].astype(np.int64) * len(KINDS) + kind[counted]
    counts = np.bincount(cell, amount[counted], len(row) * len(KINDS))
    return counts.reshape(-1, len(KINDS)), row


def _served(found: Outcomes, rows: np.ndarray, generator: np.random.Generator, config: ValueConfig) -> Served:
    if not rows.any():
        return Served(0, 0, dict.fromkeys(METRICS, Interval(np.nan, np.nan, np.nan)))
    intervals = clustered_means(found.values[rows], found.reader[rows], generator, config.confidence, config.draws)
    return Served(int(rows.sum()), len(np.unique(found.reader[rows])), dict(zip(METRICS, intervals, strict=True)))


def _by_day(
    found: Outcomes, new: np.ndarray, old: np.ndarray, end: int, generator: np.random.Generator, config: ValueConfig
) -> list[Day]:
    days = []
    for stop in range(end - (config.days - 1) * DAY, end + 1, DAY):
        today = (found.time >= stop - DAY) & (found.time < stop)
        live, previous = (_served(found, rows & today, generator, config).value["reward"] for rows in (new, old))
        days.append(Day(stop, live, previous))
    return days


def _day_means(found: Outcomes, rows: np.ndarray, end: int) -> np.ndarray:
    """[D] mean reward on each day of ``rows`` [N] bool that is more than a part."""
    day = (end - 1 - found.time[rows]) // DAY
    decisions, reward = np.bincount(day), np.bincount(day, found.reward[rows])
    whole = decisions >= max(1.0, PART_OF_A_DAY * decisions.max(initial=0))
    return reward[whole] / decisions[whole]
