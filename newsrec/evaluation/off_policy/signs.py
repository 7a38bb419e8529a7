"""What a policy would do to the next visit, told by what readers do with its articles.

Whether a reader comes back is one noisy answer for all that a visit showed: with weights over whole visits no log of
news is long enough (``return_time``). What readers do with an article is known of each, and the same return model that
rewards long-term policies (``newsrec.surrogate``) says what such signs are worth in visits: a surrogate index (Athey,
Chetty, Imbens and Kang 2019) whose parts are estimated by the weights of ``places``::

    hazard of the next visit = habit's . exp(theta . x + constant),     x: signs summed over a visit
    value                    = visits . theta . (mean signs of a slate under the policy)

It holds as far as these signs carry what slates do to returning, and readers are those of ``places``. Unlike the
reward of a policy, theta is not shrunk here, and its own error is part of the interval: where reading moves nothing,
theta is noise about 0, and so is every gain that is made of it.

*Whose visits.* theta is fitted to all logged visits of the readers in question, earlier ones too, so that its error is
theirs: a reader who moves theta moves the estimate. Slates of which nothing is read are no sign here, since that is
not a matter of single articles.
"""

from typing import NamedTuple

import numpy as np

from newsrec import habit, surrogate
from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy import checks, places
from newsrec.evaluation.off_policy.places import Placed
from newsrec.evaluation.off_policy.terms import Ratio, Terms
from newsrec.surrogate import FEATURES

SIGNS = FEATURES[:4]
"""read, dwell, liked and hidden."""


class Worth(NamedTuple):
    """What each sign is worth, and how much each reader has to do with that."""

    visits: np.ndarray
    """[F] next visits that one more of each of SIGNS brings."""
    moved: np.ndarray
    """[n, F] how far the reader of each row moved ``visits``, at the reader's first row and 0 at all others; their sum
    is 0."""


def fit(decisions: Decisions, rows: np.ndarray) -> Worth:
    """From the visits of the readers of ``rows`` [n]. Raises InvalidLog where nothing was read for a known time."""
    rows = np.asarray(rows, np.int64)
    of_visit = habit.visits(decisions.user, decisions.time, decisions.utc_offset)
    seen, unknown = surrogate.signs(decisions.feedback, decisions.slate.row, len(decisions))

    def by_visit(values: np.ndarray) -> np.ndarray:
        return np.bincount(of_visit.of_decision, values, len(of_visit.reader))

    x = np.column_stack([*(by_visit(column) for column in seen.T[: len(SIGNS)]), by_visit(unknown)])
    returned, expected = np.empty(len(x)), np.empty(len(x))
    returned[of_visit.of_decision], expected[of_visit.of_decision] = decisions.returned, decisions.expected
    kept = np.isin(of_visit.reader, decisions.user[rows])
    x, returned, expected = np.column_stack([x, np.ones(len(x))])[kept], returned[kept], expected[kept]  # [V, F + 2]
    if not x[:, 0].any():
        raise checks.InvalidLog(
            f"found no read of known dwell in {len(x)} visits, expected some to tell what brings readers back: log "
            f"clicks and dwell, or ask for another metric than returned"
        )
    theta, hazard, curvature = surrogate.regress(x, returned, expected)
    score = np.linalg.solve(curvature, (x * (returned - hazard)[:, None]).T).T * expected.mean()  # [V, F + 2]
    names, first = np.unique(decisions.user[rows], return_index=True)
    of_reader = np.searchsorted(names, of_visit.reader[kept])
    by_reader = np.stack([np.bincount(of_reader, column, len(names)) for column in score.T[: len(SIGNS)]], 1)
    moved = np.zeros((len(rows), len(SIGNS)))
    moved[first] = by_reader - by_reader.mean(0)
    return Worth(theta[: len(SIGNS)] * expected.mean(), moved)


def shown(decisions: Decisions, rows: np.ndarray) -> np.ndarray:
    """[n, K, F] SIGNS of each shown article."""
    slot, real = decisions.slate.padded(np.asarray(rows, np.int64))
    count = len(decisions.feedback)
    found, _ = surrogate.signs(decisions.feedback, np.arange(count), count)
    return found[slot][..., : len(SIGNS)] * real[..., None]


def value(placed: Placed, weight: np.ndarray, examined: np.ndarray, signs: np.ndarray, worth: Worth) -> Terms:
    """Next visits that a slate of the policy brings, from the ``weight`` of ``places`` and ``signs`` [n, K, F]."""
    counted = places.slate_weights(placed, weight, examined)
    return _value(placed.reader, (signs * weight[..., None]).sum(1), counted, worth)


def as_logged(placed: Placed, signs: np.ndarray, worth: Worth) -> Terms:
    """The same of the policy that acted."""
    return _value(placed.reader, signs.sum(1), np.ones(len(signs)), worth)


def _value(reader: np.ndarray, signs: np.ndarray, counted: np.ndarray, worth: Worth) -> Terms:
    """``signs`` [n, F] of each slate, ``counted`` [n]."""
    mean = signs.sum(0) / counted.sum()  # [F]
    return Terms(reader, (Ratio(signs @ worth.visits, counted), Ratio(worth.moved @ mean * len(reader))))
