"""Contrasts and their two ends, by hand."""

import numpy as np
import pytest

from newsrec.evaluation.off_policy.terms import Ratio, Terms, mean
from newsrec.evaluation.shipping.bounds import Measured, bounds, contrast
from newsrec.evaluation.shipping.config import GuardRail
from tests.evaluation.shipping.worlds import asked, bound

READERS = np.arange(4)
CLICKS = Measured(mean(READERS, np.array([1.0, 0, 1, 1])), mean(READERS, np.array([0.0, 0, 1, 0])))
HIDES = Measured(mean(READERS, np.array([0.0, 0, 1, 0])), mean(READERS, np.array([1.0, 1, 1, 0])))


def test_the_ends_by_hand() -> None:
    """Differences 1, 0, 0, 1: mean 0.5, error sqrt(1/3) / 2; Student's 95 % with 3 degrees of freedom is 2.3534."""
    (found,) = bounds({"click_rate": CLICKS}, asked(least_gain=0.01))
    assert (found.gain, found.error) == pytest.approx((0.5, 0.288675), rel=1e-5)
    assert (found.low, found.high) == pytest.approx((0.5 - 2.35336 * 0.288675, 0.5 + 2.35336 * 0.288675), rel=1e-5)
    assert found.deviation == pytest.approx(0.5)  # of 0, 0, 1, 0
    assert (found.readers, found.logged, found.needed, found.tolerated) == (4, True, 0.01, 0.005)


def test_with_a_guard_rail_only_the_high_ends_move() -> None:
    """Student's 97.5 % is 3.1824."""
    rails = (GuardRail("hides", 0.03, higher_is_better=False),)
    clicks, hides = bounds({"hides": HIDES, "click_rate": CLICKS}, asked(guard_rails=rails))
    assert clicks.low == pytest.approx(0.5 - 2.35336 * 0.288675, rel=1e-5)
    assert clicks.high == pytest.approx(0.5 + 3.18245 * 0.288675, rel=1e-5)
    assert (hides.metric, hides.needed, hides.tolerated) == ("hides", -0.03, 0.03)
    assert hides.gain == 0.5  # 0.25 hides a decision instead of 0.75
    assert hides.low == pytest.approx(0.5 - 2.35336 * 0.288675, rel=1e-5)


def test_an_objective_that_should_fall() -> None:
    (found,) = bounds({"hides": HIDES}, asked(objective="hides", higher_is_better=False))
    assert found.gain == 0.5


def test_the_decisions_of_a_reader_count_once() -> None:
    """Each decision twice: the same bounds."""
    twice = [
        Terms(np.repeat(READERS, 2), tuple(Ratio(np.repeat(part.above, 2)) for part in side.parts)) for side in CLICKS
    ]
    (found,), (once,) = (bounds({"click_rate": both}, asked()) for both in (Measured(*twice), CLICKS))
    assert (found.low, found.readers) == (pytest.approx(once.low), 4)


def test_what_was_measured_elsewhere_is_a_difference_of_two_samples() -> None:
    """2 - 3; the error is that of both means, with 5 requests in all: sqrt(29.1667 / 4 / 5)."""
    candidate, incumbent = mean(np.arange(2), np.array([1.0, 3])), mean(np.arange(2, 5), np.array([2.0, 5, 2]))
    assert contrast(Measured(candidate, incumbent)).value == pytest.approx(-1.0)
    latency = Measured(candidate, incumbent)
    rails = (GuardRail("latency", 0.5, higher_is_better=False),)
    clicks, found = bounds({"click_rate": CLICKS, "latency": latency}, asked(guard_rails=rails))
    assert (clicks.logged, found.logged) == (True, False)
    assert (found.gain, found.error, found.readers) == pytest.approx((1.0, 1.207615, 5), rel=1e-5)


def test_other_metrics_than_those_asked_for_are_named() -> None:
    with pytest.raises(ValueError, match="measured are hides, expected click_rate"):
        bounds({"hides": HIDES}, asked())
    with pytest.raises(ValueError, match="measured are click_rate, hides, expected click_rate:"):
        bounds({"click_rate": CLICKS, "hides": HIDES}, asked())


@pytest.mark.parametrize(
    ("low", "high", "shown", "broken"),
    [(0.1, 0.3, True, False), (0.0, 0.3, False, False), (-0.3, 0.0, False, True), (-0.3, 0.1, False, False)],
)
def test_what_is_shown_and_what_is_broken(low: float, high: float, shown: bool, broken: bool) -> None:
    found = bound(low=low, high=high)
    assert (found.shown, found.broken) == (shown, broken)
