"""What an experiment was to find out, said before anybody looks."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExperimentConfig:
    """How an experiment is read."""

    experiment: str = ""
    """Its name in the log; empty for the only one."""
    control: str = "control"
    """The arm that the others are compared with."""
    shares: dict[str, float] = field(default_factory=dict)
    """Arm -> share of the readers; empty where all arms had the same."""
    days: int = 28
    """Of each reader's window, from the assignment."""
    before_days: int = 28
    """Before the assignment, from which CUPED knows a reader."""
    early_days: int = 7
    """That the surrogate index sees."""
    return_days: int = 7
    """Within which a reader is back."""
    confidence: float = 0.95
    mde: float = 0.01
    """Least lift that matters, as a share: intervals within it are called no difference that matters."""
    readers: int = 10_000
    """Of both arms, as planned: where the confidence sequence is tightest."""
    most_crossed: float = 0.01
    """Share of readers in several arms above which the experiment is refused."""
    any_dependence: bool = False
    """Whether q-values hold for metrics that oppose each other (Benjamini and Yekutieli)."""

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(f"confidence is {self.confidence}, expected a share between 0 and 1")
        if not 0.0 < self.mde < 1.0:
            raise ValueError(f"mde is {self.mde}, expected a share between 0 and 1, such as 0.01 for 1 %")
        if not 0.0 <= self.most_crossed <= 1.0:
            raise ValueError(f"most_crossed is {self.most_crossed}, expected a share")
        for name in ("days", "before_days", "readers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name, most in (("early_days", self.days), ("return_days", 28)):
            if not 1 < getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 2 to {most}")
        if self.shares and not all(share > 0.0 for share in self.shares.values()):
            raise ValueError(f"shares are {self.shares}, expected more than 0 for each arm")
        if self.shares and self.control not in self.shares:
            raise ValueError(f"control is {self.control}, expected one of the arms {', '.join(self.shares)}")
