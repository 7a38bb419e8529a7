"""A finding about a log, what it costs each part of the product, and what is left of the parts: plain data."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

Verdict = Literal["fine", "limited", "unfit"]
SEVERITY: dict[Verdict, int] = {"fine": 0, "limited": 1, "unfit": 2}

GATE, RETENTION, OFF_POLICY, TEXT, CALIBRATION = (
    "ranking gate",
    "retention policies",
    "off-policy evaluation",
    "text models",
    "simulator calibration",
)
PARTS = {
    GATE: "policies can be trained, compared by their ranking and gated",
    RETENTION: "what brings readers back can be learned",
    OFF_POLICY: "a policy can be valued before it is served",
    TEXT: "what titles say of clicks can be learned",
    CALIBRATION: "clicks, reading and returns of the simulator can be fitted",
}
"""Part of the product -> what it does with a log that lacks nothing."""
NO_PROPENSITIES, NO_CLOCK = "no propensities", "no clock"
"""Reasons that several findings give; a part says them once."""


class Cost(NamedTuple):
    """What a finding takes from one part."""

    part: str
    verdict: Verdict
    reason: str


Costs = tuple[Cost, ...]
FREE: Costs = ()


class Finding(NamedTuple):
    """One thing about a log."""

    name: str
    value: float | None
    """The number that the verdict looks at, None where the log cannot tell it."""
    counts: Mapping[str, float]
    sentence: str
    costs: Costs = FREE

    @property
    def verdict(self) -> Verdict:
        """Of the worst cost."""
        return worst(cost.verdict for cost in self.costs)


class Part(NamedTuple):
    """What one part of the product can do with a log."""

    name: str
    verdict: Verdict
    sentence: str
    """What it can do where all is fine, else what keeps it from it: of an unfit log only what makes it unfit."""


class Diagnosis(NamedTuple):
    """Everything that was found."""

    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Nested plain values, as JSON takes them."""
        findings = [
            {**found._asdict(), "verdict": found.verdict, "costs": [cost._asdict() for cost in found.costs]}
            for found in self.findings
        ]
        return {"parts": [part._asdict() for part in self.parts], "findings": findings}


def costs(verdict: Verdict, reason: str, *parts: str) -> Costs:
    """The same cost for each of ``parts``."""
    return tuple(Cost(part, verdict, reason) for part in parts)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=SEVERITY.__getitem__, default="fine")


def sum_up(findings: Iterable[Finding]) -> Diagnosis:
    """The findings, and what is left of each part."""
    findings, parts = tuple(findings), []
    for name, able in PARTS.items():
        theirs = [cost for found in findings for cost in found.costs if cost.part == name]
        verdict = worst(cost.verdict for cost in theirs)
        reasons = dict.fromkeys(cost.reason for cost in theirs if cost.verdict == verdict)
        parts.append(Part(name, verdict, "; ".join(reasons) or able))
    return Diagnosis(tuple(parts), findings)
