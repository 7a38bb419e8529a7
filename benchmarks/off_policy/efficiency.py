"""How far is DR from the least error that is possible, and do intervals hold what they say?

Many logs of one synthetic world, in which the value of the policy in question is a sum and the efficiency bound of the
estimation is known. Predictions are linear regressions, cross-fitted from the log itself, where clicks are logistic: as
wrong as models are. Once with one decision a reader, once with twenty that share their reader's context.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from benchmarks.off_policy.synthetic import Choices, choices, draw_choices, with_predictions
from benchmarks.results import Bar, Part
from newsrec.evaluation.off_policy import contextual
from newsrec.evaluation.off_policy.terms import Terms
from newsrec.evaluation.off_policy.uncertainty import bootstrap, empirical_bernstein

SEEDS = [61, 62]
WORST_RATIO, LOWEST, HIGHEST, CONFIDENCE = 1.1, 0.93, 0.97, 0.95
ESTIMATORS = {
    "IPS": contextual.ips,
    "SNIPS": contextual.snips,
    "DM": contextual.direct_method,
    "DR": contextual.doubly_robust,
    "SNDR": contextual.self_normalised_doubly_robust,
}
UNBIASED = ("IPS", "SNIPS", "DR", "SNDR")


@dataclass(frozen=True)
class Size:
    """How much is drawn."""

    decisions: int = 10_000
    runs: int = 1_000
    draws: int = 300


FULL, QUICK = Size(), Size(decisions=1_000, runs=40, draws=60)


def protocol(size: Size) -> str:
    return (
        f"{size.runs:,} logs of {size.decisions:,} decisions, 10 actions, 500 contexts; cross-fitted linear "
        f"predictions; intervals of 95 % from {size.draws} resamples of readers, and empirical Bernstein with the "
        f"range that the two policies allow; one and 20 decisions a reader."
    )


def measure(size: Size) -> Part:
    world = choices(SEEDS[0])
    alone = of_runs(world, size, decisions_a_reader=1)
    shared = of_runs(world, size, decisions_a_reader=20)
    least = (world.efficiency_bound / size.decisions) ** 0.5
    ratio = alone["DR"]["error"] / least
    within = ratio * (1.0 + np.array([-1.96, 1.96]) / (2.0 * size.runs) ** 0.5)
    bars = [
        Bar("DR: root mean square error, in that of the efficiency bound", ratio, (within[0], within[1]),
            f"{WORST_RATIO} or less", ratio <= WORST_RATIO)
    ]  # fmt: skip
    for found, of in ((alone, "one decision a reader"), (shared, "20 decisions a reader")):
        for name in UNBIASED:
            share = found[name]["covered"]
            bars.append(Bar(f"bootstrap coverage, {name}, {of}", share, of_share(share, size.runs),
                            f"{LOWEST} to {HIGHEST}", LOWEST <= share <= HIGHEST))  # fmt: skip
        for name in ("IPS", "DR"):
            share = found[name]["bernstein_covered"]
            bars.append(Bar(f"Bernstein coverage, {name}, {of}", share, of_share(share, size.runs),
                            f"{CONFIDENCE} or more", share >= CONFIDENCE))  # fmt: skip
    figures = {
        "truth": world.truth,
        "largest_weight": world.largest_weight,
        "least_error": least,
        "one_decision_a_reader": alone,
        "20_decisions_a_reader": shared,
    }
    return Part({"efficiency": figures}, bars)


def of_runs(world: Choices, size: Size, decisions_a_reader: int) -> dict[str, dict[str, float]]:
    """For each estimator its bias, error, and how often and how widely its intervals held the truth."""
    generator = np.random.default_rng([SEEDS[1], decisions_a_reader])
    values: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    hits: dict[str, list[tuple[bool, bool, bool]]] = {name: [] for name in ESTIMATORS}
    widths: dict[str, list[tuple[float, float]]] = {name: [] for name in ESTIMATORS}
    for _ in range(size.runs):
        drawn = draw_choices(world, size.decisions, generator, decisions_a_reader)
        log = with_predictions(drawn[0], world, *drawn[1:])
        terms: dict[str, Terms] = {name: estimator(log) for name, estimator in ESTIMATORS.items()}
        boot = bootstrap(terms, generator, CONFIDENCE, size.draws)
        rows = {name: each._replace(reader=np.arange(size.decisions)) for name, each in terms.items()}
        wrong = bootstrap(rows, generator, CONFIDENCE, size.draws) if decisions_a_reader > 1 else boot
        spans = {"IPS": world.largest_weight, "DR": 1.0 + 2.0 * world.largest_weight}
        for name in ESTIMATORS:
            sure = empirical_bernstein(terms[name], spans.get(name, np.inf), CONFIDENCE)
            values[name].append(boot[name].mean)
            hits[name].append(tuple(i.low <= world.truth <= i.high for i in (boot[name], sure, wrong[name])))
            widths[name].append((boot[name].high - boot[name].low, sure.high - sure.low))
    found = {}
    for name in ESTIMATORS:
        off = np.array(values[name]) - world.truth
        covered, bernstein, by_row = np.array(hits[name]).mean(0)
        width, sure_width = np.array(widths[name]).mean(0)
        found[name] = {"bias": off.mean(), "bias_error": off.std(ddof=1) / len(off) ** 0.5,
                       "error": (off**2).mean() ** 0.5, "covered": covered, "width": width}  # fmt: skip
        if name in spans:
            found[name] |= {"bernstein_covered": bernstein, "bernstein_width": sure_width}
        if decisions_a_reader > 1:
            found[name]["covered_if_rows_were_readers"] = by_row
    return found


def of_share(share: float, runs: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``runs``."""
    low, high = binom.interval(0.95, runs, share) if 0.0 < share < 1.0 else (share * runs, share * runs)
    return float(low) / runs, float(high) / runs
