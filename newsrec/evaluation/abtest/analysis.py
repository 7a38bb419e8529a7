"""From the log of an experiment to what may be said about it.

One question is asked first, whether the readers were split as planned; where not, nothing below is believed. One figure
decides: active days in 28, CUPED, by a confidence sequence, so that it may be looked at every day. All else explains:
it is read once, at the end, with false discoveries controlled over all of it.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.assigned import Assigned, at_first_request, only_experiment
from newsrec.evaluation.abtest.comparison import Comparison, Index, compare
from newsrec.evaluation.abtest.config import ExperimentConfig
from newsrec.evaluation.abtest.false_discovery import adjusted
from newsrec.evaluation.abtest.outcomes import LeftOut, distinct, outcomes
from newsrec.evaluation.abtest.sample_ratio import SampleRatio, sample_ratio
from newsrec.evaluation.abtest.traffic import index_of
from newsrec.events import EventLog, microseconds


class Analysis(NamedTuple):
    """What may be said about an experiment."""

    experiment: str
    config: ExperimentConfig
    start: int
    """Microseconds, of the first assignment."""
    end: int
    split: SampleRatio
    censored: dict[str, int]
    """Arm -> readers whose window the log's end cuts."""
    crossed: int
    """Readers who were in more than one arm."""
    never_came: int
    """Readers of whole windows without an active day: only where they were assigned before they came."""
    left_out: LeftOut
    comparisons: tuple[Comparison, ...]


def analyse(
    log: EventLog, config: ExperimentConfig, assigned: Assigned | None = None, end: int | None = None
) -> Analysis:
    """The experiment of ``config`` in ``log``, whose readers are ``assigned``, else those of the first requests.

    The log ends at ``end`` (microseconds), as it was known then, or with what it saw last. Raises InvalidConfig where
    the log has no such experiment or control, InvalidEvents where it cannot be read.
    """
    if end is not None:
        log = known_at(log, end)
    once, _ = distinct(log)
    if assigned is None:
        assigned = at_first_request(once, config.experiment or only_experiment(once))
    if config.control not in assigned.arms or len(assigned.arms) < 2:
        found = f"experiment {assigned.experiment} has the arms {', '.join(assigned.arms)}"
        raise InvalidConfig(f"{found}; expected {config.control} (the control) and others")
    assigned.refuse_crossed(config.most_crossed)
    split = sample_ratio(assigned.counts(), config.shares or dict.fromkeys(assigned.arms, 1.0))
    rows = outcomes(log, assigned, config.days, config.before_days, end)
    index: Index
    try:
        index = index_of(once, assigned, config.days, config.before_days, config.early_days)
    except InvalidConfig as error:
        index = str(error)
    control, whole = assigned.arms.index(config.control), rows.complete
    others = [arm for arm in range(len(assigned.arms)) if arm != control]
    return Analysis(
        assigned.experiment,
        config,
        int(assigned.time.min()),
        rows.end,
        split,
        {arm: int((~whole & (assigned.arm == number)).sum()) for number, arm in enumerate(assigned.arms)},
        int(assigned.crossed.sum()),
        int((whole & ~rows.active.any(1)).sum()),
        rows.left_out,
        _with_q_values([compare(rows, arm, control, config, index, split) for arm in others], config.any_dependence),
    )


def known_at(log: EventLog, end: int) -> EventLog:
    """``log`` as it was at ``end`` (microseconds): decisions up to it and the feedback that had arrived."""
    made = pa.array(microseconds(log.recommendations["time"]) <= end)
    arrived = pa.array(microseconds(log.feedback["received_at"]) <= end)
    return log._replace(recommendations=log.recommendations.filter(made), feedback=log.feedback.filter(arrived))


def _with_q_values(compared: list[Comparison], any_dependence: bool) -> tuple[Comparison, ...]:
    """Over all metrics of all arms."""
    q = adjusted(np.array([m.effect.p_value for c in compared for m in c.metrics]), any_dependence)
    left = iter(q.tolist())
    return tuple(c._replace(metrics=tuple(m._replace(q_value=next(left)) for m in c.metrics)) for c in compared)
