"""Shares, readers, days and clicks of a mixture, by hand."""

import numpy as np
import pytest

from newsrec.config import InvalidConfig
from newsrec.evaluation.shipping.config import GuardRail
from newsrec.evaluation.shipping.plan import Volume, explore, missing_readers, safe_share
from tests.evaluation.shipping.worlds import VOLUME, asked, bound

RAILS = (GuardRail("hides", 0.05, higher_is_better=False),)


def test_the_share_is_the_largest_whose_loss_is_tolerated() -> None:
    """0.002 / 0.04."""
    assert safe_share([bound()], asked()) == (pytest.approx(0.05), "click_rate")
    assert safe_share([bound(low=-0.001)], asked()) == (0.5, "most_share")
    assert safe_share([bound(low=0.01)], asked(most_share=0.3)) == (0.3, "most_share")


def test_the_worst_metric_limits_it() -> None:
    hides = bound("hides", low=-0.5, tolerated=0.01, needed=-0.01)
    assert safe_share([bound(), hides], asked()) == (pytest.approx(0.02), "hides")


def test_the_plan_by_hand() -> None:
    """(1.644854 + 0.841621)^2 x 0.5^2 x (5 + 1.25) / 0.1^2 = 966.02 readers; 600 come in 3 days, then 200 a day."""
    found = explore(0.2, "click_rate", [bound()], VOLUME, asked(effect=0.1))
    assert (found.share, found.limited_by, found.readers, found.days) == (0.2, "click_rate", 967, 5)
    assert found.clicks_at_worst == pytest.approx(0.2 * 1000 * 5 * 0.04)
    assert found.clicks_expected == pytest.approx(0.2 * 1000 * 5 * 0.01)


def test_a_least_gain_shortens_the_distance() -> None:
    """Half of it: four times the readers."""
    config = asked(effect=0.1, least_gain=0.05)
    assert explore(0.2, "", [bound(needed=0.05)], VOLUME, config).readers == 3865


def test_all_metrics_of_the_log_are_decided_with_the_planned_power() -> None:
    """(1.644854 + 1.281552)^2 x 0.5^2 x 6.25 / 0.05^2 = 5352.4; latency is for its own measurements."""
    hides = bound("hides", needed=-0.05, tolerated=0.05)
    latency = bound("latency", needed=-1e-6, logged=False)
    found = explore(0.2, "", [bound(), hides, latency], VOLUME, asked(effect=0.1, guard_rails=RAILS))
    assert found.readers == 5353


def test_what_is_no_loss_costs_nothing_and_other_metrics_have_no_price() -> None:
    assert explore(0.2, "", [bound(low=0.001)], VOLUME, asked()).clicks_at_worst == 0.0
    assert explore(0.2, "", [bound()], VOLUME, asked(clicks="clicks")).clicks_at_worst is None


def test_readers_who_never_come() -> None:
    with pytest.raises(InvalidConfig, match="only 3 ever come"):
        explore(0.2, "", [bound()], Volume((3.0, *[0.0] * 7), 10.0), asked())


def test_missing_readers_by_hand() -> None:
    """400 ((2.486475 x 0.1 / 0.1)^2 - 1) = 2073.02."""
    assert missing_readers([bound()], asked(effect=0.1)) == 2074
    assert missing_readers([bound(error=0.01)], asked(effect=0.1)) == 400  # enough, had it been so: as many again
    latency = bound("latency", needed=-1e-6, logged=False)
    assert missing_readers([bound(), latency], asked(effect=0.1)) < 10_000


def test_the_volume_counts_first_visits() -> None:
    """Reader 7 on days 3 and 5, 8 on day 5, 9 on day 6; nobody came on day 4."""
    found = Volume.of(np.array([7, 7, 8, 9, 9, 7]), np.array([5, 3, 5, 6, 6, 3]))
    assert found == Volume((1.0, 0.0, 1.0, 1.0), 1.5)
    with pytest.raises(ValueError, match="holds no decisions"):
        Volume.of(np.array([]), np.array([]))
