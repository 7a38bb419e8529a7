"""Each rule fires alone, a roll-back outranks a retraining, and simulated releases get what they earn."""

import numpy as np
import pytest

from newsrec.config import InvalidConfig, from_mapping
from newsrec.evaluation.intervals import Interval
from newsrec.features import DAY
from newsrec.monitoring import live_value
from newsrec.monitoring.decision import RulesConfig, Standing, Verdict, decide, nothing_served
from newsrec.monitoring.drift import Drift
from newsrec.monitoring.live_value import LiveValue, Served, ValueConfig
from newsrec.simulator.shocks import ShockConfig
from tests.logs import MONDAY
from tests.monitoring.releases import BIG_NEWS, NO_NEWS, two_releases, with_news_under_the_first, world

UNTIL = MONDAY + 30 * DAY
GOOD = Standing("new", "old", None, UNTIL - DAY, known=10_000, new=1_000)
STILL = Drift(0.1, 0.2, 500, 300, judged=True, drifted=False, why="phone: 60.0% before, 66.0% today")
MOVED = Drift(0.31, 0.2, 500, 300, judged=True, drifted=True, why="tablet: 8.0% before, 90.0% today")
FEW = Drift(0.9, 0.3, 5, 3, judged=False, drifted=False, why="too few")


def value(
    low: float = -0.1, high: float = 0.1, decisions: int = 1000, readers: int = 100, **previous: int
) -> LiveValue:
    """The predecessor is worth 1 click a decision, so a tolerance of 5 % is 0.05."""
    nan = Interval(np.nan, np.nan, np.nan)
    old = Served(previous.get("decisions_before", 1000), 100, {"reward": Interval(1.0, 0.9, 1.1), "clicked": nan})
    new = Served(decisions, readers, {"reward": Interval(1.0, 0.9, 1.1), "clicked": nan})
    difference = Interval((low + high) / 2, low, high)
    return LiveValue(new, old, {"reward": difference, "clicked": nan}, difference, [])


def verdict(standing: Standing = GOOD, found: LiveValue | None = None, **drifts: Drift) -> Verdict:
    return decide(standing, found or value(), drifts or {"device": STILL, "hour": FEW}, UNTIL, RulesConfig())


def fired(found: Verdict) -> list[str]:
    return [rule.name for rule in found.rules if rule.fired]


def test_a_quiet_day_keeps_the_release_and_every_rule_says_its_numbers():
    found = verdict()
    assert (found.action, found.reasons) == ("keep", [])
    assert [(rule.name, rule.message) for rule in found.rules] == [
        (
            "bad_release",
            "reward per decision is +0.000 [-0.100, +0.100] between readers and +0.000 [-0.100, +0.100] between days "
            "against old, rolled back where both upper ends are below -0.050",
        ),
        ("drift", "none of 1 judged features drifted (1 are not judged)"),
        ("age", "the newest event that new knows is 1.0 days old, at most 7"),
        ("growth", "1,000 decisions are new to it, at most 50% of the 10,000 it knows"),
    ]


def test_nothing_served_is_trained():
    assert nothing_served().action == "retrain"
    assert nothing_served().reasons == ["no_release"]


@pytest.mark.parametrize(
    ("rule", "action", "standing", "found", "drifts"),
    [
        ("bad_release", "roll_back", GOOD, value(-0.3, -0.06), {}),
        ("drift", "retrain", GOOD, value(), {"hour": STILL, "device": MOVED}),
        ("age", "retrain", GOOD._replace(data_until=UNTIL - 7 * DAY - 1), value(), {}),
        ("growth", "retrain", GOOD._replace(new=5_001), value(), {}),
    ],
)
def test_each_rule_fires_alone(rule, action, standing, found, drifts):
    result = verdict(standing, found, **drifts)
    assert fired(result) == result.reasons == [rule]
    assert result.action == action


