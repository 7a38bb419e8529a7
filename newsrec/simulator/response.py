"""How readers respond to a slate: utility with position bias. The equations stand in ``newsrec.simulator.world``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, ndtri

from newsrec.events import KINDS
from newsrec.features import SESSION_GAP_MINUTES
from newsrec.simulator import draws
from newsrec.simulator.parameters import NOT_NEGATIVE, POSITIVE, PROBABILITY, Range, assumed, refuse_impossible

IMPRESSION, CLICK, DWELL, LIKE, SHARE, COMMENT, HIDE, LEAVE = range(len(KINDS))
SECOND = 1_000_000


WITHIN_A_SESSION = Range(
    f"more than 0 and no more than the {SESSION_GAP_MINUTES} minutes of a session gap",
    lambda x: 0 < x <= SESSION_GAP_MINUTES * 60,
)


@dataclass(frozen=True)
class ResponseConfig:
    """Coefficients of the response: logits where nothing else is said."""

    base: float = assumed(-3.2, "of a click")
    interest: float = assumed(1.5, "of a click, for each unit of match")
    quality: float = assumed(0.35, "of a click, for a standard deviation of quality")
    clickbait: float = assumed(0.9, "of a click, from no clickbait to nothing but")
    freshness: float = assumed(0.8, "of a click, from stale to new")
    repetition: float = assumed(1.0, "taken off for each time that it was examined lately", NOT_NEGATIVE)
    position_bias: float = assumed(0.35, "exponent of the position in the probability of examination", NOT_NEGATIVE)
    worth_base: float = assumed(0.5, "of worth")
    worth_interest: float = assumed(0.8, "of worth, for each unit of match")
    worth_quality: float = assumed(0.6, "of worth, for a standard deviation of quality")
    worth_clickbait: float = assumed(3.5, "of worth, taken off from no clickbait to nothing but")
    dwell_seconds: float = assumed(28.0, "median dwell on an article of 500 words and worth 0.5", POSITIVE)
    dwell_worth: float = assumed(2.0, "what worth adds to the log of dwell, from worth 0 to worth 1")
    dwell_spread: float = assumed(0.7, "standard deviation of the log of dwell", NOT_NEGATIVE)
    dwell_cap_seconds: float = assumed(900.0, "longest dwell", WITHIN_A_SESSION)
    scan_seconds: float = assumed(1.2, "time for each examined position", POSITIVE)
    like: float = assumed(0.06, "probability after a read of worth 1", PROBABILITY)
    share: float = assumed(0.02, "probability after a read of worth 1", PROBABILITY)
    comment: float = assumed(0.015, "probability after a read of worth 1", PROBABILITY)
    hide: float = assumed(0.01, "probability for an examined article of worth 0 that is not read", PROBABILITY)
    patience_click: float = assumed(0.8, "of asking for another slate, where something was read")
    late_share: float = assumed(0.05, "share of slates whose feedback arrives late", PROBABILITY)
    late_minutes: float = assumed(40.0, "median lateness of those", POSITIVE)

    def __post_init__(self) -> None:
        refuse_impossible(self)


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
