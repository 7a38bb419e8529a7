"""What a candidate is asked before it is served: said once, before anybody looks at its figures."""

from dataclasses import dataclass

from newsrec.evaluation.off_policy.diagnostics import EvidenceConfig


@dataclass(frozen=True)
class GuardRail:
    """What a better objective may not cost, such as click_rate, dwell, coverage, hides or latency."""

    metric: str
    margin: float
    """Largest tolerated loss, in the metric's own unit: 0.002 of click_rate is 2 clicks in 1,000 decisions."""
    higher_is_better: bool = True
    """False for hides and latency."""

    def __post_init__(self) -> None:
        if not 0.0 < self.margin < float("inf"):
            raise ValueError(
                f"margin of {self.metric} is {self.margin}, expected more than 0: no log shows that nothing is lost"
            )


@dataclass(frozen=True)
class ShippingConfig:
    """Losses and gains are differences of means over decisions, in the metric's unit; a gain is always better."""

    objective: str
    """The metric that has to improve."""
    effect: float
    """Gain of the objective that must be found with ``power`` if it is there."""
    tolerated_loss: float
    """Of the objective over all readers, while a candidate is mixed in."""
    incumbent: str = "incumbent"
    """What is served now: a name or a version."""
    higher_is_better: bool = True
    """Of the objective."""
    least_gain: float = 0.0
    """Of the objective, which has to be exceeded for shipping the whole."""
    guard_rails: tuple[GuardRail, ...] = ()
    risk: float = 0.05
    """One minus the confidence: how often a candidate that breaks some demand is shipped or mixed too much at most, and
    how often one that meets all of them is refused at most."""
    power: float = 0.8
    """With which the planned exploration decides the whole, if the gain is ``effect`` and no guarded metric moves."""
    least_share: float = 0.01
    """Of a mixture; less would teach too slowly."""
    most_share: float = 0.5
    """Of a mixture; more leaves too little of the incumbent to compare with."""
    clicks: str = "click_rate"
    """The metric in clicks a decision, in which the cost of a mixture is told."""
    least_effective_readers: float = 100.0
    """Below, nothing is said of the objective: see ``diagnostics``."""
    most_unsupported: float = 0.01
    """Largest mass of the candidate on what was never shown."""
    calibration_confidence: float = 0.99
    """Of the mean weight's interval, which has to hold 1."""
    draws: int = 1000
    """Resamples of readers for that interval."""

    def __post_init__(self) -> None:
        for name in ("risk", "power", "least_share", "most_share"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share between 0 and 1")
        if self.risk >= 0.5:
            raise ValueError(f"risk is {self.risk}, expected less than 0.5, such as 0.05")
        if self.least_share > self.most_share:
            raise ValueError(f"least_share is {self.least_share}, expected at most most_share, {self.most_share}")
        if not self.effect > self.least_gain >= 0.0:
            raise ValueError(
                f"effect is {self.effect} and least_gain {self.least_gain}, expected 0 <= least_gain < effect"
            )
        if not self.tolerated_loss > 0.0:
            raise ValueError(
                f"tolerated_loss is {self.tolerated_loss}, expected more than 0: without, nothing is mixed"
            )
        metrics = [self.objective, *(rail.metric for rail in self.guard_rails)]
        again = sorted({metric for metric in metrics if metrics.count(metric) > 1})
        if again:
            raise ValueError(f"{', '.join(again)} stands twice, expected each metric once, as objective or guard-rail")
        self.evidence()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The objective, then those of the guard-rails."""
        return (self.objective, *(rail.metric for rail in self.guard_rails))

    def evidence(self) -> EvidenceConfig:
        """What the weights have to be; how wide an interval may be, is for the verdict."""
        return EvidenceConfig(
            half_width=float("inf"),
            lowest=-float("inf"),
            least_effective_readers=self.least_effective_readers,
            most_unsupported=self.most_unsupported,
            calibration_confidence=self.calibration_confidence,
            draws=self.draws,
        )