@pytest.mark.parametrize(
    ("standing", "found"),
    [
        (GOOD, value(-0.3, -0.04)),  # within the tolerance
        (GOOD, value(-0.3, -0.06)._replace(between_days=Interval(-0.2, -0.36, -0.04))),  # days differ as much
        (GOOD, value(-0.3, -0.04)._replace(between_days=Interval(-0.2, -0.3, -0.1))),  # readers do
        (GOOD, value(-0.3, -0.06)._replace(between_days=Interval(-0.2, np.nan, np.nan))),
        (GOOD, value(-0.3, -0.06, decisions=499)),
        (GOOD, value(-0.3, -0.06, readers=39)),
        (GOOD, value(-0.3, -0.06, decisions_before=499)),
        (GOOD._replace(previous=None), value(-0.3, -0.06)),
        (GOOD._replace(rolled_back="newer"), value(-0.3, -0.06)),
        (GOOD._replace(data_until=UNTIL - 7 * DAY), value()),
        (GOOD._replace(new=5_000), value()),
    ],
)
def test_what_stays_within_the_rules_is_kept(standing, found):
    assert verdict(standing, found).action == "keep"


def test_a_roll_back_outranks_a_retraining():
    found = verdict(GOOD._replace(new=9_999), value(-0.3, -0.06), device=MOVED)
    assert found.action == "roll_back"
    assert fired(found) == ["bad_release", "drift", "growth"]
    assert found.reasons == ["bad_release"]


def test_the_sentences_name_what_happened():
    found = {rule.name: rule.message for rule in verdict(device=MOVED, hour=STILL).rules}
    assert found["drift"] == "device has PSI 0.31, at most 0.20 (tablet: 8.0% before, 90.0% today)"
    second = verdict(GOOD._replace(rolled_back="newer"), value(-0.3, -0.06)).rules[0].message
    assert second.endswith("it replaced the withdrawn newer itself: a second step back is a person's")
    first = verdict(GOOD._replace(previous=None)).rules[0].message
    assert first == "new has no predecessor to go back to"
    one_day = verdict(found=value()._replace(between_days=Interval(-0.2, np.nan, np.nan))).rules[0].message
    assert "and -0.200 [too few days] between days" in one_day


def test_a_loss_is_measured_against_the_size_of_what_there_was_to_lose():
    """Where readers hide more than they click, the predecessor's value is below zero."""
    found = value(-0.3, -0.02)
    found.previous.value["reward"] = Interval(-0.2, -0.3, -0.1)
    assert verdict(found=found).action == "roll_back"  # 0.02 is more than 5 % of 0.2
    found = value(-0.3, -0.005)  # and less than 5 % is not
    found.previous.value["reward"] = Interval(-0.2, -0.3, -0.1)
    assert verdict(found=found).action == "keep"


@pytest.mark.parametrize("values", [{"tolerance": -0.1}, {"min_decisions": 1}, {"max_age_days": float("nan")}])
def test_impossible_rules_are_refused(values):
    with pytest.raises(InvalidConfig, match=next(iter(values))):
        from_mapping(RulesConfig, values)


SEEDS = [1, pytest.param(2, marks=pytest.mark.slow)]
"""Of worlds, which take 12 CPU seconds each."""


def of_simulated(seed: int, worse: bool, shocks: ShockConfig = NO_NEWS) -> tuple[Verdict, LiveValue]:
    until = world(seed).end_time
    found = live_value.compare(two_releases(seed, worse, shocks), "second", "first", until, ValueConfig())
    standing = Standing("second", "first", None, until - 4 * DAY, known=1_000, new=0)
    return decide(standing, found, {}, until, RulesConfig()), found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulated_release_that_shows_the_oldest_is_rolled_back(seed):
    assert of_simulated(seed, worse=True)[0].action == "roll_back"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulated_release_that_changes_nothing_is_kept(seed):
    assert of_simulated(seed, worse=False)[0].action == "keep"


def test_a_simulated_release_that_follows_a_day_of_breaking_news_is_kept():
    """Its readers alone say that it lost a good part; nothing changed but the news."""
    verdict, found = of_simulated(with_news_under_the_first(), worse=False, shocks=BIG_NEWS)
    assert found.difference["reward"].high < -0.1 * found.previous.value["reward"].mean
    assert verdict.action == "keep"
