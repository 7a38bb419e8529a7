"""Batches, pools and splits of a log of five decisions, each number worked out by hand."""

import math
from dataclasses import replace
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from newsrec import dataset
from newsrec.decisions import Decisions, time_split
from newsrec.events import KINDS, EventLog
from newsrec.features import DAY, EMBEDDING_DIM, HOUR
from newsrec.reward import RewardConfig
from newsrec.transitions import clicked, shown
from tests.logs import MINUTE, MONDAY, article, decision, event, log, logs

EIGHT = MONDAY + 8 * HOUR
FIRST, SECOND_READER, EMPTY, LAST, OTHER_LAST = range(5)
"""The rows, in order of time: readers u v u u v."""
ROOT = math.sqrt(0.5)
CUBE_ROOT = 0.5 ** (1 / 3)


def five_decisions() -> EventLog:
    articles = [article(a, MONDAY + i * HOUR, embedding=[i + 1.0] * EMBEDDING_DIM) for i, a in enumerate("abcde")]
    decisions = [
        decision("r5", "v", EIGHT + 72 * HOUR + 30 * MINUTE, "ed", "de", propensities=[0.5, 1.0]),
        decision("r1", "u", EIGHT, "ba", "abcd", propensities=[0.5, 0.25]),
        decision("r2", "v", EIGHT + 30 * MINUTE, "e", "ace"),
        decision("r3", "u", EIGHT + DAY, "", "ab", propensities=[], context={"utc_offset_minutes": 540}),
        decision("r4", "u", EIGHT + 60 * HOUR, "cab", "abcde", propensities=[0.2, 0.25, 1.0]),
    ]
    feedback = [
        event("r1", "u", "impression", "a", EIGHT),
        event("r1", "u", "impression", "b", EIGHT),
        event("r1", "u", "click", "b", EIGHT + MINUTE),
        event("r1", "u", "dwell", "b", EIGHT + 2 * MINUTE, dwell_seconds=45.0),
        event("r1", "u", "dwell", "b", EIGHT + 3 * MINUTE, dwell_seconds=15.0),
        event("r1", "u", "like", "a", EIGHT + 3 * MINUTE, received_at=EIGHT + 100 * HOUR),
        event("r1", "u", "click", "d", EIGHT + 4 * MINUTE),  # was a candidate, but not shown
        event("r1", "u", "leave", None, EIGHT + 5 * MINUTE),
        event("r2", "v", "hide", "e", EIGHT + 31 * MINUTE),
        event("r4", "u", "share", "c", EIGHT + 61 * HOUR),
        event("r5", "v", "click", "d", EIGHT + 73 * HOUR),
        event("r5", "v", "click", "d", EIGHT + 74 * HOUR),
        event("unknown", "v", "click", "e", EIGHT + 73 * HOUR),
    ]
    return log(articles, decisions, feedback)


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return dataset.from_log(five_decisions())


def kinds(**counts: float) -> list[float]:
    return [counts.get(kind, 0.0) for kind in KINDS]


def test_decisions_stand_in_order_of_time(decisions: Decisions) -> None:
    assert len(decisions) == 5
    assert ((decisions.time - EIGHT) / HOUR).tolist() == [0.0, 0.5, 24.0, 60.0, 72.5]
    u, v = decisions.user[:2]
    assert decisions.user.tolist() == [u, v, u, u, v]
    assert decisions.utc_offset.tolist() == [0, 0, 540, 0, 0]
    assert decisions.next_row.tolist() == [EMPTY, OTHER_LAST, LAST, -1, -1]


