"""Plans by hand, and that what was planned is what is measured."""

import numpy as np
import pytest

from newsrec.config import InvalidConfig, from_mapping
from newsrec.evaluation.abtest.plan import PlanConfig, Traffic, days_until, plan
from newsrec.evaluation.abtest.power import drift_for, power_of
from newsrec.evaluation.abtest.sequential import boundary

ONCE = PlanConfig(mde=0.02, daily=False)


def test_one_look_by_hand() -> None:
    """(1.96 + 0.8416)^2 = 7.849 times 9 * 4 / 0.1^2 readers."""
    found = plan(ONCE, Traffic(mean=5.0, deviation=3.0, arrivals=(1000.0,), clicks=20.0))
    assert found.readers == pytest.approx(7.849 * 36 / 0.01, rel=1e-3)
    assert found.readers_treated == -(-found.readers // 2)
    assert (found.assign_days, found.days) == (29, 29 + 28)
    assert found.outcome_at_stake == pytest.approx(0.1 * found.readers_treated)
    assert found.clicks_at_stake == pytest.approx(0.02 * 20 * found.readers_treated)


def test_the_past_saves_readers_and_unequal_shares_cost_some() -> None:
    traffic = Traffic(mean=5.0, deviation=3.0, arrivals=(1000.0,))
    plain = plan(ONCE, traffic).readers
    assert plan(ONCE, Traffic(5.0, 3.0, (1000.0,), correlation=0.8)).readers == pytest.approx(0.36 * plain, rel=1e-3)
    tenth = plan(PlanConfig(mde=0.02, daily=False, share=0.1), traffic)
    assert tenth.readers == pytest.approx(plain * (10 + 10 / 9) / 4, rel=1e-3)
    assert tenth.outcome_at_stake < plan(ONCE, traffic).outcome_at_stake
    assert plan(ONCE, traffic).clicks_at_stake is None


def test_days_follow_the_arrivals_and_then_their_last_week() -> None:
    arrivals = (100.0, 50.0, *[10.0] * 7)
    assert [days_until(n, arrivals) for n in (1, 100, 101, 150, 220, 221, 230, 231)] == [1, 1, 2, 2, 9, 10, 10, 11]
    with pytest.raises(
        InvalidConfig, match=r"the test needs 161 readers, and only 160 ever come; expected a larger mde"
    ):
        days_until(161, (100.0, 60.0, *[0.0] * 7))


def test_power_with_many_looks_is_that_of_simulated_paths() -> None:
    looks, drift = 28, 3.4
    generator, share = np.random.default_rng(0), np.arange(1, 29) / 28
    paths = np.cumsum(generator.normal(drift / looks, looks**-0.5, (40_000, looks)), axis=1)
    measured = np.mean((abs(paths) > boundary(share, 1.0, 0.05) * share**0.5).any(1))
    assert power_of(drift, 0.05, looks) == pytest.approx(measured, abs=0.01)
    assert power_of(0.0, 0.05, looks) < 0.05
    assert power_of(drift_for(0.9, 0.05, looks), 0.05, looks) == pytest.approx(0.9, abs=1e-3)
    assert power_of(drift_for(0.9, 0.05), 0.05) == pytest.approx(0.9, abs=1e-3)
    assert abs(power_of(drift, 0.05, 60) - power_of(drift, 0.05, 40)) < 0.01


def test_looking_daily_is_paid_for_in_readers() -> None:
    traffic = Traffic(mean=5.0, deviation=3.0, arrivals=(1000.0,))
    daily = plan(PlanConfig(mde=0.02), traffic)
    assert 1.5 < daily.readers / plan(ONCE, traffic).readers < 2.0
    assert daily.days == daily.assign_days + 28


def test_measured_power_is_the_planned_one() -> None:
    """Skewed active days; the treated have mde more."""
    generator, mean, deviation = np.random.default_rng(4), 4.0, 5.0
    readers = plan(PlanConfig(mde=0.15, daily=False), Traffic(mean, deviation, (100.0,))).readers // 2
    shape, scale = (mean / deviation) ** 2, deviation**2 / mean
    told = 0
    for _ in range(1500):
        control = generator.gamma(shape, scale, readers)
        treated = generator.gamma(shape, scale, readers) + 0.15 * mean
        error = ((treated.var() + control.var()) / readers) ** 0.5
        told += abs(treated.mean() - control.mean()) > 1.96 * error
    assert told / 1500 == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"mde": 0.0}, "mde is 0.0, expected a share above 0"),
        ({"power": 1.0}, "power is 1.0, expected a share between 0 and 1"),
        ({"power": 0.04}, "power is 0.04, expected more than the 0.05"),
        ({"days": 0}, "days is 0, expected 1 or more"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(bad: dict, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        from_mapping(PlanConfig, bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"mean": 0.0}, "mean is 0.0, expected above 0"),
        ({"deviation": 0.0}, "deviation is 0.0, expected above 0"),
        ({"arrivals": (0.0,)}, "arrivals have no new readers"),
        ({"arrivals": ()}, "arrivals have no new readers"),
        ({"correlation": 1.0}, "correlation is 1.0, expected between -1 and 1"),
    ],
)
def test_traffic_that_cannot_be_is_refused(bad: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Traffic(**({"mean": 1.0, "deviation": 1.0, "arrivals": (1.0,)} | bad))
