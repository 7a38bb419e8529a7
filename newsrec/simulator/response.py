"""What the families of responses have in common: what readers meet, what they do, and the events that come of it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor

from newsrec.events import KINDS
from newsrec.features import SESSION_GAP_MINUTES
from newsrec.simulator.parameters import Range

IMPRESSION, CLICK, DWELL, LIKE, SHARE, COMMENT, HIDE, LEAVE = range(len(KINDS))
SECOND = 1_000_000
WITHIN_A_SESSION = Range(
    f"more than 0 and no more than the {SESSION_GAP_MINUTES} minutes of a session gap",
    lambda x: 0 < x <= SESSION_GAP_MINUTES * 60,
)


class Encounter(NamedTuple):
    """B readers, each with K articles in front of them: [B, K] but for the first four, [B]."""

    reader: Tensor  # int64, their numbers
    user: Tensor  # int64, with the next the key of what is drawn
    decision: Tensor  # int64
    patience: Tensor  # logit
    present: Tensor  # bool, False behind the slate's end
    match: Tensor  # of the reader's interests, as they are now, with the article's topics
    quality: Tensor
    clickbait: Tensor  # what the title promises too much
    disappointment: Tensor  # what of that costs the read its worth
    freshness: Tensor  # 1 at publication, towards 0
    words: Tensor  # float64, length of the body
    repetition: Tensor  # int64, times that the reader examined it lately
    known: Tensor  # bool, read lately

    def take(self, rows: Tensor) -> "Encounter":
        """The readers at ``rows``, numbers or a mask."""
        return Encounter(*(column[rows] for column in self))


class Reaction(NamedTuple):
    """What B readers did: [B, K] but for the last two, [B]. Times in seconds after the slate appeared."""

    examined: Tensor  # bool
    clicked: Tensor  # bool
    worth: Tensor  # of a read, in (0, 1)
    dwell: Tensor  # float32, seconds; meaningful where clicked
    happened: Tensor  # [B, F, K] bool, by kind
    moment: Tensor  # [B, F, K]
    left: Tensor  # bool, True where the visit ends
    end: Tensor  # when the reader is done with the slate


class ResponseFamily(Protocol):
    """One law of what readers do with a slate. Families share no code but this."""

    def chance(self, encounter: Encounter) -> Tensor:
        """[B, K] probability of a click, if examined."""

    def worth(self, encounter: Encounter) -> Tensor:
        """[B, K] what a read would be worth, in (0, 1)."""

    def dwell(self, worth: Tensor, words: Tensor) -> Tensor:
        """[...] median seconds that reads of ``worth`` [...] last, of bodies of ``words`` [...]; nothing cuts them."""

    def react(self, encounter: Encounter) -> Reaction:
        """What the readers do, drawn."""


class Feedback(NamedTuple):
    """M events as the site is told of them, in main memory.

    The article is -1 for a leave, dwell is NaN for all kinds but dwell.
    """

    reader: np.ndarray  # [M] int64, row of the world
    user: np.ndarray  # [M] int64, who that is to the site
    decision: np.ndarray  # [M] int64, the user's decisions counted from 0
    kind: np.ndarray  # [M] int64, row of events.KINDS
    position: np.ndarray  # [M] int64
    article: np.ndarray  # [M] int64
    dwell_seconds: np.ndarray  # [M] float32
    time: np.ndarray  # [M] int64, microseconds
    received: np.ndarray  # [M] int64, microseconds

    def take(self, rows: np.ndarray | slice) -> "Feedback":
        """The events at ``rows``, numbers, a mask or a part."""
        return Feedback(*(column[rows] for column in self))

    @classmethod
    def joined(cls, parts: Sequence["Feedback"]) -> "Feedback":
        """All events of ``parts``, one behind the other."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else cls.none()

    @classmethod
    def none(cls) -> "Feedback":
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty, empty, empty, empty, np.zeros(0, np.float32), empty, empty)