def test_slates_are_positions_in_the_candidates(decisions: Decisions) -> None:
    batch = decisions.batch(np.array([LAST, FIRST, EMPTY, OTHER_LAST]))
    assert batch.slate.tolist() == [[2, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert batch.slate_mask.sum(1).tolist() == [3, 2, 0, 2]
    assert batch.candidates.article_index.tolist() == [
        [1, 2, 3, 4, 5],
        [1, 2, 3, 4, 0],
        [1, 2, 0, 0, 0],
        [4, 5, 0, 0, 0],
    ]
    assert batch.candidates.mask.sum(1).tolist() == [5, 4, 2, 2]


def test_feedback_is_counted_by_kind_and_dwell_in_seconds(decisions: Decisions) -> None:
    first, second, empty, last, other = decisions.batch(np.arange(5)).feedback.tolist()
    nothing = kinds()
    assert first == [kinds(impression=1, click=1, dwell=60), kinds(impression=1, like=1), nothing]
    assert second == [kinds(hide=1), nothing, nothing]
    assert empty == [nothing] * 3
    assert last == [kinds(share=1), nothing, nothing]
    assert other == [nothing, kinds(click=2), nothing]


def test_rewards_and_what_follows_them(decisions: Decisions) -> None:
    batch = decisions.batch(np.arange(5))
    rewards = [1.0 + 0.2 + 2.0, -3.0, 0.0, 3.0, 2.0]
    assert batch.reward.tolist() == pytest.approx(rewards)
    assert batch.discount[:3].tolist() == pytest.approx([CUBE_ROOT, 0.5, ROOT])
    assert 0.0 < batch.discount[3].item() < 0.5 ** (12.5 / 72), "the log ends 12.5 hours later"
    assert 0.0 < batch.discount[4].item() < 1.0
    assert batch.censored.tolist() == [False, False, False, True, True]
    of_empty = ROOT * 3.0
    returns = [3.2 + CUBE_ROOT * of_empty, -3.0 + 0.5 * 2.0, of_empty, 3.0, 2.0]
    assert batch.return_to_go.tolist() == pytest.approx(returns)


def test_propensities_are_logarithms_and_nan_where_the_log_has_none(decisions: Decisions) -> None:
    found = decisions.batch(np.array([FIRST, SECOND_READER, EMPTY])).log_propensity
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, [[math.log(0.5), math.log(0.25)], [math.nan, 0.0], [0.0, 0.0]], rtol=1e-6)


def test_the_state_is_that_before_the_decision(decisions: Decisions) -> None:
    state = decisions.batch(np.arange(5)).state
    read = [index[mask].tolist() for index, mask in zip(state.history_index, state.history_mask, strict=True)]
    assert read == [[], [], [2, 4], [2, 4], []]
    assert state.context[:, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 0.0]
    local_hour = 2 * math.pi * 17 / 24  # 8:00 UTC is 17:00 at nine hours ahead
    assert state.context[EMPTY, 1].item() == pytest.approx(math.sin(local_hour), abs=1e-6)


def test_candidates_carry_age_and_popularity_of_their_moment(decisions: Decisions) -> None:
    found = decisions.batch(np.array([EMPTY])).candidates
    assert found.age_hours.tolist() == [[32.0, 31.0]]
    day_a, day_b, day_c, day_d = (0.5 ** ((24.0 - minutes / 60) / 24) for minutes in range(4))
    shown = day_a  # both impressions were at eight
    np.testing.assert_allclose(found.popularity[0, 0, 1:], [0.0, 1.0 / (shown + 20), 0.0], rtol=1e-5)
    np.testing.assert_allclose(
        found.popularity[0, 1],
        [
            math.log1p(0.5 ** (24 - 1 / 60)),
            math.log1p(day_b),
            (day_b + 1) / (shown + 20),
            math.log((1.5 * day_c + 0.5 * day_d + 3) / (day_b + 3)),
        ],
        rtol=1e-5,
    )


def test_what_follows_the_last_decision_of_a_reader_is_its_own_state(decisions: Decisions) -> None:
    batch = decisions.batch(np.array([LAST, FIRST, OTHER_LAST]), successors=True)
    assert batch.next_state is not None
    assert batch.next_candidates is not None
    assert batch.next_candidates.article_index.tolist() == [[1, 2, 3, 4, 5], [1, 2, 0, 0, 0], [4, 5, 0, 0, 0]]
    for row in (0, 2):
        assert equal(batch.next_state, batch.state, row, row)
        assert equal(batch.next_candidates, batch.candidates, row, row)
    assert decisions.batch(np.arange(5)).next_state is None


def test_returns_and_visits_are_those_of_the_reader(decisions: Decisions) -> None:
    batch = decisions.batch(np.arange(5))
    assert batch.visit_end.all(), "hours lie between the decisions of a reader"
    assert batch.returned.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert (batch.expected[:4] > 0).all()
    assert batch.expected[OTHER_LAST] == 0.0, "the log ends with it"
    soon = dataset.from_log(five_decisions(), RewardConfig(return_horizon_hours=25.0)).batch(np.arange(5))
    assert soon.returned.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0], "after 24, 72, 36 hours"


def test_two_steps_by_hand(decisions: Decisions) -> None:
    """u: r1 3.2, nothing, r4 3.0 and open; v: -3, then 2.0 and open."""
    two = decisions.n_step(2)
    worth = decisions.discount
    expected = [3.2 + CUBE_ROOT * 0.0, -3.0 + 0.5 * 2.0, ROOT * 3.0, 3.0, 2.0]
    assert two.reward.tolist() == pytest.approx(expected)
    assert two.next_row.tolist() == [LAST, -1, -1, -1, -1]
    discounts = [CUBE_ROOT * ROOT, 0.5 * worth[4], ROOT * worth[3], worth[3], worth[4]]
    assert two.discount.tolist() == pytest.approx(discounts)
    assert np.array_equal(decisions.n_step(1).reward, decisions.reward)


