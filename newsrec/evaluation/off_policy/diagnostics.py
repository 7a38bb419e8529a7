"""Whether a log can tell what it is asked, before its answer is believed.

- *Effective readers* (Kish 1965): (sum W)^2 / sum W^2 with each reader's sum of weights W. As many equal readers would
  tell as much; each estimate is, at heart, a mean over so few.
- *Largest weight* of a reader, and its share of all.
- *Mean weight*: 1 in expectation with support and true propensities. An interval without 1 says that the logged
  propensities are not those that acted, or that the policy in question shows what could not be logged.
- *Support*, where the whole distribution of both policies is known: the mass that the policy in question puts on what
  the logging policy never shows. More readers do not help there.

``judge`` gives a number only if all of them allow it and its interval is as narrow as was asked for. Otherwise the
answer is *not enough evidence*, with about how many more readers would be enough: half widths fall with the root of the
readers, effective readers grow with them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from newsrec.evaluation.intervals import Interval
from newsrec.evaluation.off_policy import checks
from newsrec.evaluation.off_policy.terms import Terms, mean
from newsrec.evaluation.off_policy.uncertainty import bootstrap


@dataclass(frozen=True)
class EvidenceConfig:
    """What an answer has to be."""

    half_width: float
    """Largest half width of the interval, in units of the estimate: what difference would matter."""
    lowest: float = 0.0
    """Least value that is possible: a click rate is never negative. Minus infinity for a difference."""
    highest: float = float("inf")
    """Largest possible value, 1 for the rate of clicks an article."""
    least_effective_readers: float = 100.0
    """Below, intervals of the bootstrap are too narrow."""
    most_unsupported: float = 0.01
    """Largest mass of the policy in question on what was never shown."""
    confidence: float = 0.95
    calibration_confidence: float = 0.99
    """Of the mean weight's interval, which has to hold 1: one honest log in 100 is refused."""
    draws: int = 1000
    """Resamples of readers."""

    def __post_init__(self) -> None:
        if not self.half_width > 0.0:
            raise ValueError(f"half_width is {self.half_width}, expected more than 0")
        if not self.lowest < self.highest:
            raise ValueError(f"lowest is {self.lowest} and highest {self.highest}, expected lowest below highest")
        for name in ("confidence", "calibration_confidence"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a number in (0, 1)")
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}, expected 1 or more")


class Weights(NamedTuple):
    """What the importance weights of a log look like."""

    decisions: int
    readers: int
    effective_readers: float
    largest: float
    """The largest weight of one row."""
    largest_share: float
    """The largest share of all weight that one reader carries."""
    mean: Interval
    """The mean weight, with the interval over readers."""

    @property
    def calibrated(self) -> bool:
        """Whether the mean weight's interval holds 1."""
        return bool(self.mean.low <= 1.0 <= self.mean.high)


class Evidence(NamedTuple):
    """An answer, or why there is none."""

    value: Interval | None
    """None: not enough evidence. Ends beyond what is possible are cut off."""
    reasons: tuple[str, ...]
    more_readers: int | None
    """About how many more readers would be enough; None where more would not help, and 0 where there is an answer."""
    weights: Weights

    @property
    def sentence(self) -> str:
        if self.value is not None:
            return f"{self.value.mean:.4g} [{self.value.low:.4g}, {self.value.high:.4g}]"
        more = (
            "more readers would not help" if self.more_readers is None else f"about {self.more_readers:,} more readers"
        )
        return f"not enough evidence, {more}: {'; '.join(self.reasons)}"


def diagnose(
    reader: np.ndarray, weight: np.ndarray, generator: np.random.Generator, confidence: float = 0.95, draws: int = 1000
) -> Weights:
    """``weight`` [n] of n rows, those that the estimate in question multiplies rewards by: the slate's, the story's."""
    checks.same_shape(reader=reader, weight=weight)
    checks.finite("weight", weight)
    sums = np.bincount(np.unique(reader, return_inverse=True)[1], weight)
    total, squares = sums.sum(), (sums**2).sum()
    return Weights(
        len(weight),
        len(sums),
        float(total**2 / squares) if squares else 0.0,
        float(weight.max(initial=0.0)),
        float(sums.max(initial=0.0) / total) if total else 0.0,
        bootstrap({"mean": mean(reader, weight)}, generator, confidence, draws)["mean"],
    )


def unsupported(behaviour: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[n]: the mass of ``target`` [n, C] on candidates that ``behaviour`` [n, C] never shows."""
    checks.same_shape(behaviour=behaviour, target=target)
    checks.distributions("behaviour probabilities", behaviour)
    checks.distributions("target probabilities", target)
    return np.where(behaviour > 0.0, 0.0, target).sum(-1, dtype=np.float64)


def judge(
    terms: Terms,
    weight: np.ndarray,
    config: EvidenceConfig,
    generator: np.random.Generator,
    unsupported_mass: np.ndarray | None = None,
) -> Evidence:
    """The answer of ``terms``, whose rows have the weights ``weight`` [n], or a refusal.

    ``unsupported_mass`` [n] comes from ``unsupported``; without it, support shows in the mean weight alone.
    """
    weights = diagnose(terms.reader, weight, generator, config.calibration_confidence, config.draws)
    found = bootstrap({"value": terms}, generator, config.confidence, config.draws)["value"]
    readers, reasons, hopeless, factors = weights.readers, [], [], [1.0]
    if unsupported_mass is not None and unsupported_mass.mean() > config.most_unsupported:
        hopeless.append(
            f"{unsupported_mass.mean():.1%} of what the policy shows could not be logged, "
            f"in {np.count_nonzero(unsupported_mass):,} of {len(unsupported_mass):,} decisions"
        )
    if weights.effective_readers < config.least_effective_readers:
        reasons.append(
            f"{weights.effective_readers:,.1f} effective readers of {readers:,}, expected "
            f"{config.least_effective_readers:,.0f}"
        )
        factors.append(config.least_effective_readers / max(weights.effective_readers, 1.0))
    elif not weights.calibrated:  # with fewer effective readers its interval means nothing
        low, high = weights.mean.low, weights.mean.high
        hopeless.append(f"the mean weight is in [{low:.3g}, {high:.3g}], not 1: propensities or support are wrong")
    half_width = (found.high - found.low) / 2.0
    if not half_width <= config.half_width:
        reasons.append(f"the half width is {half_width:.3g}, expected {config.half_width:.3g}")
        factors.append((half_width / config.half_width) ** 2 if np.isfinite(half_width) else 2.0)
    if not config.lowest <= found.mean <= config.highest:
        reasons.append(f"the estimate, {found.mean:.3g}, is not in [{config.lowest:g}, {config.highest:g}]")
        factors.append(2.0)
    if not reasons and not hopeless:
        ends = np.clip([found.mean, found.low, found.high], config.lowest, config.highest).tolist()
        return Evidence(Interval(*ends), (), 0, weights)
    more = None if hopeless else _rounded_up(readers * (max(factors) - 1.0))
    return Evidence(None, tuple(hopeless + reasons), more, weights)


def _rounded_up(number: float) -> int:
    """To two figures."""
    whole = max(1, int(np.ceil(number - 1e-6)))
    unit = 10 ** max(0, len(str(whole)) - 2)
    return -(-whole // unit) * unit
