"""The value of a release: which decisions count, what they earn, and how two releases differ."""

import numpy as np
import pytest

from newsrec import dataset
from newsrec.config import InvalidConfig, from_mapping
from newsrec.evaluation.intervals import clustered_mean
from newsrec.events import EventLog
from newsrec.features import DAY, HOUR
from newsrec.monitoring.live_value import ValueConfig, compare, outcomes
from newsrec.reward import RewardConfig
from tests.logs import MONDAY, SECOND, article, decision, event, log
from tests.monitoring.releases import two_releases, world

UNTIL = MONDAY + 2 * DAY
ARTICLES = [article(a) for a in "abcd"]


def slates(*rows: tuple[str, str, float, str]) -> list[dict]:
    """Name, reader, hours before UNTIL, version."""
    return [decision(n, user, UNTIL - int(h * HOUR), "abc", policy_version=v) for n, user, h, v in rows]


def feedback(name: str, user: str, made: float, kind: str, after: float, article_id: str = "a", **more) -> dict:
    """An event that happened a second, and arrived ``after`` hours, after the decision ``made`` hours before UNTIL."""
    time = UNTIL - int(made * HOUR)
    return event(name, user, kind, article_id, time + SECOND, received_at=time + int(after * HOUR), **more)


def test_every_decision_has_the_same_hours_to_earn_its_reward():
    rows = slates(("old", "u", 20, "v"), ("just", "u", 6.01, "v"), ("young", "u", 5.99, "v"), ("past", "u", 49, "v"))
    events = [
        feedback("old", "u", 20, "click", 5.9),
        feedback("old", "u", 20, "like", 6.1),
        feedback("just", "u", 6.01, "share", 1),
        feedback("young", "u", 5.99, "click", 1),
    ]
    found = outcomes(log(ARTICLES, rows, events), UNTIL, ValueConfig(days=2))
    assert found.reward.tolist() == [1.0, 3.0]
    assert found.clicked.tolist() == [1.0, 0.0]
    assert (UNTIL - found.time).tolist() == [20 * HOUR, int(6.01 * HOUR)]


def test_the_reward_is_that_of_training():
    simulated = two_releases(seed=1, worse=True)
    config = ValueConfig(feedback_hours=1e-6, reward=RewardConfig(dwell_minute=0.5, like=7.0))
    end = world(1).end_time
    assert outcomes(simulated, end, config).reward.sum() == 0.0
    found = outcomes(simulated, end + 10 * DAY, ValueConfig(days=20, feedback_hours=200.0, reward=config.reward))
    decisions = dataset.from_log(simulated, config.reward)
    assert decisions.reward.sum() > 1000
    assert found.reward == pytest.approx(decisions.reward, abs=1e-4)


def test_feedback_beside_the_slate_earns_nothing():
    rows = slates(("r", "u", 10, "v"))
    events = [feedback("r", "u", 10, "click", 1, "d"), feedback("strange", "u", 10, "click", 1)]
    events.append({**feedback("r", "u", 10, "leave", 1), "article_id": None})
    assert outcomes(log(ARTICLES, rows, events), UNTIL, ValueConfig()).reward.tolist() == [0.0]


def test_releases_are_told_apart_by_the_version_that_decided():
    rows = slates(("1", "u", 9, "new"), ("2", "v", 9, "new"), ("3", "u", 30, "old"), ("4", "w", 31, "old"))
    rows += slates(("5", "u", 9, "another"))
    rows.append({**decision("6", "x", UNTIL - 9 * HOUR, "abc"), "policy_version": None})
    events = [feedback(n, u, h, "click", 1) for n, u, h in (("1", "u", 9), ("2", "v", 9), ("3", "u", 30))]
    events += [
        feedback("1", "u", 9, "click", 1, "b"),
        feedback("5", "u", 9, "share", 1),
        feedback("6", "x", 9, "share", 1),
    ]
    found = compare(log(ARTICLES, rows, events), "new", "old", UNTIL, ValueConfig(days=3))
    assert (found.live.decisions, found.live.readers, found.live.value["reward"].mean) == (2, 2, 1.5)
    assert (found.previous.decisions, found.previous.readers, found.previous.value["reward"].mean) == (2, 2, 0.5)
    assert found.difference["reward"].mean == 1.0
    assert found.difference["clicked"].mean == 0.5
    assert [day.end for day in found.days] == [UNTIL - 2 * DAY, UNTIL - DAY, UNTIL]
    assert [day.live.mean for day in found.days[2:]] == [1.5]
    assert [day.previous.mean for day in found.days[1:2]] == [0.5]
    assert np.isnan([found.days[0].live.mean, found.days[0].previous.mean, found.days[2].previous.mean]).all()


def test_without_a_predecessor_there_is_no_difference():
    rows = slates(("1", "u", 9, "new"), ("2", "v", 9, "new"))
    rows.append({**decision("3", "x", UNTIL - 9 * HOUR, "abc"), "policy_version": None})
    found = compare(log(ARTICLES, rows, []), "new", "", UNTIL, ValueConfig())
    assert found.live.value["reward"].mean == 0.0
    assert (found.previous.decisions, found.previous.readers) == (0, 0)
    assert np.isnan(found.difference["reward"]).all()


@pytest.fixture(scope="module")
def worse() -> EventLog:
    return two_releases(seed=1, worse=True)


def test_a_worse_release_is_seen_to_be_worse(worse):
    found = compare(worse, "second", "first", world(1).end_time, ValueConfig())
    assert found.difference["reward"].high < 0
    assert found.difference["clicked"].high < 0
    assert found.difference["reward"].mean == pytest.approx(
        found.live.value["reward"].mean - found.previous.value["reward"].mean
    )


def test_the_intervals_are_those_of_readers(worse):
    found = compare(worse, "second", "first", world(1).end_time, ValueConfig())
    rewards = outcomes(worse, world(1).end_time, ValueConfig())
    rows = rewards.of("second")
    assert found.live.decisions == rows.sum()
    expected = clustered_mean(rewards.reward[rows], rewards.reader[rows], np.random.default_rng(1), 0.99, 4000)
    assert found.live.value["reward"] == pytest.approx(expected, abs=0.015)
    naive = clustered_mean(rewards.reward[rows], np.arange(rows.sum()), np.random.default_rng(1), 0.99, 4000)
    assert expected.high - expected.low > 1.15 * (naive.high - naive.low)


def test_the_same_log_gives_the_same_value(worse):
    until = world(1).end_time
    assert repr(compare(worse, "second", "first", until, ValueConfig())) == repr(
        compare(worse, "second", "first", until, ValueConfig())
    )


@pytest.mark.parametrize("values", [{"days": 0}, {"feedback_hours": 0.0}, {"confidence": 1.0}, {"draws": 0}])
def test_impossible_configurations_are_refused(values):
    with pytest.raises(InvalidConfig, match=next(iter(values))):
        from_mapping(ValueConfig, values)
