"""Moments against numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest

from newsrec.calibration.moments import doubts, moments
from newsrec.evaluation.observations import Observations, observe
from newsrec.features import HOUR
from tests import logs
from tests.logs import MINUTE, MONDAY, SECOND, article, decision, event

GENERATOR = np.random.default_rng(0)


def log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))


def measured(observed: Observations) -> dict[str, float]:
    found = moments(observed, GENERATOR)
    return dict(zip(found.names, found.sample.value.tolist(), strict=True))


def slates(user: str, day: int, clicks: list[bool], **more: Any) -> tuple[list[dict], list[dict]]:
    """A session of as many slates as ``clicks``, a minute apart, at noon of ``day``; a click on the first article."""
    decisions, happened = [], []
    for number, clicked in enumerate(clicks):
        request, time = f"{user}-{day}-{number}", MONDAY + (24 * day + 12) * HOUR + number * MINUTE
        decisions.append(decision(request, user, time, "ab", "abcd", session_id=f"{user}{day}", **more))
        happened += [event(request, user, "impression", a, time, position=p) for p, a in enumerate("ab")]
        if clicked:
            happened.append(event(request, user, "click", "a", time + 8 * SECOND, position=0))
    return decisions, happened


def observed(parts: list[tuple[list[dict], list[dict]]], more: tuple[dict, ...] = ()) -> Observations:
    decisions = [row for rows, _ in parts for row in rows]
    happened = [row for _, rows in parts for row in rows] + list(more)
    articles = [article("a", MONDAY + 6 * HOUR)] + [article(a, MONDAY + 8 * HOUR) for a in "bcd"]
    return observe(logs.log(articles, decisions, happened))


def test_sessions_of_a_reader_and_of_the_reader_of_a_session() -> None:
    """Ann comes three times in three days, bob once: two a reader; of a session's reader (9 + 1) / 4, less one."""
    found = measured(observed([*(slates("ann", day, [True]) for day in (0, 1, 3)), slates("bob", 2, [False])]))
    assert np.exp(found["visit_rate"]) == pytest.approx(2 / 3)
    assert np.exp(found["visit_concentration"]) == pytest.approx(1.5 / 3)


def test_who_stays_after_a_click_and_without_one() -> None:
    """Without a click 2 of 5 slates have a successor, with one 3 of 4."""
    found = measured(
        observed(
            [
                slates("ann", 0, [True, True, False, True, False]),  # stays: click click no click, then leaves
                slates("bob", 0, [False, False]),  # stays once without
                slates("bob", 1, [False]),
                slates("ann", 3, [True]),
            ]
        )
    )
    assert found["stay"] == pytest.approx(log_odds(2 / 5))
    assert found["stay_click"] == pytest.approx(log_odds(3 / 4) - log_odds(2 / 5))


@pytest.mark.parametrize("spread", [0.4, 1.2])
def test_readers_who_differ_in_patience(spread: float) -> None:
    """600 readers with 20 slates each, of whom one stays with the logistic of a normal number: its spread is found,
    on the scale of the mean reader, where a share near one half moves by a quarter of the logit."""
    generator = np.random.default_rng(1)
    stay = 1 / (1 + np.exp(-spread * generator.normal(size=600)))
    parts = []
    for reader in range(600):
        left = [number for number in range(20) if generator.random() > stay[reader]]
        for session, (start, end) in enumerate(zip([-1, *left], [*left, 19], strict=True)):
            if end > start:
                parts.append(slates(f"u{reader}", session, [False] * (end - start)))
    found = np.exp(measured(observed(parts))["stay_spread"])
    between = (1 / (1 + np.exp(-spread * generator.normal(size=100_000)))).std() * 4
    assert found == pytest.approx(between, rel=0.12)


def test_dwell_and_time_to_the_first_click() -> None:
    """Dwells of 4, 10 and 40 seconds: quartiles by the step rule are 4, 10 and 40."""
    parts = [slates("ann", day, [True]) for day in range(3)]
    time = MONDAY + 13 * HOUR
    seconds = (4.0, 10.0, 40.0)
    more = [event(f"ann-{d}-0", "ann", "dwell", "a", time, dwell_seconds=s, position=0) for d, s in enumerate(seconds)]
    more += [event("ann-0-0", "ann", "click", "b", MONDAY + 12 * HOUR + 2 * SECOND, position=1)]
    found = measured(observed(parts, tuple(more)))
    assert np.exp(found["dwell"]) == pytest.approx(10)
    assert np.exp(found["dwell_spread"]) == pytest.approx(np.log(10) / 1.349)
    assert np.exp(found["to_click"]) == pytest.approx(8)


