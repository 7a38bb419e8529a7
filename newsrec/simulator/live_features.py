"""Stored features of all readers and articles as they stand at a moment, kept up while feedback arrives.

They equal what ``newsrec.snapshots`` computes afterwards from the finished log: the same fold as
``features.ReaderState``, over arrays of readers instead of one at a time.
"""

from collections import defaultdict

import numpy as np

from newsrec.features import (
    ACTIVE_DAYS_WINDOW,
    DAY,
    HISTORY_LENGTH,
    HOUR,
    POPULARITY_HALF_LIFE_HOURS,
    SESSION_GAP_MINUTES,
    SHOWN_LENGTH,
    count_weights,
)
from newsrec.simulator.response import CLICK, DWELL, IMPRESSION, Feedback
from newsrec.transitions import Readers


class LiveFeatures:
    """Features of N readers and A articles (``key`` [A]) from the full hour ``hour`` on.

    ``user`` [N] is who each reader is to the site at first, ``utc_offset`` [N] their minutes east of UTC.

    Feedback is announced when it happens (``expect``) and counts from its arrival: in a reader's features at once, in
    an article's counts from the next full hour.
    """

    def __init__(self, user: np.ndarray, utc_offset: np.ndarray, key: np.ndarray, hour: int) -> None:
        self.hour = hour
        self.readers = ReaderFeatures(user, utc_offset, key)
        self.counts = np.zeros((len(key), len(POPULARITY_HALF_LIFE_HOURS)))
        """[A, 4] float64, decayed up to the full hour ``hour``."""
        self._arrivals: defaultdict[int, list[Feedback]] = defaultdict(list)

    def expect(self, feedback: Feedback) -> None:
        """Take note of feedback that arrives in this hour or later."""
        hours = feedback.received // HOUR
        for hour in np.unique(hours):
            arriving = feedback.take(hours == hour)
            self._arrivals[int(hour)].append(arriving)
            if hour == self.hour:
                self.readers.expect(arriving)

    def next_hour(self) -> None:
        """Go to the next full hour."""
        self.readers.catch_up()
        arrived = Feedback.joined(self._arrivals.pop(self.hour, []))
        self.hour += 1
        arrived = self.counted(arrived.take(arrived.article >= 0))
        hours = arrived.received / HOUR - self.hour  # negative
        added = count_weights(arrived.kind, arrived.dwell_seconds)  # [M, 4]
        for column, half_life in enumerate(POPULARITY_HALF_LIFE_HOURS.values()):
            counted = added[:, column] != 0.0
            weight = added[counted, column] * np.exp2(hours[counted] / half_life)
            self.counts[:, column] *= 2.0 ** (-1.0 / half_life)
            self.counts[:, column] += np.bincount(arrived.article[counted], weight, len(self.counts))
        self.readers.expect(Feedback.joined(self._arrivals[self.hour]))

    def counted(self, feedback: Feedback) -> Feedback:
        """What of ``feedback`` enters the counts of articles: all of it."""
        return feedback

    def at(self, readers: np.ndarray, user: np.ndarray, now: np.ndarray) -> Readers:
        """``ReaderFeatures.at`` for moments ``now`` of this hour."""
        return self.readers.at(readers, user, now)


