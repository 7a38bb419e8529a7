"""Utility with position bias against its equations: frequencies within four standard errors of the probabilities."""

import numpy as np
import pytest

from newsrec.simulator.response import COMMENT, HIDE, LEAVE, LIKE, SHARE, Reaction
from newsrec.simulator.utility import Utility, UtilityConfig
from tests.simulator.encounters import agree, encounter, reacted

B, K = 50_000, 3
CONFIG = UtilityConfig(
    base=0.0,
    interest=1.0,
    worth_base=0.0,
    worth_interest=0.0,
    worth_quality=0.0,
    worth_clickbait=1.0,
    position_bias=0.5,
    like=0.3,
    share=0.2,
    comment=0.1,
    hide=0.4,
    dwell_cap_seconds=200.0,
    patience_click=1.0,
)
LOGIT, WORTH = np.array([0.0, 1.0, -1.0]), np.array([0.2, 0.5, 0.9])
FACED = encounter(B, K, match=LOGIT, disappointment=-np.log(WORTH / (1 - WORTH)), patience=-0.4)


@pytest.fixture(scope="module")
def reaction() -> Reaction:
    return reacted(Utility(CONFIG, 0), FACED)


def test_chance_and_worth_are_logistic_in_their_parts() -> None:
    """By hand: logit -1 + 2*0.5 + 0.5*1 + 1*0.2 + 0.4*0.5 - 0.7*2 = -0.5; worth 0.1 + 0.5*0.5 + 0.3 - 2*0.4 = -0.15."""
    config = UtilityConfig(
        base=-1.0,
        interest=2.0,
        quality=0.5,
        clickbait=1.0,
        freshness=0.4,
        repetition=0.7,
        worth_base=0.1,
        worth_interest=0.5,
        worth_quality=0.3,
        worth_clickbait=2.0,
    )
    faced = encounter(1, 1, match=0.5, quality=1.0, clickbait=0.2, disappointment=0.4, freshness=0.5, repetition=2)
    utility = Utility(config, 0)
    assert utility.chance(faced).item() == pytest.approx(1 / (1 + np.exp(0.5)))
    assert utility.worth(faced).item() == pytest.approx(1 / (1 + np.exp(0.15)))


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


@pytest.mark.parametrize(
    ("field", "value"),
    [("like", 1.5), ("scan_seconds", 0.0), ("position_bias", -1.0), ("dwell_cap_seconds", 4000.0)],
)
def test_impossible_utility_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        UtilityConfig(**{field: value})
