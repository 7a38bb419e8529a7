"""What readers did, read off a log of nine slates written by hand."""

import numpy as np
import pytest

from newsrec.evaluation.observations import Observations, observe, slates_with_click
from newsrec.events import IMPORTED_POLICY, InvalidEvents
from newsrec.features import DAY, HOUR
from tests import logs
from tests.logs import MINUTE, MONDAY, SECOND, article, decision, event

EAST = {"context": {"utc_offset_minutes": 120}}


def slate(request_id: str, user_id: str, hours: float, session_id: str = "s", **more: object) -> dict:
    return decision(request_id, user_id, MONDAY + round(hours * HOUR), "ab", "abc", session_id=session_id, **more)


@pytest.fixture
def observed() -> Observations:
    """Ann: two slates on Monday morning, one in the evening, one on Tuesday. Bob: Monday at 23:00, which is Tuesday
    where he is, and Thursday. Both call their sessions s. Cem came once, at the end; dan is only known from elsewhere.
    """
    decisions = [
        slate("a1", "ann", 8.0),
        slate("b1", "bob", 23.0, **EAST),
        slate("a0", "ann", 7.5),
        slate("a2", "ann", 20.0, "t"),
        slate("a3", "ann", 31.0, "u"),
        slate("b2", "bob", 78.0, "t", **EAST),
        slate("c1", "cem", 80.0),
        slate("d1", "dan", 90.0, policy=IMPORTED_POLICY),
    ]
    start = {row["request_id"]: row["time"] for row in decisions}
    happened = [
        event("a0", "ann", "click", "b", start["a0"] + 50 * SECOND, received_at=start["a0"] + 5 * MINUTE),
        event("a0", "ann", "click", "c", start["a0"] + 20 * SECOND),  # not in the slate
        event("a0", "ann", "dwell", "b", start["a0"] + 80 * SECOND, dwell_seconds=30.0),
        event("b1", "bob", "click", "a", start["b1"] + 4 * SECOND),
        event("d1", "dan", "click", "a", start["d1"]),
        event("gone", "ann", "click", "a", start["a0"]),
    ]
    return observe(logs.log([article("a", MONDAY - HOUR), article("b", MONDAY - DAY)], decisions, happened))


def test_decisions_stand_in_order_of_time_without_imported_reads(observed: Observations) -> None:
    assert observed.log.recommendations["request_id"].to_pylist() == ["a0", "a1", "a2", "b1", "a3", "b2", "c1"]
    assert observed.reader.tolist() == [0, 0, 0, 1, 0, 1, 2]
    assert observed.readers == 3
    assert (observed.end - MONDAY) / HOUR == 80
    assert observed.days == pytest.approx(72.5 / 24)


def test_sessions_of_readers_who_use_the_same_names(observed: Observations) -> None:
    sessions = observed.sessions
    assert sessions.reader.tolist() == [0, 0, 0, 1, 1, 2]
    assert ((sessions.start - MONDAY) / HOUR).tolist() == [7.5, 20, 31, 23, 78, 80]
    assert ((sessions.end - MONDAY) / HOUR).tolist() == [8, 20, 31, 23, 78, 80]
    assert ((sessions.local_start - MONDAY) / HOUR).tolist() == [7.5, 20, 31, 25, 80, 80]
    assert sessions.slates.tolist() == [2, 1, 1, 1, 1, 1]
    assert observed.stayed.tolist() == [True, False, False, False, False, False, False]


@pytest.mark.parametrize(
    ("minutes", "slates"), [(30, [2, 1, 1, 1, 1, 1]), (29, [1, 1, 1, 1, 1, 1, 1]), (800, [4, 1, 1, 1])]
)
def test_sessions_by_silence(observed: Observations, minutes: float, slates: list[int]) -> None:
    """Ann's slates are 30, 720 and 660 minutes apart, bob's 55 hours."""
    found = observe(observed.log, session_gap_minutes=minutes).sessions
    assert found.slates.tolist() == slates
    assert len(set(zip(found.reader, found.start, strict=True))) == len(slates)


def test_gaps_run_from_the_last_slate_to_the_next_session_or_the_log_s_end(observed: Observations) -> None:
    found = sorted(zip(*(column.tolist() for column in observed.gaps), strict=True))
    assert found == [
        (0, 11.0, True),
        (0, 12.0, True),
        (0, 49.0, False),
        (1, 2.0, False),
        (1, 55.0, True),
        (2, 0.0, False),
    ]


def test_days_are_the_reader_s_own(observed: Observations) -> None:
    """Bob's Monday at 23:00 UTC is his Tuesday."""
    monday = MONDAY // DAY
    assert (observed.active_days - [0, monday]).tolist() == [[0, 0], [0, 1], [1, 1], [1, 3], [2, 3]]
    ahead = observed.days_to_next()
    assert (ahead.reader.tolist(), ahead.value.tolist()) == ([0, 1], [1, 2])


def test_a_return_on_the_morrow_is_asked_where_the_log_holds_the_morrow_whole(observed: Observations) -> None:
    """The log ends on Thursday at 8:00, so Wednesday is the last whole morrow and Tuesday the last day asked."""
    rows = observed.next_day_returns()
    assert (rows.reader.tolist(), rows.value.tolist()) == ([0, 0, 1], [1, 0, 0])


def test_clicks_of_slates_and_of_shown_articles(observed: Observations) -> None:
    assert observed.clicked.tolist() == [True, False, False, True, False, False, False]
    assert not observed.only_clicked
    shown = observed.shown
    assert shown.decision[shown.clicked].tolist() == [0, 3]
    assert shown.position[shown.clicked].tolist() == [1, 0]
    assert shown.age_hours[:4] == pytest.approx([8.5, 31.5, 9, 32])
    assert observed.lengths("candidates").value.tolist() == [3] * 7


def test_reads_and_lateness(observed: Observations) -> None:
    assert observed.dwells().value.tolist() == [30]
    seconds = observed.seconds_to_click()
    assert (seconds.reader.tolist(), seconds.value.tolist()) == ([0, 1], [20, 4])
    assert sorted(observed.lateness().value) == pytest.approx([0, 0, 0, 5 - 50 / 60])


def test_positions_are_known_where_all_feedback_names_them(observed: Observations) -> None:
    assert not observed.has_positions
    rows = [event("r", "ann", "leave", None, MONDAY), event("r", "ann", "click", "a", MONDAY, position=0)]
    assert observe(logs.log([article("a")], [slate("r", "ann", 0)], rows)).has_positions


def test_a_log_of_slates_with_a_click_is_seen_as_one(observed: Observations) -> None:
    kept = observe(slates_with_click(observed.log))
    assert kept.log.recommendations["request_id"].to_pylist() == ["a0", "b1"]
    assert kept.only_clicked
    assert np.array_equal(kept.shown.clicked, [False, True, True, False])


def test_a_log_without_decisions_is_refused() -> None:
    with pytest.raises(InvalidEvents, match="the log holds no decision, expected slates that were shown to readers"):
        observe(logs.log([], [slate("d", "dan", 0, policy=IMPORTED_POLICY)], []))
