"""Who answers: one policy for everybody, or of a mixture the one of the reader's arm.

While an experiment is stopped (``newsrec.stopped_experiments``) everybody has the incumbent and nobody an arm.

The arm is a hash of the reader's id *as it is stored*: the pseudonym where ids are hashed. The log has no other, so
whoever has the log can repeat every assignment, as ``newsrec experiment --start`` does. Under another key the same
person gets another arm, and is another reader of the log as well.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from newsrec.artifact import Artifact
from newsrec.mixture import Mixture


class Arm(NamedTuple):
    """A policy and what the log says of the readers who have it."""

    artifact: Artifact
    shelf: int
    """Position among the shelves of the live articles: each policy numbers articles as it was trained."""
    experiment: str | None = None
    """Without a mixture there is none."""
    name: str | None = None
    """None, too, while the experiment is stopped."""


@dataclass(frozen=True)
class Arms:
    """The arms of ``released``: one for an artefact, several for a mixture."""

    released: Artifact | Mixture
    stopped: bool = False
    """Of a mixture: everybody has the incumbent."""

    @property
    def experiment(self) -> str | None:
        """That of a mixture, running or stopped."""
        return self.released.experiment if isinstance(self.released, Mixture) else None

    @cached_property
    def all(self) -> tuple[Arm, ...]:
        if not isinstance(self.released, Mixture):
            return (Arm(self.released, 0),)
        mixture = self.released
        return tuple(Arm(mixture.artifact(name), i, mixture.experiment, name) for i, name in enumerate(mixture.arms))

    def of(self, stored_id: str) -> Arm:
        """That of the reader who is stored as ``stored_id``: the same on every visit and every server."""
        if not isinstance(self.released, Mixture):
            return self.all[0]
        if self.stopped:
            return self._instead
        return self.all[self.released.arms.index(self.released.arm(stored_id))]

    @cached_property
    def _instead(self) -> Arm:
        return self.all[0]._replace(name=None)

    def __str__(self) -> str:
        policies = [f"{arm.artifact.name} {arm.artifact.version}" for arm in self.all]
        if not isinstance(self.released, Mixture):
            return policies[0]
        incumbent, *others = policies
        if self.stopped:
            return f"stopped experiment {self.released.experiment} of mixture {self.released.version}: {incumbent}"
        _, *shares = self.released.shares.values()
        given = [f"{policy} for {share:.1%} of the readers" for policy, share in zip(others, shares, strict=True)]
        whom = ", ".join([*given, f"{incumbent} for the others"])
        return f"mixture {self.released.version} of experiment {self.released.experiment}: {whom}"
