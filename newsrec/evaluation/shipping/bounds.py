"""How much better a candidate is than the incumbent in each metric, at least and at most.

Of the contrast d of a metric with standard error e over R readers, turned so that above 0 is better, and m metrics::

    low  = d - t(R - 1, 1 - risk) e            what it is at least
    high = d + t(R - 1, 1 - risk / m) e        what it is at most

Student's quantile and the sandwich error, instead of resamples: the same log always gives the same verdict.

*Why the two differ.* A permission (ship, a share to mix) needs the low end of *every* metric. Whoever is permitted
wrongly breaks some demand, and the low end of that very one must have been wrong: the chance is at most ``risk``
whatever the other metrics do (an intersection-union test, Berger 1982), so that a correction would only cost power. A
refusal needs the high end of *any* metric, and each is a chance to err: hence Bonferroni, which holds for metrics that
depend on each other in any way, and for one that was measured elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from newsrec.evaluation.off_policy.terms import Ratio, Terms
from newsrec.evaluation.off_policy.uncertainty import standard_errors
from newsrec.evaluation.shipping.config import ShippingConfig

ROUNDING = 1e-9
"""In standard errors of the incumbent: differences below are those of floating point."""


class Measured(NamedTuple):
    """A metric of both policies, as the estimators of ``off_policy`` give it; ``higher_is_better`` is not applied."""

    candidate: Terms
    incumbent: Terms
    """From the same rows, or from rows of its own, as of a test of latency."""


@dataclass(frozen=True)
class Bound:
    """What is known of the gain in one metric."""

    metric: str
    gain: float
    low: float
    high: float
    needed: float
    """The gain has to exceed it: ``least_gain`` of the objective, minus the margin of a guard-rail."""
    tolerated: float
    """Largest loss while the candidate is mixed in."""
    error: float
    """Standard error of the gain."""
    deviation: float
    """Of the incumbent's readers."""
    readers: int
    logged: bool
    """Whether it comes from the rows of the objective; False where it was measured elsewhere."""

    @property
    def shown(self) -> bool:
        """Whether all that the data allow is good enough."""
        return self.low > self.needed

    @property
    def broken(self) -> bool:
        """Whether nothing that the data allow is good enough."""
        return self.high <= self.needed


def bounds(measured: Mapping[str, Measured], config: ShippingConfig) -> tuple[Bound, ...]:
    """Of the objective first, then of the guard-rails. Raises ValueError where their metrics are not those measured."""
    lacking = [metric for metric in config.metrics if metric not in measured]
    more = [metric for metric in measured if metric not in config.metrics]
    if lacking or more:
        raise ValueError(
            f"measured are {', '.join(measured) or 'no metrics'}, expected {', '.join(config.metrics)}: "
            f"measure what is asked for, or change the configuration"
        )
    log = measured[config.objective].incumbent
    demands = [(config.higher_is_better, config.least_gain, config.tolerated_loss)]
    demands += [(rail.higher_is_better, -rail.margin, rail.margin) for rail in config.guard_rails]
    found = []
    for metric, (higher, needed, tolerated) in zip(config.metrics, demands, strict=True):
        both = measured[metric]
        (value, _), (error, spread) = standard_errors([contrast(both), both.incumbent])
        if max(abs(value), error) < ROUNDING * spread:
            value, error = 0.0, 0.0  # the same policy twice
        gain = value if higher else -value
        readers = len(np.unique(np.concatenate([both.candidate.reader, both.incumbent.reader])))
        free = max(readers - 1, 1)
        found.append(
            Bound(
                metric,
                float(gain),
                float(gain - stdtrit(free, 1.0 - config.risk) * error),
                float(gain + stdtrit(free, 1.0 - config.risk / len(demands)) * error),
                needed,
                tolerated,
                float(error),
                float(spread * readers**0.5),
                readers,
                same_rows(both.incumbent, log),
            )
        )
    return tuple(found)


def contrast(measured: Measured) -> Terms:
    """Candidate minus incumbent: row by row where the rows are the same, else of two samples."""
    candidate, incumbent = measured
    if same_rows(candidate, incumbent):
        return candidate.minus(incumbent)
    first, second = len(candidate.reader), len(incumbent.reader)
    parts = [_padded(part, 1.0, 0, second) for part in candidate.parts]
    parts += [_padded(part, -1.0, first, 0) for part in incumbent.parts]
    return Terms(np.concatenate([candidate.reader, incumbent.reader]), tuple(parts))


def same_rows(a: Terms, b: Terms) -> bool:
    return a.reader is b.reader or np.array_equal(a.reader, b.reader)


def _padded(part: Ratio, sign: float, before: int, after: int) -> Ratio:
    """``part`` among the rows of another sample, which do not count."""
    below = np.ones(len(part.above)) if part.below is None else part.below
    return Ratio(*(np.pad(values, (before, after)) for values in (sign * part.above, below)))
