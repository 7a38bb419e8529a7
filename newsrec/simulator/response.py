"""How readers respond to a slate: utility with position bias. The equations stand in ``newsrec.simulator.world``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, ndtri

from newsrec.events import KINDS
from newsrec.features import SESSION_GAP_MINUTES
from newsrec.simulator import draws

IMPRESSION, CLICK, DWELL, LIKE, SHARE, COMMENT, HIDE, LEAVE = range(len(KINDS))
SECOND = 1_000_000


@dataclass(frozen=True)
class ResponseConfig:
    """Coefficients of the response: logits where nothing else is said. All assumed, none estimated from a log."""

    base: float = -3.2
    interest: float = 1.5
    quality: float = 0.35
    clickbait: float = 0.9
    freshness: float = 0.8
    repetition: float = 1.0
    position_bias: float = 0.35
    """Exponent of the position."""
    worth_base: float = 0.5
    worth_interest: float = 0.8
    worth_quality: float = 0.6
    worth_clickbait: float = 3.5
    dwell_seconds: float = 28.0
    """Median dwell on an article of 500 words and worth 0.5."""
    dwell_worth: float = 2.0
    """What worth adds to the log of dwell, from worth 0 to worth 1."""
    dwell_spread: float = 0.7
    dwell_cap_seconds: float = 900.0
    scan_seconds: float = 1.2
    """Time for each examined position."""
    like: float = 0.06
    share: float = 0.02
    comment: float = 0.015
    hide: float = 0.01
    """Probability, as are the three above."""
    patience_click: float = 0.8
    late_share: float = 0.05
    """Share of slates whose feedback arrives late."""
    late_minutes: float = 40.0
    """Median lateness of those."""

    def __post_init__(self) -> None:
        for name in ("like", "share", "comment", "hide", "late_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a probability in [0, 1]")
        for name in ("dwell_seconds", "scan_seconds", "late_minutes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("position_bias", "repetition", "dwell_spread"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if not 0 < self.dwell_cap_seconds <= SESSION_GAP_MINUTES * 60:
            found = f"dwell_cap_seconds is {self.dwell_cap_seconds}"
            raise ValueError(
                f"{found}, expected more than 0 and no more than the {SESSION_GAP_MINUTES} minutes of a session gap"
            )


class Feedback(NamedTuple):
    """M events; article is -1 for a leave, dwell is NaN for all kinds but dwell."""

    reader: np.ndarray  # [M] int64
    decision: np.ndarray  # [M] int64, the reader's decisions counted from 0
    kind: np.ndarray  # [M] int64, row of events.KINDS
    position: np.ndarray  # [M] int64
    article: np.ndarray  # [M] int64
    dwell_seconds: np.ndarray  # [M] float32
    time: np.ndarray  # [M] int64, microseconds
    received: np.ndarray  # [M] int64, microseconds

    def take(self, rows: np.ndarray) -> "Feedback":
        """The events at ``rows``, numbers or a mask."""
        return Feedback(*(column[rows] for column in self))

    @classmethod
    def joined(cls, parts: Sequence["Feedback"]) -> "Feedback":
        """All events of ``parts``, one behind the other."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else cls.none()

    @classmethod
    def none(cls) -> "Feedback":
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty, empty, empty, np.zeros(0, np.float32), empty, empty)


class Appeal(NamedTuple):
    """What the articles of B slates are to their readers, all [B, K]."""

    present: np.ndarray  # bool, False behind the slate's end
    logit: np.ndarray  # of a click, if examined
    worth: np.ndarray  # of a read, in (0, 1)
    words: np.ndarray  # length of the body


class Reaction(NamedTuple):
    """What B readers did: [B, K] but for the last two, [B]. Times in seconds after the slate appeared."""

    examined: np.ndarray  # bool
    clicked: np.ndarray  # bool
    dwell: np.ndarray  # float32, seconds; meaningful where clicked
    happened: np.ndarray  # [B, F, K] bool, by kind
    moment: np.ndarray  # [B, F, K]
    left: np.ndarray  # bool, True where the visit ends
    end: np.ndarray  # when the reader is done with the slate


def react(
    config: ResponseConfig, appeal: Appeal, patience: np.ndarray, seed: int, reader: np.ndarray, decision: np.ndarray
) -> Reaction:
    """The response of each ``reader`` [B] at their ``decision`` [B]; ``patience`` [B] is a logit."""
    position = np.arange(appeal.logit.shape[1])
    purpose = np.arange(8)[:, None]
    u = draws.uniform(seed, "response", reader[:, None, None], decision[:, None, None], purpose, position)  # [B, 8, K]
    examined = appeal.present & (u[:, 0] < (position + 1.0) ** -config.position_bias)
    clicked = examined & (u[:, 1] < expit(appeal.logit))
    level = np.log(config.dwell_seconds) + config.dwell_worth * (appeal.worth - 0.5)
    level += 0.3 * np.log(appeal.words / 500.0)
    dwell = np.minimum(np.exp(level + config.dwell_spread * ndtri(u[:, 2])), config.dwell_cap_seconds)
    liked = clicked & (u[:, 3] < config.like * appeal.worth)
    shared = clicked & (u[:, 4] < config.share * appeal.worth)
    commented = clicked & (u[:, 5] < config.comment * appeal.worth)
    hidden = examined & ~clicked & (u[:, 6] < config.hide * (1.0 - appeal.worth) ** 2)
    reading = np.where(clicked, dwell, 0.0)
    reached = config.scan_seconds * np.cumsum(examined, 1) + np.cumsum(reading, 1) - reading
    stay = expit(patience + config.patience_click * clicked.any(1))
    left = u[:, 7, 0] >= stay
    end = reached[:, -1] + reading[:, -1] + 1.0
    last = np.broadcast_to(end[:, None], clicked.shape)
    seen = np.full(clicked.shape, 0.3)
    of_read = [reached + share * dwell for share in (0.0, 1.0, 0.6, 0.7, 0.9)]  # click dwell like share comment
    leave = left[:, None] & (position == 0)
    return Reaction(
        examined,
        clicked,
        dwell.astype(np.float32),
        np.stack([appeal.present, clicked, clicked, liked, shared, commented, hidden, leave], 1),
        np.stack([seen, *of_read, reached + 0.5, last], 1),
        left,
        end,
    )


def arrival_delay(config: ResponseConfig, seed: int, events: Feedback) -> np.ndarray:
    """Microseconds from each event to its arrival: [M] int64. A late slate's feedback is late as a whole."""
    call = np.where(events.kind == IMPRESSION, 0, events.position)  # one call reports all impressions of a slate
    own = np.exp(0.4 + 0.8 * draws.normal(seed, "delay", events.reader, events.decision, events.kind, call))
    late = draws.uniform(seed, "late", events.reader, events.decision) < config.late_share
    minutes = config.late_minutes * np.exp(1.2 * draws.normal(seed, "lateness", events.reader, events.decision))
    seconds = own + np.where(late, np.minimum(minutes * 60.0, 86_400.0), 0.0)
    return (seconds * SECOND).astype(np.int64)
