"""Before a test: how many readers, how many days, and what it may cost, for an effect of a given size.

With outcome mean m and deviation s a reader, rho its correlation with the past (CUPED), a share p of the readers in the
treated arm, and D the drift of ``power`` (2.80 for one look at the end, 80 % power and 95 % confidence),

    readers = D^2 s^2 (1 - rho^2) (1/p + 1/(1 - p)) / (mde m)^2
    days    = until that many readers were assigned, plus the window of the last of them
    cost    = mde m p readers: what the treated arm's readers lose if the arm is as much worse as it may be better
"""

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np

from newsrec.config import InvalidConfig
from newsrec.evaluation.abtest.power import drift_for

LOOKS = 28
"""Of the first guess."""
WEEK = 7


@dataclass(frozen=True)
class PlanConfig:
    """What is to be found, and how surely."""

    mde: float = 0.01
    """Least lift that has to be found, as a share of the control's mean: 0.001 is 0.1 %."""
    power: float = 0.8
    confidence: float = 0.95
    share: float = 0.5
    """Of the readers in the treated arm."""
    days: int = 28
    """Of each reader's window."""
    daily: bool = True
    """Whether it is looked at every day, by a confidence sequence; else once, at the end."""

    def __post_init__(self) -> None:
        if not self.mde > 0.0:
            raise ValueError(f"mde is {self.mde}, expected a share above 0, such as 0.001 for 0.1 %")
        for name in ("power", "confidence", "share"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share between 0 and 1")
        if self.power < 1.0 - self.confidence:
            raise ValueError(f"power is {self.power}, expected more than the {1.0 - self.confidence:.2g} of no effect")
        if self.days < 1:
            raise ValueError(f"days is {self.days}, expected 1 or more")


@dataclass(frozen=True)
class Traffic:
    """What is known of the readers beforehand."""

    mean: float
    """Outcome of a reader, such as active days in the window."""
    deviation: float
    """Between readers."""
    arrivals: tuple[float, ...]
    """Readers who are newly assigned on each day of a test; behind the last one, the mean of its week goes on."""
    correlation: float = 0.0
    """rho of the outcome and the past."""
    clicks: float | None = None
    """Of a reader in the window."""

    def __post_init__(self) -> None:
        if not self.mean > 0.0:
            raise ValueError(f"mean is {self.mean}, expected above 0: the effect is a share of it")
        if not self.deviation > 0.0:
            raise ValueError(f"deviation is {self.deviation}, expected above 0")
        if not self.arrivals or min(self.arrivals) < 0.0 or not sum(self.arrivals) > 0.0:
            raise ValueError("arrivals have no new readers, expected 0 or more on each day and some on one")
        if not -1.0 < self.correlation < 1.0:
            raise ValueError(f"correlation is {self.correlation}, expected between -1 and 1")


class Plan(NamedTuple):
    """What a test takes."""

    effect: float
    """The least effect to find, in the unit of the outcome."""
    readers: int
    """Of both arms; in the daily form the most, since a test that is told earlier ends earlier."""
    readers_treated: int
    assign_days: int
    """Until the last of them is assigned."""
    days: int
    """Until the last window is whole."""
    outcome_at_stake: float
    """Active days, where they are the outcome, that the treated arm's readers may lose."""
    clicks_at_stake: float | None
    """The same share of their clicks."""
    variance_left: float
    """By CUPED: 1 - rho^2."""


def plan(config: PlanConfig, traffic: Traffic) -> Plan:
    """The test that finds ``config.mde`` with the power that is asked for.

    Raises InvalidConfig where as many readers never come.
    """
    effect = config.mde * traffic.mean
    left = 1.0 - traffic.correlation**2
    per_reader = traffic.deviation**2 * left * (1.0 / config.share + 1.0 / (1.0 - config.share)) / effect**2
    looks = LOOKS if config.daily else 1
    for _ in range(3):  # as many looks as there are days, which are as many as the looks ask for
        drift = drift_for(config.power, 1.0 - config.confidence, looks)
        readers = max(ceil(drift**2 * per_reader), 2)
        assign_days = days_until(readers, traffic.arrivals)
        if not config.daily or assign_days == looks:
            break
        looks = max(assign_days, 2)
    treated = ceil(readers * config.share)
    clicks = None if traffic.clicks is None else config.mde * traffic.clicks * treated
    return Plan(effect, readers, treated, assign_days, assign_days + config.days, effect * treated, clicks, left)


def days_until(readers: int, arrivals: tuple[float, ...]) -> int:
    """Days until as many ``readers`` were assigned. Raises InvalidConfig where they never are."""
    so_far, rate = np.cumsum(arrivals), float(np.mean(arrivals[-WEEK:]))
    if readers <= so_far[-1]:
        return int(np.searchsorted(so_far, readers - 1e-9)) + 1
    if rate == 0.0:
        found = f"the test needs {readers:,} readers, and only {so_far[-1]:,.0f} ever come"
        raise InvalidConfig(f"{found}; expected a larger mde, a smaller power, or more traffic")
    return len(arrivals) + ceil((readers - so_far[-1]) / rate - 1e-9)
