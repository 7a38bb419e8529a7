"""Who counts: by the first request, or known before and assigned by the hash; and who was in two arms."""

import numpy as np
import pytest

from newsrec import assignment
from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.assigned import at_first_request, at_start, only_experiment
from newsrec.events import IMPORTED_POLICY, NO_READER_IDS, ORDINAL_TIME, InvalidEvents
from newsrec.features import DAY
from tests.evaluation.abtest.logs import NAME, START, log_of, visit

SHARES = {"new": 0.5, "old": 0.5}


def test_readers_are_assigned_by_their_first_request_in_the_experiment() -> None:
    log = log_of(
        [
            visit("ann", 0.0),  # before
            visit("ann", 3.0, "old"),
            visit("bob", 2.0, "new"),
            visit("ann", 2.5, "old"),
            visit("cem", 4.0),  # never in it
        ]
    )
    found = at_first_request(log, NAME)
    assert found.arms == ("new", "old")
    assert found.reader.to_pylist() == ["bob", "ann"]
    assert found.arm.tolist() == [0, 1]
    assert ((found.time - START) / DAY).tolist() == [2.0, 2.5]
    assert found.counts() == {"new": 1, "old": 1}
    assert not found.crossed.any()


def test_a_reader_in_two_arms_stays_in_the_first_and_too_many_are_refused() -> None:
    visits = [visit("ann", 0.0, "old"), visit("bob", 0.1, "new"), visit("ann", 1.0, "new"), visit("bob", 1.5, "new")]
    found = at_first_request(log_of(visits), NAME)
    assert dict(zip(found.reader.to_pylist(), found.arm.tolist(), strict=True)) == {"ann": 1, "bob": 0}
    assert found.crossed.tolist() == [True, False]
    found.refuse_crossed(0.5)
    with pytest.raises(InvalidEvents, match=r"found 1 of 2 readers in more than one arm, such as ann; expected"):
        found.refuse_crossed(0.01)


def test_readers_known_before_are_assigned_by_the_hash_whether_they_come_or_not() -> None:
    names = [f"u{i}" for i in range(40)]
    arms = {name: assignment.arm(name, NAME, SHARES, "pepper") for name in names}
    visits = [visit(name, i / 4) for i, name in enumerate(names)]  # days 0 to 9.75
    visits += [visit(name, 12.0, arms[name]) for name in names[:5]] + [visit("zoe", 12.0, "new")]
    wrong = next(arm for arm in SHARES if arm != arms["u7"])
    visits += [visit("u7", 13.0, wrong)]
    found = at_start(log_of(visits), NAME, START + 10 * DAY, SHARES, "pepper", before_days=8)
    assert found.reader.to_pylist() == names[8:]  # u7 was last seen earlier, zoe never
    assert [found.arms[a] for a in found.arm] == [arms[name] for name in names[8:]]
    assert (found.time == START + 10 * DAY).all()
    assert not found.crossed.any()
    longer = at_start(log_of(visits), NAME, START + 10 * DAY, SHARES, "pepper")
    assert longer.reader.filter(longer.crossed).to_pylist() == ["u7"]
    assert set(longer.counts()) == {"new", "old"}
    assert np.sum(list(longer.counts().values())) == 40


def test_the_only_experiment_needs_no_name_and_one_of_several_does() -> None:
    assert only_experiment(log_of([visit("ann", 0.0), visit("bob", 1.0, "new")])) == NAME
    with pytest.raises(InvalidConfig, match=r"the log has 0 experiments \(none\), expected decisions with experiment"):
        only_experiment(log_of([visit("ann", 0.0)]))
    row, feedback = visit("bob", 1.0, "new")
    with pytest.raises(InvalidConfig, match=r"2 experiments \(front-page, other\), expected a name"):
        only_experiment(log_of([visit("ann", 0.0, "new"), (row | {"experiment": "other"}, feedback)]))


def test_logs_on_which_nothing_can_be_told_are_refused() -> None:
    log = log_of([visit("ann", 0.0, "new")])
    for flag, lacks in ((ORDINAL_TIME, "no clock"), (NO_READER_IDS, "no reader ids")):
        with pytest.raises(InvalidEvents, match=lacks):
            at_first_request(log._replace(flags=frozenset({flag})), NAME)
    with pytest.raises(InvalidEvents, match="in experiment none-such; the log's experiments are front-page"):
        at_first_request(log, "none-such")
    with pytest.raises(InvalidEvents, match="found no reader in the 28 days before"):
        at_start(log, NAME, START, SHARES, "pepper")
    imported = log_of([visit("ann", 0.0, "new", policy=IMPORTED_POLICY), visit("bob", 1.0, "old")])
    assert at_first_request(imported, NAME).reader.to_pylist() == ["bob"]
