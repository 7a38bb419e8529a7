"""What became of readers, counted again from the log that the same policy writes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc
import pytest

from newsrec import registry
from newsrec.events import EventLog, microseconds
from newsrec.features import DAY
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import WEEK, Lives, live, live_under
from newsrec.simulator.oracle import greedy_click
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import Actor, simulate
from newsrec.slate import SlateConfig

STEADY = PopulationConfig(visits_per_day=1.5, cookie_clearers=0.0, bots=0.0)
CONFIG = SimulationConfig(readers=40, days=9, seed=3, population=STEADY)


def popularity() -> Actor:
    entry = registry.REGISTRY["popularity"]
    return Actor(entry.policy(entry.config(), 0), SlateConfig("greedy"), "popularity")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lives() -> Lives:
    return live_under(CONFIG, popularity())


@pytest.fixture(scope="module")
def log() -> EventLog:
    return simulate(CONFIG, popularity())


def test_lives_under_a_policy_are_those_of_its_log(lives: Lives, log: EventLog) -> None:
    recommendations = log.recommendations
    users = pc.unique(recommendations["user_id"])
    time = microseconds(recommendations["time"])
    days: dict[str, set[int]] = {}
    begins: dict[str, dict[str, int]] = {}
    columns = (recommendations["user_id"].to_pylist(), recommendations["session_id"].to_pylist(), time.tolist())
    for user, visit, at in zip(*columns, strict=True):
        days.setdefault(user, set()).add((at - CONFIG.start_time) // DAY)
        begins.setdefault(user, {}).setdefault(visit, at)
    assert sorted(lives.active_days[lives.active_days > 0]) == sorted(map(float, map(len, days.values())))
    assert sorted(lives.visits[lives.visits > 0]) == sorted(float(len(visits)) for visits in begins.values())
    early = [[at <= CONFIG.end_time - WEEK for at in visits.values()] for visits in begins.values()]
    again = [
        sum(b - a <= WEEK and a <= CONFIG.end_time - WEEK for a, b in pairwise(at))
        for at in (sorted(visits.values()) for visits in begins.values())
    ]
    assert lives.week_visits.sum() == sum(map(sum, early))
    assert lives.week_returns.sum() == sum(again)
    assert 0 < lives.week_returns.sum() < lives.week_visits.sum()
    assert lives.slates.sum() == recommendations.num_rows
    assert len(users) == np.count_nonzero(lives.slates)


def test_lives_count_what_was_done_even_where_its_report_is_late(lives: Lives, log: EventLog) -> None:
    """The log ends before some of it arrives."""
    for kind, count in (("impression", lives.impressions), ("click", lives.clicks), ("hide", lives.hides)):
        reported = pc.sum(pc.equal(log.feedback["kind"], kind)).as_py()
        assert reported <= count.sum() <= reported + 10 * 12
    assert pc.sum(log.feedback["dwell_seconds"]).as_py() / 60 <= lives.dwell_minutes.sum() + 1e-6
    assert lives.shown.sum() == lives.impressions.sum()
    assert np.count_nonzero(lives.shown) < log.articles.num_rows  # popularity repeats itself


def test_policies_in_one_world_meet_the_same_readers(lives: Lives) -> None:
    """A second run is the same; a policy that knows more has other lives of the same readers."""
    for one, other in zip(lives, live_under(CONFIG, popularity()), strict=True):
        np.testing.assert_array_equal(one, other)
    greedy = live(CONFIG, greedy_click)
    assert np.corrcoef(greedy.active_days, lives.active_days)[0, 1] > 0.8
    elsewhere = live(replace(CONFIG, seed=4), greedy_click)
    assert abs(np.corrcoef(elsewhere.active_days, lives.active_days)[0, 1]) < 0.5


def test_progress_is_told_day_by_day() -> None:
    told: list[tuple[int, int]] = []
    found = live_under(replace(CONFIG, days=3), popularity(), lambda done, days: told.append((done, days)))
    assert isinstance(found, Lives)
    assert told == [(1, 3), (2, 3), (3, 3)]
