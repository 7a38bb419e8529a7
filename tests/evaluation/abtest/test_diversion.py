"""Each arm's own log: nothing of the other arm is in it, and what is counted from it does not mix."""

import numpy as np
import pyarrow.compute as pc
import pytest

from newsrec import events
from newsrec.evaluation.abtest.diversion import arms_of, of_arm
from newsrec.events import IMPORTED_POLICY, EventLog, InvalidEvents
from newsrec.snapshots import article_snapshots, reader_snapshots
from tests.evaluation.abtest.logs import NAME, log_of, visit

VISITS = [
    visit("ann", 0.0, clicks="a"),  # before the experiment
    visit("bob", 2.0, "new", clicks="a"),
    visit("ann", 2.1, "old", clicks="b"),
    visit("cem", 2.2, "old", clicks="b"),
    visit("dan", 2.3, clicks="a"),  # meanwhile, outside
    visit("bob", 3.0, "new", clicks="a"),
    visit("cem", 3.1, "new", clicks="a"),  # in both arms
    visit("eve", 5.0, clicks="b", policy=IMPORTED_POLICY),
]


def requests(log: EventLog) -> list[str]:
    return sorted(log.recommendations["request_id"].to_pylist())


def clicks(log: EventLog) -> dict[str, float]:
    """Article -> the most that its decayed clicks of the day ever were."""
    rows = article_snapshots(log).to_pylist()
    return {article: max(row["clicks_day"] for row in rows if row["article_id"] == article) for article in "ab"}


def test_an_arm_gets_its_own_decisions_and_the_time_before() -> None:
    log = log_of(VISITS)
    assert arms_of(log, NAME) == ("new", "old")
    new = of_arm(log, NAME, "new")
    assert requests(new) == ["ann-0.0", "bob-2.0", "bob-3.0", "cem-3.1", "eve-5.0"]
    assert requests(of_arm(log, NAME, "old")) == ["ann-0.0", "ann-2.1", "cem-2.2", "eve-5.0"]
    assert requests(of_arm(log, NAME, "old", with_before=False)) == ["ann-2.1", "cem-2.2"]
    assert set(new.feedback["request_id"].to_pylist()) == set(requests(new))
    assert new.articles.equals(log.articles)
    for name in events.SCHEMAS:
        events.validate(getattr(new, name), name)


def test_popularity_of_the_arms_no_longer_mixes() -> None:
    """Article a was clicked by the new arm's readers alone, b by the old one's."""
    log = log_of(VISITS[1:4] + VISITS[5:6])
    mixed = clicks(log)
    assert min(mixed.values()) > 0.0
    new, old = (clicks(of_arm(log, NAME, arm)) for arm in ("new", "old"))
    assert new["a"] == pytest.approx(mixed["a"])
    assert new["b"] == 0.0
    assert old["b"] == pytest.approx(mixed["b"])
    assert old["a"] == 0.0


def test_a_reader_in_both_arms_has_in_each_the_past_that_the_arm_saw() -> None:
    log = log_of(VISITS)
    of_cem = {arm: reader_snapshots(of_arm(log, NAME, arm)).filter(_is_cem) for arm in ("new", "old")}
    assert [len(of_cem[arm]) for arm in ("new", "old")] == [1, 1]
    assert not of_cem["new"]["event_timestamp"].equals(of_cem["old"]["event_timestamp"])
    assert len(reader_snapshots(log).filter(_is_cem)) == 2


_is_cem = pc.equal(pc.field("user_id"), "cem")


def test_lost_feedback_goes_to_nobody_and_an_arm_that_did_not_serve_is_refused() -> None:
    row, feedback = visit("ann", 1.0)
    log = log_of([*VISITS, (row, [feedback[0] | {"request_id": "none-such"}])])
    assert "none-such" not in of_arm(log, NAME, "new").feedback["request_id"].to_pylist()
    with pytest.raises(InvalidEvents, match="arm newer has no decision in experiment front-page; its arms are new"):
        of_arm(log, NAME, "newer")


def test_the_parts_are_the_whole_but_for_what_happened_outside() -> None:
    log = log_of(VISITS)
    parts = [requests(of_arm(log, NAME, arm, with_before=False)) for arm in arms_of(log, NAME)]
    assert not set(parts[0]) & set(parts[1])
    assert np.sum([len(part) for part in parts]) == 5
