"""What a slate does to the next visit, told by what readers did with it: a return model of few coefficients.

Whether a reader comes back within a week is one noisy answer for all that was read in a visit. How long each read was
read is known for each of them, and at once. So the outcome teaches a model of few coefficients what such signs are
worth, and the model's word, not the outcome, is the reward of each slate: a surrogate index (Prentice 1989; Athey et
al. 2019). It holds as far as these signs carry what slates do to returning.

The hazard of the next visit is habit's times ``exp(b . x)``, x the sum over the slates of a visit of::

    read      reads whose dwell is known
    dwell     of these, log(seconds / 30), at most DWELL_SPAN away from 0
    liked     reads that were liked, shared or commented on
    hidden    articles that were hidden
    empty     1 for a slate of which nothing is read

beside a constant and the reads of unknown dwell, which are fitted but never rewarded: programs and people who switch
scripts off differ in how often they come, not in what they read. The fit is a Poisson regression with habit's
expectation as its offset (``newsrec.rl.objectives.hazard_likelihood``), so that open windows count for what was seen.

Each coefficient is shrunk by ``1 - 1 / z^2`` (James and Stein 1961, positive part; z: in standard errors): one within
an error of 0 is 0. Where reading moves nothing, nothing is rewarded, and where good reads keep readers away, the sign
turns.
"""

from typing import NamedTuple

import numpy as np

from newsrec.events import KINDS

FEATURES = ("read", "dwell", "liked", "hidden", "empty")
DWELL_SECONDS = 30.0
"""Where ``dwell`` is 0."""
DWELL_SPAN = 1.5
"""Furthest that ``dwell`` goes from 0: six seconds, or more than two minutes, are no longer told from less or more."""
RIDGE = 1.0
"""Weight of a normal prior on the coefficients, in visits."""
STEPS = 25


class ReturnModel(NamedTuple):
    """The fitted coefficients of FEATURES, in log hazard, before they are shrunk."""

    coefficient: np.ndarray  # [F] float64
    error: np.ndarray  # [F] float64, standard errors
    visits: float
    """Next visits that habit expects behind a visit: what a log hazard is worth in visits."""

    @property
    def shrunk(self) -> np.ndarray:
        """[F] float64, visits that one more of each feature adds."""
        square = np.maximum((self.coefficient / self.error) ** 2, 1.0)
        return self.visits * self.coefficient * (1.0 - 1.0 / square)


def signs(feedback: np.ndarray, row: np.ndarray, decisions: int) -> tuple[np.ndarray, np.ndarray]:
    """FEATURES [N, F] of ``decisions`` N, and their reads of unknown dwell [N].

    ``feedback`` [S, kinds] of the shown articles as in ``Decisions``, ``row`` [S] the decision of each.
    """
    happened = {kind: feedback[:, KINDS.index(kind)] > 0 for kind in KINDS}
    known = happened["click"] & happened["dwell"]
    seconds = np.where(known, feedback[:, KINDS.index("dwell")], DWELL_SECONDS)
    dwell = np.clip(np.log(np.maximum(seconds, 1e-3) / DWELL_SECONDS), -DWELL_SPAN, DWELL_SPAN)
    liked = happened["click"] & (happened["like"] | happened["share"] | happened["comment"])

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(row, values.astype(float), decisions)

    empty = summed(happened["click"]) == 0
    columns = [summed(known), summed(dwell), summed(liked), summed(happened["hide"]), empty.astype(float)]
    return np.stack(columns, 1), summed(happened["click"] & ~known)


def fit(seen: np.ndarray, unknown: np.ndarray, returned: np.ndarray, expected: np.ndarray) -> ReturnModel:
    """The return model of V visits: ``seen`` [V, F] and ``unknown`` [V] as ``signs`` gives them, summed over slates.

    ``returned`` and ``expected`` [V] as in ``newsrec.habit.Windows``.
    """
    x = np.column_stack([seen, unknown, np.ones(len(seen))])  # [V, F + 2]
    found, _, curvature = regress(x, returned, expected)
    error = np.sqrt(np.diag(np.linalg.inv(curvature)))
    count = len(FEATURES)
    return ReturnModel(found[:count], error[:count], float(expected.mean()) if len(expected) else 0.0)


def regress(x: np.ndarray, returned: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients [C] of ``x`` [V, C], whose last column is the constant; hazards [V] and curvature [C, C] there."""
    prior = np.append(np.full(x.shape[1] - 1, RIDGE), 1e-6)
    found, hazard, curvature = np.zeros(x.shape[1]), expected, np.diag(prior)
    for _ in range(STEPS):
        hazard = expected * np.exp(np.clip(x @ found, -4.0, 4.0))
        curvature = (x * hazard[:, None]).T @ x + np.diag(prior)
        step = np.linalg.solve(curvature, x.T @ (returned - hazard) - prior * found)
        found = found + step
        if np.abs(step).max() < 1e-8:
            break
    return found, hazard, curvature


def retention(
    feedback: np.ndarray, row: np.ndarray, of_visit: np.ndarray, returned: np.ndarray, expected: np.ndarray
) -> tuple[np.ndarray, ReturnModel]:
    """[N] float32, visits: what readers did with each slate, by the return model of the same log; and that model.

    ``feedback`` [S, kinds], ``row`` [S]; ``of_visit`` [N] the visit of each decision; ``returned``, ``expected`` [V].
    """
    seen, unknown = signs(feedback, row, len(of_visit))

    def by_visit(values: np.ndarray) -> np.ndarray:
        return np.bincount(of_visit, values, len(returned))

    summed = np.stack([by_visit(column) for column in seen.T], 1)
    model = fit(summed, by_visit(unknown), returned, expected)
    return (seen @ model.shrunk).astype(np.float32), model
