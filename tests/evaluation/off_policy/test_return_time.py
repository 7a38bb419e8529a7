"""Return time under another policy: by hand, and on exponential gaps that the log's end cuts."""

import numpy as np
import pytest

from newsrec.evaluation import survival as logged_survival
from newsrec.evaluation.off_policy import return_time
from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.off_policy.return_time import VisitLog
from newsrec.evaluation.off_policy.uncertainty import bootstrap
from newsrec.evaluation.resampling import resample

AT = np.array([6.0, 24.0, 72.0])
RATE = np.array([0.01, 0.04])  # visits an hour after a bad and a good slate
BEHAVIOUR, TARGET = np.array([0.7, 0.3]), np.array([0.2, 0.8])
BY_HAND = VisitLog(
    reader=np.array([0, 0, 1]),
    weight=np.array([2.0, 0.5, 1.0]),
    hours=np.array([1.0, 2.0, 3.0]),
    ended=np.array([True, False, True]),
    returned=np.array([1.0, 0.0, 1.0]),
    expected=np.array([0.5, 1.0, 0.75]),
)


def exponential(readers: int, seed: int, proportional: bool = True) -> VisitLog:
    """Three visits each; a good slate shortens the gap of readers who differ in habit; the log ends at any hour."""
    generator = np.random.default_rng(seed)
    reader = np.repeat(np.arange(readers), 3)
    habit = generator.uniform(0.5, 2.0, readers)[reader] if proportional else np.ones(len(reader))
    good = (generator.random(len(reader)) < BEHAVIOUR[1]).astype(int)
    gap = generator.exponential(1.0 / (RATE[good] * habit))
    seen = generator.uniform(2.0, 120.0, len(reader))
    hours = np.minimum(gap, seen)
    ended = gap <= seen
    return VisitLog(
        reader, (TARGET / BEHAVIOUR)[good], hours, ended, ended.astype(float), 0.02 * habit * hours
    )  # fmt: skip


def true_survival() -> np.ndarray:
    return TARGET @ np.exp(-RATE[:, None] * AT)


def test_survival_by_hand() -> None:
    curve = return_time.survival(BY_HAND, np.array([0.5, 1.0, 2.5, 3.0, 4.0]))
    assert curve(np.ones(2)) == pytest.approx([1.0, 1.5 / 3.5, 1.5 / 3.5, 0.0, 0.0])
    assert curve(np.array([1.0, 2.0])) == pytest.approx([1.0, 2.5 / 4.5, 2.5 / 4.5, 0.0, 0.0])
    assert return_time.return_within(BY_HAND, 1.0)(np.ones(2)) == pytest.approx([2.0 / 3.5])


def test_behind_an_open_gap_nothing_is_told() -> None:
    open_end = BY_HAND._replace(ended=np.array([True, False, False]))
    curve = return_time.survival(open_end, np.array([3.0, 3.5]))(np.ones(2))
    assert curve[0] == pytest.approx(1.5 / 3.5)
    assert np.isnan(curve[1])


def test_a_gap_that_is_open_as_long_as_another_lasted_was_at_risk_of_its_end() -> None:
    """Ended with weight 1 and open with weight 2, both after two hours."""
    same = VisitLog(np.array([0, 1]), np.array([2.0, 1.0]), np.full(2, 2.0), np.array([False, True]), *np.ones((2, 2)))
    assert return_time.survival(same, np.array([2.0]))(np.ones(2)) == pytest.approx([2 / 3])


def test_with_weights_of_one_it_is_the_curve_of_the_log() -> None:
    log = exponential(300, seed=0)
    logged = log._replace(weight=np.ones(len(log.weight)))
    times = np.random.default_rng(1).integers(0, 3, 300).astype(float)
    gaps = logged_survival.Gaps.of(log.reader, log.hours, log.ended)
    assert return_time.survival(logged, AT)(times) == pytest.approx(logged_survival.survival(gaps, AT, times))


def test_hazard_ratio_and_effect_by_hand() -> None:
    theta = (2.0 + 1.0) / (2.0 * 0.5 + 0.5 * 1.0 + 1.0 * 0.75)
    assert return_time.hazard_ratio(BY_HAND).value == pytest.approx(theta)
    assert return_time.hazard_effect(BY_HAND).value == pytest.approx(theta - 2.0 / 2.25)


def test_the_true_curve_is_in_the_band_and_what_not_to_do_is_outside() -> None:
    log = exponential(6_000, seed=2, proportional=False)
    found = resample(return_time.survival(log, AT), 6_000, np.random.default_rng(0), draws=100)
    low, high = found.share_band(0.99)
    assert ((low <= true_survival()) & (true_survival() <= high)).all()
    logged = return_time.survival(log._replace(weight=np.ones(len(log.weight))), AT)(np.ones(6_000))
    assert (logged > high).all()  # the policy that acted brings fewer back
    closed = VisitLog(*(field[log.ended] for field in log))
    dropped = return_time.survival(closed, AT)(np.ones(6_000))
    lost = 1.0 - np.array([(log.weight * log.ended * (log.hours <= at)).sum() / log.weight.sum() for at in AT])
    assert (dropped < low)[1:].all()
    assert (lost > high)[1:].all()


def test_the_true_hazard_ratio_is_in_the_interval_whatever_is_censored() -> None:
    """After a good slate alone the hazard is proportional: 0.04 against habit's 0.02, and 0.01 after a bad one."""
    log = exponential(6_000, seed=3)
    good = log.weight > 1.0
    for chosen, truth in ((good, 2.0), (~good, 0.5)):
        weight = chosen / np.where(good, BEHAVIOUR[1], BEHAVIOUR[0])
        early = log.hours > 10.0  # the same log, ended earlier
        cut = log._replace(
            weight=weight,
            hours=np.minimum(log.hours, 10.0),
            returned=np.where(early, 0.0, log.returned),
            expected=log.expected * np.minimum(log.hours, 10.0) / log.hours,
        )
        estimates = {
            "whole": return_time.hazard_ratio(log._replace(weight=weight)),
            "cut": return_time.hazard_ratio(cut),
        }
        found = bootstrap(estimates, np.random.default_rng(0), confidence=0.99, draws=300)
        assert all(low <= truth <= high for _, low, high in found.values()), found


def test_the_effect_of_a_better_policy_is_above_zero_and_that_of_the_same_policy_none() -> None:
    log = exponential(3_000, seed=4)
    same = log._replace(weight=np.ones(len(log.weight)))
    estimates = {"better": return_time.hazard_effect(log), "same": return_time.hazard_effect(same)}
    found = bootstrap(estimates, np.random.default_rng(0), confidence=0.99, draws=300)
    assert found["better"].low > 0.2
    assert found["same"] == pytest.approx((0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"weight": [1.0, np.nan, 1.0]}, "weight: 1 of 3 are missing"),
        ({"hours": [1.0, -1.0, -2.0]}, "hours: 2 of 3 are negative"),
        ({"expected": [1.0, 1.0]}, "expected has shape"),
    ],
)
def test_a_broken_log_is_refused(broken: dict, sentence: str) -> None:
    log = BY_HAND._replace(**{field: np.array(values) for field, values in broken.items()})
    for ask in (return_time.hazard_ratio, lambda log: return_time.survival(log, AT)):
        with pytest.raises(InvalidLog, match=sentence):
            ask(log)
