"""The order of what arrives at one moment."""

import numpy as np

from newsrec.simulator.recorder import _by_arrival
from newsrec.simulator.response import Feedback


def feedback(received: np.ndarray, user: np.ndarray) -> Feedback:
    column = np.zeros_like(received)
    return Feedback(column, user, column, column, column, column, column.astype(np.float32), received, received)


def test_events_go_by_arrival_then_user_and_else_stay() -> None:
    rng, now = np.random.default_rng(0), 1_700_000_000_000_000
    user, moments = rng.integers(0, 2**44, 1_000), now + rng.permutation(10**12 + np.arange(1_000))
    alone = feedback(moments.repeat(5), user.repeat(5))  # nobody shares a moment
    assert (np.lexsort((alone.user, alone.received)) == _by_arrival(alone)).all()
    shared = feedback(now + rng.integers(0, 40, 5_000), rng.integers(0, 20, 5_000))
    assert (np.lexsort((shared.user, shared.received)) == _by_arrival(shared)).all()
    far = feedback(rng.integers(0, 2**62, 5_000), rng.integers(0, 20, 5_000))  # no room for rows beside times
    assert (np.lexsort((far.user, far.received)) == _by_arrival(far)).all()
    assert len(_by_arrival(Feedback.none())) == 0
