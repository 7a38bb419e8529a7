"""The configuration of a simulated world and its log."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from newsrec.events import MAX_CANDIDATES
from newsrec.features import DAY
from newsrec.simulator.articles import NewsroomConfig
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.response import ResponseConfig
from newsrec.simulator.returns import ReturnConfig

LARGEST_SLATE = 100


@dataclass(frozen=True)
class SimulationConfig:
    """One world and its log. The same configuration gives the same events, whatever ``batch_size``."""

    readers: int = 2_000
    days: int = 14
    articles_per_day: int = 60
    slate_size: int = 10
    candidates: int = 100
    """The newest articles that a slate is chosen from; those that the reader has read are left out."""
    seed: int = 0
    start: str = "2024-03-04"
    """First day of the log, UTC."""
    batch_size: int = 2_048
    """Decisions that the policy scores at once."""
    newsroom: NewsroomConfig = field(default_factory=NewsroomConfig)
    population: PopulationConfig = field(default_factory=PopulationConfig)
    response: ResponseConfig = field(default_factory=ResponseConfig)
    returns: ReturnConfig = field(default_factory=ReturnConfig)

    def __post_init__(self) -> None:
        for name in ("readers", "days", "articles_per_day", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 1 <= self.slate_size <= min(self.candidates, LARGEST_SLATE):
            expected = f"from 1 to the smaller of candidates and {LARGEST_SLATE}"
            raise ValueError(f"slate_size is {self.slate_size}, expected {expected}")
        if self.candidates > MAX_CANDIDATES:
            raise ValueError(f"candidates is {self.candidates}, expected at most {MAX_CANDIDATES}")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected 0 or more")
        try:
            year = date.fromisoformat(self.start).year
        except ValueError:
            raise ValueError(f"start is {self.start!r}, expected a day such as 2024-03-04") from None
        if not 1971 <= year <= 2100:
            raise ValueError(f"start is {self.start}, expected a year from 1971 to 2100")

    @property
    def start_time(self) -> int:
        """The first midnight, microseconds."""
        midnight = datetime.combine(date.fromisoformat(self.start), time(), UTC)
        return int(midnight.timestamp()) * 1_000_000

    @property
    def end_time(self) -> int:
        """The moment at which the log is cut, microseconds."""
        return self.start_time + self.days * DAY
