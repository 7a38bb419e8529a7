"""What a site knows of reads: from the first news of each on, of each user for themselves, the latest fifty."""

import numpy as np

from newsrec.features import HISTORY_LENGTH
from newsrec.simulator.reading_list import ReadingList
from newsrec.simulator.response import CLICK, DWELL, IMPRESSION, LEAVE, Feedback

USERS = np.array([70, 80])
BOTH = np.arange(2)


def feedback(*events: tuple[int, int, int, int, int]) -> Feedback:
    """Events of (reader, kind, position, article, arrival)."""
    reader, kind, position, article, received = np.array(events).T
    nothing = np.zeros(len(events), np.int64)
    return Feedback(
        reader, USERS[reader], nothing, kind, position, article, nothing.astype(np.float32), nothing, received
    )


def known(reads: ReadingList, now: int, users: np.ndarray = USERS) -> list[set[int]]:
    return [set(row.tolist()) - {-1} for row in reads.at(BOTH, users, np.full(2, now))]


def test_a_read_is_known_from_the_first_news_of_it_on() -> None:
    """Of the first reader's two reads the second's dwell arrives before its click; the other reader's has no dwell."""
    reads = ReadingList(USERS)
    reads.expect(
        feedback(
            (0, IMPRESSION, 0, 5, 1),
            (0, IMPRESSION, 1, 6, 1),
            (0, CLICK, 0, 5, 10),
            (0, CLICK, 1, 6, 40),
            (0, DWELL, 0, 5, 30),
            (0, DWELL, 1, 6, 20),
            (0, LEAVE, 0, -1, 2),
            (1, CLICK, 1, 7, 25),
        )
    )
    assert known(reads, 9) == [set(), set()]
    assert known(reads, 10) == [{5}, set()]
    assert known(reads, 20) == [{5, 6}, set()]
    assert known(reads, 25) == [{5, 6}, {7}]


def test_a_reader_under_a_new_user_has_read_nothing() -> None:
    reads = ReadingList(USERS)
    reads.expect(feedback((0, CLICK, 0, 5, 10), (1, CLICK, 0, 5, 10), (1, CLICK, 3, 6, 99)))
    assert known(reads, 50, np.array([70, 81])) == [{5}, set()]
    assert known(reads, 100, np.array([70, 81])) == [{5}, set()]
    reads.expect(feedback((1, CLICK, 0, 9, 60)))
    assert known(reads, 100, np.array([70, 81])) == [{5}, {9}]


def test_the_oldest_reads_are_forgotten() -> None:
    reads = ReadingList(USERS)
    for article in range(HISTORY_LENGTH + 3):
        reads.expect(feedback((0, CLICK, 2, article, article)))
    assert known(reads, 1_000)[0] == set(range(3, HISTORY_LENGTH + 3))
