"""Did as many readers come to each arm as the shares say? Where not, the arms' readers differ and no effect is read.

A lost or a doubled arm's traffic (a slow arm whose readers give up, a filter that one arm passes) shows in the counts
before it shows anywhere else (Fabijan et al. 2019, doi:10.1145/3292500.3330722). With counts n_a, shares p_a and N
readers,

    chi^2 = sum_a (n_a - N p_a)^2 / (N p_a)

Where the ways to split N readers are few, the p-value is the exact probability of a split with that chi^2 or more;
else it is chi-square's. It is read at 0.001: the check is looked at often, and a real loss shows far below.
"""

from math import comb
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc, gammaln

from newsrec.config import InvalidConfig

MISMATCH = 0.001
"""The p-value below which the split is called wrong."""
MOST_SPLITS = 200_000
"""Splits that are gone through one by one."""


class SampleRatio(NamedTuple):
    """How the readers were split."""

    readers: dict[str, int]
    expected: dict[str, float]
    p_value: float
    exact: bool

    @property
    def mismatch(self) -> bool:
        return self.p_value < MISMATCH


def sample_ratio(readers: dict[str, int], shares: dict[str, float]) -> SampleRatio:
    """Whether counts of ``readers`` by arm go with ``shares``, which are scaled to sum 1.

    Raises InvalidConfig where an arm has readers and no share.
    """
    if unknown := sorted(arm for arm, count in readers.items() if count and not shares.get(arm, 0.0) > 0.0):
        found = f"found readers in the arms {', '.join(unknown)}, which have no share"
        raise InvalidConfig(f"{found}; expected a share for each arm, such as {sorted(readers)[0]}=0.5")
    arms = [arm for arm, share in shares.items() if share > 0.0]
    share = np.array([shares[arm] for arm in arms])
    share = share / share.sum()
    counts = np.array([readers.get(arm, 0) for arm in arms])
    total = int(counts.sum())
    expected = dict(zip(arms, (total * share).tolist(), strict=True))
    if not total or len(arms) < 2:
        return SampleRatio(readers, expected, 1.0, True)
    exact = comb(total + len(arms) - 1, len(arms) - 1) <= MOST_SPLITS
    observed = float(_chi_square(counts[None, :], share)[0])
    if exact:
        splits = _splits(total, len(arms))  # [S, A]
        as_far = _chi_square(splits, share) >= observed * (1.0 - 1e-9)
        log_chance = gammaln(total + 1) - gammaln(splits + 1).sum(1) + splits @ np.log(share)
        p_value = float(np.exp(log_chance[as_far]).sum())
    else:
        p_value = float(chdtrc(len(arms) - 1, observed))
    return SampleRatio(readers, expected, min(p_value, 1.0), exact)


def _chi_square(counts: np.ndarray, share: np.ndarray) -> np.ndarray:
    """[S] of ``counts`` [S, A]."""
    expected = counts.sum(1, keepdims=True) * share
    return ((counts - expected) ** 2 / expected).sum(1)


def _splits(total: int, arms: int) -> np.ndarray:
    """[S, A] int64: all ways to split ``total`` readers into ``arms`` arms."""
    heads = np.zeros((1, 0), np.int64)
    for _ in range(arms - 1):
        left = total - heads.sum(1)  # [S] readers not yet placed
        row = np.repeat(np.arange(len(heads)), left + 1)
        count = np.arange(len(row)) - np.repeat(np.cumsum(left + 1) - left - 1, left + 1)
        heads = np.column_stack([heads[row], count])
    return np.column_stack([heads, total - heads.sum(1)])
