"""What signs are worth, and how sure that is."""

from dataclasses import replace

import numpy as np
import pytest

from newsrec import dataset
from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy import places, signs
from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.off_policy.logged import Acting
from newsrec.evaluation.off_policy.uncertainty import standard_errors
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.slate import SlateConfig
from tests.evaluation.off_policy.test_places import alike


@pytest.fixture(scope="module")
def simulated() -> Decisions:
    return dataset.from_log(simulate(SimulationConfig(readers=250, days=8, slate_size=3, candidates=8, seed=3)))


def test_the_value_is_what_the_signs_are_worth(simulated: Decisions) -> None:
    rows = np.arange(len(simulated))
    shown, worth = signs.shown(simulated, rows), signs.fit(simulated, rows)
    placed = places.chances(simulated, rows, Acting(alike, SlateConfig("plackett_luce")))
    even = np.ones(3)
    known = (places.rewards(simulated, rows, "click") > 0) & (places.rewards(simulated, rows, "dwell") > 0)
    assert shown[..., 0] == pytest.approx(known * 1.0)
    expected = (shown.sum((0, 1)) @ worth.visits) / len(rows)
    assert signs.as_logged(placed, shown, worth).value == pytest.approx(expected)
    assert signs.value(placed, places.weights(placed, even), even, shown, worth).value == pytest.approx(
        expected, rel=0.02
    )


def test_a_reader_moves_the_worth_as_said(simulated: Decisions) -> None:
    """The fit is a root, so leaving a reader out moves it by about what that reader moved it."""
    rows = np.arange(len(simulated))
    worth = signs.fit(simulated, rows)
    assert worth.moved.sum(0) == pytest.approx(np.zeros(4), abs=1e-12)
    size = np.abs(worth.moved[:, 0])
    for reader in simulated.user[np.argsort(size)[-3:]]:
        row = np.flatnonzero(simulated.user == reader)[0]
        others = rows[simulated.user != reader]
        moved = worth.visits - signs.fit(simulated, others).visits
        assert moved[0] == pytest.approx(worth.moved[row, 0], rel=0.35)


def test_the_worth_of_signs_is_part_of_the_error(simulated: Decisions) -> None:
    """Reads twice as many under the policy: the error of their worth weighs twice as much."""
    rows = np.arange(len(simulated))
    shown, worth = signs.shown(simulated, rows), signs.fit(simulated, rows)
    placed = places.chances(simulated, rows, Acting(alike, SlateConfig("plackett_luce")))
    twice = signs.as_logged(placed, 2.0 * shown, worth).minus(signs.as_logged(placed, shown, worth))
    _, (error,) = standard_errors([twice])
    known = signs.Worth(worth.visits, np.zeros_like(worth.moved))
    sure = signs.as_logged(placed, 2.0 * shown, known).minus(signs.as_logged(placed, shown, known))
    _, (less,) = standard_errors([sure])
    moved = worth.moved @ shown.sum((0, 1)) / len(rows)
    assert error**2 == pytest.approx(less**2 + (moved**2).sum(), rel=0.2)
    assert error > 1.5 * less


def test_a_log_without_dwell_is_refused(simulated: Decisions) -> None:
    mute = replace(simulated, feedback=np.zeros_like(simulated.feedback))
    with pytest.raises(InvalidLog, match="no read of known dwell"):
        signs.fit(mute, np.arange(len(mute)))
