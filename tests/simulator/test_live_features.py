"""Live features against ``ReaderState``, one event at a time, on feedback that arrives late and in any order."""

import numpy as np
import pytest

from newsrec.events import KINDS
from newsrec.features import HOUR, POPULARITY_HALF_LIFE_HOURS, ReaderState, article_key
from newsrec.simulator.live_features import LiveFeatures
from newsrec.simulator.response import CLICK, DWELL, IMPRESSION, LEAVE, Feedback
from newsrec.transitions import Readers

START = 475_000  # full hours since 1970
READERS, ARTICLES, EVENTS, HOURS = 6, 90, 4_000, 700
KEYS = np.array([article_key(f"a{n}") for n in range(ARTICLES)], np.uint64)
USERS = np.array([14, 3, 99, 15, 92, 65])
OFFSETS = np.array([0, 330, -480, 120, -300, 0])


@pytest.fixture(scope="module")
def feedback() -> Feedback:
    """Seven hundred hours of clicks, dwells and more; arrival up to two days late, often in the same microsecond."""
    rng = np.random.default_rng(0)
    time = START * HOUR + np.sort(rng.integers(0, HOURS * HOUR, EVENTS))
    late = np.where(rng.random(EVENTS) < 0.3, rng.integers(0, 48 * HOUR, EVENTS), rng.integers(0, 5_000_000, EVENTS))
    received = (time + late) // 60_000_000 * 60_000_000 + 60_000_000  # at full minutes
    kind = rng.choice([IMPRESSION, CLICK, CLICK, CLICK, DWELL, DWELL, LEAVE], EVENTS)
    return Feedback(
        reader=(reader := rng.integers(0, READERS, EVENTS)),
        user=USERS[reader],
        decision=np.arange(EVENTS),
        kind=kind,
        position=np.zeros(EVENTS, np.int64),
        article=np.where(kind == LEAVE, -1, rng.integers(0, ARTICLES, EVENTS)),
        dwell_seconds=np.where(kind == DWELL, rng.gamma(2.0, 30.0, EVENTS), np.nan).astype(np.float32),
        time=time,
        received=received,
    )


def expected(feedback: Feedback, reader: int, now: int) -> Readers:
    """The reader's features by folding what had arrived by ``now``, in order of arrival."""
    state = ReaderState()
    rows = np.flatnonzero((feedback.reader == reader) & (feedback.received <= now))
    for row in rows[np.lexsort((feedback.decision[rows], feedback.received[rows]))]:
        event = feedback.take(row)
        key = None if event.article < 0 else int(KEYS[event.article])
        dwell = float(event.dwell_seconds) if event.kind == DWELL else None
        state.observe(KINDS[event.kind], key, int(event.time), dwell, int(OFFSETS[reader]))
    return Readers.from_rows([state.row()])


def test_readers_equal_the_fold_of_what_had_arrived(feedback: Feedback) -> None:
    live, rng, compared = LiveFeatures(USERS, OFFSETS, KEYS, START), np.random.default_rng(1), 0
    live.expect(feedback.take(feedback.time < START * HOUR + 100 * HOUR))
    for hour in range(START, START + HOURS + 50):
        if hour == START + 100:
            live.expect(feedback.take(feedback.time >= START * HOUR + 100 * HOUR))
        if (hour - START) % 60 == 50:
            for now in np.sort(rng.integers(hour * HOUR, (hour + 1) * HOUR, 3)):
                readers = np.sort(rng.choice(READERS, 3, replace=False))
                found = live.at(readers, USERS[readers], np.full(3, now))
                for i, reader in enumerate(readers):
                    for name, a, b in zip(
                        Readers._fields, found.take(np.array([i])), expected(feedback, reader, now), strict=True
                    ):
                        np.testing.assert_array_equal(a, b, f"{name} of reader {reader} at {now}")
                    compared += 1
        live.next_hour()
    assert compared == 12 * 9
    everyone = live.at(np.arange(READERS), USERS, np.full(READERS, (live.hour + 1) * HOUR - 1))
    assert (everyone.length == 50).all()  # the oldest reads were pushed out
    assert (everyone.reads > 150).all()


def test_counts_decay_and_hold_what_arrived_before_the_full_hour(feedback: Feedback) -> None:
    live = LiveFeatures(USERS, OFFSETS, KEYS, START)
    live.expect(feedback)
    for hour in range(START, START + 300):
        assert live.hour == hour
        live.next_hour()
    before = feedback.take(feedback.received < live.hour * HOUR)
    for column, (name, half_life) in enumerate(POPULARITY_HALF_LIFE_HOURS.items()):
        kind = {"clicks": CLICK, "impressions": IMPRESSION, "dwell": DWELL}[name.split("_")[0]]
        counted = before.take(before.kind == kind)
        amount = counted.dwell_seconds if kind == DWELL else 1.0
        weight = amount * 0.5 ** ((live.hour - counted.received / HOUR) / half_life)
        total = np.bincount(counted.article, weight, ARTICLES)
        np.testing.assert_allclose(live.counts[:, column], total, rtol=1e-9, atol=1e-12, err_msg=name)
        assert np.abs(total).max() > 0.1


def test_a_reader_under_a_new_user_starts_anew(feedback: Feedback) -> None:
    """What arrives late from the old user is not theirs; what comes from the new one is, and nobody else notices."""
    middle = START + 300
    before = feedback.take(feedback.time < middle * HOUR)
    after = feedback.take(feedback.time >= middle * HOUR)
    renewed = after._replace(user=np.where(after.reader == 2, 100, after.user))
    users = np.where(np.arange(READERS) == 2, 100, USERS)
    live = LiveFeatures(USERS, OFFSETS, KEYS, START)
    live.expect(before)
    live.expect(renewed)
    for _ in range(START, middle):
        live.next_hour()
    first = live.at(np.arange(READERS), users, np.full(READERS, middle * HOUR))
    assert (first.length[2], first.last_seen[2], first.sessions[2]) == (0, -1, 0)
    assert (first.length[[0, 1, 3, 4, 5]] > 10).all()
    for _ in range(middle, START + HOURS + 50):
        live.next_hour()
    now = live.hour * HOUR
    found = live.at(np.arange(READERS), users, np.full(READERS, now))
    for reader in (1, 2):
        own = after if reader == 2 else feedback
        for name, a, b in zip(Readers._fields, found.take(np.array([reader])), expected(own, reader, now), strict=True):
            np.testing.assert_array_equal(a, b, f"{name} of reader {reader}")
