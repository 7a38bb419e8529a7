"""Controls: a log in which what followed a decision is that of another one.

States, candidates and slates stay where they are, so nothing that can be seen beforehand tells what follows. Whatever
a policy still wins after learning from such a log, it has not learnt from what readers did.

``rewards``
    engagement, discount, what a slate is credited with, and what of the next visit was seen;
``outcomes``
    these and what readers did with the slate, which is where engagement and credit come from: a click model learns
    from it, too.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from newsrec.decisions import Decisions

FOLLOWED = ("reward", "discount", "visit_end", "returned", "expected", "retention", "return_to_go")
"""Of each decision, [N]."""


def permuted(decisions: Decisions, what: Literal["rewards", "outcomes"], rng: np.random.Generator) -> Decisions:
    """``decisions`` with ``what`` exchanged at random among those of as many shown articles."""
    offsets = decisions.slate.offsets
    source = exchanged(np.diff(offsets), rng)  # [N]
    changed = {name: getattr(decisions, name)[source] for name in FOLLOWED}
    if what == "outcomes":
        position, shown = np.arange(offsets[-1]) - offsets[decisions.slate.row], offsets[source][decisions.slate.row]
        changed["feedback"] = decisions.feedback[shown + position]
    return replace(decisions, **changed)


def exchanged(length: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[N] int64, for each decision another one with the same ``length`` [N] of its slate; a permutation."""
    source = np.arange(len(length))
    for rows in (np.flatnonzero(length == one) for one in np.unique(length)):
        source[rows] = rng.permutation(rows)
    return source
