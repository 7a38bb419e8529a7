"""What a policy's slates would have earned, from logged slates of another policy.

Row i shows K articles a_1 ... a_K from the top, with a reward r_k at each place and the propensity of each article
*given the ones above it*. Its value is the mean total reward. What differs is which decisions a reward answers to::

    standard            all of the slate        w = prod_j=1..K  pi(a_j | above) / p(a_j | above)
    reward interaction  those at and above k    w_k = prod_j=1..k  pi(a_j | above) / p(a_j | above)
    independent         the one at k            w_k = pi_k(a_k) / p_k(a_k), probabilities of a_k at place k

    IPS   mean of sum_k w_k r_k       self-normalised: sum_k (sum of w_k r_k / sum of w_k)
    cascade-DR   mean of sum_k  w_k (r_k - q_k) + w_k-1 v_k,   w of the reward interaction, w_0 = 1

Each row down needs more of readers than the one above, and has less variance (McInerney, Brost, Chandar, Mehrotra and
Carterette 2020; independent: Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen 2018; cascade-DR: Kiyohara,
Saito, Matsuhiro, Narita, Shimizu and Yamamoto 2022). Where the stronger assumption fails, more rows make an estimate
surer of the wrong number.
"""

from typing import NamedTuple

import numpy as np

from newsrec.evaluation.off_policy import checks
from newsrec.evaluation.off_policy.terms import Ratio, Terms, mean


class SlateLog(NamedTuple):
    """n slates of up to K articles. Every estimator checks what it uses and raises checks.InvalidLog."""

    reader: np.ndarray
    """[n] numbers or names."""
    reward: np.ndarray
    """[n, K] float64, at each place from the top; what stands where ``shown`` is False is ignored, here and below."""
    behaviour: np.ndarray
    """[n, K] float64 in (0, 1]: the logged propensity of each article given the ones above it."""
    target: np.ndarray
    """[n, K] float64 in [0, 1]: the same of the policy in question, given the same articles above."""
    shown: np.ndarray
    """[n, K] bool, False below the last article of a shorter slate."""
    marginal_behaviour: np.ndarray | None = None
    """[n, K] float64 in (0, 1]: the probability that the article stands at its place, whatever stands above."""
    marginal_target: np.ndarray | None = None
    """[n, K] float64 in [0, 1]."""
    q: np.ndarray | None = None
    """[n, K] float64: predicted sum of the rewards at place k and below, where the articles down to k are given and the
    policy in question chooses the rest."""
    v: np.ndarray | None = None
    """[n, K] float64: that prediction in the mean over its own choice at k, given the articles above (``value_under``
    of ``contextual``)."""
    request: np.ndarray | None = None
    """[n] what must not stand twice."""


def on_policy(log: SlateLog) -> Terms:
    """The value of the policy that acted: mean total reward of a slate. Nothing is assumed."""
    return mean(log.reader, _rewards(log).sum(1))


def standard_ips(log: SlateLog) -> Terms:
    """Mean of w sum_k r_k with the weight of the whole slate.

    Unbiased with support and true propensities, whatever readers do. The weight is a product of K ratios: its variance
    grows exponentially with K.
    """
    return mean(log.reader, slate_weight(log) * _rewards(log).sum(1))


def self_normalised_standard_ips(log: SlateLog) -> Terms:
    """Sum of w sum_k r_k / sum of w. Consistent where ``standard_ips`` is unbiased; stays in the rewards' range."""
    w = slate_weight(log)
    return Terms(log.reader, (Ratio(w * _rewards(log).sum(1), w),))


def reward_interaction_ips(log: SlateLog) -> Terms:
    """Mean of sum_k w_k r_k with the weights down to each place.

    Unbiased with support and true propensities if a reward does not answer to what stands below it: readers who look
    from the top down. Its variance grows as that of the standard one, but only for the lowest places.
    """
    return mean(log.reader, (prefix_weights(log) * _rewards(log)).sum(1))


def self_normalised_reward_interaction_ips(log: SlateLog) -> Terms:
    """Sum over places of (sum of w_k r_k / sum of w_k). Consistent where ``reward_interaction_ips`` is unbiased."""
    return _normalised_by_place(log, prefix_weights(log))


def independent_ips(log: SlateLog) -> Terms:
    """Mean of sum_k w_k r_k with the weight of each place alone.

    Unbiased with support and true marginal propensities if a reward answers to its own article and place only: nobody
    is tired, bored or satisfied by what stands around it. Never grows with K.
    """
    return mean(log.reader, (place_weights(log) * _rewards(log)).sum(1))


def self_normalised_independent_ips(log: SlateLog) -> Terms:
    """Sum over places of (sum of w_k r_k / sum of w_k). Consistent where ``independent_ips`` is unbiased."""
    return _normalised_by_place(log, place_weights(log))


def cascade_doubly_robust(log: SlateLog) -> Terms:
    """Mean of sum_k w_k (r_k - q_k) + w_k-1 v_k.

    Unbiased where ``reward_interaction_ips`` is, whatever the predictions are; the better they are, the less variance.
    Terms may be negative, and with few effective readers so may the estimate.
    """
    w, reward = prefix_weights(log), _rewards(log)
    q, v = (np.where(log.shown, _prediction(log, name), 0.0) for name in ("q", "v"))
    above = np.concatenate([np.ones((len(w), 1)), w[:, :-1]], axis=1)  # [n, K]
    return mean(log.reader, (w * (reward - q) + above * v).sum(1))


def prefix_weights(log: SlateLog) -> np.ndarray:
    """[n, K]: w_k of the reward interaction; below a short slate's end the weight stays what it was."""
    return np.cumprod(_ratios(log, log.behaviour, log.target), axis=1)


def slate_weight(log: SlateLog) -> np.ndarray:
    """[n]: the weight of the whole slate."""
    return _ratios(log, log.behaviour, log.target).prod(1)


def place_weights(log: SlateLog) -> np.ndarray:
    """[n, K]: the weight of each article at its place; 1 where nothing is shown."""
    what_for = "independent IPS, which weighs an article by its place alone"
    behaviour, target = (
        checks.given(name, getattr(log, name), what_for) for name in ("marginal_behaviour", "marginal_target")
    )
    return _ratios(log, behaviour, target)


def _normalised_by_place(log: SlateLog, w: np.ndarray) -> Terms:
    """A slate that ends above a place counts there with the reward 0."""
    reward = _rewards(log)
    return Terms(log.reader, tuple(Ratio(w[:, k] * reward[:, k], w[:, k]) for k in range(w.shape[1])))


def _rewards(log: SlateLog) -> np.ndarray:
    """[n, K], 0 where nothing is shown."""
    checks.same_shape(reward=log.reward, shown=log.shown)
    checks.same_shape(reader=log.reader, reward=log.reward[:, 0])
    checks.requests(log.request)
    reward = np.where(log.shown, log.reward, 0.0)
    checks.finite("reward", reward)
    return reward


def _ratios(log: SlateLog, behaviour: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[n, K], 1 where nothing is shown."""
    checks.same_shape(reward=log.reward, behaviour=behaviour, target=target, shown=log.shown)
    checks.logged_propensities(behaviour, log.shown)
    checks.target_probabilities(target, log.shown)
    return np.divide(target, behaviour, out=np.ones(target.shape), where=log.shown)


def _prediction(log: SlateLog, name: str) -> np.ndarray:
    array = checks.given(name, getattr(log, name), "cascade-DR")
    checks.same_shape(reward=log.reward, **{name: array})
    checks.finite(name, array[log.shown])
    return array
