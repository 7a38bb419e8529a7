"""Data diversion: the log of one arm alone, so that each arm's policy is trained on what it did itself.

Where both arms learn from one log, each profits from the clicks that the other's slates found, popularity counters mix,
and what is compared is no longer two policies: the difference shrinks and can even turn its sign (Li, Wang and Wang
2025, arXiv:2507.11891). Where a policy explores, its own log is also what it paid for (Guo et al. 2023,
arXiv:2304.02572).

    log of an arm = what came before the experiment + the arm's decisions + the feedback on both

The time before is the same for all arms. Decisions made meanwhile outside of the experiment belong to no arm and go to
none. The catalogue goes to all: what is published does not depend on who reads it.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import IMPORTED_POLICY, EventLog, InvalidEvents, microseconds


def arms_of(log: EventLog, experiment: str) -> tuple[str, ...]:
    """The arms that served in ``experiment``, in alphabetical order."""
    arms = log.decisions.filter(pc.equal(log.decisions["experiment"], experiment))["arm"]
    return tuple(sorted(pc.unique(arms.drop_null()).to_pylist()))


def of_arm(log: EventLog, experiment: str, arm: str, with_before: bool = True) -> EventLog:
    """The part of ``log`` that ``arm`` may learn from.

    ``with_before`` keeps what came before the experiment's first decision, and imported reads, which are older.
    Feedback on a request that the log does not hold belongs to no arm. Raises InvalidEvents for an arm that did not
    serve.
    """
    made = log.recommendations
    here = pc.equal(made["experiment"], experiment).fill_null(False).to_numpy()
    own = here & pc.equal(made["arm"], arm).fill_null(False).to_numpy()
    if not own.any():
        served = ", ".join(arms_of(log, experiment)) or "none"
        raise InvalidEvents(f"arm {arm} has no decision in experiment {experiment}; its arms are {served}")
    kept = own
    if with_before:
        time = microseconds(made["time"])
        imported = pc.equal(made["policy"], IMPORTED_POLICY).to_numpy()
        kept = own | imported | (time < time[here].min())
    recommendations = made.filter(pa.array(np.asarray(kept)))
    known = pc.is_in(log.feedback["request_id"], value_set=recommendations["request_id"].combine_chunks())
    return log._replace(recommendations=recommendations, feedback=log.feedback.filter(known))
