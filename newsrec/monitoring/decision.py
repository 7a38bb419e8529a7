"""What to do about the served release: ``keep``, ``retrain`` or ``roll_back``, each by a rule with a name.

    roll_back   bad_release   the value is surely worse than the predecessor's, which can be served again
    retrain     no_release    nothing is served
                drift         a judged feature drifted
                age           the data that the release knows are too old
                growth        too many decisions are new to it

Every rule is asked and says its numbers, whether it fires or not. A roll-back outranks a retraining: what is served has
to stop harming first, and the next run retrains where a rule still says so.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from newsrec.evaluation.intervals import Interval
from newsrec.features import DAY
from newsrec.monitoring.drift import Drift
from newsrec.monitoring.live_value import LiveValue

Action = Literal["keep", "retrain", "roll_back"]


@dataclass(frozen=True)
class RulesConfig:
    """Thresholds."""

    tolerance: float = 0.05
    """Share of the predecessor's value that a release may lose."""
    min_decisions: int = 500
    """Of each of the two releases, so that a bad first hour withdraws nobody."""
    min_readers: int = 40
    """Of each: with fewer the interval is too narrow (see ``evaluation.intervals``)."""
    max_age_days: float = 7.0
    """Between the newest event that the release knows and the run."""
    max_growth: float = 0.5
    """Decisions since then, as a share of those before."""

    def __post_init__(self) -> None:
        for name in ("tolerance", "max_age_days", "max_growth"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        for name in ("min_decisions", "min_readers"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 2 or more")


class Standing(NamedTuple):
    """What the rules have to know of the served release."""

    version: str
    previous: str | None
    rolled_back: str | None
    """The version that was withdrawn in favour of this one."""
    data_until: int
    """Microseconds, the newest event that it knows."""
    known: int
    """Decisions of the log up to then."""
    new: int
    """Decisions of the log since then."""


class Rule(NamedTuple):
    """One rule's answer."""

    name: str
    action: Action
    fired: bool
    message: str
    """A sentence with the number and the threshold."""


class Verdict(NamedTuple):
    """What to do, and what every rule said."""

    action: Action
    rules: list[Rule]

    @property
    def reasons(self) -> list[str]:
        """Names of the rules that asked for the action."""
        return [rule.name for rule in self.rules if rule.fired and rule.action == self.action]


def nothing_served() -> Verdict:
    """The verdict where there is no release yet."""
    return Verdict("retrain", [Rule("no_release", "retrain", True, "nothing is served yet")])


def decide(served: Standing, value: LiveValue, drifts: Mapping[str, Drift], until: int, config: RulesConfig) -> Verdict:
    """The verdict on ``served`` at ``until`` (microseconds)."""
    rules = [
        _bad_release(served, value, config),
        _drift(drifts),
        _age(served, until, config),
        _growth(served, config),
    ]
    fired = {rule.action for rule in rules if rule.fired}
    action: Action = "roll_back" if "roll_back" in fired else "retrain" if fired else "keep"
    return Verdict(action, rules)


def _bad_release(served: Standing, value: LiveValue, config: RulesConfig) -> Rule:
    def rule(message: str, fired: bool = False) -> Rule:
        return Rule("bad_release", "roll_back", fired, message)

    if served.previous is None:
        return rule(f"{served.version} has no predecessor to go back to")
    for version, side in ((served.version, value.live), (served.previous, value.previous)):
        if side.decisions < config.min_decisions or side.readers < config.min_readers:
            needed = f"needed are {config.min_decisions:,} of {config.min_readers}"
            return rule(f"{version} has {side.decisions:,} decisions of {side.readers:,} readers to judge, {needed}")
    readers, days = value.difference["reward"], value.between_days
    limit = -config.tolerance * abs(value.previous.value["reward"].mean)
    found = (
        f"reward per decision is {_signed(readers)} between readers and {_signed(days)} between days against "
        f"{served.previous}, rolled back where both upper ends are below {limit:.3f}"
    )
    bad = readers.high < limit and days.high < limit
    if bad and served.rolled_back:
        return rule(f"{found}; it replaced the withdrawn {served.rolled_back} itself: a second step back is a person's")
    return rule(found, bad)


def _signed(interval: Interval) -> str:
    ends = "too few days" if math.isnan(interval.high) else f"{interval.low:+.3f}, {interval.high:+.3f}"
    return f"{interval.mean:+.3f} [{ends}]"


def _drift(drifts: Mapping[str, Drift]) -> Rule:
    judged = {name: drift for name, drift in drifts.items() if drift.judged}
    moved = {name: drift for name, drift in judged.items() if drift.drifted}
    message = f"none of {len(judged)} judged features drifted ({len(drifts) - len(judged)} are not judged)"
    if moved:
        message = "; ".join(
            f"{name} has PSI {drift.psi:.2f}, at most {drift.limit:.2f} ({drift.why})" for name, drift in moved.items()
        )
    return Rule("drift", "retrain", bool(moved), message)


def _age(served: Standing, until: int, config: RulesConfig) -> Rule:
    days = (until - served.data_until) / DAY
    message = f"the newest event that {served.version} knows is {days:.1f} days old, at most {config.max_age_days:g}"
    return Rule("age", "retrain", days > config.max_age_days, message)


def _growth(served: Standing, config: RulesConfig) -> Rule:
    message = (
        f"{served.new:,} decisions are new to it, at most {config.max_growth:.0%} of the {served.known:,} it knows"
    )
    return Rule("growth", "retrain", served.new > config.max_growth * served.known, message)
