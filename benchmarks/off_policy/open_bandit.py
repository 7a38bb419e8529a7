"""Real logs with true propensities, each policy judged from the other's log, beside what it earned itself.

Open Bandit Dataset, men's campaign, the small sample: 10,000 places shown by ``random`` and 10,000 by ``bts``
(Bernoulli Thompson sampling) in the same week. No reader is named, so each place counts as one. What ``bts`` would have
done at the places of ``random`` is read from its own log: for each item and place, the propensity logged nearest in
time, all 34 scaled to sum to 1; no click of that log enters. The model is the click rate of each item in the other half
of the log, shrunk to that of all.

The truth is the click rate of the other log, itself uncertain by 12 to 15 %: so a bar asks whether an estimate and the
truth differ by more than both uncertainties together allow.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from benchmarks.results import ROOT, Bar, Part
from newsrec.datasets import obd
from newsrec.evaluation.off_policy import contextual, slope
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.diagnostics import EvidenceConfig, judge
from newsrec.evaluation.off_policy.uncertainty import bootstrap, standard_errors
from newsrec.events import EventLog, microseconds

SEEDS = [71]
SHRUNK_BY = 200.0
"""Places at the mean click rate that each item's rate starts from: about one click."""


@dataclass(frozen=True)
class Size:
    """How often readers are drawn again, and how exact an answer has to be."""

    draws: int = 2_000
    half_width: float = 0.0025


FULL, QUICK = Size(), Size(draws=100)


def protocol(size: Size) -> str:
    return (
        f"Open Bandit Dataset, men, small sample, both directions; intervals of 95 % from {size.draws:,} resamples; "
        f"evidence asks for a half width of {size.half_width:g}."
    )


class Campaign(NamedTuple):
    """n places that one policy filled."""

    time: np.ndarray  # [n] int64, microseconds
    item: np.ndarray  # [n] int64
    place: np.ndarray  # [n] int64
    click: np.ndarray  # [n] float64
    propensity: np.ndarray  # [n] float64
    items: int


def measure(size: Size) -> Part:
    folder = Path(os.environ.get("NEWSREC_DATA", ROOT.parent / "shared" / "data")) / "obd-men"
    if not folder.is_dir():
        missing = f"no log at {folder}; set NEWSREC_DATA to a folder that holds it"
        return Part({"open_bandit": {"missing": missing}}, [Bar("Open Bandit, men", None, None, missing, False)])
    log, figures, bars = obd.read(folder), {}, []
    campaigns = {name: campaign(log, name) for name in obd.POLICIES}
    for logged, target in (("random", "bts"), ("bts", "random")):
        own, other = campaigns[logged], campaigns[target]
        chances = np.full((len(own.item), own.items), 1.0 / own.items) if target == "random" else acting(other, own)
        found, bar = direction(own, chances, other, size)
        figures[f"{logged}_to_{target}"] = found
        bars.extend(Bar(f"{target} from the log of {logged}: {name}", *rest) for name, *rest in bar)
    return Part({"open_bandit": figures}, bars)


def campaign(log: EventLog, policy: str) -> Campaign:
    """The places that ``policy`` filled."""
    rows = log.recommendations.filter(pc.equal(log.recommendations["policy"], policy))
    shown, clicks = (log.feedback.filter(pc.equal(log.feedback["kind"], kind)) for kind in ("impression", "click"))
    at = pc.index_in(rows["request_id"], value_set=shown["request_id"].combine_chunks())
    return Campaign(
        microseconds(rows["time"]),
        pc.index_in(pc.list_flatten(rows["slate"]), value_set=log.articles["article_id"].combine_chunks()).to_numpy(),
        shown["position"].take(at).to_numpy(),
        pc.is_in(rows["request_id"], value_set=clicks["request_id"].combine_chunks()).to_numpy().astype(float),
        pc.list_flatten(rows["propensities"]).to_numpy().astype(float),
        log.articles.num_rows,
    )


def acting(policy: Campaign, at: Campaign) -> np.ndarray:
    """[n, items]: what ``policy`` would have shown at the n places of ``at``."""
    chances = np.zeros((len(at.item), at.items))
    for place in range(3):
        rows = np.flatnonzero(at.place == place)
        for item in range(at.items):
            known = np.flatnonzero((policy.item == item) & (policy.place == place))
            known = known[np.argsort(policy.time[known])]
            if len(known):
                middle = (policy.time[known][1:] + policy.time[known][:-1]) / 2
                nearest = known[np.searchsorted(middle, at.time[rows])]
                chances[rows, item] = policy.propensity[nearest]
    return chances / chances.sum(1, keepdims=True)


def predictions(log: Campaign) -> np.ndarray:
    """[n, items]: click rates of the items in the half of ``log`` that a row does not belong to."""
    half, found = np.arange(len(log.item)) % 2, np.empty((len(log.item), log.items))
    for fold in (0, 1):
        rows = half != fold
        shown = np.bincount(log.item[rows], minlength=log.items)
        clicked = np.bincount(log.item[rows], log.click[rows], log.items)
        found[~rows] = (clicked + SHRUNK_BY * log.click[rows].mean()) / (shown + SHRUNK_BY)
    return found


def direction(own: Campaign, chances: np.ndarray, other: Campaign, size: Size) -> tuple[dict, list[tuple]]:
    """Figures and bars of the policy with ``chances`` [n, items], from the log ``own``; ``other`` is its own log."""
    rows, q = np.arange(len(own.item)), predictions(own)
    log = ContextualLog(
        rows, own.click, own.propensity, chances[rows, own.item], q[rows, own.item], contextual.value_under(chances, q),
        rows,
    )  # fmt: skip
    switch, shrunk = slope.switch_doubly_robust(log), slope.shrunk_doubly_robust(log)
    estimates = {
        "IPS": contextual.ips(log),
        "SNIPS": contextual.snips(log),
        "DM": contextual.direct_method(log),
        "DR": contextual.doubly_robust(log),
        "SNDR": contextual.self_normalised_doubly_robust(log),
        "Switch-DR": switch.terms,
        "DRos": shrunk.terms,
    }
    generator = np.random.default_rng(SEEDS[0])
    intervals = bootstrap(estimates, generator, draws=size.draws)
    _, errors = standard_errors(list(estimates.values()))
    truth, truth_error = float(other.click.mean()), float(other.click.std(ddof=1) / len(other.click) ** 0.5)
    told, bars = {}, []
    for (name, found), error in zip(intervals.items(), errors, strict=True):
        z = (found.mean - truth) / float(np.hypot(error, truth_error))
        told[name] = {
            **found._asdict(),
            "standard_error": float(error),
            "z": z,
            "relative_error": found.mean / truth - 1,
        }
        bars.append((name, found.mean, (found.low, found.high), f"{truth:.5f} +- {truth_error:.5f}", abs(z) <= 1.96))
    asked = EvidenceConfig(half_width=size.half_width, highest=1.0, draws=size.draws)
    answer = judge(estimates["SNDR"], contextual.weights(log), asked, generator)
    figures = {
        "truth": truth,
        "truth_standard_error": truth_error,
        "logged_click_rate": float(own.click.mean()),
        "estimates": told,
        "tau": switch.parameter,
        "lambda": shrunk.parameter,
        "weights": answer.weights,
        "answer": answer.sentence,
    }
    weight, held = answer.weights.mean, answer.weights.calibrated
    bars.append(("mean weight", weight.mean, (weight.low, weight.high), "interval of 99 % holds 1", held))
    return figures, bars
