"""What the families of return have in common: a level that reads move, and the next visit that follows from it."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Absence(NamedTuple):
    """B readers who have just left, all [B]."""

    reader: Tensor  # int64, row of the world
    user: Tensor  # int64, with the next the key of what is drawn
    visit: Tensor  # int64
    level: Tensor  # what earlier reads have made of the reader, as it was at ``since``
    since: Tensor  # int64, microseconds
    start: Tensor  # int64, microseconds: no new visit begins earlier


class ReturnFamily(Protocol):
    """One law of coming back. Where the elasticity is 0 the level does not matter; where negative it keeps away."""

    rest: float
    """The level of a new reader and of one who has forgotten all."""

    def learned(self, level: Tensor, hours: Tensor, worth: Tensor, read: Tensor) -> Tensor:
        """[...] the level after a slate, ``hours`` [...] after it was ``level`` [...]; worth and read are [..., K]."""

    def log_factor(self, level: Tensor, hours: Tensor) -> Tensor:
        """[...] what a ``level`` adds to the log of the hazard of a visit ``hours`` later; 0 at rest."""

    def next_visit(self, absence: Absence) -> Tensor:
        """[B] int64, microseconds."""
