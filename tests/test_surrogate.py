"""What signs say of the next visit: told from logs whose truth is known."""

import math

import numpy as np
import pytest

from newsrec import surrogate
from newsrec.events import KINDS
from newsrec.surrogate import FEATURES, ReturnModel

READ, DWELL, LIKED, HIDDEN, EMPTY = range(len(FEATURES))


def feedback(*shown: dict[str, float]) -> np.ndarray:
    """[S, kinds]."""
    rows = np.zeros((len(shown), len(KINDS)), np.float32)
    for row, happened in zip(rows, shown, strict=True):
        for kind, amount in happened.items():
            row[KINDS.index(kind)] = amount
    return rows


def test_signs_of_slates_by_hand() -> None:
    """A read of a minute that is liked beside a hidden article; a read of unknown dwell; nothing; two extremes."""
    shown = feedback(
        {"impression": 1, "click": 1, "dwell": 60, "like": 1, "share": 1},
        {"impression": 1, "hide": 1},
        {"impression": 1, "click": 1},
        {"impression": 1},
        {"click": 1, "dwell": 1},
        {"click": 1, "dwell": 3_000},
        {"click": 1, "dwell": 15},
    )
    seen, unknown = surrogate.signs(shown, np.array([0, 0, 1, 2, 3, 3, 3]), 4)
    assert seen[0].tolist() == pytest.approx([1, math.log(2), 1, 1, 0])
    assert seen[1].tolist() == [0, 0, 0, 0, 0], "a read, though nothing is known of it"
    assert seen[2].tolist() == [0, 0, 0, 0, 1]
    assert seen[3].tolist() == pytest.approx([3, -math.log(2), 0, 0, 0]), "the two extremes are cut, and equal out"
    assert unknown.tolist() == [0, 1, 0, 0]


def log(truth: list[float], unknown: float = 0.0, visits: int = 40_000) -> tuple[np.ndarray, ...]:
    """Visits whose hazard follows ``truth``, the log hazards of FEATURES, watched until the first return or a week."""
    rng = np.random.default_rng(3)
    reads = rng.poisson(1.2, visits)
    seen = np.stack(
        [
            reads,
            rng.normal(0, 1, visits) * np.sqrt(reads),
            rng.random(visits) < 0.05,
            rng.random(visits) < 0.03,
            rng.poisson(0.7, visits),
        ],
        1,
    ).astype(float)
    blind = rng.poisson(0.2, visits).astype(float)
    rate = rng.gamma(2.0, 0.3, visits)  # expected by habit, a day
    days = rng.exponential(1.0, visits) / (rate * np.exp(seen @ truth + unknown * blind))
    returned, watched = days < 7.0, np.minimum(days, 7.0)
    return seen, blind, returned.astype(float), rate * watched


def test_the_return_model_finds_what_the_signs_are_worth() -> None:
    truth = [0.03, 0.10, 0.2, -0.2, -0.05]
    found = surrogate.fit(*log(truth, unknown=0.3))
    assert np.all(np.abs(found.coefficient - truth) < 3.5 * found.error)
    assert found.error[DWELL] < 0.01, "or it could be anything"
    assert found.shrunk[DWELL] == pytest.approx(0.10 * found.visits, abs=0.02)


def test_an_open_window_is_neither_a_loss_nor_left_out() -> None:
    """Half of the windows cut at a tenth of their time: the same coefficients, a little less sure."""
    seen, blind, returned, expected = log([0.0, 0.15, 0.0, 0.0, 0.0])
    cut = np.arange(len(seen)) % 2 == 0
    whole = surrogate.fit(seen, blind, returned, expected)
    part = surrogate.fit(seen, blind, returned * ~cut, np.where(cut, expected * 0.1, expected))
    lost = surrogate.fit(seen, blind, returned * ~cut, expected)
    assert part.coefficient[DWELL] == pytest.approx(0.15, abs=3.5 * part.error[DWELL])
    assert whole.error[DWELL] < part.error[DWELL]
    assert lost.visits == pytest.approx(whole.visits)


def test_what_moves_nothing_is_worth_nothing() -> None:
    """Most signs are shrunk to 0, and what is left is small; reads of unknown dwell are not credited."""
    seen, blind, returned, expected = log([0.0] * len(FEATURES), unknown=0.5)
    model = surrogate.fit(seen, blind, returned, expected)
    strong = surrogate.fit(*log([0.0, 0.1, 0.0, 0.0, 0.0]))
    assert np.abs(model.shrunk[[READ, DWELL, EMPTY]]).max() < 0.25 * strong.shrunk[DWELL]
    assert (model.shrunk == 0).sum() >= 2


def test_a_coefficient_within_its_error_is_none() -> None:
    model = ReturnModel(np.array([0.01, -0.02, 0.0]), np.array([0.01, 0.01, 0.01]), 0.5)
    assert model.shrunk.tolist() == pytest.approx([0.0, -0.5 * 0.02 * 0.75, 0.0])


def test_where_good_reads_keep_readers_away_the_sign_turns() -> None:
    assert surrogate.fit(*log([0.0, -0.1, 0.0, 0.0, 0.0])).shrunk[DWELL] < -0.05


def test_each_slate_is_credited_with_its_own_reads() -> None:
    """Two slates of one visit, the second unread; visits without any are no error."""
    shown = feedback({"click": 1, "dwell": 90}, {"impression": 1}, {"click": 1, "dwell": 10})
    row, of_visit = np.array([0, 1, 2]), np.array([0, 0, 1])
    credited, model = surrogate.retention(shown, row, of_visit, np.array([1.0, 0.0]), np.array([0.5, 0.8]))
    seen, _ = surrogate.signs(shown, row, 3)
    assert credited.tolist() == pytest.approx((seen @ model.shrunk).tolist())
    assert credited.dtype == np.float32
    assert surrogate.fit(np.zeros((0, 5)), np.zeros(0), np.zeros(0), np.zeros(0)).shrunk.tolist() == [0.0] * 5
