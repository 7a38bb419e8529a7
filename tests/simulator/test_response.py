"""Readers' behaviour against its equations: frequencies within four standard errors of the stated probabilities."""

from itertools import pairwise

import numpy as np
import pytest

from newsrec.simulator.response import (
    CLICK,
    COMMENT,
    DWELL,
    HIDE,
    IMPRESSION,
    LEAVE,
    LIKE,
    SHARE,
    Appeal,
    Feedback,
    Reaction,
    ResponseConfig,
    arrival_delay,
    react,
)

B, K = 50_000, 3
CONFIG = ResponseConfig(position_bias=0.5, like=0.3, share=0.2, comment=0.1, hide=0.4, patience_click=1.0)
LOGIT, WORTH = np.array([0.0, 1.0, -1.0]), np.array([0.2, 0.5, 0.9])


def agree(successes: np.ndarray, probability: float) -> None:
    error = (probability * (1 - probability) / successes.size) ** 0.5
    assert abs(successes.mean() - probability) <= 4 * error


def appeal(present: np.ndarray | None = None, logit: np.ndarray = LOGIT) -> Appeal:
    shape = (B, K)
    shown = np.ones(shape, bool) if present is None else np.broadcast_to(present, shape)
    return Appeal(shown, *(np.broadcast_to(x, shape) for x in (logit, WORTH, np.full(K, 500.0))))


@pytest.fixture(scope="module")
def reaction() -> Reaction:
    return react(CONFIG, appeal(), np.full(B, -0.4), 0, np.arange(B), np.zeros(B, np.int64))


def test_examination_falls_with_the_position_and_clicks_need_it(reaction: Reaction) -> None:
    for k in range(K):
        agree(reaction.examined[:, k], (k + 1) ** -0.5)
        agree(reaction.clicked[reaction.examined[:, k], k], 1 / (1 + np.exp(-LOGIT[k])))
    assert not (reaction.clicked & ~reaction.examined).any()


def test_reactions_follow_worth(reaction: Reaction) -> None:
    for k in range(K):
        clicked = reaction.clicked[:, k]
        skipped = reaction.examined[:, k] & ~clicked
        for kind, share in ((LIKE, 0.3), (SHARE, 0.2), (COMMENT, 0.1)):
            agree(reaction.happened[clicked, kind, k], share * WORTH[k])
            assert not reaction.happened[~clicked, kind, k].any()
        agree(reaction.happened[skipped, HIDE, k], 0.4 * (1 - WORTH[k]) ** 2)
        assert not reaction.happened[~skipped, HIDE, k].any()


def test_dwell_is_log_normal_around_worth(reaction: Reaction) -> None:
    for k in range(K):
        logs = np.log(reaction.dwell[reaction.clicked[:, k], k])
        expected = np.log(CONFIG.dwell_seconds) + CONFIG.dwell_worth * (WORTH[k] - 0.5)
        assert abs(np.median(logs) - expected) < 4 * 1.2533 * CONFIG.dwell_spread / len(logs) ** 0.5
        assert reaction.dwell.max() == CONFIG.dwell_cap_seconds


def test_a_reader_stays_more_often_after_a_click(reaction: Reaction) -> None:
    clicked = reaction.clicked.any(1)
    agree(~reaction.left[clicked], 1 / (1 + np.exp(-0.6)))
    agree(~reaction.left[~clicked], 1 / (1 + np.exp(0.4)))
    assert (reaction.happened[:, LEAVE].sum(1) == reaction.left).all()


def test_events_of_a_slate_follow_each_other(reaction: Reaction) -> None:
    """Click, then the rest of the read, then the next position; one after the other down the slate."""
    moment, clicked = reaction.moment, reaction.clicked
    order = [IMPRESSION, CLICK, LIKE, SHARE, COMMENT, DWELL]
    for first, second in pairwise(order):
        assert (moment[:, first] < moment[:, second])[clicked].all()
    assert (moment[:, DWELL] - moment[:, CLICK])[clicked] == pytest.approx(reaction.dwell[clicked], rel=1e-4)
    both = clicked[:, 0] & clicked[:, 2]
    assert (moment[both, DWELL, 0] < moment[both, CLICK, 2]).all()
    assert (reaction.end > np.where(reaction.happened, moment, 0.0)[:, :LEAVE].max((1, 2))).all()


def test_nothing_happens_behind_the_end_of_a_slate() -> None:
    short = react(CONFIG, appeal(np.array([True, True, False])), np.zeros(B), 0, np.arange(B), np.zeros(B, np.int64))
    assert short.happened[:, IMPRESSION].sum(1).tolist() == [2] * B
    assert not short.happened[:, :, 2].any()


def test_an_article_without_any_chance_is_never_clicked() -> None:
    never = react(CONFIG, appeal(logit=np.full(K, -np.inf)), np.zeros(B), 0, np.arange(B), np.zeros(B, np.int64))
    assert not never.clicked.any()


def test_delays_are_shared_within_a_call_and_lateness_within_a_slate() -> None:
    config = ResponseConfig(late_share=0.2, late_minutes=60.0)
    reader, position = np.repeat(np.arange(B), 3), np.tile([0, 1, 0], B)
    kind = np.tile([IMPRESSION, IMPRESSION, CLICK], B)
    zero = np.zeros(3 * B, np.int64)
    dwell = zero.astype(np.float32)
    first, second, click = (
        arrival_delay(config, 0, Feedback(reader, zero, kind, position, zero, dwell, zero, zero)).reshape(B, 3).T / 1e6
    )
    assert (first == second).all()
    assert (first != click).all()
    late = first > 100
    assert (late == (click > 100)).mean() > 0.999  # late together or not at all
    agree(late, 0.2)
    assert np.median(first[late]) / 60 == pytest.approx(60, rel=0.05)
    assert first.min() > 0
    assert first.max() <= 86_400 + 60


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("like", 1.5),
        ("late_share", -0.1),
        ("scan_seconds", 0.0),
        ("position_bias", -1.0),
        ("dwell_cap_seconds", 4000.0),
    ],
)
def test_impossible_response_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        ResponseConfig(**{field: value})
