"""How each moment is computed from a log: functions of the weights of all its readers, on scales without bounds.

All raise Unanswerable where the log does not hold what they look at.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import logit

from newsrec.evaluation import log_questions as asked
from newsrec.evaluation import weighted
from newsrec.evaluation.log_questions import Unanswerable
from newsrec.evaluation.observations import MINUTE, Observations
from newsrec.evaluation.resampling import Weighted
from newsrec.evaluation.weighted import Rows
from newsrec.events import microseconds
from newsrec.features import HOUR

LEAST_SPREAD, LARGEST_SPREAD = 0.02, 4.0
"""Between which a standard deviation is told."""
LATE_MINUTES = 1.0
"""Feedback that is received later is late; the rest took the usual seconds."""
ONE_AGE = 0.05
"""Shelf life is told where the oldest candidates of half the slates are within this share of their age."""


class Measure(NamedTuple):
    """Some moments as functions of the weights of all readers [R]."""

    weighted: Weighted
    readers: int
    """Those who have what the moments are about."""


def _by_reader(rows: Rows, statistic: Callable[[Rows], Weighted], scale: Callable[[np.ndarray], np.ndarray]) -> Measure:
    known, reader = np.unique(rows.reader, return_inverse=True)
    if not len(known):
        return Measure(lambda _: np.array([np.nan]), 0)
    of_weights = statistic(rows._replace(reader=reader))
    return Measure(lambda weight: scale(of_weights(weight[known])), len(known))


def visits(observed: Observations) -> Measure:
    """Log sessions a day of a reader who was seen, and log of those that the reader of a session picked at random has.

    The second is the mean square of a reader's sessions over their mean, less the session itself. Readers who did not
    come change neither of its sums; with Poisson visits it is E[rate^2] / E[rate].
    """
    asked.gaps(observed)
    counts = asked.sessions_of_readers(observed).value

    def statistic(weight: np.ndarray) -> np.ndarray:
        total = weight @ counts
        others = max(weight @ counts**2 / total - 1.0, 0.5 / total)
        return np.log(np.array([total / weight.sum(), others]) / observed.days)

    return Measure(statistic, int((counts > 1).sum()))


def stays(observed: Observations) -> Measure:
    asked.gaps(observed)
    statistic = _staying(observed)
    return Measure(lambda weight: statistic(weight)[:2], observed.readers)


def stays_by_click(observed: Observations) -> Measure:
    asked.gaps(observed)
    asked.clicked_slates(observed)
    statistic = _staying(observed)
    return Measure(lambda weight: statistic(weight)[2:], observed.readers)


def _staying(observed: Observations) -> Weighted:
    """[3] Log odds of another slate after one without a click, log of how readers differ, and what a click adds.

    How they differ is the square root of the mean product of two of a reader's residuals, in units of the log odds. In
    a log of slates with a click alone the first is after a click, and the last is NaN.
    """
    kind = observed.reader * 2 + observed.clicked
    tried, stayed = (
        np.bincount(rows, minlength=2 * observed.readers).reshape(-1, 2) for rows in (kind, kind[observed.stayed])
    )  # [R, 2] without and with a click
    slates = tried.sum(1)

    def statistic(weight: np.ndarray) -> np.ndarray:
        share = np.divide(weight @ stayed, weight @ tried, out=np.full(2, np.nan), where=weight @ tried > 0)
        expected = tried @ np.nan_to_num(share)
        spread = tried @ np.nan_to_num(share * (1.0 - share))  # [R] the variance that chance alone would make
        squares = ((stayed.sum(1) - expected) ** 2 - spread) / np.maximum(slates, 1)
        common = (weight @ squares) / max(weight @ (slates - 1), 1.0)
        unit = (weight @ spread) / (weight @ slates)
        differ = np.sqrt(np.clip(common / max(unit, 1e-3) ** 2, LEAST_SPREAD**2, LARGEST_SPREAD**2))
        without, with_click = _log_odds(share)
        return np.array([with_click if observed.only_clicked else without, np.log(differ), with_click - without])

    return statistic


def dwell(observed: Observations) -> Measure:
    """Log of the median, and of the quartiles' distance in the units of a normal law, as zeros have no logarithm."""
    rows = asked.dwell(observed)

    def quartiles(rows: Rows) -> Weighted:
        first, median, third = (weighted.quantile(rows, q) for q in (0.25, 0.5, 0.75))

        def statistic(weight: np.ndarray) -> np.ndarray:
            low, middle, high = (np.log(np.maximum(q(weight)[0], 0.5)) for q in (first, median, third))
            return np.array([middle, np.log(np.clip((high - low) / 1.349, LEAST_SPREAD, LARGEST_SPREAD))])

        return statistic

    return _by_reader(rows, quartiles, lambda x: x)


def to_click(observed: Observations) -> Measure:
    return _by_reader(asked.to_click(observed), _median, lambda x: np.log(np.maximum(x, 0.1)))


def click_rate(observed: Observations) -> Measure:
    return _by_reader(asked.clicked_articles(observed), weighted.mean, _log_odds)


