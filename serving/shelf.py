"""The articles that requests choose from, as of one moment, with all that can be computed before a request comes."""

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from newsrec.artifact import Artifact
from newsrec.catalogue import Catalogue
from newsrec.transitions import empty_state
from serving.retrieval import Finder, RetrievalConfig


def is_formed(policy: Any) -> bool:
    """Whether the policy's scores are made of linear forms (``newsrec.encoders.forms.Formed``)."""
    return hasattr(policy, "forms")


@dataclass(frozen=True)
class Shelf:
    """Every article that may be shown and its counts, as of one moment. Arrays have a row for each catalogue row."""

    catalogue: Catalogue
    counts: np.ndarray  # [N + 1, 4] float64, in the order of POPULARITY_HALF_LIFE_HOURS
    as_of: np.ndarray  # [N + 1] int64, microseconds: up to when the counts are decayed
    version: str = ""
    """Names this state of the catalogue in the log."""
    finder: Finder | None = None
    """The articles in the eyes of the policy that serves from this shelf; None where no policy does yet."""
    nobody: np.ndarray | None = None
    """[1, W]: what that policy makes of a reader of whom nothing is known."""

    @cached_property
    def newest_first(self) -> tuple[np.ndarray, np.ndarray]:
        """All rows, the newest article first, and the negated times of publication in that order. Both [N]"""
        age = -self.catalogue.published_at[1:]
        order = np.argsort(age, kind="stable")
        return order + 1, age[order]

    @property
    def fingerprints(self) -> np.ndarray:
        """[N + 1] int64: those of the catalogue."""
        return self.catalogue.fingerprints

    def finder_of(self, artifact: Artifact) -> Finder | None:
        """``finder``, where it is that of the policy of ``artifact``."""
        return self.finder if self.finder is not None and self.finder.policy is artifact.policy else None

    def vectors(self, artifact: Artifact, rows: np.ndarray) -> np.ndarray:
        """[C, W] float32: ``rows`` [C] in the eyes of the policy of ``artifact``; W is 0 where it has no vectors."""
        if (finder := self.finder_of(artifact)) is not None:
            return finder.vectors.numpy()[rows]
        if not hasattr(artifact.policy, "article"):
            return np.zeros((len(rows), 0), np.float32)
        index, content = self.catalogue.index(rows), self.catalogue.content[rows]
        with torch.inference_mode():
            return artifact.policy.article(torch.from_numpy(index), torch.from_numpy(content)).numpy()

    def seen_by(self, artifact: Artifact, moment: int, oldest: int, config: RetrievalConfig) -> "Shelf":
        """This shelf in the eyes of the policy of ``artifact``; what has not changed since ``finder`` is kept.

        A policy without forms sees nothing beforehand.
        """
        if not is_formed(artifact.policy):
            return self
        finder = Finder(artifact.policy, self, moment, oldest, artifact.use_time, config, self.finder)
        with torch.inference_mode():
            tower = artifact.one_reader
            nobody = tower.nobody()[None] if tower else artifact.policy.reader(empty_state(1)).numpy()
        seen = copy.copy(self)  # with all look-ups that are built
        object.__setattr__(seen, "finder", finder)
        object.__setattr__(seen, "nobody", nobody)
        return seen

    def warmed(self) -> "Shelf":
        """This shelf with all look-ups built that its first request would wait for."""
        _ = self.newest_first, self.catalogue.content, self.catalogue.hidden_at, self.catalogue.short_keys
        _ = self.fingerprints
        self.catalogue.rows([])
        self.catalogue.rows_of_keys(np.zeros(1, np.uint64))
        return self
