"""When do readers come back? Kaplan-Meier of each arm, the log-rank test, and the share who returned within some days.

Each reader gives one gap: from the end of the session that began with the assignment (or from the assignment) to the
next session, open where the log ends first. One a reader, so that gaps are independent; readers whose 28 days are not
over count for what was seen of them. With d_c of d readers in both arms who return at a time, n_c of n still away just
before it, the log-rank statistic (Mantel 1966; Peto and Peto 1972) is

    z^2 = (sum d_t - d n_t / n)^2 / sum d (n_t / n) (n_c / n) (n - d) / (n - 1)

and chi-square with one degree where the arms return alike. Crossing curves it does not see; the difference of the
curves at a fixed day, with Greenwood's (1926) variance S^2 sum d / (n (n - d)), it does.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

from newsrec.evaluation.abtest.effects import Effect, Estimate, effect
from newsrec.evaluation.survival import Gaps, survival

CURVE_DAYS = np.arange(1, 29)
"""Where the curves are told."""


class LogRank(NamedTuple):
    """Whether two arms return alike."""

    early: float
    """Returns of the treated arm beyond those expected were the arms alike; above 0 where it returns sooner."""
    p_value: float
    """NaN where nobody returned."""


class ReturnTime(NamedTuple):
    """Treated against control."""

    log_rank: LogRank
    within: Effect
    """On the share of readers who are back within ``days``."""
    days: int
    treated_away: np.ndarray  # [28] float64, share not yet back after each of CURVE_DAYS, NaN where nothing is seen
    control_away: np.ndarray  # [28] float64


def return_time(treated: Gaps, control: Gaps, days: int = 7, confidence: float = 0.95) -> ReturnTime:
    """Of one gap a reader in each arm."""
    at = CURVE_DAYS * 24.0
    within = effect(returned(treated, days), returned(control, days), confidence)
    return ReturnTime(log_rank(treated, control), within, days, survival(treated, at), survival(control, at))


def log_rank(treated: Gaps, control: Gaps) -> LogRank:
    """The log-rank test of two arms' gaps."""
    times = np.unique(np.concatenate([treated.hours[treated.ended], control.hours[control.ended]]))
    ended_t, away_t = _counts(treated, times)
    ended_c, away_c = _counts(control, times)
    ended, away = ended_t + ended_c, away_t + away_c
    early = float((ended_t - ended * away_t / np.maximum(away, 1)).sum())
    shares = away_t * away_c / np.maximum(away, 1) ** 2
    variance = float((ended * shares * (away - ended) / np.maximum(away - 1, 1)).sum())
    return LogRank(early, float(chdtrc(1, early**2 / variance)) if variance > 0.0 else np.nan)


def returned(gaps: Gaps, days: int) -> Estimate:
    """The share of readers who are back within ``days``, with Greenwood's variance."""
    hours = np.array([days * 24.0])
    away = float(survival(gaps, hours)[0])
    times = np.unique(gaps.hours[gaps.ended & (gaps.hours <= hours[0])])
    ended, at_risk = _counts(gaps, times)
    left = at_risk - ended
    terms = np.divide(ended, at_risk * left, out=np.zeros(len(times)), where=left > 0)
    return Estimate(1.0 - away, away**2 * float(terms.sum()), len(gaps.hours))


def _counts(gaps: Gaps, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[T] float64 each: gaps that ended at each of ``times``, and those that lasted as long or longer."""
    ended = np.sort(gaps.hours[gaps.ended])
    at = np.searchsorted(ended, times, side="right") - np.searchsorted(ended, times, side="left")
    away = len(gaps.hours) - np.searchsorted(gaps.hours, times, side="left")
    return at.astype(float), away.astype(float)