def test_two_steps_hold_the_returns_after_the_visits_that_end_within_them(decisions: Decisions) -> None:
    """u comes back after the first visit and after the second; v comes back once, and its last visit is open."""
    two, own = decisions.n_step(2), decisions.expected
    assert two.returned.tolist() == pytest.approx([1.0 + CUBE_ROOT, 1.0, 1.0, 0.0, 0.0])
    assert two.expected[:3].tolist() == pytest.approx(
        [own[0] + CUBE_ROOT * own[2], own[1] + 0.5 * own[4], own[2] + ROOT * own[3]]
    )
    within = replace(decisions, visit_end=np.array([False, True, False, True, True])).n_step(2)
    assert within.visit_end.tolist() == [False, True, True, True, True]
    assert within.returned.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0], "of the last visit alone; row 0 keeps its own"


def test_decisions_are_credited_by_signs_or_by_the_outcome() -> None:
    """The outcome stands at the end of a visit alone; steps sum the credit as they sum rewards."""
    outcome = dataset.from_log(five_decisions(), RewardConfig(retention="outcome"))
    residual = (outcome.returned - outcome.expected) * outcome.visit_end
    assert outcome.retention.tolist() == pytest.approx(residual.tolist())
    assert outcome.batch(np.arange(5)).retention.tolist() == pytest.approx(residual.tolist())
    two = outcome.n_step(2)
    assert two.retention[0] == pytest.approx(residual[0] + CUBE_ROOT * residual[2])
    signs = dataset.from_log(five_decisions()).retention
    assert signs.shape == (5,)
    assert signs.tolist() != outcome.retention.tolist()


def equal(ours: Any, theirs: Any, row: int, other: int) -> bool:
    """Whether row ``row`` of one tuple of tensors equals row ``other`` of another, whatever their padding."""
    for a, b in zip(ours, theirs, strict=True):
        length = min(a.shape[1], b.shape[1])
        padding = torch.cat([a[row, length:], b[other, length:]])
        if padding.any() or not torch.equal(a[row, :length], b[other, :length]):
            return False
    return True


@settings(max_examples=40, deadline=None)
@given(logs(), st.data())
def test_what_follows_a_decision_is_what_the_next_one_saw(log: EventLog, data: Any) -> None:
    decisions = dataset.from_log(log)
    rows = np.array(data.draw(st.permutations(range(len(decisions)))))
    batch, whole = decisions.batch(rows, successors=True), decisions.batch(np.arange(len(decisions)))
    for i, row in enumerate(rows):
        assert equal(batch.state, whole.state, i, row), "a row does not depend on its batch"
        following = decisions.next_row[row]
        if following < 0:
            assert 0.0 < batch.discount[i] < 1.0
            assert equal(batch.next_state, whole.state, i, row)
            assert batch.return_to_go[i] == batch.reward[i]
            assert not (decisions.user == decisions.user[row])[row + 1 :].any()
            continue
        assert decisions.user[following] == decisions.user[row]
        assert not (decisions.user[row + 1 : following] == decisions.user[row]).any()
        assert equal(batch.next_state, whole.state, i, following)
        assert equal(batch.next_candidates, whole.candidates, i, following)
        hours = (decisions.time[following] - decisions.time[row]) / HOUR
        assert batch.discount[i].item() == pytest.approx(0.5 ** (hours / 72.0))
        to_go = batch.reward[i] + batch.discount[i] * whole.return_to_go[following]
        assert batch.return_to_go[i].item() == pytest.approx(to_go.item(), abs=1e-5)


def test_a_log_of_one_decision() -> None:
    one = dataset.from_log(log([article("a")], [decision("r", "u", EIGHT, "a")], []))
    batch = one.batch(np.array([0, 0]), successors=True)
    assert batch.slate.tolist() == [[0], [0]]
    assert batch.censored.tolist() == [True, True]
    assert batch.reward.tolist() == batch.return_to_go.tolist() == batch.expected.tolist() == [0.0, 0.0]
    assert one.pool(np.array([0])).row.tolist() == [[1]]


def test_decisions_of_one_moment_stand_in_order_of_their_request() -> None:
    twins = [decision("s", "u", EIGHT, "b"), decision("r", "u", EIGHT, "a"), decision("t", "u", EIGHT, "ab")]
    same = dataset.from_log(log([article("a"), article("b")], twins, []))
    assert same.batch(np.arange(3)).candidates.article_index.tolist() == [[1, 0], [2, 0], [1, 2]]
    assert same.next_row.tolist() == [1, 2, -1]
    assert same.discount[:2].tolist() == [1.0, 1.0]


