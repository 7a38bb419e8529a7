"""What a log says of its readers, number by number and curve by curve, each with its interval or why it has none.

Every interval resamples whole readers. A statistic that the log cannot tell is refused by name: because something was
not logged, or because too few readers did what it is about. A simulated log is described by the same statistics, so the
two can be compared. Readers are those whom the log saw at least once; who never came is in no log.
"""

from typing import NamedTuple

import numpy as np

from newsrec.evaluation.log_questions import QUESTIONS, Question, Unanswerable
from newsrec.evaluation.observations import Observations
from newsrec.evaluation.resampling import Resampled, resample
from newsrec.evaluation.survival import LEAST_AT_RISK, Gaps, readers_at_risk


class Statistic(NamedTuple):
    """One number, or a curve of n; the arrays are empty where ``refusal`` says why there is none."""

    question: Question
    at: np.ndarray  # [n] where on the curve; [0] for one number
    value: np.ndarray  # [n]
    low: np.ndarray  # [n]
    high: np.ndarray  # [n]
    reach: float
    """Of a cycle: the distance within which all but 5 % of its own resamples stay (at 95 % confidence)."""
    readers: int
    """Those who have what the question is about."""
    effective_readers: float
    """Readers with equally many rows who would tell as much (Kish 1965); far below ``readers`` where few hold most."""
    rows: int
    refusal: str = ""


def describe(
    observed: Observations, generator: np.random.Generator, draws: int = 1000, confidence: float = 0.95
) -> dict[str, Statistic]:
    """Every statistic of QUESTIONS by name. Without ``draws`` the numbers come without intervals."""
    return {question.name: _answer(question, observed, generator, draws, confidence) for question in QUESTIONS}


def distance(log: Statistic, simulated: Statistic) -> float:
    """How far ``simulated`` is from ``log``: a signed difference, of curves the largest one, of a cycle the way around.

    NaN where either is refused.
    """
    common, at_log, at_simulated = np.intersect1d(log.at, simulated.at, return_indices=True)
    difference = simulated.value[at_simulated] - log.value[at_log]
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        return np.nan
    if log.question.shape == "cycle":
        return circular_distance(simulated.value, log.value, common[1] - common[0])
    return float(difference[np.abs(difference).argmax()])


def inside(log: Statistic, simulated: Statistic) -> bool | None:
    """Whether ``simulated`` lies in the interval of ``log``, at every point of a curve; of a cycle, within its reach.

    None where either is refused.
    """
    apart = distance(log, simulated)
    if np.isnan(apart):
        return None
    return bool(apart <= log.reach) if log.question.shape == "cycle" else bool(points_inside(log, simulated).all())


def points_inside(log: Statistic, simulated: Statistic) -> np.ndarray:
    """[m] bool: for each point that both tell, whether ``simulated`` lies in the interval of ``log``."""
    _, at_log, at_simulated = np.intersect1d(log.at, simulated.at, return_indices=True)
    value, low, high = simulated.value[at_simulated], log.low[at_log], log.high[at_log]
    return ((low <= value) & (value <= high))[~np.isnan(value) & ~np.isnan(low)]


def circular_distance(a: np.ndarray, b: np.ndarray, bin_width: float) -> float:
    """The mean way, in the unit of ``bin_width``, that shares ``a`` must move around the circle to become ``b``.

    Wasserstein's first distance on a circle: what is least is the sum against the median of the cumulative difference
    (Werman, Peleg and Melter 1986).
    """
    difference = np.cumsum(a - b)
    return float(np.abs(difference - np.median(difference)).sum() * bin_width)


def _answer(
    question: Question, observed: Observations, generator: np.random.Generator, draws: int, confidence: float
) -> Statistic:
    try:
        rows = question.rows(observed)
    except Unanswerable as reason:
        return _refused(question, str(reason))
    counts = np.bincount(rows.reader[rows.ended] if isinstance(rows, Gaps) else rows.reader)
    readers = int(np.count_nonzero(counts))
    if readers < question.needs:
        return _refused(question, f"needs at least {question.needs} readers with {question.of}, found {readers}")
    known, reader = np.unique(rows.reader, return_inverse=True)
    rows, at = rows._replace(reader=reader), np.array(question.at, float)
    if isinstance(rows, Gaps) and len(at):
        at = at[readers_at_risk(rows, at) >= LEAST_AT_RISK]
    statistic = question.answer(rows, at=at) if len(at) else question.answer(rows)
    found = resample(statistic, len(known), generator, draws)
    low, high = found.share_band(confidence) if isinstance(rows, Gaps) else found.band(confidence)
    reach = _reach(found, at, confidence) if question.shape == "cycle" else np.nan
    where = at if len(at) else np.zeros(1)
    effective = float(counts.sum()) ** 2 / float((counts.astype(float) ** 2).sum())
    return Statistic(question, where, found.value, low, high, reach, readers, effective, len(reader))


def _refused(question: Question, refusal: str) -> Statistic:
    none = np.zeros(0)
    return Statistic(question, none, none, none, none, np.nan, 0, 0.0, 0, refusal)


def _reach(found: Resampled, at: np.ndarray, confidence: float) -> float:
    if not len(found.draws):
        return np.nan
    moved = [circular_distance(draw, found.value, at[1] - at[0]) for draw in found.draws]
    return float(np.quantile(moved, confidence))
