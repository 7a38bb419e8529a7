"""The data contract: a sound day keeps every clause, and each kind of damage breaks its own clause and no other."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from newsrec.config import InvalidConfig, from_mapping
from newsrec.events import IMPORTED_POLICY, ORDINAL_TIME, EventLog, InvalidEvents
from newsrec.features import DAY, HOUR
from newsrec.monitoring.contract import Check, ContractConfig
from newsrec.monitoring.inspection import check
from tests.logs import MINUTE, MONDAY, SECOND, article, decision, event, log

DAYS = 4
UNTIL = MONDAY + DAYS * DAY


class Rows(NamedTuple):
    """A site's rows, to be damaged before they become a log; the last day's stand in ``today`` and ``events``."""

    articles: list[dict]
    earlier: list[dict]
    today: list[dict]
    earlier_events: list[dict]
    events: list[dict]

    def log(self, *flags: str) -> EventLog:
        return log(self.articles, self.earlier + self.today, self.earlier_events + self.events, flags)


def site(per_day: int = 120) -> Rows:
    """``per_day`` slates of three, evenly over each of DAYS days; every second one has a click and 40 s of dwell."""
    rows = Rows([article(a) for a in "abcd"], [], [], [], [])
    for number in range(DAYS * per_day):
        name, user, time = f"r{number:04}", f"u{number % 9}", MONDAY + number * DAY // per_day
        day, happened = divmod(number, per_day)[0], [("impression", a, {}) for a in "abc"]
        if number % 2:
            happened += [("click", "a", {}), ("dwell", "a", {"dwell_seconds": 40.0})]
        events = [
            event(name, user, kind, a, time + SECOND, received_at=time + 2 * SECOND, **more)
            for kind, a, more in happened
        ]
        last = day == DAYS - 1
        (rows.today if last else rows.earlier).append(
            decision(name, user, time, "abc", "abcd", policy_version="v1", propensities=[0.5, 0.5, 1.0])
        )
        (rows.events if last else rows.earlier_events).extend(events)
    return rows


def of_kind(rows: Rows, kind: str) -> list[dict]:
    return [e for e in rows.events if e["kind"] == kind]


def one_reader(rows: Rows) -> None:
    for row in rows.today + rows.events:
        row["user_id"] = "u0"


def most_of_it_lost(rows: Rows) -> None:
    kept = {row["request_id"] for row in rows.today[:20]}
    rows.today[:] = [row for row in rows.today if row["request_id"] in kept]
    rows.events[:] = [e for e in rows.events if e["request_id"] in kept]


def strange_requests(rows: Rows) -> None:
    for e in rows.events[::10]:
        e["request_id"] = "nobody's"


def a_strange_candidate(rows: Rows) -> None:
    rows.today[5]["candidates"].append("z")


def strange_articles(rows: Rows) -> None:
    for e in of_kind(rows, "impression")[::20]:
        e["article_id"] = "z"


def late_phones(rows: Rows) -> None:
    for e in rows.events:
        if e["time"] < UNTIL - 12 * HOUR:
            e["received_at"] = e["time"] + 7 * HOUR


def a_fast_clock(rows: Rows) -> None:
    rows.events[100]["time"] = rows.events[100]["received_at"] + 61 * MINUTE


def a_decision_of_tomorrow(rows: Rows) -> None:
    rows.today.append(decision("late", "u0", UNTIL + 6 * HOUR, "abc", policy_version="v1", propensities=[1.0] * 3))


def feedback_of_tomorrow(rows: Rows) -> None:
    rows.events[-1] |= {"time": UNTIL + 6 * HOUR, "received_at": UNTIL + 6 * HOUR}


def a_forgotten_propensity(rows: Rows) -> None:
    del rows.today[7]["propensities"]


def an_empty_shelf(rows: Rows) -> None:
    empty = rows.today[::5]
    for row in empty:
        row |= {"slate": [], "propensities": []}
    rows.events[:] = [e for e in rows.events if e["request_id"] not in {row["request_id"] for row in empty}]


def no_impressions(rows: Rows) -> None:
    silent = {row["request_id"] for number, row in enumerate(rows.today) if number % 5 in (0, 1, 2)}
    rows.events[:] = [e for e in rows.events if e["kind"] != "impression" or e["request_id"] not in silent]


def every_impression_clicked(rows: Rows) -> None:
    rows.events[:] = [e for e in rows.events if e["kind"] != "click"]
    rows.events.extend({**e, "event_id": f"{e['event_id']}!", "kind": "click"} for e in of_kind(rows, "impression"))


def no_clicks(rows: Rows) -> None:
    rows.events[:] = [e for e in rows.events if e["kind"] != "click"]


def milliseconds(rows: Rows) -> None:
    for e in of_kind(rows, "dwell"):
        e["dwell_seconds"] *= 1000


def minutes(rows: Rows) -> None:
    for e in of_kind(rows, "dwell"):
        e["dwell_seconds"] /= 60


def nothing(rows: Rows) -> None:
    pass


DAMAGE: list[tuple[str, Callable[[Rows], None], dict[str, Any]]] = [
    ("decisions", nothing, {"min_decisions": 121}),
    ("decisions", nothing, {"max_decisions": 119}),
    ("feedback", nothing, {"min_feedback": 481}),
    ("feedback", nothing, {"max_feedback": 479}),
    ("readers", one_reader, {"min_readers": 2}),
    ("readers", nothing, {"max_readers": 8}),
    ("traffic", most_of_it_lost, {}),
    ("traffic", nothing, {"max_traffic": 0.9}),
    ("unknown_requests", strange_requests, {}),
    ("unknown_candidates", a_strange_candidate, {}),
    ("unknown_articles", strange_articles, {}),
    ("lateness_hours", late_phones, {}),
    ("from_the_future", a_fast_clock, {}),
    ("from_the_future", a_decision_of_tomorrow, {}),
    ("from_the_future", feedback_of_tomorrow, {}),
    ("missing_propensities", a_forgotten_propensity, {}),
    ("empty_slates", an_empty_shelf, {}),
    ("unseen_slates", no_impressions, {}),
    ("click_rate", every_impression_clicked, {}),
    ("click_rate", no_clicks, {}),
    ("dwell_seconds", milliseconds, {}),
    ("dwell_seconds", minutes, {}),
]


def checked(rows: Rows, until: int = UNTIL, **config: Any) -> dict[str, Check]:
    return {found.name: found for found in check(rows.log(), until, ContractConfig(min_rows=50, **config))}


def broken(found: dict[str, Check]) -> list[str]:
    return [name for name, clause in found.items() if not clause.passed]


def test_a_sound_day_keeps_every_clause():
    found = checked(site())
    assert all(clause.judged for clause in found.values())
    assert broken(found) == []
    assert {name: clause.value for name, clause in found.items()} == pytest.approx(
        {
            "decisions": 120,
            "feedback": 480,
            "readers": 9,
            "traffic": 1.0,
            "unknown_requests": 0.0,
            "unknown_candidates": 0.0,
            "unknown_articles": 0.0,
            "lateness_hours": 1 / 3600,
            "from_the_future": 0,
            "missing_propensities": 0.0,
            "empty_slates": 0.0,
            "unseen_slates": 0.0,
            "click_rate": 60 / 360,
            "dwell_seconds": 40.0,
        }
    )


@pytest.mark.parametrize(("clause", "damage", "config"), DAMAGE)
def test_each_damage_breaks_its_own_clause(clause, damage, config):
    rows = site()
    damage(rows)
    assert broken(checked(rows, **config)) == [clause]


def test_every_clause_is_broken_by_some_damage():
    assert {clause for clause, _, _ in DAMAGE} == set(checked(site()))


def test_an_empty_day_is_one_sentence():
    (clause,) = checked(site(), until=UNTIL + 2 * DAY).values()
    assert clause.message == (
        "decisions: found 0 decisions in the 24 h up to 2024-01-07 00:00 UTC, expected at least 1: is the collector up?"
    )
    assert not clause.passed


def test_a_broken_clause_says_found_expected_and_where_to_look():
    rows = site()
    milliseconds(rows)
    message = checked(rows)["dwell_seconds"].message
    assert message == "dwell_seconds: found 40,000 as the median of 60 dwells, expected 1 to 1,800: which unit is it?"


def test_a_small_site_is_not_refused_for_a_few_bad_events():
    rows = site(per_day=4)
    for damage in (strange_requests, an_empty_shelf, no_clicks, milliseconds):
        damage(rows)
    found = {c.name: c for c in check(rows.log(), UNTIL, ContractConfig())}
    assert found["unknown_requests"].value > 0.05
    assert broken(found) == []


def test_a_small_site_is_refused_when_all_of_its_feedback_is_lost():
    rows = site(per_day=4)
    rows.events.clear()
    assert broken({c.name: c for c in check(rows.log(), UNTIL, ContractConfig())}) == ["feedback"]


def test_traffic_is_held_against_whole_days_that_the_log_covers():
    rows = site()
    del rows.earlier[:50]  # the first day is cut: it says nothing about what is usual
    rows.earlier_events[:] = [e for e in rows.earlier_events if e["request_id"] >= rows.earlier[0]["request_id"]]
    assert checked(rows)["traffic"].value == 1.0
    assert checked(rows)["traffic"].what == "times the usual 120 decisions"
    first_day = {c.name: c for c in check(site().log(), MONDAY + DAY, ContractConfig())}["traffic"]
    assert first_day.value is None
    assert first_day.passed


def test_a_slate_is_not_unseen_before_its_feedback_could_arrive():
    rows = site()
    young = {row["request_id"] for row in rows.today if row["time"] >= UNTIL - 6 * HOUR}
    rows.events[:] = [e for e in rows.events if e["request_id"] not in young]
    found = checked(rows)["unseen_slates"]
    assert (found.value, found.rows) == (0.0, 90)


def test_an_empty_slate_has_nothing_to_be_seen():
    rows = site()
    an_empty_shelf(rows)
    found = checked(rows)["unseen_slates"]
    assert (found.value, found.rows) == (0.0, 72)  # of the 90 that are old enough a fifth is empty


def test_what_arrived_while_the_run_was_reading_is_no_future():
    rows = site()
    rows.today.append(decision("next", "u0", UNTIL + 5 * HOUR, "abc", policy_version="v1", propensities=[1.0] * 3))
    rows.events.append(event("next", "u0", "click", "a", UNTIL + 5 * HOUR))
    found = checked(rows)
    assert broken(found) == []
    assert found["decisions"].value == 120
    assert found["feedback"].value == 480


def test_imported_reads_are_no_decisions_of_the_day_and_their_feedback_has_a_request():
    rows = site()
    for number in range(60):
        time = UNTIL - HOUR
        rows.today.append({**decision(f"i{number}", "u1", time, "a"), "policy": IMPORTED_POLICY})
        rows.events.append(event(f"i{number}", "u1", "click", "a", time))
    found = checked(rows)
    assert found["decisions"].value == 120
    assert found["unknown_requests"].value == 0.0


def test_two_days_are_twice_the_window():
    found = {c.name: c for c in check(site().log(), UNTIL, ContractConfig(), days=2)}
    assert found["decisions"].value == 240
    assert "in the 48 h up to" in found["decisions"].what


def test_a_log_without_a_clock_has_no_day():
    with pytest.raises(InvalidEvents, match="only give an order"):
        check(site().log(ORDINAL_TIME), UNTIL, ContractConfig())


@pytest.mark.parametrize(
    "values", [{"min_click_rate": 0.7}, {"max_empty_slates": 1.5}, {"min_readers": -1}, {"max_unknown_articles": -0.1}]
)
def test_impossible_ranges_are_refused(values):
    with pytest.raises(InvalidConfig, match=next(iter(values))):
        from_mapping(ContractConfig, values)
