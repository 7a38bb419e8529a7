"""Does the world that was fitted to a real log bring its readers back as that log did?

Every statistic of the log carries an interval that resamples its readers; the simulated one must lie inside, a curve at
every point. The world is ``configs/worlds/ebnerd.toml`` with more readers, so that only the log's chance counts, and
with other seeds than it was fitted with. What the log cannot tell has no bar to meet and is listed with the reason.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.results import ROOT, Bar, Part
from newsrec import config as configs
from newsrec.datasets import ebnerd
from newsrec.evaluation.log_statistics import Statistic, describe, distance, inside, points_inside
from newsrec.evaluation.observations import Observations, observe, slates_with_click
from newsrec.features import SESSION_GAP_MINUTES
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate

WORLD = ROOT / "configs" / "worlds" / "ebnerd.toml"
LOG, TIMEZONE = "ebnerd-test", "Europe/Copenhagen"
SEEDS = [101, 102, 103]
ASKED = {
    "gaps": "Kaplan-Meier curve of gaps",
    "return_24h": "return within 24 hours",
    "return_48h": "return within 48 hours",
    "next_day": "next-day return",
    "sessions_a_day": "sessions a day",
    "candidates": "candidates",
    "dwell_p10": "dwell, tenth",
    "dwell_median": "dwell, median",
    "dwell_p90": "dwell, nine tenths",
}


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    readers: int = 1_000
    worlds: int = 3
    draws: int = 1_000
    """Resamples of the log's readers."""


FULL, QUICK = Size(), Size(readers=100, worlds=1, draws=50)


def protocol(size: Size) -> str:
    return (
        f"The EB-NeRD sample against {size.readers:,} readers of the world fitted to it, in {size.worlds} worlds; "
        "inside means the 95 % interval over the log's readers, in every world."
    )


def measure(size: Size, data: Path) -> Part:
    """``data`` holds the real logs; without this one every bar says so and none is met."""
    if not (data / LOG).exists():
        why = f"real log not found at {data / LOG}; set NEWSREC_DATA"
        return Part({"return_law": {"refusal": why}}, [Bar(name, None, None, why, False) for name in ASKED.values()])
    log = _observed(ebnerd.read(data / LOG, TIMEZONE))
    told = describe(log, np.random.default_rng(SEEDS[0]), size.draws)
    base = replace(configs.load(SimulationConfig, WORLD), readers=size.readers)
    worlds = []
    for seed in SEEDS[: size.worlds]:
        simulated = _observed(simulate(replace(base, seed=seed)), log.only_clicked)
        worlds.append(describe(simulated, np.random.default_rng(seed), draws=0))
    figures = {name: _figures(told[name], [world[name] for world in worlds]) for name in told}
    return Part(
        {"return_law": figures}, [_bar(told[name], [w[name] for w in worlds], text) for name, text in ASKED.items()]
    )


def _observed(log: object, only_clicked: bool | None = None) -> Observations:
    """As ``newsrec.calibration`` looks at it: where a log left slates without a click out, so does the other."""
    found = observe(log, SESSION_GAP_MINUTES)  # type: ignore[arg-type]
    selected = found.only_clicked if only_clicked is None else only_clicked
    return observe(slates_with_click(log), SESSION_GAP_MINUTES) if selected else found  # type: ignore[arg-type]


def _bar(log: Statistic, worlds: list[Statistic], name: str) -> Bar:
    if log.refusal:
        return Bar(name, None, None, f"not told by this log: {log.refusal}", False)
    within = [inside(log, world) for world in worlds]
    if len(log.value) > 1:
        shares = [points_inside(log, world).mean() for world in worlds]
        bar = f"all {len(log.value)} points inside the log's band (found: the least share)"
        return Bar(name, float(min(shares)), None, bar, all(x is True for x in within))
    value = float(np.mean([world.value[0] for world in worlds]))
    low, high = float(log.low[0]), float(log.high[0])
    return Bar(name, value, (low, high), f"inside the log's, {log.value[0]:.3g}", all(x is True for x in within))


def _figures(log: Statistic, worlds: list[Statistic]) -> dict[str, object]:
    if log.refusal:
        return {"meaning": log.question.meaning, "refusal": log.refusal}
    return {
        "meaning": log.question.meaning,
        "unit": log.question.unit,
        "at": log.at,
        "log": log.value,
        "low": log.low,
        "high": log.high,
        "readers": log.readers,
        "effective_readers": log.effective_readers,
        "simulated": [world.value for world in worlds],
        "distance": [distance(log, world) for world in worlds],
        "inside": [inside(log, world) for world in worlds],
    }
