"""How long policies take to score one request: measured, not logged, and of both in turns.

What slows the machine slows both alike, so their difference says more than either figure. It is that of this machine
and of the policy alone: what a request costs beside it (features, the draw, the log) is the same for both.
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy.logged import Acting
from newsrec.evaluation.off_policy.terms import mean
from newsrec.evaluation.shipping.bounds import Measured

LATENCY = "latency"
REQUESTS, FIRST = 200, 10
"""Decisions that are scored again at most, and how many are scored before that without being counted."""


def latency(
    rows: np.ndarray,
    candidate: tuple[Acting, Decisions],
    incumbent: tuple[Acting, Decisions] | None,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Milliseconds a decision, of up to REQUESTS of ``rows``, each scored by itself by both policies.

    An incumbent that is not there takes no time: what the candidate may take more is then what it may take at all.
    ``clock`` gives seconds.
    """
    picked = rows[np.linspace(0, len(rows) - 1, min(len(rows), REQUESTS)).astype(np.int64)]
    policies = [candidate] if incumbent is None else [candidate, incumbent]
    taken = np.zeros((2, len(picked)))
    for at, row in [(None, row) for row in picked[:FIRST]] + list(enumerate(picked)):
        for who, (acting, decisions) in list(enumerate(policies))[:: 1 if (at or 0) % 2 else -1]:
            batch = decisions.batch(np.array([row]))
            begun = clock()
            with torch.inference_mode():
                acting.scores(batch.state, batch.candidates)
            if at is not None:
                taken[who, at] = 1e3 * (clock() - begun)
    user = candidate[1].user[picked]
    return Measured(*(mean(user, times) for times in taken))
