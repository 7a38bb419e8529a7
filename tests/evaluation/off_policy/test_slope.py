"""SLOPE: the last estimate before the intervals part."""

import numpy as np
import pytest

from benchmarks.off_policy.synthetic import choices, draw_choices
from newsrec.evaluation.off_policy import contextual, slope
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.slope import Choice
from newsrec.evaluation.off_policy.terms import mean

Z = 1.959964


def estimate(parameter: float, value: float, half_width: float) -> Choice:
    """An estimate of two readers with that normal interval."""
    away = half_width / Z
    return Choice(parameter, mean(np.arange(2), np.array([value - away, value + away])))


@pytest.mark.parametrize(
    ("line", "chosen"),
    [
        ([(0.0, 1.0), (1.0, 0.5), (1.9, 0.2)], 2),  # [-2, 2] [0, 2] [1.5, 2.3] share [1.5, 2]
        ([(0.0, 1.0), (1.0, 0.5), (2.5, 0.2)], 1),  # [2.1, 2.9] does not
        ([(0.0, 1.0), (3.1, 0.5), (0.0, 0.2)], 0),  # [2.1, 4.1] does not, and what comes after does not count
        ([(0.0, 0.2), (0.6, 1.0)], 0),  # a wider interval later in the line counts as 0.2: [0.2, 1] and [-0.4, 0.4]
    ],
)
def test_by_hand(line: list[tuple[float, float]], chosen: int) -> None:
    if chosen == 0 and len(line) == 2:
        line = [line[0], (0.9, 1.0)]
    assert slope.slope([estimate(i, *numbers) for i, numbers in enumerate(line)]).parameter == chosen


def test_an_empty_line_is_refused() -> None:
    with pytest.raises(ValueError, match="found no estimate"):
        slope.slope([])


@pytest.fixture(scope="module")
def log_and_model() -> tuple[float, ContextualLog]:
    world = choices(seed=5)
    log, context, action = draw_choices(world, 20_000, np.random.default_rng(6))
    return world.truth, log._replace(q=world.click[context, action], v=(world.target * world.click).sum(1)[context])


@pytest.mark.parametrize("chooser", [slope.switch_doubly_robust, slope.shrunk_doubly_robust])
def test_a_right_model_is_believed(chooser, log_and_model: tuple[float, ContextualLog]) -> None:
    truth, log = log_and_model
    found = chooser(log)
    assert found.terms.value == pytest.approx(contextual.direct_method(log).value, abs=0.002)
    assert found.terms.value == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize("chooser", [slope.switch_doubly_robust, slope.shrunk_doubly_robust])
def test_a_wrong_model_is_not(chooser, log_and_model: tuple[float, ContextualLog]) -> None:
    truth, log = log_and_model
    wrong = log._replace(q=log.q + 0.3, v=log.v + 0.3)
    assert abs(contextual.direct_method(wrong).value - truth) > 0.28
    assert abs(chooser(wrong).terms.value - truth) < 0.06


def test_the_line_begins_at_doubly_robust() -> None:
    """One weight of 100 among small ones: no quantile of their squares leaves it unshrunk, and the model is wrong."""
    weight = np.where(np.arange(400) == 0, 100.0, 0.75)
    log = ContextualLog(
        np.arange(400), np.ones(400), np.full(400, 0.01), weight * 0.01, np.full(400, 0.0), np.zeros(400)
    )
    for chooser in (slope.switch_doubly_robust, slope.shrunk_doubly_robust):
        assert chooser(log, confidence=0.01).parameter > 99.0
