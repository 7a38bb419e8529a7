"""What a log says, what it refuses to say, and how far a simulated one is from it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from newsrec.datasets import ebnerd, mind
from newsrec.evaluation.log_questions import QUESTIONS
from newsrec.evaluation.log_statistics import Statistic, circular_distance, describe, distance, inside, points_inside
from newsrec.evaluation.observations import observe
from newsrec.events import NO_READER_IDS, ORDINAL_TIME, EventLog
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from tests.evaluation.visit_log import poisson_visits, visit_log


def statistics(log: EventLog, draws: int = 200) -> dict[str, Statistic]:
    return describe(observe(log), np.random.default_rng(0), draws)


@pytest.fixture(scope="module")
def simulated() -> EventLog:
    return simulate(SimulationConfig(readers=120, days=7, articles_per_day=30, candidates=40, seed=3))


def some_visits(readers: int, days: float = 7.0) -> EventLog:
    return visit_log(*poisson_visits(np.full(readers, 0.1), 24.0 * days, np.random.default_rng(1)))


def test_the_public_sample_of_ebnerd(real_data: Callable[[str], Path]) -> None:
    """Counted before on the original table: 38 readers, 447 gaps of 31 of them, five of whom hold 40 %."""
    found = statistics(ebnerd.read(real_data("ebnerd-test"), "Europe/Copenhagen"))
    figures = {
        "gap_median": 4.20,
        "gap_p90": 20.5,
        "next_day_of_returns": 0.870,
        "slates_a_session": 2.157,
        "to_click_median": 22.0,
        "dwell_median": 23.0,
        "next_day": 0.785,
        "return_24h": 0.888,
    }
    assert {name: found[name].value[0] for name in figures} == pytest.approx(figures, rel=2e-3)
    gaps = found["gap_median"]
    assert (gaps.readers, gaps.rows) == (31, 447)
    assert gaps.effective_readers == pytest.approx(17, abs=0.5)
    assert (found["gaps"].readers, found["gaps"].rows) == (31, 485)
    refused = {name for name, statistic in found.items() if statistic.refusal}
    assert refused == {"candidates", "slates_clicked", "click_rate", "click_rate_at", "age_median", "new", "age"} | {
        "late_minute",
        "late_hour",
    }


def test_the_public_sample_of_mind(real_data: Callable[[str], Path]) -> None:
    found = statistics(mind.read(real_data("mind-5k"), "America/New_York"), draws=2)
    assert found["seen_again"].value[0] == pytest.approx(323 / 4637)
    assert found["weekdays"].refusal == "needs a log of at least 7 days, found 6.0"
    assert found["dwell_median"].refusal == "needs at least 20 readers with a dwell, found 0"
    visits = "the log is a sample of visits, who left cannot be told from who was not drawn"
    for name in ("gaps", "return_24h", "next_day", "next_day_of_returns", "gap_median"):
        assert found[name].refusal == f"323 of 4,637 readers have a second session: {visits}"
    clicks = "every first click follows its slate by 1 s: the log does not say when clicks happened"
    assert found["to_click_median"].refusal == clicks


def test_a_simulated_log_answers_every_question_that_its_readers_can(simulated: EventLog) -> None:
    found = statistics(simulated)
    assert [statistic.refusal for statistic in found.values() if statistic.refusal] == []
    for name, statistic in found.items():
        assert statistic.rows >= statistic.readers >= statistic.question.needs, name
        told = ~np.isnan(statistic.value)
        assert told.any(), name
        assert (statistic.low <= statistic.value)[told].all(), name
        assert (statistic.value <= statistic.high)[told].all(), name
    assert found["shown_a_slate"].value[0] == pytest.approx(10, abs=0.1)  # or what is left unread
    assert found["hours"].value.sum() == pytest.approx(1)
    assert found["weekdays"].value.sum() == pytest.approx(1)
    assert found["return_24h"].value[0] == pytest.approx(1 - found["gaps"].value[found["gaps"].at == 24][0])
    shown = observe(simulated).shown
    first = shown.clicked[shown.position == 0].mean()
    assert found["click_rate_at"].value[0] == pytest.approx(first)
    assert found["click_rate"].value[0] == pytest.approx(shown.clicked.mean())


def test_hours_and_weekdays_count_where_visits_begin() -> None:
    """Visits at 4:30 every day from Monday to Sunday, and on Sunday at 23:30."""
    hours = np.tile([4.5, 28.5, 52.5, 76.5, 100.5, 124.5, 148.5, 167.5], 40)
    found = statistics(visit_log(np.repeat(np.arange(40), 8), hours))
    assert found["hours"].value[[4, 23]] == pytest.approx([7 / 8, 1 / 8])
    assert found["weekdays"].value == pytest.approx([1 / 8] * 6 + [2 / 8])


def test_too_few_readers_are_named_with_how_many_it_takes() -> None:
    found = statistics(some_visits(25))
    assert found["gaps"].refusal == "needs at least 30 readers with a second session, found 25"
    assert found["gap_median"].readers == 25
    few = statistics(some_visits(12))
    assert few["return_48h"].refusal == "needs at least 20 readers with a second session, found 12"
    assert few["sessions_a_day"].refusal == "needs at least 20 readers with a session, found 12"


def test_what_a_log_lacks_is_named() -> None:
    log = some_visits(40)
    no_clock = statistics(log._replace(flags=frozenset({ORDINAL_TIME})))
    assert no_clock["gaps"].refusal == no_clock["sessions_a_day"].refusal == "the log has no clock"
    assert not no_clock["shown_a_slate"].refusal
    nobody = statistics(log._replace(flags=frozenset({NO_READER_IDS})))
    assert {statistic.refusal for statistic in nobody.values()} == {"the log does not say who the readers were"}
    assert statistics(some_visits(300, days=1.2))["return_48h"].refusal == "needs a log of at least 2 days, found 1.2"


def test_the_way_around_the_circle() -> None:
    hour = np.eye(24)
    assert circular_distance(hour[23], hour[1], 1.0) == 2
    assert circular_distance(hour[0], hour[12], 1.0) == 12
    assert circular_distance((hour[0] + hour[12]) / 2, hour[6], 1.0) == 6
    assert circular_distance(hour[3] / 2 + hour[20] / 2, hour[4] / 2 + hour[20] / 2, 1.0) == 0.5


def test_a_log_is_inside_its_own_intervals_and_another_is_not(simulated: EventLog) -> None:
    first = statistics(simulated)
    assert {distance(statistic, statistic) for statistic in first.values()} == {0.0}
    assert {inside(statistic, statistic) for statistic in first.values()} == {True}
    eager = {"sessions_a_day", "gaps", "return_24h", "sessions"}
    half = statistics(visit_log(*poisson_visits(np.full(1000, 0.02), 168.0, np.random.default_rng(2))))
    double = statistics(visit_log(*poisson_visits(np.full(1000, 0.04), 168.0, np.random.default_rng(3))))
    assert [inside(half[name], double[name]) for name in eager] == [False] * 4
    assert distance(half["return_24h"], double["return_24h"]) == pytest.approx(np.exp(-0.48) - np.exp(-0.96), abs=0.03)
    assert distance(half["gaps"], double["gaps"]) < -0.2
    points = points_inside(half["gaps"], double["gaps"])
    assert points_inside(half["gaps"], half["gaps"]).all()
    assert not points[half["gaps"].at[: len(points)] == 24].any()


def test_a_cycle_is_inside_when_it_is_no_further_than_the_log_s_own_resamples() -> None:
    generator = np.random.default_rng(6)

    def visits(evening: float, readers: int) -> Statistic:
        reader, day = np.repeat(np.arange(readers), 6), np.tile(np.arange(6), readers)
        hour = np.where(generator.random(len(reader)) < evening, 20.5, 8.5)
        return statistics(visit_log(reader, 24 * day + hour), draws=1000)["hours"]

    log = visits(0.5, readers=100)
    assert log.reach == pytest.approx(12 * 1.96 * 0.5 / np.sqrt(600), rel=0.12)
    assert inside(log, visits(0.5, readers=1000)) is True
    assert inside(log, visits(0.6, readers=1000)) is False


def test_nothing_is_compared_where_either_is_refused() -> None:
    few, many = statistics(some_visits(12)), statistics(some_visits(40))
    assert inside(many["gaps"], few["gaps"]) is None
    assert inside(few["gaps"], many["gaps"]) is None
    assert np.isnan(distance(few["gaps"], many["gaps"]))


def test_names_are_there_once() -> None:
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)