def test_the_pool_is_every_candidate_of_the_hour(decisions: Decisions) -> None:
    pool = decisions.pool(np.array([OTHER_LAST, FIRST, SECOND_READER, LAST]))
    assert pool.row.tolist() == [[4, 5, -1, -1, -1], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
    assert torch.equal(pool.candidates.mask, pool.row >= 0)
    names = ["".join(" abcde"[i] for i in row[mask]) for row, mask in zip(pool.row, pool.clicked, strict=True)]
    assert names == ["d", "b", "", ""], "a share is no click, nor is a click on what was not shown"
    names = ["".join(" abcde"[i] for i in row[mask]) for row, mask in zip(pool.row, pool.read, strict=True)]
    assert names == ["", "", "", "bd"], "what was read before, not at the decision"
    assert pool.state.history_mask.sum(1).tolist() == [0, 0, 0, 2]


def test_a_pool_scores_its_own_candidates_like_the_batch(decisions: Decisions) -> None:
    pool, batch = decisions.pool(np.arange(5)), decisions.batch(np.arange(5))
    for row in range(5):
        mask = batch.candidates.mask[row]
        where = (pool.row[row][None] == batch.candidates.article_index[row][mask][:, None]).int().argmax(1)
        for ours, theirs in zip(pool.candidates, batch.candidates, strict=True):
            assert torch.equal(ours[row][where], theirs[row][mask])


def test_a_slate_that_is_empty_has_a_pool(decisions: Decisions) -> None:
    pool = decisions.pool(np.array([EMPTY, LAST]))
    assert pool.row[0].tolist() == [1, 2, -1, -1, -1]
    assert not pool.clicked[0].any()
    assert pool.read[0].tolist() == [False, True, False, False, False]


def test_without_time_the_log_keeps_its_order_and_its_rewards(decisions: Decisions) -> None:
    timeless = dataset.from_log(five_decisions(), use_time=False)
    ours, theirs = timeless.batch(np.arange(5)), decisions.batch(np.arange(5))
    assert torch.equal(ours.state.history_index, theirs.state.history_index)
    assert torch.equal(ours.reward, theirs.reward)
    for column in (ours.state.history_age_hours, ours.state.context[:, 1:], ours.candidates.age_hours):
        assert not column.any()
    assert not timeless.pool(np.arange(5)).candidates.popularity.any()


def split(time: list[int], validation: float, test: float) -> list[list[int]]:
    return [rows.tolist() for rows in time_split(np.array(time), validation, test)]


def test_the_split_is_by_time() -> None:
    assert split([*range(10)], 0.2, 0.3) == [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]]
    assert split([5, 4, 3, 2, 1], 0.2, 0.2) == [[2, 3, 4], [1], [0]]


def test_a_share_of_zero_is_empty() -> None:
    assert split([*range(4)], 0.0, 0.0) == [[0, 1, 2, 3], [], []]
    assert split([*range(4)], 0.25, 0.0) == [[0, 1, 2], [3], []]
    assert split([*range(4)], 0.0, 0.25) == [[0, 1, 2], [], [3]]
    assert split([*range(4)], 0.5, 0.5) == [[], [0, 1], [2, 3]]


def test_decisions_of_one_moment_stay_together() -> None:
    assert split([1, 2, 3, 3, 3, 4, 5, 5], 0.25, 0.125) == [[0, 1, 2, 3, 4], [5], [6, 7]]


shares = st.sampled_from([0.0, 0.1, 0.2, 0.5])


@given(st.lists(st.integers(0, 10), min_size=1), shares, shares)
def test_the_parts_are_disjoint_ordered_and_complete(time: list[int], validation: float, test: float) -> None:
    parts = split(time, validation, test)
    assert sorted(chain(*parts)) == list(range(len(time)))
    moments = [[time[row] for row in part] for part in parts if part]
    for before, after in pairwise(moments):
        assert max(before) < min(after)
    assert len(parts[2]) >= round(test * len(time))


def test_shown_is_the_slate_of_the_candidates_and_clicked_what_was_clicked_of_it(decisions: Decisions) -> None:
    batch = decisions.batch(np.array([LAST, FIRST, EMPTY, OTHER_LAST]))
    found = shown(batch)
    names = ["".join(" abcde"[i] for i in row[mask]) for row, mask in zip(found.article_index, found.mask, strict=True)]
    assert names == ["cab", "ba", "", "ed"]
    assert found.content[0, :, 5].tolist() == [3.0, 1.0, 2.0]
    np.testing.assert_allclose(found.age_hours[0], [66.0, 68.0, 67.0])
    assert found.popularity.shape == (4, 3, 4)
    first = batch.slate[1, 0]
    assert torch.equal(found.popularity[1, 0], batch.candidates.popularity[1, first])
    assert clicked(batch).tolist() == [[False] * 3, [True, False, False], [False] * 3, [False, True, False]]
