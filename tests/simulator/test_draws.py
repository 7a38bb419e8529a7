"""Keyed draws: distribution, independence of keys, and independence of what else is drawn."""

import numpy as np
from scipy.stats import chisquare, kstest

from newsrec.simulator import draws

N = np.arange(40_000)


def test_a_draw_depends_on_its_own_keys_alone() -> None:
    everyone = draws.uniform(3, "click", N[:, None], np.arange(5))
    some = np.array([17, 3, 29_999])
    assert (draws.uniform(3, "click", some[:, None], np.array([4, 0])) == everyone[some][:, [4, 0]]).all()


def test_uniform_and_normal_follow_their_laws() -> None:
    assert kstest(draws.uniform(0, "a", N), "uniform").pvalue > 1e-3
    assert kstest(draws.normal(0, "b", N), "norm").pvalue > 1e-3


def test_neighbouring_keys_purposes_and_seeds_are_independent() -> None:
    """The 8 x 8 table of two draws whose keys differ in one place is flat."""
    base = draws.uniform(0, "a", N, np.array([0]))
    others = {
        "first key": draws.uniform(0, "a", N + 1, np.array([0])),
        "second key": draws.uniform(0, "a", N, np.array([1])),
        "purpose": draws.uniform(0, "b", N, np.array([0])),
        "seed": draws.uniform(1, "a", N, np.array([0])),
        "swapped": draws.uniform(0, "a", np.array([0]), N),
    }
    for name, other in others.items():
        table = np.histogram2d(base, other, bins=8, range=[[0, 1], [0, 1]])[0]
        assert chisquare(table.ravel()).pvalue > 1e-3, name


def test_a_permutation_meets_every_number_once_and_looks_like_none() -> None:
    number = np.arange(2**12)
    shuffled = draws.permuted(0, "user", number, 12)
    assert sorted(shuffled) == number.tolist()
    assert (shuffled != draws.permuted(1, "user", number, 12)).mean() > 0.99
    wide = draws.permuted(0, "user", N, 44) / 2**44
    assert kstest(wide, "uniform").pvalue > 1e-3
    table = np.histogram2d(wide[:-1], wide[1:], bins=8, range=[[0, 1], [0, 1]])[0]
    assert chisquare(table.ravel()).pvalue > 1e-3
