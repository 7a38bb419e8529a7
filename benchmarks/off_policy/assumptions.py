"""Is each estimator right where its assumptions hold, and wrong where they do not?

Slates of three from five articles, read by three kinds of readers: who look at each article by itself, who look from
the top down, and whom good articles further down distract too. Then single choices whose model, propensities or support
are broken, one at a time. The bias over many logs is compared with its own standard error.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from benchmarks.off_policy.synthetic import Choices, Readers, choices, draw_choices, draw_slates, slates
from benchmarks.results import Bar, Part
from newsrec.evaluation.off_policy import contextual, slate
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.terms import Terms

SEEDS = [63, 64]
RIGHT, WRONG = 4.0, 10.0
"""Standard errors of the bias: at most, and at least."""
SLATES: dict[str, Callable[[slate.SlateLog], Terms]] = {
    "standard IPS": slate.standard_ips,
    "standard SNIPS": slate.self_normalised_standard_ips,
    "reward-interaction IPS": slate.reward_interaction_ips,
    "reward-interaction SNIPS": slate.self_normalised_reward_interaction_ips,
    "cascade-DR": slate.cascade_doubly_robust,
    "independent IPS": slate.independent_ips,
    "independent SNIPS": slate.self_normalised_independent_ips,
}
"""From the weakest assumption to the strongest."""
HOLD = {"independent": 7, "cascade": 5, "interacting": 2}
"""How many of them each kind of reader allows."""
CHOICES: dict[str, Callable[[ContextualLog], Terms]] = {
    "IPS": contextual.ips,
    "SNIPS": contextual.snips,
    "DM": contextual.direct_method,
    "DR": contextual.doubly_robust,
    "SNDR": contextual.self_normalised_doubly_robust,
}
BROKEN = {"nothing": set(CHOICES), "the model": set(CHOICES) - {"DM"}, "the propensities": {"DM", "DR", "SNDR"},
          "the support": {"DM", "DR", "SNDR"}, "model and support": set()}  # fmt: skip
"""Whose estimates each fault leaves right; DR needs its model or its weights."""


@dataclass(frozen=True)
class Size:
    """How much is drawn."""

    rows: int = 5_000
    runs: int = 300


FULL, QUICK = Size(), Size(rows=500, runs=20)


def protocol(size: Size) -> str:
    return (
        f"{size.runs} logs of {size.rows:,} slates, and of single choices; bias within {RIGHT:g} of its standard "
        f"errors where assumptions hold, beyond {WRONG:g} where they do not."
    )


def measure(size: Size) -> Part:
    figures: dict[str, Any] = {}
    bars = []
    for readers in get_args(Readers):
        world = slates(readers, SEEDS[0])
        generator = np.random.default_rng(SEEDS[1])
        logs = (draw_slates(world, size.rows, generator) for _ in range(size.runs))
        found = figures[f"{readers} readers"] = biases(logs, SLATES, world.truth)
        bars.append(bar(f"{readers} readers", found, set(list(SLATES)[: HOLD[readers]])))
    world_ = choices(SEEDS[0], contexts=50)
    for broken, right in BROKEN.items():
        generator = np.random.default_rng(SEEDS[1])
        logs_ = (faulty(world_, broken, size.rows, generator) for _ in range(size.runs))
        found = figures[f"broken: {broken}"] = biases(logs_, CHOICES, world_.truth)
        bars.append(bar(f"single choices, broken: {broken}", found, right))
    return Part({"assumptions": figures}, bars)


def faulty(world: Choices, broken: str, n: int, generator: np.random.Generator) -> ContextualLog:
    """A log with true predictions, but for what is ``broken``."""
    if "support" in broken:  # the action that the policy in question likes best is never shown
        behaviour = world.behaviour.copy()
        np.put_along_axis(behaviour, world.target.argmax(1, keepdims=True), 0.0, 1)
        world = world._replace(behaviour=behaviour / behaviour.sum(1, keepdims=True))
    log, context, action = draw_choices(world, n, generator)
    predicted = world.click**2 if "model" in broken else world.click
    log = log._replace(q=predicted[context, action], v=(world.target * predicted).sum(1)[context])
    return log._replace(behaviour=np.full(n, 1.0 / predicted.shape[1])) if "propensities" in broken else log


def biases(logs: Iterable[Any], estimators: dict[str, Callable[[Any], Terms]], truth: float) -> dict[str, dict]:
    """The bias of each estimator, and in standard errors."""
    values = np.array([[estimator(log).value for estimator in estimators.values()] for log in logs]) - truth
    error = values.std(0, ddof=1) / len(values) ** 0.5
    return {
        name: {"bias": bias, "standard_errors": bias / max(e, 1e-12), "spread": spread}
        for name, bias, e, spread in zip(estimators, values.mean(0), error, values.std(0, ddof=1), strict=True)
    }


def bar(name: str, found: dict[str, dict], right: set[str]) -> Bar:
    """How many estimators are as promised."""
    away = {estimator: abs(of["standard_errors"]) for estimator, of in found.items()}
    kept = sum(z <= RIGHT if estimator in right else z >= WRONG for estimator, z in away.items())
    expected = f"{len(found)} of {len(found)}: {len(right)} right, {len(found) - len(right)} wrong"
    return Bar(f"estimators as promised, {name}", float(kept), None, expected, bool(kept == len(found)))
