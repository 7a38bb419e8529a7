"""What a policy would have earned, from decisions of another one that logged how likely each was.

Row i: state x, shown a, reward r, logged propensity p(a | x), and pi(a | x) of the policy in question. With the weight
w = pi(a | x) / p(a | x), a prediction q(x, a) of the reward, and v(x) = sum_a pi(a | x) q(x, a)::

    IPS        mean of w r                                        Horvitz and Thompson 1952
    SNIPS      sum of w r / sum of w                              Swaminathan and Joachims 2015
    DM         mean of v                                          Beygelzimer and Langford 2009
    DR         mean of v + w (r - q)                              Dudik, Langford and Li 2011
    SNDR       mean of v, plus sum of w (r - q) / sum of w        Thomas and Brunskill 2016
    Switch-DR  mean of v + w [w <= tau] (r - q)                   Wang, Agarwal and Dudik 2017
    DRos       mean of v + lambda w / (w^2 + lambda) (r - q)      Su, Dimakopoulou, Krishnamurthy and Dudik 2020

All but DM need what the project's own logs have: true propensities, and *support*, p > 0 wherever pi > 0. All assume
that what one reader is shown changes no other's reward. "Action" below is whatever was decided: an article where the
slate has one, else the whole slate.
"""

from typing import NamedTuple

import numpy as np

from newsrec.evaluation.off_policy import checks
from newsrec.evaluation.off_policy.terms import Ratio, Terms, mean

_LINES_AT_ONCE = 65_536


class ContextualLog(NamedTuple):
    """n decisions. Every estimator checks what it uses and raises checks.InvalidLog."""

    reader: np.ndarray
    """[n] numbers or names."""
    reward: np.ndarray
    """[n] float64, such as 1 for a click."""
    behaviour: np.ndarray
    """[n] float64 in (0, 1]: the logged propensity of what was shown."""
    target: np.ndarray
    """[n] float64 in [0, 1]: its probability under the policy in question."""
    q: np.ndarray | None = None
    """[n] float64: the reward that a model predicts for what was shown, fitted without this reader's rows:
    a model that has seen the reward leaves DR no residual to correct it by."""
    v: np.ndarray | None = None
    """[n] float64: the same prediction in the mean over the actions of the policy in question (``value_under``)."""
    request: np.ndarray | None = None
    """[n] what must not stand twice."""


def on_policy(log: ContextualLog) -> Terms:
    """The value of the policy that acted: the mean reward. Nothing is assumed."""
    _check(log)
    return mean(log.reader, log.reward)


def ips(log: ContextualLog) -> Terms:
    """Inverse propensity score: mean of w r.

    Unbiased with support and true propensities, whatever the rewards are. Its variance grows with the largest weights,
    and adding a constant to all rewards changes it.
    """
    w = weights(log)
    return mean(log.reader, w * log.reward)


def snips(log: ContextualLog) -> Terms:
    """Self-normalised IPS: sum of w r / sum of w.

    Consistent where IPS is unbiased; the bias is of order 1 / n. Never outside the range of the rewards, and adding a
    constant to them adds it to the estimate. Of a policy without support it tells the mean over what is supported.
    """
    w = weights(log)
    return Terms(log.reader, (Ratio(w * log.reward, w),))


def direct_method(log: ContextualLog) -> Terms:
    """The model's word: mean of v.

    As wrong as the model is where the policy in question acts, however many rows there are; needs no propensities. Its
    interval knows nothing of the model's error.
    """
    _check(log)
    return mean(log.reader, _prediction(log, "v"))


def doubly_robust(log: ContextualLog) -> Terms:
    """Doubly robust: mean of v + w (r - q).

    Unbiased with support and true propensities, whatever the model is. Where the model is right, no regular estimator
    has a smaller asymptotic variance. Its terms may be negative, and with few effective readers so may the estimate.
    """
    return _corrected(log, weights(log))


def self_normalised_doubly_robust(log: ContextualLog) -> Terms:
    """SNDR: mean of v, plus sum of w (r - q) / sum of w.

    Consistent where DR is unbiased, with less variance where weights are large and the model is off by a constant.
    """
    w = weights(log)
    return Terms(log.reader, (Ratio(_prediction(log, "v")), Ratio(w * (log.reward - _prediction(log, "q")), w)))


def switch_doubly_robust(log: ContextualLog, tau: float) -> Terms:
    """Switch-DR: mean of v + w [w <= tau] (r - q).

    Believes the model alone where the weight exceeds ``tau``: biased by the model's error there, without the variance.
    DR at tau = infinity, DM below the least weight. ``slope`` chooses.
    """
    if not tau >= 0.0:
        raise ValueError(f"tau is {tau}, expected a weight of 0 or more")
    w = weights(log)
    return _corrected(log, np.where(w <= tau, w, 0.0))


def shrunk_doubly_robust(log: ContextualLog, shrinkage: float) -> Terms:
    """DR with optimistic shrinkage: mean of v + lambda w / (w^2 + lambda) (r - q).

    ``shrinkage`` is lambda: the weight that minimises a bound of the squared error over models of unknown quality. DR
    at infinity, DM at 0; large weights shrink most. ``slope`` chooses.
    """
    if not shrinkage >= 0.0:
        raise ValueError(f"shrinkage is {shrinkage}, expected lambda of 0 or more")
    w = weights(log)
    if np.isinf(shrinkage):
        return _corrected(log, w)
    squared = w**2 + shrinkage
    shrunk = np.divide(shrinkage * w, squared, out=np.zeros_like(w), where=squared > 0)
    return _corrected(log, shrunk)


def weights(log: ContextualLog) -> np.ndarray:
    """[n] w = target / behaviour."""
    _check(log)
    checks.same_shape(reward=log.reward, behaviour=log.behaviour, target=log.target)
    checks.logged_propensities(log.behaviour)
    checks.target_probabilities(log.target)
    return log.target / log.behaviour


def value_under(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """``v``: the mean of ``predicted`` [..., C] over the distributions ``target`` [..., C], as float64 [...].

    Both may be float32: lines are taken some at a time. Raises InvalidLog where a line is no distribution.
    """
    checks.same_shape(predicted=predicted, target=target)
    lines, count = predicted.reshape(-1, predicted.shape[-1]), target.reshape(-1, target.shape[-1])
    found = np.empty(len(lines))
    for start in range(0, len(lines), _LINES_AT_ONCE):
        part = slice(start, start + _LINES_AT_ONCE)
        checks.distributions("target probabilities", count[part])
        checks.finite("predictions", lines[part])
        found[part] = (count[part] * lines[part]).sum(-1, dtype=np.float64)
    return found.reshape(predicted.shape[:-1])


def _check(log: ContextualLog) -> None:
    checks.same_shape(reader=log.reader, reward=log.reward)
    checks.finite("reward", log.reward)
    checks.requests(log.request)


def _prediction(log: ContextualLog, name: str) -> np.ndarray:
    """``q`` or ``v``."""
    array = checks.given(name, getattr(log, name), "an estimate that uses a model")
    checks.same_shape(reward=log.reward, **{name: array})
    checks.finite(name, array)
    return array


def _corrected(log: ContextualLog, w: np.ndarray) -> Terms:
    return mean(log.reader, _prediction(log, "v") + w * (log.reward - _prediction(log, "q")))
