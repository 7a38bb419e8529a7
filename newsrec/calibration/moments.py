"""What is measured of a log to fit a simulated world to: one number a parameter, on a scale without bounds.

A moment is measured in the same way on the log and on a simulated one, so it does not have to equal the parameter:
where it is biased (sessions take time, slates without a click are not logged, who never came is not seen), it is so on
both sides, and the fit takes the difference.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from newsrec.calibration import measures
from newsrec.calibration.measures import LARGEST_SPREAD, LEAST_SPREAD, Measure
from newsrec.evaluation.log_questions import MEANS, TAILS, Unanswerable
from newsrec.evaluation.observations import Observations
from newsrec.evaluation.resampling import Resampled, resample


class Moments(NamedTuple):
    """M numbers of one log, and what became of them in each resample of its readers."""

    names: tuple[str, ...]
    sample: Resampled
    readers: dict[str, int]
    """Those who have what each moment is about."""
    refusals: dict[str, str]
    """Why a moment is none, or none to fit to."""

    def of(self, names: Sequence[str]) -> Resampled:
        """``names`` [m] in their order."""
        at = [self.names.index(name) for name in names]
        return self.sample._replace(value=self.sample.value[at], draws=self.sample.draws[:, at])


class _Group(NamedTuple):
    """Moments that are computed together."""

    names: tuple[str, ...]
    measure: Callable[[Observations], Measure]
    of: str
    """What the readers must have, for ``needs at least 20 readers with ...``."""
    needs: int = MEANS

    def too_few(self, readers: int) -> str:
        return f"needs at least {self.needs} readers with {self.of}, found {readers}"


def moments(observed: Observations, generator: np.random.Generator, draws: int = 0) -> Moments:
    """All moments of a log, resampled together; few readers are no reason to refuse one, see ``doubts``."""
    measured: dict[tuple[str, ...], Measure] = {}
    refusals: dict[str, str] = {}
    for group in GROUPS:
        try:
            found = group.measure(observed)
            if not np.isfinite(found.weighted(np.ones(observed.readers))).all():
                raise Unanswerable(group.too_few(0))
            measured[group.names] = found
        except Unanswerable as reason:
            refusals |= dict.fromkeys(group.names, str(reason))
    parts = [found.weighted for found in measured.values()]

    def together(weight: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(part(weight) for part in parts)])

    names = tuple(name for group in measured for name in group)
    readers = {name: found.readers for group, found in measured.items() for name in group}
    return Moments(names, resample(together, observed.readers, generator, draws), readers, refusals)


def doubts(observed: Observations, found: Moments) -> dict[str, str]:
    """Moments of a log that nothing should be fitted to, and why: few readers, or a number that means another thing."""
    doubtful = dict(found.refusals)
    for group in GROUPS:
        readers = found.readers.get(group.names[0], group.needs)
        if readers < group.needs:
            doubtful |= dict.fromkeys(group.names, group.too_few(readers))
    value = dict(zip(found.names, found.sample.value, strict=True))
    for name in ("stay_spread", "dwell_spread"):
        if name not in doubtful and value[name] <= np.log(LEAST_SPREAD) + 0.01:
            doubtful[name] = "it differs no more than chance makes it"
        elif name not in doubtful and value[name] >= np.log(LARGEST_SPREAD) - 0.01:
            doubtful[name] = "it differs more than a normal law tells"
    if "oldest_candidate" not in doubtful:
        doubtful |= measures.many_ages(observed)
    return doubtful


GROUPS = (
    _Group(("visit_rate", "visit_concentration"), measures.visits, "a second session"),
    _Group(("stay", "stay_spread"), measures.stays, "a session"),
    _Group(("stay_click",), measures.stays_by_click, "a session"),
    _Group(("dwell", "dwell_spread"), measures.dwell, "a dwell", TAILS),
    _Group(("to_click",), measures.to_click, "a click"),
    _Group(("click_rate",), measures.click_rate, "a slate"),
    _Group(("position_slope",), measures.position_slope, "a slate", TAILS),
    *(_Group((kind,), partial(measures.acts, kind=kind), f"a {kind}") for kind in ("like", "share", "comment", "hide")),
    _Group(("late_share",), measures.late_share, "an event"),
    _Group(("late_minutes",), measures.late_minutes, "late feedback"),
    _Group(("oldest_candidate",), measures.oldest_candidate, "a slate"),
)
