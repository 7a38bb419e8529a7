"""What a policy would have earned over a reader's whole story, from stories that another policy wrote.

What is shown today changes who comes tomorrow, so rewards of later steps answer to all decisions before them.

*Weighted per-decision DR* (Thomas and Brunskill 2016, section 6) of n stories of up to T steps, with the weight
w_t = prod_s<=t pi(a_s | x_s) / p(a_s | x_s), D_t the product of the discounts before step t, and w_-1 = 1::

    sum_t [ sum_i D_t w_t (r_t - q_t) / sum_i w_t  +  sum_i D_t w_t-1 v_t / sum_i w_t-1 ]

Consistent with support and true propensities, whatever q is. The weights multiply over steps: beyond some ten steps few
stories carry everything, which ``diagnostics`` sees.

*Fitted Q evaluation* (Le, Voloshin and Yue 2019) with q = features . theta, a ridge regression again and again::

    theta <- argmin sum_i (features . theta - r - discount * next_features . theta_before)^2 + ridge |theta|^2

Needs no propensities. Right where q of the policy in question is linear in the features and the logged decisions cover
what that policy does; elsewhere wrong, however long the log is.
"""

from typing import NamedTuple

import numpy as np

from newsrec.evaluation.off_policy import checks
from newsrec.evaluation.off_policy.terms import Ratio, Terms
from newsrec.evaluation.resampling import Weighted


class Stories(NamedTuple):
    """n readers' decisions in order, up to T each."""

    reader: np.ndarray
    """[n] numbers or names."""
    reward: np.ndarray
    """[n, T] float64; what stands where ``seen`` is False is ignored, here and below."""
    behaviour: np.ndarray
    """[n, T] float64 in (0, 1]: the logged propensity of each decision."""
    target: np.ndarray
    """[n, T] float64 in [0, 1]: its probability under the policy in question."""
    discount: np.ndarray
    """[n, T] float64: worth of what follows a decision, such as a factor of the hours until the next one."""
    q: np.ndarray
    """[n, T] float64: predicted discounted rewards from the decision on, policy in question."""
    v: np.ndarray
    """[n, T] float64: that prediction in the mean over its own decision (``value_under`` of ``contextual``)."""
    seen: np.ndarray
    """[n, T] bool, False behind the end of a story."""
    cut: np.ndarray
    """[n] bool: the log ended before the story's horizon did."""


def weighted_doubly_robust(log: Stories) -> Terms:
    """Weighted per-decision DR: the value of a story from its first step.

    A story that ended earns nothing further and keeps its weight. Stories that the log's end cut are refused: who came
    late is not who came often.
    """
    shapes = {name: getattr(log, name) for name in ("reward", "behaviour", "target", "discount", "q", "v", "seen")}
    checks.same_shape(**shapes)
    checks.same_shape(reader=log.reader, reward=log.reward[:, 0], cut=log.cut)
    if log.cut.any():
        raise checks.InvalidLog(
            f"the log's end cuts {log.cut.sum()} of {len(log.cut)} stories before their horizon; expected whole ones: "
            f"take readers by when they began, a horizon before the log's end, or ask return_time, which allows it"
        )
    checks.logged_propensities(log.behaviour, log.seen)
    checks.target_probabilities(log.target, log.seen)
    inside = {name: np.where(log.seen, shapes[name], 0.0) for name in ("reward", "q", "v", "discount")}
    for name, values in inside.items():
        checks.finite(name, values)
    w = story_weights(log)
    before = np.concatenate([np.ones((len(w), 1)), w[:, :-1]], axis=1)  # [n, T]
    discounts = np.cumprod(np.concatenate([np.ones((len(w), 1)), inside["discount"][:, :-1]], axis=1), axis=1)
    correction = discounts * w * (inside["reward"] - inside["q"])
    expected = discounts * before * inside["v"]
    steps = range(w.shape[1])
    parts = [Ratio(correction[:, t], w[:, t]) for t in steps] + [Ratio(expected[:, t], before[:, t]) for t in steps]
    return Terms(log.reader, tuple(parts))


def story_weights(log: Stories) -> np.ndarray:
    """[n, T]: w_t; behind a story's end the weight stays what it was."""
    return np.cumprod(np.divide(log.target, log.behaviour, out=np.ones(log.target.shape), where=log.seen), axis=1)


class Steps(NamedTuple):
    """m decisions of R readers with d features each, in any order, and where their stories begin."""

    reader: np.ndarray
    """[m] int64, readers numbered from 0."""
    features: np.ndarray
    """[m, d] float64, of the state and of what was decided."""
    reward: np.ndarray
    """[m] float64."""
    discount: np.ndarray
    """[m] float64, 0 where the story ends."""
    next_features: np.ndarray
    """[m, d] float64, of the next state, in the mean over what the policy in question would decide; ignored where the
    discount is 0."""
    start_features: np.ndarray
    """[R, d] float64, of each reader's first state, in the mean likewise."""


def fitted_q(steps: Steps, iterations: int, ridge: float = 1e-6) -> Weighted:
    """[1] The mean value of R readers' first states, from their weights [R]: what ``resampling.resample`` takes.

    ``iterations`` fits in all, from theta = 0, so that is also how many steps are looked ahead; enough once
    discount^iterations is small. NaN where the weighted fits diverge. Raises ValueError where those of the whole log
    do, which least squares off the policy may.
    """
    m, d = steps.features.shape
    checks.same_shape(features=steps.features, next_features=steps.next_features)
    checks.same_shape(reader=steps.reader, reward=steps.reward, discount=steps.discount)
    readers = len(steps.start_features)
    if m != len(steps.reader) or steps.reader.max(initial=-1) >= readers or iterations < 1 or not ridge > 0.0:
        raise ValueError(
            f"found {m} rows of features for {len(steps.reader)} decisions of readers up to number "
            f"{steps.reader.max(initial=-1)} of {readers}, {iterations} iterations and ridge {ridge}; expected a row "
            f"each, readers numbered from 0, 1 iteration or more, and a ridge above 0"
        )
    following = np.where(steps.discount[:, None] > 0, steps.next_features, 0.0)
    for name, values in (("features", steps.features), ("reward", steps.reward), ("discount", steps.discount),
                         ("next_features", following), ("start_features", steps.start_features)):  # fmt: skip
        checks.finite(name, values)
    following = steps.discount[:, None] * following  # [m, d]

    def value(weight: np.ndarray) -> np.ndarray:
        w = weight[steps.reader]
        weighted = steps.features.T * w  # [d, m]
        sides = np.column_stack([weighted @ steps.reward, weighted @ following])  # [d, 1 + d]
        solved = np.linalg.solve(weighted @ steps.features + ridge * np.eye(d), sides)
        if np.abs(np.linalg.eigvals(solved[:, 1:])).max() >= 1.0:
            return np.array([np.nan])
        theta = np.zeros(d)
        for _ in range(iterations):
            theta = solved[:, 0] + solved[:, 1:] @ theta
        return np.array([weight @ (steps.start_features @ theta) / weight.sum()])

    if np.isnan(value(np.ones(readers))).any():
        raise ValueError(
            "fitted Q evaluation diverges on this log; expected a smaller discount, more ridge, or features that the "
            "logged decisions cover"
        )
    return value
