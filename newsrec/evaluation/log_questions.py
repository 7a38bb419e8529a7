"""What is asked of a log: each statistic with the rows that answer it and what the log must have for it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from newsrec.evaluation import weighted
from newsrec.evaluation.observations import Observations
from newsrec.evaluation.resampling import Weighted
from newsrec.evaluation.survival import Gaps, survival
from newsrec.evaluation.weighted import Rows, Trials
from newsrec.events import FIRST_SIGHT, NO_READER_IDS, ORDINAL_TIME
from newsrec.features import DAY, HOUR

MEANS, TAILS = 20, 30
"""Readers that a mean or a median, and a curve or a tail, need: below, 95 % intervals cover well under 95 %."""
LEAST_FOLLOWED = 0.2
"""Share of the decisions that another one of the same reader follows, below which nothing is said of returns."""
PER_READER, PER_SESSION = (1, 2, 4, 8, 16, 32, 64, 128), (1, 2, 3, 4, 6, 8, 12, 16)
LENGTHS = (4, 5, 6, 8, 10, 12, 16, 20, 30, 50, 100, 200)
DWELL_SECONDS = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640)
AGE_HOURS = (1, 2, 4, 8, 12, 18, 24, 36, 48, 72, 120, 168)
GAP_HOURS = (0.5, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 28, 32, 36, 42, 48, 60, 72, 96, 120, 144, 168, 240)
HOURS, WEEKDAYS, POSITIONS = tuple(range(24)), tuple(range(7)), tuple(range(20))


class Unanswerable(Exception):
    """Why a log cannot tell a statistic."""


class Question(NamedTuple):
    """One statistic; ``rows`` raises Unanswerable, ``answer`` takes the rows (and ``at``, where there is one)."""

    name: str
    meaning: str
    unit: str
    rows: Callable[[Observations], Rows | Trials | Gaps]
    answer: Callable[..., Weighted]
    of: str
    """What the readers must have, for ``needs at least 20 readers with ...``."""
    needs: int = MEANS
    shape: str = "figure"
    """``figure``, or a curve: ``shares`` at most x, ``survival``, ``rates`` by position, ``cycle`` of a day or week."""
    at: tuple[float, ...] = ()


def gap_survival(gaps: Gaps, at: np.ndarray) -> Weighted:
    return lambda weight: survival(gaps, at, weight)


def return_within(gaps: Gaps, hours: float) -> Weighted:
    return lambda weight: 1.0 - survival(gaps, np.array([hours]), weight)


def _clock(observed: Observations, days: float = 0.0) -> None:
    if ORDINAL_TIME in observed.log.flags:
        raise Unanswerable("the log has no clock")
    if observed.days < days - 0.25:
        raise Unanswerable(f"needs a log of at least {days:g} days, found {observed.days:.1f}")


def _readers(observed: Observations) -> None:
    if NO_READER_IDS in observed.log.flags:
        raise Unanswerable("the log does not say who the readers were")


def _sessions(observed: Observations) -> np.ndarray:
    """[R] sessions of each reader."""
    _clock(observed)
    _readers(observed)
    return np.bincount(observed.sessions.reader)


def sessions_of_readers(observed: Observations) -> Rows:
    counts = _sessions(observed)
    return Rows(np.arange(len(counts)), counts.astype(float))


def _a_day(observed: Observations) -> Rows:
    counts = _sessions(observed)
    _clock(observed, days=1.0)
    return Rows(np.arange(len(counts)), counts / observed.days)


def _seen_again(observed: Observations) -> Rows:
    counts = _sessions(observed)
    return Rows(np.arange(len(counts)), (counts > 1).astype(float))


def _of_sessions(observed: Observations) -> Rows:
    _sessions(observed)
    return Rows(observed.sessions.reader, observed.sessions.slates.astype(float))


def _slates(observed: Observations) -> Rows:
    _readers(observed)
    return observed.lengths("slate")


def candidates(observed: Observations) -> Rows:
    candidates = observed.lengths("candidates")
    if (candidates.value == _slates(observed).value).all():
        raise Unanswerable("every candidate was shown: the log does not say what else could have been")
    return candidates


def clicked_slates(observed: Observations) -> Rows:
    _readers(observed)
    if observed.only_clicked:
        raise Unanswerable(f"{observed.clicked.mean():.0%} of the slates have a click: the log left the others out")
    return Rows(observed.reader, observed.clicked.astype(float))


def clicked_articles(observed: Observations) -> Rows:
    by_slate, shown = clicked_slates(observed), observed.shown
    return Rows(by_slate.reader[shown.decision], shown.clicked.astype(float))


def clicked_positions(observed: Observations) -> Trials:
    by_slate, shown = clicked_slates(observed), observed.shown
    if not observed.has_positions:
        raise Unanswerable("feedback carries no positions: the slates are in no known order")
    return Trials(by_slate.reader[shown.decision], shown.position, shown.clicked)


def dwell(observed: Observations) -> Rows:
    _readers(observed)
    return observed.dwells()


def to_click(observed: Observations) -> Rows:
    _clock(observed)
    _readers(observed)
    seconds = observed.seconds_to_click()
    if len(seconds.value) > 1 and np.ptp(seconds.value) == 0:
        found = f"every first click follows its slate by {seconds.value[0]:g} s"
        raise Unanswerable(f"{found}: the log does not say when clicks happened")
    return seconds


def _hours(observed: Observations) -> Rows:
    _sessions(observed)
    _clock(observed, days=1.0)
    return Rows(observed.sessions.reader, (observed.sessions.local_start % DAY // HOUR).astype(float))


def _weekdays(observed: Observations) -> Rows:
    _sessions(observed)
    _clock(observed, days=7.0)
    return Rows(observed.sessions.reader, ((observed.sessions.local_start // DAY + 3) % 7).astype(float))


def _of_the_returning(observed: Observations) -> None:
    sessions = _sessions(observed)
    followed = 1.0 - len(sessions) / len(observed.time)
    if followed < LEAST_FOLLOWED:
        again = f"{int((sessions > 1).sum()):,} of {len(sessions):,} readers have a second session"
        raise Unanswerable(f"{again}: the log is a sample of visits, who left cannot be told from who was not drawn")


def gaps(observed: Observations) -> Gaps:
    _of_the_returning(observed)
    return observed.gaps


def _long_gaps(observed: Observations, days: float) -> Gaps:
    _clock(observed, days)
    return gaps(observed)


def _ended_gaps(observed: Observations) -> Rows:
    all_gaps = gaps(observed)
    return Rows(all_gaps.reader[all_gaps.ended], all_gaps.hours[all_gaps.ended])


def _next_days(observed: Observations) -> Rows:
    _of_the_returning(observed)
    return observed.next_day_returns()


def _next_of_active(observed: Observations) -> Rows:
    _of_the_returning(observed)
    rows = observed.days_to_next()
    return Rows(rows.reader, (rows.value <= 1).astype(float))


def ages(observed: Observations) -> Rows:
    _clock(observed)
    _readers(observed)
    if FIRST_SIGHT in observed.log.flags:
        raise Unanswerable("articles are published when the log first shows them: their true age is unknown")
    shown = observed.shown
    known = ~np.isnan(shown.age_hours)
    return Rows(observed.reader[shown.decision[known]], shown.age_hours[known])


def _new(observed: Observations) -> Rows:
    age = ages(observed)
    return Rows(age.reader, (age.value < 24).astype(float))


def late(observed: Observations, minutes: float) -> Rows:
    _readers(observed)
    late = observed.lateness()
    if not late.value.any():
        raise Unanswerable("every event is received when it happens: the log does not say how late it arrived")
    return Rows(late.reader, (late.value > minutes).astype(float))


def _quantile(q: float) -> Callable[..., Weighted]:
    return partial(weighted.quantile, q=q)


def _within(hours: float) -> Callable[..., Weighted]:
    return partial(return_within, hours=hours)


_SHARES, _AGAIN = weighted.shares_at_most, "a second session"
QUESTIONS = (
    Question("sessions_a_day", "sessions a day of a reader whom the log saw", "", _a_day, weighted.mean, "a session"),
    Question("seen_again", "share of readers with a second session", "", _seen_again, weighted.mean, "a session"),
    Question(
        "sessions", "sessions of a reader", "", sessions_of_readers, _SHARES, "a session",
        TAILS, "shares", PER_READER,
    ),
    Question("slates_a_session", "slates of a session", "", _of_sessions, weighted.mean, "a session"),
    Question("slates", "slates of a session", "", _of_sessions, _SHARES, "a session", TAILS, "shares", PER_SESSION),
    Question("shown_a_slate", "articles of a slate", "", _slates, weighted.mean, "a slate"),
    Question("shown", "articles of a slate", "", _slates, _SHARES, "a slate", TAILS, "shares", LENGTHS),
    Question("candidates", "articles that a slate was chosen from", "", candidates, weighted.mean, "a slate"),
    Question("slates_clicked", "share of slates with a click", "", clicked_slates, weighted.mean, "a slate"),
    Question("click_rate", "clicks an article shown", "", clicked_articles, weighted.mean, "a slate"),
    Question(
        "click_rate_at", "clicks an article shown, by its position from 0", "", clicked_positions, weighted.rates,
        "a slate", TAILS, "rates", POSITIONS,
    ),
    Question("dwell_p10", "dwell that a tenth of the reads stay below", "s", dwell, _quantile(0.1), "a dwell", TAILS),
    Question("dwell_median", "median dwell on an article read", "s", dwell, _quantile(0.5), "a dwell"),
    Question("dwell_p90", "dwell that a tenth of the reads exceed", "s", dwell, _quantile(0.9), "a dwell", TAILS),
    Question("dwell", "dwell on an article read", "s", dwell, _SHARES, "a dwell", TAILS, "shares", DWELL_SECONDS),
    Question("to_click_median", "median time from slate to first click", "s", to_click, _quantile(0.5), "a click"),
    Question(
        "hours", "hour of the day in which a session starts", "h", _hours, weighted.shares, "a session",
        TAILS, "cycle", HOURS,
    ),
    Question(
        "weekdays", "weekday on which a session starts, from Monday", "d", _weekdays, weighted.shares, "a session",
        TAILS, "cycle", WEEKDAYS,
    ),
    Question("gap_median", "median of the gaps that ended in the log", "h", _ended_gaps, _quantile(0.5), _AGAIN),
    Question("gap_p90", "gap that a tenth of those that ended exceed", "h", _ended_gaps, _quantile(0.9), _AGAIN, TAILS),
    Question(
        "gaps", "visits not followed by another yet", "h", gaps, gap_survival, _AGAIN, TAILS, "survival", GAP_HOURS
    ),
    Question(
        "return_24h", "share of visits followed by another within 24 hours, open gaps censored", "",
        partial(_long_gaps, days=1.0), _within(24.0), _AGAIN,
    ),
    Question(
        "return_48h", "share of visits followed by another within 48 hours, open gaps censored", "",
        partial(_long_gaps, days=2.0), _within(48.0), _AGAIN,
    ),
    Question(
        "next_day", "share of active days followed by another on the morrow, where the log holds it whole", "",
        _next_days, weighted.mean, "a day whose morrow the log holds",
    ),
    Question(
        "next_day_of_returns", "share of active days followed by another on the morrow, of those followed by any", "",
        _next_of_active, weighted.mean, "a second active day",
    ),
    Question("age_median", "median age of an article shown", "h", ages, _quantile(0.5), "an article of known age"),
    Question("new", "share of the articles shown that are younger than a day", "", _new, weighted.mean,
             "an article of known age"),
    Question("age", "age of an article shown", "h", ages, _SHARES, "an article of known age", TAILS, "shares",
             AGE_HOURS),
    Question("late_minute", "share of events received more than a minute late", "", partial(late, minutes=1.0),
             weighted.mean, "an event"),
    Question("late_hour", "share of events received more than an hour late", "", partial(late, minutes=60.0),
             weighted.mean, "an event"),
)  # fmt: skip
"""In the order in which a reader would ask."""
