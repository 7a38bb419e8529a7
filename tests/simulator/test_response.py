"""What holds for every family of responses: the order of events, the end of the slate, draws by reader and decision."""

import ast
import inspect
from itertools import pairwise

import numpy as np
import pytest

from newsrec.simulator import cascade, response, utility
from newsrec.simulator.cascade import Cascade, CascadeConfig
from newsrec.simulator.response import (
    CLICK,
    COMMENT,
    DWELL,
    HIDE,
    IMPRESSION,
    LEAVE,
    LIKE,
    SHARE,
    ResponseFamily,
)
from newsrec.simulator.utility import Utility, UtilityConfig
from tests.simulator.encounters import agree, encounter, reacted

B, K = 20_000, 3
FAMILIES = {
    "utility": Utility(UtilityConfig(base=0.0, like=0.5, share=0.5, comment=0.5, hide=0.9), 0),
    "cascade": Cascade(
        CascadeConfig(threshold=0.0, threshold_spread=0.0, like=0.9, share=0.9, comment=0.9, hide=0.9), 0
    ),
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> ResponseFamily:
    return FAMILIES[request.param]


def test_families_share_no_code_of_the_response() -> None:
    """They import of the simulator what is no response: draws, marks of parameters, and the types of the interface."""
    for module in (cascade, utility):
        imports = [n for n in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(n, ast.ImportFrom)]
        ours = {f"{n.module}.{alias.name}" for n in imports for alias in n.names if n.module.startswith("newsrec.")}
        allowed = ("newsrec.events.", "newsrec.simulator.luck", "newsrec.simulator.parameters.")
        types = {name for name in ours if not name.startswith(allowed)}
        assert {name.rpartition(".")[0] for name in types} == {"newsrec.simulator.response"}
        assert not any(inspect.isfunction(vars(response)[name.rpartition(".")[2]]) for name in types)


def test_events_of_a_slate_follow_each_other(family: ResponseFamily) -> None:
    """Click, then the rest of the read, then the next position; one after the other down the slate."""
    reaction = reacted(family, encounter(B, K))
    moment, clicked, happened = reaction.moment, reaction.clicked, reaction.happened
    for first, second in pairwise([IMPRESSION, CLICK, LIKE, SHARE, COMMENT, DWELL]):
        assert (moment[:, first] < moment[:, second])[clicked].all()
    assert (happened[:, [CLICK, DWELL]] == clicked[:, None]).all()
    assert not happened[:, [LIKE, SHARE, COMMENT]].all(1)[~clicked].any()
    assert not (happened[:, [LIKE, SHARE, COMMENT]] & ~clicked[:, None]).any()
    assert not (happened[:, HIDE] & (clicked | ~reaction.examined)).any()
    assert min(happened[:, kind].sum() for kind in range(LEAVE + 1)) > 100
    assert (moment[:, DWELL] - moment[:, CLICK])[clicked] == pytest.approx(reaction.dwell[clicked], rel=1e-4)
    both = clicked[:, 0] & clicked[:, 2]
    assert (moment[both, DWELL, 0] < moment[both, CLICK, 2]).all()
    assert (reaction.end > np.where(happened, moment, 0.0)[:, :LEAVE].max((1, 2))).all()
    assert (happened[:, LEAVE, 0] == reaction.left).all()
    assert not happened[:, LEAVE, 1:].any()


def test_a_click_has_its_stated_chance_and_needs_examination(family: ResponseFamily) -> None:
    faced = encounter(B, K, match=np.array([0.0, 0.4, -0.4]))
    reaction, chance = reacted(family, faced), family.chance(faced).numpy()
    assert not (reaction.clicked & ~reaction.examined).any()
    for k in range(K):
        seen = reaction.examined[:, k]
        p = chance[seen, k]
        error = (p * (1 - p)).sum() ** 0.5
        assert abs(reaction.clicked[seen, k].sum() - p.sum()) < 4 * error
    assert (reaction.worth == family.worth(faced).numpy()).all()


def test_nothing_happens_behind_the_end_of_a_slate(family: ResponseFamily) -> None:
    short = reacted(family, encounter(B, K, present=np.array([True, True, False])))
    assert short.happened[:, IMPRESSION].sum(1).tolist() == [2] * B
    assert not short.happened[:, :, 2].any()
    assert not short.examined[:, 2].any()


def test_what_was_read_lately_is_not_read_again(family: ResponseFamily) -> None:
    faced = encounter(B, K, known=np.array([False, True, False]))
    reaction = reacted(family, faced)
    assert not reaction.clicked[:, 1].any()
    assert reaction.clicked[:, 2].any()


def test_interest_and_clickbait_invite_and_clickbait_disappoints(family: ResponseFamily) -> None:
    plain, liked, bait = (encounter(1, 1, **f) for f in ({}, {"match": 1.0}, {"clickbait": 1.0, "disappointment": 1.0}))
    assert family.chance(liked) > family.chance(plain)
    assert family.worth(liked) > family.worth(plain)
    assert family.chance(bait) > family.chance(plain)
    assert family.worth(bait) < family.worth(plain)


def test_what_a_reader_does_depends_on_no_other_reader(family: ResponseFamily) -> None:
    rng = np.random.default_rng(0)
    faced = encounter(200, K, match=rng.normal(size=(200, K)), decision=rng.integers(0, 9, 200))
    rows = rng.permutation(200)[:50]
    for some, everyone in zip(reacted(family, faced.take(rows)), reacted(family, faced), strict=True):
        assert (some == everyone[rows]).all()


def test_two_decisions_are_two_draws(family: ResponseFamily) -> None:
    first, second = (reacted(family, encounter(B, K, decision=d)).clicked[:, 0] for d in (0, 1))
    agree(first[second], first.mean())
