"""Whether a candidate is served: *ship*, *mix*, *refuse* or *not enough evidence*, with the reason and the numbers.

In this order:

1. **refuse** where a guard-rail that was measured elsewhere is broken for sure: more of the log would not change that;
2. **not enough evidence** where the log's weights cannot carry an answer (``diagnostics.judge``), or a metric is not
   defined;
3. **refuse** where the high end of a bound is not good enough: no gain of the objective, or a guard-rail is broken;
4. **ship** where the low ends of all bounds are good enough;
5. **mix** where some share of at least ``least_share`` is safe (``plan.safe_share``) and its readers ever come;
6. **not enough evidence** otherwise, with about how many more readers would decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from newsrec.config import InvalidConfig, digest
from newsrec.evaluation.intervals import Interval
from newsrec.evaluation.off_policy.diagnostics import Evidence, judge
from newsrec.evaluation.shipping.bounds import Bound, Measured, bounds, contrast
from newsrec.evaluation.shipping.config import ShippingConfig
from newsrec.evaluation.shipping.plan import Plan, Volume, explore, missing_readers, safe_share

Decision = Literal["ship", "mix", "refuse", "not enough evidence"]


class Findings(NamedTuple):
    """What is known of a candidate."""

    measured: Mapping[str, Measured]
    """Metric -> both policies; the objective and each guard-rail of the configuration."""
    weight: np.ndarray
    """[n] the candidate's importance weights in the rows of the objective."""
    volume: Volume
    """Of the site, which the plan needs."""
    unsupported_mass: np.ndarray | None = None
    """[n] from ``diagnostics.unsupported``."""


@dataclass(frozen=True)
class Verdict:
    """The answer for one candidate."""

    candidate: str
    incumbent: str
    decision: Decision
    sentence: str
    """The decision with its numbers, readable alone."""
    reasons: tuple[str, ...]
    """Of a refusal or of missing evidence, one a fault."""
    objective: str
    bounds: tuple[Bound, ...]
    """The objective first; told for the record where there is not enough evidence, and not to be believed then."""
    plan: Plan | None
    """Of a mixture."""
    more_readers: int | None
    """That are about missing; None where more would not help, 0 where there is an answer."""
    readers: int
    effective_readers: float
    largest_weight: float
    """Of one decision."""
    mean_weight: Interval
    """Holds 1 where the logged propensities are those that acted."""
    risk: float
    asked: str = ""
    """Digest of the configuration."""

    @property
    def share(self) -> float:
        """Of the readers who may be given the candidate."""
        if self.plan is not None:
            return self.plan.share
        return 1.0 if self.decision == "ship" else 0.0


def decide(candidate: str, findings: Findings, config: ShippingConfig, generator: np.random.Generator) -> Verdict:
    """The verdict on ``candidate``. ``generator`` draws the resamples of the mean weight alone.

    Raises ValueError where ``findings`` hold other metrics than ``config``, and InvalidLog for weights that are none.
    """
    found = bounds(findings.measured, config)
    objective = contrast(findings.measured[config.objective])
    evidence = judge(objective, findings.weight, config.evidence(), generator, findings.unsupported_mass)
    about = _Case(candidate, found, evidence, config)
    elsewhere = [bound for bound in found if not bound.logged and bound.broken]
    if elsewhere:
        return about.refuse(elsewhere)
    if evidence.value is None:
        return about.not_enough(evidence.reasons, evidence.more_readers)
    unknown = tuple(f"{bound.metric} is not defined in these rows" for bound in found if not np.isfinite(bound.error))
    if unknown:
        return about.not_enough(unknown, None)
    broken = [bound for bound in found if bound.broken]
    if broken:
        return about.refuse(broken)
    if all(bound.shown for bound in found):
        return about.ship()
    share, limited_by = safe_share(found, config)
    unsure = tuple(_unsure(bound) for bound in found if not bound.shown)
    if share < config.least_share:
        limit = f"only {share:.2%} of it are safe for {limited_by}, expected {config.least_share:.2%} or more"
        return about.not_enough((*unsure, limit), missing_readers(found, config))
    try:
        return about.mix(unsure, explore(share, limited_by, found, findings.volume, config))
    except InvalidConfig:
        never = f"a mixture of {share:.1%} would need more readers than ever come"
        return about.not_enough((*unsure, never), missing_readers(found, config))


class _Case(NamedTuple):
    """What all verdicts of one call share."""

    candidate: str
    bounds: tuple[Bound, ...]
    evidence: Evidence
    config: ShippingConfig

    def refuse(self, broken: list[Bound]) -> Verdict:
        reasons = tuple(
            f"{bound.metric}: the gain is at most {bound.high:+.4g}, needed is more than {bound.needed:+.4g}"
            for bound in broken
        )
        return self._verdict("refuse", f"refuse {self.candidate}: {'; '.join(reasons)}", reasons)

    def not_enough(self, reasons: tuple[str, ...], more_readers: int | None) -> Verdict:
        missing = (
            "more readers would not help"
            if more_readers is None
            else f"about {more_readers:,} more readers are missing"
        )
        sentence = f"not enough evidence on {self.candidate}, {missing}: {'; '.join(reasons)}"
        return self._verdict("not enough evidence", sentence, reasons, more_readers=more_readers)

    def ship(self) -> Verdict:
        first, *rails = self.bounds
        held = f", and {', '.join(rail.metric for rail in rails)} within the margin" if rails else ""
        shown = f"the gain in {first.metric} is {first.gain:+.4g}, at least {first.low:+.4g}"
        needed = f"needed is more than {first.needed:+.4g}"
        return self._verdict("ship", f"ship {self.candidate}: {shown}, {needed}{held}", ())

    def mix(self, unsure: tuple[str, ...], plan: Plan) -> Verdict:
        cost = ""
        if plan.clicks_at_worst is not None and plan.clicks_expected is not None:
            kind = "gain" if plan.clicks_expected >= 0.0 else "loss"
            cost = f", at the cost of {plan.clicks_at_worst:,.0f} clicks at worst (a {kind} of "
            cost += f"{abs(plan.clicks_expected):,.0f} is expected)"
        sentence = (
            f"mix {plan.share:.1%} of {self.candidate} into {self.config.incumbent} (limited by {plan.limited_by}): "
            f"{'; '.join(unsure)}; {plan.days:,} days ({plan.readers:,} readers) decide the whole{cost}"
        )
        return self._verdict("mix", sentence, unsure, plan)

    def _verdict(
        self,
        decision: Decision,
        sentence: str,
        reasons: tuple[str, ...],
        plan: Plan | None = None,
        more_readers: int | None = 0,
    ) -> Verdict:
        return Verdict(
            candidate=self.candidate,
            incumbent=self.config.incumbent,
            decision=decision,
            sentence=sentence,
            reasons=reasons,
            objective=self.config.objective,
            bounds=self.bounds,
            plan=plan,
            more_readers=more_readers,
            readers=self.evidence.weights.readers,
            effective_readers=self.evidence.weights.effective_readers,
            largest_weight=self.evidence.weights.largest,
            mean_weight=self.evidence.weights.mean,
            risk=self.config.risk,
            asked=digest(self.config),
        )


def _unsure(bound: Bound) -> str:
    ends = f"[{bound.low:+.4g}, {bound.high:+.4g}]"
    more = "" if bound.logged else ", and only more measurements of its own will tell"
    return f"the gain in {bound.metric} is in {ends}, needed is more than {bound.needed:+.4g}{more}"
