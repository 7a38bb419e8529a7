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
    rows = slates(("past", "u", 54.01, "v"), ("first", "u", 53.99, "v"))  # two days end six hours before the run
    rows += slates(("old", "u", 20, "v"), ("just", "u", 6.01, "v"), ("young", "u", 5.99, "v"))
    events = [
        feedback("old", "u", 20, "click", 5.9),
        feedback("old", "u", 20, "like", 6.1),
        feedback("just", "u", 6.01, "share", 1),
        feedback("young", "u", 5.99, "click", 1),
    ]
    found = outcomes(log(ARTICLES, rows, events), UNTIL, ValueConfig(days=2))
    assert found.reward.tolist() == [0.0, 1.0, 3.0]
    assert found.clicked.tolist() == [0.0, 1.0, 0.0]
    assert (UNTIL - found.time).tolist() == [int(53.99 * HOUR), 20 * HOUR, int(6.01 * HOUR)]


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
    rows = slates(("1", "u", 9, "new"), ("2", "v", 9, "new"), ("3", "u", 31, "old"), ("4", "w", 32, "old"))
    rows += slates(("5", "u", 9, "another"))
    rows.append({**decision("6", "x", UNTIL - 9 * HOUR, "abc"), "policy_version": None})
    events = [feedback(n, u, h, "click", 1) for n, u, h in (("1", "u", 9), ("2", "v", 9), ("3", "u", 31))]
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
    end = UNTIL - 6 * HOUR
    assert [day.end for day in found.days] == [end - 2 * DAY, end - DAY, end]
    assert (found.days[2].live.mean, found.days[1].previous.mean) == (1.5, 0.5)
    assert np.isnan([found.days[0].live.mean, found.days[0].previous.mean, found.days[2].previous.mean]).all()
    assert found.between_days.mean == 1.0
    assert np.isnan(found.between_days[1:]).all()  # a day each


def clicks_a_day(*days: tuple[str, int, int]) -> EventLog:
    """From the newest day: the version, its decisions, and the clicks on each."""
    rows, events = [], []
    for back, (version, decisions, clicks) in enumerate(days):
        for number in range(decisions):
            name, user, made = f"{version}-{back}-{number}", f"u{number}", 12 + 24 * back
            rows += slates((name, user, made, version))
            events += [feedback(name, user, made, "click", 1, a) for a in "abc"[:clicks]]
    return log(ARTICLES, rows, events)


def test_releases_are_compared_by_how_their_days_rank():
    """Of two days and eight, 1 order in 45 has the two at the bottom: less than 2.5 %, so the ends are the outermost
    of the 16 differences. Of two and seven it is 1 in 36."""
    days = [("new", 4, 0), ("new", 2, 1), *[("old", 4, 2)] * 7, ("old", 4, 3)]
    assert compare(clicks_a_day(*days), "new", "old", UNTIL, ValueConfig()).between_days == (-2.0, -3.0, -1.0)
    fewer = compare(clicks_a_day(*days[:-1]), "new", "old", UNTIL, ValueConfig()).between_days
    assert fewer.mean == -1.5
    assert np.isnan(fewer[1:]).all()
    assert (
        compare(clicks_a_day(*days[:-1]), "new", "old", UNTIL, ValueConfig(day_confidence=0.9)).between_days.high == -1
    )


def test_a_day_of_great_news_is_no_merit_of_its_release():
    """Readers by the score say that the first release was better; one day in eight says nothing about releases."""
    days = [("new", 30, 1)] * 4 + [("old", 30, 1)] * 7 + [("old", 30, 3)]
    found = compare(clicks_a_day(*days), "new", "old", UNTIL, ValueConfig())
    assert found.difference["reward"].mean == -0.25
    assert found.difference["reward"].high < -0.2
    assert found.between_days == (0.0, 0.0, 0.0)


def test_the_days_that_rank_end_when_decisions_become_too_young():
    rows = slates(("1", "u", 6.01, "new"), ("2", "v", 29.99, "new"), ("5", "w", 29.98, "new"))
    rows += slates(("3", "u", 30.01, "old"), ("4", "v", 53.99, "old"))
    events = [feedback("2", "v", 29.99, "click", 1), feedback("5", "w", 29.98, "click", 1)]
    events += [feedback("3", "u", 30.01, "click", 1, a) for a in "abc"]
    found = compare(log(ARTICLES, rows, events), "new", "old", UNTIL, ValueConfig())
    assert found.between_days.mean == pytest.approx(2 / 3 - 3 / 2)  # a day each, of three and of two


def test_the_day_of_the_hand_over_is_left_out_where_it_is_a_small_part():
    days = [("new", 8, 1), ("new", 8, 1), ("new", 1, 3), ("old", 8, 2), ("old", 8, 1)]
    found = compare(clicks_a_day(*days), "new", "old", UNTIL, ValueConfig())
    assert found.between_days.mean == -0.5  # of 1 and 1 against 2 and 1
    assert found.difference["reward"].mean == pytest.approx(19 / 17 - 1.5)
    whole = compare(clicks_a_day(*days[:2], ("new", 2, 3), *days[3:]), "new", "old", UNTIL, ValueConfig())
    assert whole.between_days.mean == 0.0  # of 1, 1 and 3: a quarter is enough


def test_without_a_predecessor_there_is_no_difference():
    rows = slates(("1", "u", 9, "new"), ("2", "v", 9, "new"))
    rows.append({**decision("3", "x", UNTIL - 9 * HOUR, "abc"), "policy_version": None})
    found = compare(log(ARTICLES, rows, []), "new", "", UNTIL, ValueConfig())
    assert found.live.value["reward"].mean == 0.0
    assert (found.previous.decisions, found.previous.readers) == (0, 0)
    assert np.isnan(found.difference["reward"]).all()
    assert np.isnan(found.between_days).all()


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


@pytest.mark.parametrize(
    "values", [{"days": 0}, {"feedback_hours": 0.0}, {"confidence": 1.0}, {"day_confidence": 0.0}, {"draws": 0}]
)
def test_impossible_configurations_are_refused(values):
    with pytest.raises(InvalidConfig, match=next(iter(values))):
        from_mapping(ValueConfig, values)
