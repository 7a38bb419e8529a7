"""The configuration of a simulated world and its log."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Literal, get_args, get_type_hints

from newsrec.events import MAX_CANDIDATES
from newsrec.features import DAY
from newsrec.simulator.arrival import ArrivalConfig
from newsrec.simulator.articles import NewsroomConfig
from newsrec.simulator.bots import BotConfig
from newsrec.simulator.cascade import CascadeConfig
from newsrec.simulator.hazard import HazardConfig
from newsrec.simulator.identity import READER_BITS
from newsrec.simulator.parameters import (
    COUNT,
    NOT_NEGATIVE,
    Estimate,
    assumed,
    chosen,
    parameters,
    refuse_impossible,
)
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.self_exciting import SelfExcitingConfig
from newsrec.simulator.shocks import ShockConfig
from newsrec.simulator.tastes import TasteConfig
from newsrec.simulator.utility import UtilityConfig

LARGEST_SLATE = 100
MOST_READERS = 2**READER_BITS


@dataclass(frozen=True)
class SimulationConfig:
    """One world and its log. The same configuration gives the same events, whatever ``batch_size``."""

    readers: int = chosen(2_000, "number of readers", COUNT)
    days: int = chosen(14, "length of the log", COUNT)
    articles_per_day: int = chosen(60, "what the newsroom publishes", COUNT)
    slate_size: int = chosen(10, "articles of a slate")
    candidates: int = chosen(
        100, "newest articles that a slate is chosen from, those left out that the reader has read"
    )
    seed: int = chosen(0, "of all draws", NOT_NEGATIVE)
    start: str = chosen("2024-03-04", "first day of the log, UTC")
    batch_size: int = chosen(2_048, "decisions that the policy scores at once", COUNT)
    response_family: Literal["utility", "cascade"] = chosen("utility", "the law of what readers do with a slate")
    return_family: Literal["hazard", "self_exciting"] = chosen("hazard", "the law of coming back")
    elasticity: float = assumed(
        1.5,
        "of the hazard of a visit, in what earlier reads have left; 0: they do not matter; negative: they keep away",
    )
    clickbait_cost: float = assumed(
        1.0, "factor of what clickbait takes from the worth of a read; 0: nothing", NOT_NEGATIVE
    )
    newsroom: NewsroomConfig = field(default_factory=NewsroomConfig)
    shocks: ShockConfig = field(default_factory=ShockConfig)
    population: PopulationConfig = field(default_factory=PopulationConfig)
    tastes: TasteConfig = field(default_factory=TasteConfig)
    utility: UtilityConfig = field(default_factory=UtilityConfig)
    cascade: CascadeConfig = field(default_factory=CascadeConfig)
    hazard: HazardConfig = field(default_factory=HazardConfig)
    self_exciting: SelfExcitingConfig = field(default_factory=SelfExcitingConfig)
    bots: BotConfig = field(default_factory=BotConfig)
    arrival: ArrivalConfig = field(default_factory=ArrivalConfig)
    estimated: tuple[Estimate, ...] = chosen((), "which of the values a log told, and how well")

    def __post_init__(self) -> None:
        refuse_impossible(self)
        if self.readers > MOST_READERS:
            raise ValueError(f"readers is {self.readers}, expected at most {MOST_READERS}")
        for name in ("response_family", "return_family"):
            known = get_args(get_type_hints(type(self))[name])
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected {' or '.join(known)}")
        if not 1 <= self.slate_size <= min(self.candidates, LARGEST_SLATE):
            expected = f"from 1 to the smaller of candidates and {LARGEST_SLATE}"
            raise ValueError(f"slate_size is {self.slate_size}, expected {expected}")
        if self.candidates > MAX_CANDIDATES:
            raise ValueError(f"candidates is {self.candidates}, expected at most {MAX_CANDIDATES}")
        try:
            year = date.fromisoformat(self.start).year
        except ValueError:
            raise ValueError(f"start is {self.start!r}, expected a day such as 2024-03-04") from None
        if not 1971 <= year <= 2100:
            raise ValueError(f"start is {self.start}, expected a year from 1971 to 2100")
        claims = {claim.path for claim in parameters(self) if claim.origin == "assumed"}
        for estimate in self.estimated:
            if estimate.parameter not in claims:
                raise ValueError(f"estimated names {estimate.parameter}, expected a parameter that else is assumed")

    @property
    def start_time(self) -> int:
        """The first midnight, microseconds."""
        midnight = datetime.combine(date.fromisoformat(self.start), time(), UTC)
        return int(midnight.timestamp()) * 1_000_000

    @property
    def end_time(self) -> int:
        """The moment at which the log is cut, microseconds."""
        return self.start_time + self.days * DAY
