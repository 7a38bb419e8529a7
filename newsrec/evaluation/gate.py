"""Whether a candidate may be served: the comparison against thresholds, each refusal with its number.

What counts of an interval is its worse end: a candidate has to show that it is better, being so by luck is not enough.
Guard rails hold what a better ranking could cost: variety of the catalogue and of the lists.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from newsrec.evaluation.comparison import FORMAT
from newsrec.evaluation.ranking import definitions
from newsrec.evaluation.shipping.config import ShippingConfig
from newsrec.slate import SlateConfig

K = 10
"""Length of the lists that the pipeline judges."""

BASELINE = "popularity"
"""Name of the policy that every candidate has to beat."""


@dataclass(frozen=True)
class GateConfig:
    """Thresholds; lifts are differences of the metric, not ratios."""

    metric: str = "ndcg_at_10"
    min_lift_over_incumbent: float = 0.0
    """Less than 0 lets a candidate replace an incumbent that it is at most that much worse than."""
    min_lift_over_popularity: float = 0.0
    min_coverage_of_incumbent: float = 0.8
    """Least catalogue coverage, as a share of the incumbent's."""
    max_same_list: float = 0.5
    """Highest probability that two readers within an hour get the same list; popularity itself is not asked."""
    confidence: float = 0.95
    """Of the intervals that the comparison must have been made with."""
    shipping: ShippingConfig | None = None
    """Where it is given, what the log tells of each policy decides, and the thresholds above are told and veto nothing:
    a policy that gives clicks away for returns ranks clicks worse."""
    slates: SlateConfig = field(default_factory=lambda: SlateConfig("epsilon", epsilon=0.05))
    """How the predictor makes slates of scores (its options --method, --epsilon, --temperature): what the log is asked
    about is the policy as it would act."""

    def __post_init__(self) -> None:
        if self.metric not in definitions(K):
            raise ValueError(f"metric is {self.metric!r}, expected one of {', '.join(definitions(K))}")
        for name in ("min_coverage_of_incumbent", "max_same_list"):
            if getattr(self, name) < 0.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")


@dataclass(frozen=True)
class Check:
    """One threshold and how the candidate stands to it."""

    name: str
    passed: bool
    message: str
    """A sentence with the number, its interval, what was expected and by how much it falls short."""


@dataclass(frozen=True)
class Verdict:
    """Whether to serve ``candidate`` instead of ``incumbent`` (None where nothing is served yet)."""

    candidate: str
    incumbent: str | None
    checks: tuple[Check, ...]

    @property
    def ship(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def decision(self) -> str:
        return "ship" if self.ship else "refuse"

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences of the checks that failed."""
        return tuple(check.message for check in self.checks if not check.passed)

    def to_mapping(self) -> dict[str, Any]:
        return {"ship": self.ship, "decision": self.decision, "reasons": list(self.reasons), **asdict(self)}

    def to_json(self) -> str:
        return json.dumps(self.to_mapping(), indent=2)

    def to_markdown(self) -> str:
        """The decision and every check, as a list."""
        versus = f"instead of {self.incumbent}" if self.incumbent else "as the first release"
        word = "**Ship**" if self.ship else "**Refuse**"
        lines = [f"{word} {self.candidate} {versus}.", ""]
        lines += [f"- {'passed' if check.passed else '**failed**'}: {check.message}" for check in self.checks]
        return "\n".join(lines) + "\n"


def decide(comparison: dict[str, Any], candidate: str, incumbent: str | None, config: GateConfig) -> Verdict:
    """The verdict on ``candidate``; without an incumbent only popularity and the lists count.

    Raises ValueError where the comparison is of another format or confidence, or lacks a policy, baseline or metric.
    """
    _check_comparison(comparison, candidate, incumbent, config)
    checks = [_lift(comparison, candidate, BASELINE, config.metric, config.min_lift_over_popularity)]
    if incumbent is not None:
        checks.append(_change(comparison, candidate, incumbent))
        checks.append(_lift(comparison, candidate, incumbent, config.metric, config.min_lift_over_incumbent))
        checks.append(_coverage(comparison, candidate, incumbent, config.min_coverage_of_incumbent))
    if candidate != BASELINE:
        checks.append(_same_list(comparison, candidate, config.max_same_list))
    return Verdict(candidate, incumbent, tuple(checks))


def _check_comparison(comparison: dict[str, Any], candidate: str, incumbent: str | None, config: GateConfig) -> None:
    if comparison.get("format") != FORMAT:
        raise ValueError(f"the comparison has format {comparison.get('format')}, expected {FORMAT}: evaluate again")
    found = comparison["protocol"]["confidence"]
    if found != config.confidence:
        raise ValueError(f"the comparison has intervals of {found:.0%}, the gate expects {config.confidence:.0%}")
    for name in (candidate, incumbent or candidate, BASELINE):
        if name not in comparison["policies"]:
            raise ValueError(f"the comparison lacks {name}; it holds {', '.join(comparison['policies'])}")
    for name in {BASELINE, incumbent or BASELINE}:
        if name not in comparison["differences"]:
            raise ValueError(f"the comparison has no differences against {name}: name it as a baseline")
    known = comparison["policies"][candidate]
    if config.metric not in known:
        raise ValueError(f"the comparison has no metric {config.metric}; it has {', '.join(known)}")


def _lift(comparison: dict[str, Any], candidate: str, baseline: str, metric: str, least: float) -> Check:
    what = f"{metric} lift over {baseline}"
    if candidate == baseline:
        return _threshold(what, f"0, being {baseline} itself", f"at least {least:.3g}", least)
    lift = comparison["differences"][baseline][candidate]["metrics"][metric]
    if lift["low"] is None:
        return Check(what, False, f"{what} has no interval: fewer than two readers have a decision that defines it")
    return _threshold(what, _interval(lift, "+"), f"at least {least:.3g}", least - lift["low"])


def _change(comparison: dict[str, Any], candidate: str, incumbent: str) -> Check:
    same = comparison["differences"][incumbent][candidate]["same_lists"]
    message = f"{candidate} gives another list than {incumbent} in {1 - same:.1%} of the decisions"
    if same == 1.0:
        message = f"{candidate} gives the same list as {incumbent} in every decision: nothing to gain"
    return Check("change", same < 1.0, message)


def _coverage(comparison: dict[str, Any], candidate: str, incumbent: str, share: float) -> Check:
    name = f"coverage_at_{comparison['protocol']['k']}"
    found, served = (comparison["policies"][policy][name]["mean"] for policy in (candidate, incumbent))
    expected = f"at least {share * served:.4f} ({share:.0%} of the {served:.4f} of {incumbent})"
    return _threshold(name, f"{found:.4f}", expected, share * served - found)


def _same_list(comparison: dict[str, Any], candidate: str, most: float) -> Check:
    name = f"same_list_at_{comparison['protocol']['k']}"
    found = comparison["policies"][candidate][name]
    if found["mean"] is None:
        return Check(name, True, f"{name} could not be measured: no hour has decisions of two readers")
    worst = found["mean"] if found["high"] is None else found["high"]
    return _threshold(name, _interval(found), f"at most {most:.3g}", worst - most, "over")


def _threshold(what: str, found: str, expected: str, miss: float, side: str = "short") -> Check:
    message = f"{what} is {found}, expected {expected}"
    return Check(what, miss <= 0, message if miss <= 0 else f"{message}: {side} by {miss:.2g}")


def _interval(found: dict[str, float | None], sign: str = "") -> str:
    mean, low, high = ("?" if found[end] is None else f"{found[end]:{sign}.4f}" for end in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"
