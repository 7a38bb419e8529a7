"""A log on which everything is fine, as rows that a test may break, and its counts."""

from typing import Any, NamedTuple

from newsrec.events import EventLog
from newsrec.features import DAY, HOUR
from tests import logs
from tests.logs import MINUTE, MONDAY, SECOND

READERS, DAYS, ARTICLES = 60, 15, "abcd"
"""Each reader visits on every third day: 300 visits of one decision each, 20 a day. A slate is two articles of four.
On the 8 even days everyone clicks the first article and reads it (160), on the first day they like it, too (20)."""


class Rows(NamedTuple):
    articles: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    feedback: list[dict[str, Any]]
    flags: set[str]

    def log(self) -> EventLog:
        return logs.log(self.articles, self.decisions, self.feedback, tuple(self.flags))

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """The feedback of some kinds, in order of time."""
        return sorted((row for row in self.feedback if row["kind"] in kinds), key=lambda row: row["time"])

    def drop(self, *kinds: str) -> None:
        self.feedback[:] = [row for row in self.feedback if row["kind"] not in kinds]

    def day(self, row: dict[str, Any]) -> int:
        """The day of a decision, or of an event's decision, from 0."""
        return int(row["request_id"].split("-")[1])


def whole(start: int = MONDAY, day: int = DAY) -> Rows:
    """Days begin at ``start``, every ``day`` microseconds; the first visit of one is at 07:00:13."""
    rows = Rows([], [], [], set())
    for letter in ARTICLES:
        rows.articles.append(logs.article(letter, start - HOUR, title=f"Title {letter}", category="news"))
    for number in range(DAYS):
        for reader in range(READERS):
            if (number + reader) % 3 == 0:
                moment = start + number * day + 7 * HOUR + reader * 7 * MINUTE + 13 * SECOND
                _visit(rows, reader, number, moment)
    return rows


def _visit(rows: Rows, reader: int, number: int, moment: int) -> None:
    name, user = f"r{reader}-{number}", f"u{reader}"
    slate = (ARTICLES * 2)[(first := (reader + number) // 3 % 4) : first + 2]
    more = {"session_id": name, "propensities": [0.25, 1 / 3], "context": {"utc_offset_minutes": 60}}
    rows.decisions.append(logs.decision(name, user, moment, slate, ARTICLES, **more))

    def happened(kind: str, place: int, after: int, **more: Any) -> None:
        time = moment + after * SECOND
        more |= {"position": place, "received_at": time + 2 * SECOND}
        rows.feedback.append(logs.event(name, user, kind, slate[place], time, **more))

    happened("impression", 0, 0)
    happened("impression", 1, 0)
    if number % 2 == 0:
        happened("click", 0, 5)
        happened("dwell", 0, 65, dwell_seconds=60.0)
    if number == 0:
        happened("like", 0, 70)
