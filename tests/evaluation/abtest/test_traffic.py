"""What a log says before a test: by hand, and as a test with the same readers would have found."""

import numpy as np
import pytest

from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.assigned import at_first_request, at_start
from newsrec.evaluation.abtest.traffic import index_of, traffic_of
from newsrec.events import InvalidEvents
from newsrec.features import DAY
from tests.evaluation.abtest.logs import NAME, START, active_log, log_of, visit


def test_mean_spread_and_arrivals_by_hand() -> None:
    """Windows of two days: ann active on both, bob on one; cem's is cut by the log's end on day 4."""
    visits = [visit("ann", 0.0), visit("ann", 1.0, clicks="ab"), visit("ann", 3.0), visit("bob", 1.5, clicks="a")]
    found = traffic_of(log_of([*visits, visit("cem", 2.5), visit("ann", 4.0)]), days=2)
    assert found.mean == pytest.approx(1.5)
    assert found.deviation == pytest.approx(0.5**0.5)
    assert found.arrivals == (1.0, 1.0, 1.0, 0.0)
    assert found.clicks == pytest.approx(1.5)
    assert found.correlation == pytest.approx(0.0, abs=1e-6)


def test_a_long_log_knows_the_past() -> None:
    generator = np.random.default_rng(0)
    rate = generator.beta(1.0, 3.0, 800)
    log = active_log(generator.random((800, 80)) < rate[:, None], np.zeros(800, int), None)
    found = traffic_of(log)
    assert found.correlation > 0.8
    assert found.mean == pytest.approx(28 * rate[rate > 0.02].mean(), rel=0.12)
    assert found.arrivals[0] > 10 * found.arrivals[10]
    short = traffic_of(active_log(generator.random((800, 50)) < rate[:, None], np.zeros(800, int), None))
    assert short.correlation == pytest.approx(0.0, abs=1e-6)


def test_logs_that_tell_nothing_are_refused() -> None:
    with pytest.raises(InvalidEvents, match=r"the log covers 2.0 days, expected more than the 28 of a reader's window"):
        traffic_of(log_of([visit("ann", 0.0), visit("bob", 2.0)]))
    with pytest.raises(InvalidEvents, match="all 2 readers have 1 active days, expected some to differ"):
        traffic_of(log_of([visit("ann", 0.0), visit("bob", 0.5), visit("cem", 5.0)]), days=2)


@pytest.mark.parametrize("at_once", [False, True])
def test_the_index_is_fitted_to_readers_of_before_taken_as_those_of_the_test(at_once: bool) -> None:
    generator = np.random.default_rng(1)
    rate = generator.beta(1.0, 3.0, 1500)
    arms = np.where(generator.random(1500) < 0.5, "new", "old")
    active = generator.random((1500, 120)) < rate[:, None]
    log = active_log(active, np.zeros(1500, int), arms, since=90)
    shares = {"new": 0.5, "old": 0.5}
    assigned = at_start(log, NAME, START + 90 * DAY, shares, "pepper") if at_once else at_first_request(log, NAME)
    index, with_past = index_of(log, assigned, 28, 28, 7)
    assert with_past
    assert index.readers == pytest.approx(1340, abs=40)
    assert index.explained > 0.6
    short = active_log(active[:, 40:], np.zeros(1500, int), arms, since=50)
    without, with_past = index_of(short, assigned._replace(time=assigned.time - 40 * DAY), 28, 28, 7)
    assert not with_past
    assert len(without.coefficient) == len(index.coefficient) - 2
    late = assigned._replace(time=np.full(len(assigned.time), START + 20 * DAY))
    with pytest.raises(InvalidConfig, match=r"reaches back 19.5 days before the experiment, expected more than 28"):
        index_of(log, late, 28, 28, 7)
