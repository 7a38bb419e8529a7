"""Latency as a guard-rail: what two policies take, told apart by a clock that stands still but for them."""

from typing import Any

import numpy as np
import pytest
import torch

from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy.logged import Acting
from newsrec.evaluation.shipping.bounds import bounds
from newsrec.evaluation.shipping.config import GuardRail
from newsrec.evaluation.shipping.findings import Seen, findings
from newsrec.evaluation.shipping.latency import FIRST, LATENCY, REQUESTS, latency
from newsrec.slate import SlateConfig
from tests.evaluation.shipping.test_findings import FRESH, UNIFORM, log  # noqa: F401
from tests.evaluation.shipping.worlds import asked


class Slow:
    """A clock, and policies that take their time on it; the first decisions take ten times as long."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, []

    def policy(self, name: str, seconds: float) -> Acting:
        def scores(state: Any, candidates: Any) -> torch.Tensor:
            assert candidates.mask.shape[0] == 1
            self.order.append(name)
            self.now += seconds * (10.0 if self.order.count(name) <= FIRST else 1.0)
            return torch.zeros(candidates.mask.shape)

        return Acting(scores, SlateConfig())


def test_what_each_takes_without_the_first_ones(log: Decisions) -> None:  # noqa: F811
    clock, rows = Slow(), np.arange(len(log))
    candidate, incumbent = (Seen(clock.policy(*who), log) for who in (("new", 0.003), ("old", 0.002)))
    found = latency(rows, candidate, incumbent, lambda: clock.now)
    assert found.candidate.value == pytest.approx(3.0)
    assert found.incumbent.value == pytest.approx(2.0)
    assert len(clock.order) == 2 * (REQUESTS + FIRST)
    firsts = clock.order[2 * FIRST :: 2]
    assert firsts.count("new") == firsts.count("old")  # who begins changes


def test_an_incumbent_that_is_not_ours_takes_no_time(log: Decisions) -> None:  # noqa: F811
    clock = Slow()
    found = latency(np.arange(30), Seen(clock.policy("new", 0.003), log), None, lambda: clock.now)
    assert (found.candidate.value, found.incumbent.value) == (pytest.approx(3.0), 0.0)


@pytest.mark.parametrize(
    ("incumbent", "margin", "within"), [(None, 60_000.0, True), (None, 1e-6, False), (UNIFORM, 60_000.0, True)]
)
def test_it_is_a_guard_rail_like_any_other(
    log: Decisions,  # noqa: F811
    incumbent: Acting | None,
    margin: float,
    within: bool,
) -> None:
    """A minute is never reached, a nanosecond always."""
    config = asked(guard_rails=(GuardRail(LATENCY, margin, higher_is_better=False),))
    against = None if incumbent is None else Seen(incumbent, log)
    measured = findings(log, np.arange(len(log))[-300:], Seen(FRESH, log), against, config).measured
    (found,) = [bound for bound in bounds(measured, config) if bound.metric == LATENCY]
    assert measured[LATENCY].candidate.value > 0.0
    assert (found.low > -margin) == within
