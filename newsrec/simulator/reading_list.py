"""What a site knows its readers to have read: all that it takes to choose candidates, where no policy needs more."""

import numpy as np

from newsrec.features import HISTORY_LENGTH
from newsrec.simulator.response import CLICK, DWELL, Feedback

LATER = np.iinfo(np.int64).max


class ReadingList:
    """The latest HISTORY_LENGTH reads of N readers, ``user`` [N] being who each of them is to the site at first."""

    def __init__(self, user: np.ndarray) -> None:
        self._user = user.copy()
        self._count = np.zeros(len(user), np.int64)
        self._article = np.full((len(user), HISTORY_LENGTH), -1, np.int32)  # of a ring
        self._known_at = np.full((len(user), HISTORY_LENGTH), LATER)

    def expect(self, feedback: Feedback) -> None:
        """Take note of reads, which the site knows from the arrival of their click or dwell on.

        Feedback is of one slate for each reader, in the order of ``World.respond``.
        """
        click, dwell = feedback.take(feedback.kind == CLICK), feedback.take(feedback.kind == DWELL)
        known_at, place = click.received.copy(), (read.reader * 1_000 + read.position for read in (click, dwell))
        at = np.searchsorted(next(place), next(place))
        known_at[at] = np.minimum(known_at[at], dwell.received)
        first = np.flatnonzero(np.diff(click.reader, prepend=-1))
        reads = np.diff(first, append=len(click.reader))
        number = np.arange(len(click.reader)) - np.repeat(first, reads)
        slot = (self._count[click.reader] + number) % HISTORY_LENGTH
        self._article[click.reader, slot], self._known_at[click.reader, slot] = click.article, known_at
        self._count[click.reader[first]] += reads

    def at(self, readers: np.ndarray, user: np.ndarray, now: np.ndarray) -> np.ndarray:
        """[B, H] articles that ``readers`` [B] are known at ``now`` [B] to have read, -1 between and behind them.

        A reader whose ``user`` [B] is another one than before has read nothing.
        """
        renewed = readers[self._user[readers] != user]
        self._article[renewed] = -1
        self._user[readers] = user
        return np.where(self._known_at[readers] <= now[:, None], self._article[readers], -1)
