"""From a log and two policies to what the gate decides on: each metric of a ShippingConfig, by its estimator.

==============  ==========================================  ================================================
metric          unit                                        estimator
==============  ==========================================  ================================================
``click_rate``  clicks a decision                           ``off_policy.places``
``dwell``       minutes read a decision, a read up to       ``off_policy.places``
                ``RewardConfig.dwell_cap_seconds``
``hides``       hidden articles a decision                  ``off_policy.places``
``returned``    next visits within the reward's horizon     ``off_policy.signs``: what readers do with articles,
                that a decision brings, beyond habit        and what that is worth in visits
``coverage``    share of the articles that were             of each policy on its own: an article is shown in
                candidates and are shown to anybody         these decisions or not; articles are the unit
``latency``     milliseconds a decision takes to be scored  measured on decisions of the log (``latency``)
==============  ==========================================  ================================================

Weights of whole slates and visits, which assume less, have a variance that grows exponentially with their length: of
slates of ten no log is left with anything to say. Those of ``places`` and ``signs`` say what they assume.

Anything else was measured elsewhere and is given. The incumbent is a policy, too, or the one that
wrote the log: its own mean needs no weights.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy import checks, places, signs
from newsrec.evaluation.off_policy.logged import Acting
from newsrec.evaluation.off_policy.places import Placed
from newsrec.evaluation.off_policy.terms import Terms, mean
from newsrec.evaluation.shipping.bounds import Measured
from newsrec.evaluation.shipping.config import ShippingConfig
from newsrec.evaluation.shipping.latency import LATENCY, latency
from newsrec.evaluation.shipping.plan import Volume
from newsrec.evaluation.shipping.verdict import Findings
from newsrec.features import DAY
from newsrec.reward import RewardConfig

COVERAGE, RETURNED = "coverage", "returned"
KIND_OF = {"click_rate": "click", "dwell": "dwell", "hides": "hide"}
"""What a metric counts, of events.KINDS."""
METRICS = (*KIND_OF, RETURNED, COVERAGE)
"""What a log can tell."""


class Seen(NamedTuple):
    """A policy as it acts, and the log as it sees it: through its own catalogue, with or without time."""

    acting: Acting
    decisions: Decisions


def findings(
    log: Decisions,
    rows: np.ndarray,
    candidate: Seen,
    incumbent: Seen | None,
    config: ShippingConfig,
    elsewhere: Mapping[str, Measured] | None = None,
    reward: RewardConfig | None = None,
) -> Findings:
    """What ``rows`` of ``log`` tell of ``candidate`` against ``incumbent``, None for the policy that wrote the log.

    ``elsewhere`` holds metrics that were not measured in the log. The volume is that of the whole log. Raises
    InvalidLog for a metric that nobody measures, a log without propensities, and feedback that was never logged.
    """
    elsewhere, reward = elsewhere or {}, reward or RewardConfig()
    wanted = [metric for metric in config.metrics if metric not in elsewhere and metric != LATENCY]
    refuse(log, wanted)
    if LATENCY in config.metrics and LATENCY not in elsewhere:
        elsewhere = {**elsewhere, LATENCY: latency(rows, candidate, incumbent)}
    own = Weighed.of(candidate, log, rows)
    other = None if incumbent is None else Weighed.of(incumbent, log, rows)
    measured = {metric: elsewhere[metric] for metric in config.metrics if metric in elsewhere}
    measured |= {metric: Measured(*_both(metric, own, other, log, rows, reward)) for metric in wanted}
    return Findings(
        {metric: measured[metric] for metric in config.metrics},
        places.slate_weights(own.placed, own.weight, own.examined),
        Volume.of(log.user, log.time // DAY),
        own.placed.unsupported,
    )


def objective(log: Decisions, rows: np.ndarray, candidate: Seen, config: ShippingConfig) -> Terms:
    """The objective of ``candidate`` alone in ``rows``: what a winner is chosen by. Raises InvalidLog as above."""
    refuse(log, [config.objective])
    own = Weighed.of(candidate, log, rows)
    return _both(config.objective, own, None, log, rows, RewardConfig())[0]


def refuse(log: Decisions, metrics: list[str]) -> None:
    """Raises InvalidLog where ``log`` cannot tell one of ``metrics``."""
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise checks.InvalidLog(
            f"nobody measured {', '.join(unknown)}: a log tells {', '.join(METRICS)}; ask for those or {LATENCY}, or "
            f"give what was measured elsewhere"
        )
    if not np.isfinite(log.propensity).any():
        raise checks.InvalidLog(
            "the log holds no propensities, expected that of each shown article: log them when the slate is drawn, or "
            "leave out [shipping], so that rankings decide"
        )
    lacking = [
        f"{metric} needs {kind}"
        for metric, kind in (KIND_OF | {RETURNED: "dwell"}).items()
        if metric in metrics and not places.rewards(log, np.arange(len(log)), kind).any()
    ]
    if lacking:
        raise checks.InvalidLog(
            f"the log holds no such feedback: {', '.join(lacking)}; collect it, or ask for metrics without it"
        )


class Weighed(NamedTuple):
    """A policy's weights in some rows."""

    placed: Placed
    weight: np.ndarray
    """[n, K]"""
    examined: np.ndarray
    """[K]"""
    articles: np.ndarray
    """[A] by row of the log's catalogue, the logarithm of the probability that no slate holds the article."""

    @classmethod
    def of(cls, seen: Seen, log: Decisions, rows: np.ndarray) -> "Weighed":
        placed = places.chances(seen.decisions, rows, seen.acting)
        examined = places.examination(placed, places.rewards(log, rows, "click") > 0)
        articles = placed.articles[seen.decisions.catalogue.rows(log.catalogue.ids)]
        return cls(placed, places.weights(placed, examined), examined, articles)

    def value(self, reward: np.ndarray) -> Terms:
        return places.value(self.placed, self.weight, self.examined, reward)


def _both(
    metric: str, own: Weighed, other: Weighed | None, log: Decisions, rows: np.ndarray, reward: RewardConfig
) -> tuple[Terms, Terms]:
    """Candidate and incumbent, from the same rows."""
    if metric == COVERAGE:
        return _coverage(own, other, log, rows)
    if metric == RETURNED:
        shown, worth = signs.shown(log, rows), signs.fit(log, rows)
        first, *second = (signs.value(*who[:3], shown, worth) for who in (own, other) if who is not None)
        return first, second[0] if second else signs.as_logged(own.placed, shown, worth)
    happened = places.rewards(log, rows, KIND_OF[metric])
    counted = np.minimum(happened, reward.dwell_cap_seconds) / 60.0 if metric == "dwell" else (happened > 0) * 1.0
    return own.value(counted), places.as_logged(own.placed, counted) if other is None else other.value(counted)


def _coverage(own: Weighed, other: Weighed | None, log: Decisions, rows: np.ndarray) -> tuple[Terms, Terms]:
    """Whether each article that was a candidate in ``rows`` is shown there, the mean over articles.

    Of a policy that did not act, how likely that is.
    """
    at, listed = log.candidate.padded(rows)
    offered = np.unique(log.candidate.values[at[listed]])  # [A] rows of the catalogue
    slot, real = log.slate.padded(rows)
    taken = log.candidate.offsets[rows][:, None] + log.slate.values[slot]
    shown = np.isin(offered, log.candidate.values[taken[real]])
    one, *two = (-np.expm1(who.articles[offered]) for who in (own, other) if who is not None)
    names = -1 - offered  # no readers
    return mean(names, one), mean(names, two[0] if two else shown.astype(np.float64))
