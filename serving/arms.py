"""Who answers: one policy for everybody, or of a mixture the one of the reader's arm.

The arm is a hash of the reader's id *as it is stored*: the pseudonym where ids are hashed. The log has no other, so
whoever has the log can repeat every assignment, as ``newsrec experiment --start`` does. Under another key the same
person gets another arm, and is another reader of the log as well.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from newsrec.artifact import Artifact
from newsrec.mixture import ARMS, Mixture


class Arm(NamedTuple):
    """A policy and what the log says of the readers who have it."""

    artifact: Artifact
    shelf: int
    """Position among the shelves of the live articles: each policy numbers articles as it was trained."""
    experiment: str | None = None
    """Without a mixture there is none."""
    name: str | None = None


@dataclass(frozen=True)
class Arms:
    """The arms of ``released``: one for an artefact, two for a mixture."""

    released: Artifact | Mixture

    @cached_property
    def all(self) -> tuple[Arm, ...]:
        if not isinstance(self.released, Mixture):
            return (Arm(self.released, 0),)
        mixture = self.released
        return tuple(Arm(mixture.artifact(name), i, mixture.experiment, name) for i, name in enumerate(ARMS))

    def of(self, stored_id: str) -> Arm:
        """That of the reader who is stored as ``stored_id``: the same on every visit and every server."""
        if not isinstance(self.released, Mixture):
            return self.all[0]
        return self.all[ARMS.index(self.released.arm(stored_id))]

    def __str__(self) -> str:
        policies = [f"{arm.artifact.name} {arm.artifact.version}" for arm in self.all]
        if not isinstance(self.released, Mixture):
            return policies[0]
        incumbent, candidate = policies
        shares = f"{candidate} for {self.released.share:.1%} of the readers, {incumbent} for the others"
        return f"mixture {self.released.version} of experiment {self.released.experiment}: {shares}"