def test_clicks_by_position_where_chance_chose_the_slates() -> None:
    """8 of 16 firsts and 2 of 16 seconds: the log rate falls by log 4 over log 2; 10 of 32 articles are clicked."""
    parts = [slates("ann", day, [day % 2 == 0], propensities=[1 / 4, 1 / 3]) for day in range(16)]
    more = [event(f"ann-{d}-0", "ann", "click", "b", MONDAY + (24 * d + 13) * HOUR, position=1) for d in (0, 1)]
    found = moments(observed(parts, tuple(more)), GENERATOR)
    assert found.of(["position_slope"]).value == pytest.approx(2.0)
    assert found.of(["click_rate"]).value == pytest.approx(log_odds(10 / 32))
    chosen = moments(observed([slates("ann", d, [d > 0], propensities=[0.5, 0.5]) for d in range(3)]), GENERATOR)
    assert chosen.refusals["position_slope"].startswith("slates are not random")


def test_acts_are_counted_by_what_they_follow() -> None:
    """Two clicks with one like; two of the six articles that were not read are hidden. Half an act is added to each."""
    parts = [slates("ann", 0, [True, False]), slates("ann", 2, [True, False])]
    time = MONDAY + 14 * HOUR
    more = [event("ann-0-0", "ann", "like", "a", time, position=0)]
    more += [event("ann-0-1", "ann", "hide", a, time, position=p) for p, a in enumerate("ab")]
    found = measured(observed(parts, tuple(more)))
    assert found["like"] == pytest.approx(log_odds(1.5 / 3))
    assert found["hide"] == pytest.approx(log_odds(2.5 / 7))
    assert found["share"] == pytest.approx(log_odds(0.5 / 3))


def test_a_slate_is_late_when_all_of_it_is() -> None:
    """Of three slates one arrives as a whole 30 minutes late and of one a single event."""
    decisions, happened = zip(*(slates("ann", day, [True]) for day in range(3)), strict=True)
    late = [[dict(row) for row in rows] for rows in happened]
    for row in [*late[0], late[1][0]]:
        row["received_at"] = row["time"] + 30 * MINUTE
    found = measured(observed(list(zip(decisions, late, strict=True))))
    assert found["late_share"] == pytest.approx(log_odds(1 / 3))
    assert np.exp(found["late_minutes"]) == pytest.approx(30)


def test_the_oldest_candidate_and_whether_articles_leave_at_one_age() -> None:
    """At noon of Monday the oldest candidate is six hours old, on Tuesday thirty."""
    one = observed([slates(f"u{n}", 0, [True, False]) for n in range(20)])
    assert np.exp(measured(one)["oldest_candidate"]) == pytest.approx(6, rel=0.01)
    assert "oldest_candidate" not in doubts(one, moments(one, GENERATOR))
    many = observed([slates(f"u{n}", n % 4, [True, False]) for n in range(20)])
    found = "the oldest candidates of half the slates are 24 to 60 hours old: articles do not leave at one age"
    assert doubts(many, moments(many, GENERATOR))["oldest_candidate"] == found


def test_few_readers_are_doubted_by_name_and_none_refused() -> None:
    log = observed([slates(f"u{n}", day, [True, False]) for n in range(12) for day in (0, 2)])
    found = moments(log, GENERATOR)
    doubtful = doubts(log, found)
    assert doubtful["visit_rate"] == "needs at least 20 readers with a second session, found 12"
    assert doubtful["click_rate"] == "needs at least 20 readers with a slate, found 12"
    assert found.refusals["dwell"] == doubtful["dwell"] == "needs at least 30 readers with a dwell, found 0"
    assert "visit_rate" not in found.refusals


def test_readers_who_do_not_differ_tell_no_spread() -> None:
    """Everybody stays exactly once: less variation than chance alone would make."""
    log = observed([slates(f"u{n}", day, [False, False]) for n in range(25) for day in (0, 2)])
    assert doubts(log, moments(log, GENERATOR))["stay_spread"] == "it differs no more than chance makes it"