class ReaderFeatures:
    """Features of N readers, each with a clock of their own; arguments as those of ``LiveFeatures``."""

    def __init__(self, user: np.ndarray, utc_offset: np.ndarray, key: np.ndarray) -> None:
        n = len(utc_offset)
        zero = {name: np.zeros(n, np.int64) for name in ("length", "reads", "sessions", "active_days", "last_day")}
        self._readers = Readers(
            key=np.zeros((n, HISTORY_LENGTH), np.uint64),
            time=np.zeros((n, HISTORY_LENGTH), np.uint32),
            dwell=np.zeros((n, HISTORY_LENGTH), np.float32),
            last_seen=np.full(n, -1),
            gap_hours=np.zeros(n, np.float32),
            shown_time=np.zeros((n, SHOWN_LENGTH), np.uint32),
            shown_key=np.zeros((n, SHOWN_LENGTH), np.uint32),
            **zero,
        )
        self._user, self._utc_offset, self._key = user.copy(), utc_offset, key
        self._to_fold = Feedback.none()

    def expect(self, feedback: Feedback) -> None:
        """Take note of feedback that is to arrive."""
        self._to_fold = Feedback.joined([self._to_fold, feedback])

    def catch_up(self) -> None:
        """All feedback has arrived."""
        self._fold(self._to_fold)
        self._to_fold = Feedback.none()

    def forget(self, readers: np.ndarray) -> None:
        """Others are in the rows ``readers``: what these did, and what of it is still to arrive, is not theirs."""
        self._renew(readers)
        self._to_fold = self._to_fold.take(~np.isin(self._to_fold.reader, readers))

    def at(self, readers: np.ndarray, user: np.ndarray, now: np.ndarray) -> Readers:
        """The features of ``readers`` [B] at ``now`` [B]; the moments of one reader never go back.

        A reader whose ``user`` [B] is another one than before starts anew.
        """
        self._renew(readers[self._user[readers] != user])
        self._user[readers] = user
        moment = np.full(len(self._utc_offset), -1)
        moment[readers] = now
        arrived = self._to_fold.received <= moment[self._to_fold.reader]
        self._fold(self._to_fold.take(arrived))
        self._to_fold = self._to_fold.take(~arrived)
        return self._readers.take(readers)

    def _renew(self, readers: np.ndarray) -> None:
        for column in self._readers:
            column[readers] = 0
        self._readers.last_seen[readers] = -1

    def _fold(self, feedback: Feedback) -> None:
        """Fold events in order of arrival: the first of every reader, then the second of every reader, and so on.

        What a reader did as an earlier user is theirs no more.
        """
        feedback = feedback.take(self._user[feedback.reader] == feedback.user)
        self._show(feedback.take(feedback.kind == IMPRESSION))
        feedback = _folded(feedback)
        keys = (feedback.position, feedback.kind, feedback.decision, feedback.received, feedback.reader)
        feedback = feedback.take(np.lexsort(keys))
        number = np.arange(len(feedback.reader))
        first = np.append(True, feedback.reader[1:] != feedback.reader[:-1])[: len(number)]
        rank = number - np.maximum.accumulate(np.where(first, number, 0))
        for turn in range(int(rank.max(initial=-1)) + 1):
            events = feedback.take(rank == turn)
            is_read = (events.kind == CLICK) | (events.kind == DWELL)
            if is_read.any():
                self._remember(events.take(is_read))
            self._observe(events.reader, events.time)

    def _show(self, impressions: Feedback) -> None:
        """Impressions of any readers; which are kept depends on their times alone."""
        second = (impressions.time // 1_000_000).astype(np.uint32)
        key = self._key[impressions.article].astype(np.uint32)
        order = np.lexsort([key, second, impressions.reader])
        reader, second, key = impressions.reader[order], second[order], key[order]
        rows, first, count = np.unique(reader, return_index=True, return_counts=True)
        if not len(rows):
            return
        place = np.arange(len(reader)) - np.repeat(first, count)  # of each among its reader's
        width = int(count.max())
        added = np.zeros((2, len(rows), width), np.uint32)  # time and key, real ones behind
        line = np.repeat(np.arange(len(rows)), count)
        added[:, line, place + width - np.repeat(count, count)] = second, key
        times = np.concatenate([self._readers.shown_time[rows], added[0]], 1)  # [B, S + width]
        keys = np.concatenate([self._readers.shown_key[rows], added[1]], 1)
        latest = np.lexsort([keys, times], axis=1)[:, -SHOWN_LENGTH:]  # [B, S]
        self._readers.shown_time[rows] = np.take_along_axis(times, latest, 1)
        self._readers.shown_key[rows] = np.take_along_axis(keys, latest, 1)

    def _observe(self, rows: np.ndarray, time: np.ndarray) -> None:
        """Activity of the readers ``rows`` (each once) at ``time``; as in ``ReaderState.observe``."""
        _, _, _, _, _, sessions, active_days, last_day, last_seen, gap_hours, *_ = self._readers
        seen, days = last_seen[rows], active_days[rows]
        day = (time + self._utc_offset[rows] * 60_000_000) // DAY
        ahead = np.where(seen < 0, ACTIVE_DAYS_WINDOW, day - last_day[rows])
        window = (1 << ACTIVE_DAYS_WINDOW) - 1
        later = (days << np.clip(ahead, 0, ACTIVE_DAYS_WINDOW)) & window | 1
        earlier = days | np.where(-ahead < ACTIVE_DAYS_WINDOW, 1 << np.clip(-ahead, 0, ACTIVE_DAYS_WINDOW), 0)
        active_days[rows] = np.where(ahead > 0, later, earlier)
        last_day[rows] = np.where(ahead > 0, day, last_day[rows])
        new_session = (seen < 0) | (time - seen > SESSION_GAP_MINUTES * 60_000_000)
        sessions[rows] += new_session
        gap = np.where(seen < 0, 0.0, (time - seen) / HOUR)
        gap_hours[rows] = np.where(new_session, gap, gap_hours[rows])
        last_seen[rows] = np.maximum(seen, time)

    def _remember(self, events: Feedback) -> None:
        """Reads of readers (each once) into their histories; as in ``ReaderState.remember``."""
        keys, times, dwells, length, reads, *_ = self._readers
        rows, key = events.reader, self._key[events.article]
        reads[rows] += events.kind == CLICK
        history = np.arange(HISTORY_LENGTH) < length[rows, None]  # [B, H]
        known = history & (keys[rows] == key[:, None])  # [B, H]
        added = ~known.any(1, keepdims=True)  # [B, 1]
        place = np.concatenate([known, added], 1)  # [B, H + 1], True at the read's place, the last one for a new read
        filled = np.concatenate([history, added], 1)
        blank = np.zeros((len(rows), 1))
        second = (events.time // 1_000_000).astype(np.uint32)[:, None]
        dwell = np.fmax(events.dwell_seconds, 0.0).astype(np.float16).astype(np.float32)[:, None]
        key_row = np.where(place, key[:, None], np.concatenate([keys[rows], blank.astype(np.uint64)], 1))
        time_row = np.concatenate([times[rows], blank.astype(np.uint32)], 1)
        time_row = np.where(place, np.maximum(time_row, second), time_row)
        dwell_row = np.concatenate([dwells[rows], blank.astype(np.float32)], 1)
        dwell_row = np.where(place, np.maximum(dwell_row, dwell), dwell_row)
        order = np.lexsort([key_row, time_row, ~filled], axis=1)  # [B, H + 1], oldest first, empty places behind
        over = filled.all(1, keepdims=True)  # [B, 1], the oldest goes
        order = np.where(over, order[:, 1:], order[:, :-1])  # [B, H]
        for column, row in ((keys, key_row), (times, time_row), (dwells, dwell_row)):
            column[rows] = np.take_along_axis(row, order, 1)
        length[rows] = np.minimum(length[rows] + added[:, 0], HISTORY_LENGTH)


def _folded(feedback: Feedback) -> Feedback:
    """The events that change a reader's features: of a slate's impressions, all at one moment, one is enough."""
    return feedback.take((feedback.kind != IMPRESSION) | (feedback.position == 0))