def position_slope(observed: Observations) -> Measure:
    """How fast the click rate falls with the logarithm of the position, where chance alone chose the positions."""
    trials = asked.clicked_positions(observed)
    if not _is_random(observed):
        raise Unanswerable("slates are not random: how good an article is and how high it stood go together")
    length = int(trials.kind.max()) + 1
    readers, cell = observed.readers, trials.reader * length + trials.kind
    tried, clicked = (
        np.bincount(cells, minlength=readers * length).reshape(readers, length)
        for cells in (cell, cell[trials.success])
    )
    log_position = np.log(np.arange(length) + 1.0)

    def slope(weight: np.ndarray) -> np.ndarray:
        clicks, shown = weight @ clicked, weight @ tried
        used = clicks > 0  # the variance of a log rate is one over its clicks
        x, w = log_position[used], clicks[used]
        x = x - np.average(x, weights=w)
        spread = float(w @ x**2)
        return np.array([-(w * x) @ np.log(clicks[used] / shown[used]) / spread if spread > 0 else np.nan])

    return Measure(slope, readers)


def _is_random(observed: Observations) -> bool:
    """Whether every slate was drawn from its candidates with equal chances, one article after the other."""
    propensities = observed.log.recommendations["propensities"].combine_chunks()
    if propensities.null_count:
        return False
    row = pc.list_parent_indices(propensities).to_numpy()
    left = observed.lengths("candidates").value[row] - (np.arange(len(row)) - np.searchsorted(row, row))
    return bool(np.allclose(propensities.flatten().to_numpy() * left, 1.0, rtol=1e-3))


def acts(observed: Observations, kind: str) -> Measure:
    """Log odds of ``kind`` after a read, of a hide for an article shown that was not read."""
    feedback, of = observed.log.feedback, observed.reader[observed.feedback_row]
    happened = of[pc.equal(feedback["kind"], kind).to_numpy()]
    if kind == "hide":
        clicked = asked.clicked_articles(observed)
        chances = clicked.reader[clicked.value == 0]
    else:
        chances = of[pc.equal(feedback["kind"], "click").to_numpy()]
    times, tried = (np.bincount(reader, minlength=observed.readers) for reader in (happened, chances))

    def statistic(weight: np.ndarray) -> np.ndarray:
        return _log_odds(np.array([(weight @ times + 0.5) / (weight @ tried + 1.0)]))  # so that none has odds too

    return Measure(statistic, len(np.unique(happened)))


def _late(observed: Observations) -> Rows:
    """Minutes by which the earliest feedback on each decision is late."""
    asked.late(observed, LATE_MINUTES)
    late = observed.lateness().value
    least = np.full(len(observed.time), np.inf)
    np.minimum.at(least, observed.feedback_row, late)
    known = np.isfinite(least)
    return Rows(observed.reader[known], least[known])


def late_share(observed: Observations) -> Measure:
    rows = _late(observed)
    return _by_reader(Rows(rows.reader, (rows.value > LATE_MINUTES).astype(float)), weighted.mean, _log_odds)


def late_minutes(observed: Observations) -> Measure:
    rows = _late(observed)
    late = rows.value > LATE_MINUTES
    return _by_reader(Rows(rows.reader[late], rows.value[late]), _median, np.log)


def oldest_candidate(observed: Observations) -> Measure:
    """Log hours since the publication of the oldest candidate of a slate."""
    return _by_reader(_oldest(observed), _median, np.log)


def many_ages(observed: Observations) -> dict[str, str]:
    """Nothing, or why the oldest candidates do not tell at which age articles leave, under their moment's name."""
    low, median, high = np.quantile(_oldest(observed).value, (0.25, 0.5, 0.75))
    if high - low <= ONE_AGE * median:
        return {}
    found = f"the oldest candidates of half the slates are {low:.0f} to {high:.0f} hours old"
    return {"oldest_candidate": f"{found}: articles do not leave at one age"}


def _oldest(observed: Observations) -> Rows:
    asked.candidates(observed)
    asked.ages(observed)
    candidates = observed.log.recommendations["candidates"].combine_chunks()
    published = _published(observed, candidates.flatten())
    oldest = np.full(len(observed.time), np.iinfo(np.int64).max)
    np.minimum.at(oldest, pc.list_parent_indices(candidates).to_numpy(), published)
    return Rows(observed.reader, np.maximum(observed.time - oldest, MINUTE) / HOUR)


def _published(observed: Observations, articles: pa.Array) -> np.ndarray:
    """Microseconds; the end of time for an article that the catalogue lacks."""
    row = pc.index_in(articles, value_set=observed.log.articles["article_id"].combine_chunks())
    published = microseconds(observed.log.articles["published_at"])
    known = row.is_valid().to_numpy(zero_copy_only=False)
    return np.where(known, published[pc.fill_null(row, 0).to_numpy()], np.iinfo(np.int64).max)


def _log_odds(share: np.ndarray) -> np.ndarray:
    return logit(np.clip(share, 1e-6, 1.0 - 1e-6))


def _median(rows: Rows) -> Weighted:
    return weighted.quantile(rows, 0.5)
