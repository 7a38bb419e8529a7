"""Outcomes counted by hand: days from the assignment, zeros, censoring, repeated rows."""

import numpy as np
import pyarrow as pa
import pytest

from newsrec.evaluation.abtest.assigned import Assigned, at_first_request
from newsrec.evaluation.abtest.outcomes import outcomes
from newsrec.events import InvalidEvents
from newsrec.features import DAY
from tests.evaluation.abtest.logs import NAME, START, log_of, visit

VISITS = [
    visit("ann", 0.0),
    visit("ann", 0.5),  # the same day before, counted back from the assignment: days -3 and -2
    visit("ann", 2.5, "new", session="s", clicks="a", hides="b", dwell=[90.0]),
    visit("ann", 2.6, "new", session="s", clicks="ab", dwell=[30.0, 60.0]),
    visit("ann", 3.6, "new"),  # 1.1 days after
    visit("ann", 6.4),  # 3.9 days after, not named as of the experiment: the day counts all the same
    visit("bob", 3.0, "old", clicks="b"),
    visit("cem", 4.5, "old"),
]
END = START + round(8.0 * DAY)


def counted(visits: list, days: int = 4, end: int | None = END):
    log = log_of(visits)
    return outcomes(log, at_first_request(log, NAME), days, before_days=3, end=end)


def test_days_are_counted_from_each_readers_assignment() -> None:
    found = counted(VISITS)
    assert found.assigned.reader.to_pylist() == ["ann", "bob", "cem"]
    assert found.active.astype(int).tolist() == [[1, 1, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]]
    assert found.seen_days.tolist() == [4, 4, 3]
    assert found.complete.tolist() == [True, True, False]
    assert found.closed_day.tolist() == [4, 4, 6]
    assert found.sessions[0].tolist() == [1, 1, 0, 1]
    assert found.clicks[:2].tolist() == [[3, 0, 0, 0], [1, 0, 0, 0]]
    assert found.impressions[0].tolist() == [4, 2, 0, 2]
    assert found.hides.sum(1).tolist() == [1, 0, 0]
    assert found.dwell_minutes[0].tolist() == [3.0, 0, 0, 0]
    assert found.before.tolist() == [[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]


def test_the_past_is_as_long_as_asked_for() -> None:
    log = log_of([visit("ann", 0.0), *VISITS[2:]])
    assigned = at_first_request(log, NAME)
    assert outcomes(log, assigned, 4, before_days=3, end=END).before[0].tolist() == [1.0, 0.0]
    assert outcomes(log, assigned, 4, before_days=2, end=END).before[0].tolist() == [0.0, 1.0]


def test_gaps_run_from_the_end_of_the_first_session_to_the_next_or_to_the_logs_end() -> None:
    found = counted(VISITS)
    assert found.gap_hours == pytest.approx([24.0, 5 * 24.0, 3.5 * 24.0])
    assert found.gap_ended.tolist() == [True, False, False]
    gaps = found.gaps(found.assigned.arm == 1)
    assert gaps.reader.tolist() == [2, 1]
    assert gaps.hours == pytest.approx([84.0, 120.0])


def test_readers_who_never_came_are_rows_of_zeros_with_a_gap_from_the_assignment() -> None:
    log = log_of([visit("ann", 0.5), visit("ann", 2.0, "new"), visit("bob", 0.2)])
    start = START + DAY
    arms = np.array([0, 1])
    known = Assigned(NAME, ("new", "old"), pa.array(["ann", "bob"]), arms, np.full(2, start), np.zeros(2, bool))
    found = outcomes(log, known, 3, 28, end=start + 3 * DAY)
    assert found.active.tolist() == [[False, True, False], [False] * 3]
    assert found.complete.all()
    assert found.gap_hours == pytest.approx([24.0, 72.0])
    assert found.gap_ended.tolist() == [True, False]
    assert found.before.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert not found.impressions[1].any()


def test_without_an_end_the_log_ends_with_what_it_saw_last() -> None:
    found = counted(VISITS, end=None)
    assert found.end == START + round(6.4 * DAY) + 2
    assert found.seen_days.tolist() == [3, 3, 1]
    assert not found.complete.any()
    with pytest.raises(InvalidEvents, match="the log ends before the last reader is assigned"):
        counted(VISITS, end=START + 4 * DAY)


def test_what_is_repeated_counts_once_and_what_belongs_to_nothing_not_at_all() -> None:
    row, feedback = visit("ann", 9.0, "new", clicks="a")
    lost = [feedback[0] | {"event_id": "lost", "request_id": "none-such"}]
    found = counted([*VISITS, VISITS[2], (row | {"request_id": "ann-2.5"}, lost)])
    plain = counted(VISITS)
    assert found.left_out == (2, len(VISITS[2][1]), 1)
    assert plain.left_out == (0, 0, 0)
    for name in ("active", "clicks", "sessions", "impressions", "gap_hours"):
        assert (getattr(found, name) == getattr(plain, name)).all()


def test_early_days_hold_the_past_and_nothing_of_later_days() -> None:
    found = counted(VISITS)
    early = found.early(2)
    assert early[0].tolist() == [2.0, 0.0, 1.0, 1.0, 2.0, 3.0, 3.0]
    assert (counted(VISITS[:5]).early(2)[0] == early[0]).all()
