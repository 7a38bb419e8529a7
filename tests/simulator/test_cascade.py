"""The cascade against its equations: what was found decides whether the next article is examined."""

import numpy as np
import pytest
from scipy.stats import norm

from newsrec.simulator.cascade import Cascade, CascadeConfig
from newsrec.simulator.response import COMMENT, HIDE, LIKE, SHARE, Reaction
from tests.simulator.encounters import agree, encounter, reacted

B, K = 60_000, 4
CONFIG = CascadeConfig(
    threshold=0.0,
    threshold_spread=0.0,
    interest=1.0,
    quality=0.0,
    substance=0.5,
    substance_interest=0.0,
    substance_quality=1.0,
    persistence=0.8,
    weariness=0.25,
    satiation=0.6,
    haste=2.0,
    like=0.5,
    share=0.4,
    comment=0.3,
    hide=0.5,
)
APPEAL, WORTH = np.array([-0.5, 0.2, 0.0, -1.0]), np.array([0.3, 0.5, 0.8, 0.6])
FACED = encounter(B, K, match=APPEAL, quality=norm.ppf(WORTH), patience=np.log(0.36 / 0.64))


@pytest.fixture(scope="module")
def reaction() -> Reaction:
    return reacted(Cascade(CONFIG, 0), FACED)


def test_chance_crosses_a_threshold_and_clickbait_devours_worth() -> None:
    """By hand: appeal 0.5*1 + 0.2*-1 + 0.4*0.5 + 0.6*0.5 = 0.8, threshold 1 + 0.1*3 = 1.3."""
    config = CascadeConfig(
        threshold=1.0,
        threshold_spread=0.0,
        interest=0.5,
        quality=0.2,
        clickbait=0.4,
        freshness=0.6,
        repetition=0.1,
        substance=0.6,
        substance_interest=0.2,
        substance_quality=0.3,
        disappointment=2.0,
    )
    faced = encounter(1, 1, match=1.0, quality=-1.0, clickbait=0.5, disappointment=0.25, freshness=0.5, repetition=3)
    cascade = Cascade(config, 0)
    assert cascade.chance(faced).item() == pytest.approx(norm.cdf(-0.5))
    assert cascade.worth(faced).item() == pytest.approx(norm.cdf(norm.ppf(0.6) - 0.1) * np.exp(-0.5))


def test_thresholds_are_personal_and_last() -> None:
    cascade = Cascade(CascadeConfig(threshold=0.5, threshold_spread=0.7), 0)
    first, later = (norm.ppf(cascade.chance(encounter(B, 1, decision=d)).numpy())[:, 0] for d in (0, 9))
    assert (first == later).all()
    assert first.mean() == pytest.approx(-0.5, abs=0.02)
    assert first.std() == pytest.approx(0.7, rel=0.02)


def test_the_next_article_is_examined_by_what_was_found(reaction: Reaction) -> None:
    """After a read of worth w: 1 - 0.6 w; after the first, second, third skip in a row: 0.8, 0.6, 0.45."""
    examined, clicked = reaction.examined, reaction.clicked
    assert examined[:, 0].all()
    assert not (examined[:, 1:] & ~examined[:, :-1]).any()
    for k in range(K - 1):
        agree(examined[clicked[:, k], k + 1], 1 - 0.6 * WORTH[k])
    skipped = examined & ~clicked
    run = skipped[:, 0]
    agree(examined[run, 1], 0.8)
    agree(examined[run & skipped[:, 1], 2], 0.6)
    agree(examined[run & skipped[:, 1] & skipped[:, 2], 3], 0.45)
    again = clicked[:, 1] & skipped[:, 2]  # the count starts anew behind a read
    agree(examined[again, 3], 0.8)


def test_who_was_bored_leaves_first_and_who_saw_all_last(reaction: Reaction) -> None:
    """Patience 0.36: its square for the bored, itself for the satisfied, its root for those who went to the end."""
    bored = reaction.examined[:, 0] & ~reaction.clicked[:, 0] & ~reaction.examined[:, 1]
    agree(~reaction.left[bored], 0.36**2)
    satisfied = reaction.clicked[:, 1] & ~reaction.examined[:, 2]
    agree(~reaction.left[satisfied], 0.36)
    never = CascadeConfig(threshold=9.0, persistence=1.0, weariness=0.0, haste=2.0)
    endless = reacted(Cascade(never, 0), FACED)
    assert endless.examined.all()
    agree(~endless.left, 0.6)


def test_reactions_follow_the_square_of_worth(reaction: Reaction) -> None:
    for k in range(K):
        clicked = reaction.clicked[:, k]
        skipped = reaction.examined[:, k] & ~clicked
        for kind, share in ((LIKE, 0.5), (SHARE, 0.4), (COMMENT, 0.3)):
            agree(reaction.happened[clicked, kind, k], share * WORTH[k] ** 2)
        agree(reaction.happened[skipped, HIDE, k], 0.5 * (1 - norm.cdf(APPEAL[k])) ** 2)


def test_dwell_is_weibull_until_all_is_read(reaction: Reaction) -> None:
    whole = 500 / CONFIG.words_per_second
    for k in range(K):
        dwell = reaction.dwell[reaction.clicked[:, k], k]
        scale = CONFIG.fleeting_seconds + (CONFIG.engaged_seconds - CONFIG.fleeting_seconds) * WORTH[k]
        for seconds in (scale / 3, scale, whole - 1):
            agree(dwell > seconds, np.exp(-((seconds / scale) ** CONFIG.dwell_shape)))
        assert dwell.max() == pytest.approx(whole)


@pytest.mark.parametrize(
    ("field", "value"),
    [("persistence", 1.1), ("substance", 1.0), ("threshold_spread", -1.0), ("disappointment", -0.1), ("haste", 0.0)],
)
def test_impossible_cascade_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        CascadeConfig(**{field: value})
