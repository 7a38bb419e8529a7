"""The data contract of a day: the ranges that its events have to stay in. ``inspection`` holds a day against it."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class ContractConfig:
    """Ranges that a day has to stay in."""

    min_decisions: int = 1
    max_decisions: int | None = None
    min_feedback: int = 1
    max_feedback: int | None = None
    min_readers: int = 1
    max_readers: int | None = None
    min_traffic: float = 0.25
    """Decisions, as a share of the median of the seven days before (weekends are part of life)."""
    max_traffic: float = 4.0
    min_click_rate: float = 0.0005
    """Clicks for each impression."""
    max_click_rate: float = 0.6
    max_unknown_requests: float = 0.05
    """Share of the feedback whose request is not in the log."""
    max_unknown_candidates: float = 0.0
    """Share of the candidates (a slate holds only candidates) that are not in the catalogue: no feature is theirs."""
    max_unknown_articles: float = 0.01
    """Share of the feedback's articles that are not in the catalogue."""
    lateness_quantile: float = 0.9
    max_lateness_hours: float = 6.0
    """Of that quantile of the time from an event to its arrival: phones come late, a stuck collector makes all late."""
    max_from_the_future: int = 0
    """Feedback later than its own arrival, and events later than the day, by more than the two allowances below."""
    clock_minutes: float = 60.0
    """How much clocks of readers may be fast; a local time taken for UTC is more."""
    overrun_hours: float = 6.0
    """How far the log may reach beyond the day: events go on arriving until the run has read them."""
    max_missing_propensities: float = 0.0
    """Share of the decisions of a release (they name a policy version) without propensities."""
    max_empty_slates: float = 0.1
    """Share of the decisions that showed nothing."""
    max_unseen_slates: float = 0.5
    """Share of the slates, old enough for ``max_lateness_hours``, without any impression."""
    min_dwell_seconds: float = 1.0
    """Of the median dwell: minutes in a column of seconds lie below, milliseconds above."""
    max_dwell_seconds: float = 1800.0
    min_rows: int = 100
    """Below this many rows behind it, a share, a median or a quantile is not judged."""

    def __post_init__(self) -> None:
        for name in ("decisions", "feedback", "readers", "traffic", "click_rate", "dwell_seconds"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if not low >= 0 or (high is not None and high < low):
                raise ValueError(f"min_{name} is {low} and max_{name} {high}, expected 0 or more, and a range")
        for name in _SHARES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share in [0, 1]")


_SHARES = (
    "max_unknown_requests",
    "max_unknown_candidates",
    "max_unknown_articles",
    "lateness_quantile",
    "max_missing_propensities",
    "max_empty_slates",
    "max_unseen_slates",
)


class Check(NamedTuple):
    """One clause of the contract."""

    name: str
    value: float | None
    """None where there are no rows to tell it from."""
    low: float | None
    high: float | None
    """The range that is expected; None: no end."""
    what: str
    """What the value is."""
    rows: int
    """What it was told from."""
    least: int
    """Rows from which on it is judged."""
    ask: str
    """Where to look when it is broken."""

    @property
    def judged(self) -> bool:
        return self.value is not None and self.rows >= self.least

    @property
    def passed(self) -> bool:
        if self.value is None or not self.judged:
            return True
        return (self.low is None or self.value >= self.low) and (self.high is None or self.value <= self.high)

    @property
    def expected(self) -> str:
        if self.low is None:
            return f"at most {self.high:,g}"
        return f"at least {self.low:,g}" if self.high is None else f"{self.low:,g} to {self.high:,g}"

    @property
    def found(self) -> str:
        if self.value is None:
            return "none"
        return f"{self.value:,.0f}" if abs(self.value) >= 1000 else f"{self.value:.4g}"

    @property
    def message(self) -> str:
        """Found, expected, and where to look."""
        return f"{self.name}: found {self.found} {self.what}, expected {self.expected}: {self.ask}"
