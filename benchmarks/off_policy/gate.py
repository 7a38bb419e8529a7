"""The gate on simulated logs: it ships nobody for returns that reading does not move, and not for bait.

Logs are uniform slates of ten. The candidates know the newsroom and are trained on nothing: *substance* shows articles
of high quality without clickbait, *bait* those with most of it. Both are Plackett-Luce, so that a log has support.

Where reading moves no return (elasticity 0), whoever is shipped for returns is shipped by chance; *substance* is asked
there against the policy that wrote the log, without any guard-rail in its way. *Bait* is asked as a site would that
counts clicks: it wins them and breaks what is guarded, and the refusal has to name that. Where reading does move
returns, *substance* is asked when the log is two days old and again at its end: first a part of the readers, then all.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.results import Bar, Part
from newsrec import dataset
from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy.logged import Acting
from newsrec.evaluation.shipping.config import GuardRail, ShippingConfig
from newsrec.evaluation.shipping.findings import Seen, findings
from newsrec.evaluation.shipping.verdict import Verdict, decide
from newsrec.policy import mask_scores
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.simulator.world import World
from newsrec.slate import SlateConfig
from newsrec.transitions import Candidates, State

SEEDS = list(range(101, 121))
RETURNS = ShippingConfig("returned", effect=0.01, tolerated_loss=0.002)
CLICKS = ShippingConfig(
    "click_rate",
    effect=0.1,
    tolerated_loss=0.02,
    guard_rails=(GuardRail("dwell", 0.02), GuardRail("hides", 0.005, higher_is_better=False)),
)
SLATES = SlateConfig("plackett_luce")
SUBSTANCE, BAIT = "substance", "bait"


@dataclass(frozen=True)
class Size:
    """Seeds, and of a log its readers and days."""

    seeds: int = 20
    readers: int = 500
    days: int = 10
    lasting: int = 3
    """Worlds in which reading moves returns."""
    lasting_readers: int = 3_000
    lasting_days: int = 12
    young: int = 2
    """Days after which such a log is asked first."""


FULL = Size()
QUICK = Size(seeds=1, readers=200, days=4, lasting=1, lasting_readers=200, lasting_days=4)


def protocol(size: Size) -> str:
    return (
        f"uniform slates of 10 from 100; {size.seeds} logs of {size.readers:,} readers and {size.days} days at "
        f"elasticity 0; {size.lasting} of {size.lasting_readers:,} readers at elasticity 1.5, asked when they have "
        f"{size.young} days and when they have {size.lasting_days}"
    )


def measure(size: Size) -> Part:
    """Verdicts, counted by what was decided."""
    still = [of_seed(seed, size.readers, size.days, 0.0) for seed in SEEDS[: size.seeds]]
    returns = [ask(SUBSTANCE, decisions, config, RETURNS) for config, decisions in still]
    bait = [ask(BAIT, decisions, config, CLICKS) for config, decisions in still]
    first, last = [], []
    for seed in SEEDS[: size.lasting]:
        for days, verdicts in ((size.young, first), (size.lasting_days, last)):
            config, decisions = of_seed(seed, size.lasting_readers, days, 1.5)
            verdicts.append(ask(SUBSTANCE, decisions, config, RETURNS))
    figures = {
        "returns at elasticity 0": counted(returns),
        "bait": counted(bait) | {"sentences": [verdict.sentence for verdict in bait[:3]]},
        "young logs": counted(first),
        "whole logs": counted(last),
    }
    return Part({"gate": figures}, bars(returns, bait, first, last))


def bars(returns: list[Verdict], bait: list[Verdict], first: list[Verdict], last: list[Verdict]) -> list[Bar]:
    shipped = sum(verdict.decision == "ship" for verdict in returns)
    named = sum(verdict.decision == "refuse" and guarded(verdict) for verdict in bait)
    mixed = sum(verdict.decision == "mix" for verdict in first)
    whole = sum(verdict.decision == "ship" for verdict in last)
    return [
        Bar(f"shipped for returns at elasticity 0, of {len(returns)}", shipped, None, "0", shipped == 0),
        Bar(f"bait refused for what is guarded, of {len(bait)}", named, None, f"{len(bait)}", named == len(bait)),
        Bar(
            f"substance mixed while the log is young, of {len(first)}",
            mixed,
            None,
            f"{len(first)}",
            mixed == len(first),
        ),
        Bar(f"substance shipped at its end, of {len(last)}", whole, None, f"{len(last)}", whole == len(last)),
    ]


def guarded(verdict: Verdict) -> bool:
    """Whether the refusal is for guard-rails alone, with a gain of the objective shown."""
    objective, *rails = verdict.bounds
    return objective.shown and any(rail.broken and rail.metric in verdict.sentence for rail in rails)


def counted(verdicts: list[Verdict]) -> dict[str, Any]:
    decisions = [verdict.decision for verdict in verdicts]
    gains = [verdict.bounds[0].gain / verdict.bounds[0].error for verdict in verdicts]
    return {name: decisions.count(name) for name in sorted(set(decisions))} | {"gains in standard errors": gains}


def of_seed(seed: int, readers: int, days: int, elasticity: float) -> tuple[SimulationConfig, Decisions]:
    config = replace(SimulationConfig(), seed=seed, readers=readers, days=days, elasticity=elasticity)
    return config, dataset.from_log(simulate(config))


def ask(
    name: str,
    decisions: Decisions,
    config: SimulationConfig,
    asked: ShippingConfig,
) -> Verdict:
    """The verdict on candidate ``name`` against the policy that wrote the log."""
    acting = Acting(candidate(name, decisions, config), SLATES)
    found = findings(decisions, np.arange(len(decisions)), Seen(acting, decisions), None, asked)
    return decide(name, found, asked, np.random.default_rng(0))


def candidate(name: str, decisions: Decisions, config: SimulationConfig) -> Callable[[State, Candidates], Tensor]:
    """Scores of articles by what the newsroom hides."""
    newsroom = World(config).newsroom
    order = {article: row for row, article in enumerate(newsroom.table["article_id"].to_pylist())}
    rows = [order[article] for article in decisions.catalogue.ids[1:]]
    bait, quality = (np.asarray(values)[rows] for values in (newsroom.clickbait, newsroom.quality))
    worth = 4.0 * bait if name == BAIT else 1.2 * quality - 4.0 * bait
    table = torch.from_numpy(np.append(0.0, worth))

    def scores(state: State, candidates: Candidates) -> Tensor:
        return mask_scores(table[candidates.article_index], candidates)

    return scores
