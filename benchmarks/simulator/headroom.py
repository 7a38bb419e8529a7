"""What could be won over a perfect click model: active days of readers under a planner that knows their true state.

Headroom is the planner's active days over those of ``greedy_click``, which shows what is truly likeliest clicked, less
one. A policy that learns can win no more than the planner, so the planner must not be beaten: if any other policy here
has more active days, the benchmark is void. Where there is less than 3 % of headroom, nothing is claimed of policies
that learn in that world.
"""

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from benchmarks.results import Bar, Mean, Part, ratio
from benchmarks.simulator.meaning import COSTS, WORLDS, avoiding, indifferent, preferring, world_of
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live
from newsrec.simulator.oracle import Act, Ranking, greedy_click, planner
from newsrec.simulator.response import Encounter
from newsrec.simulator.world import World

SEEDS = [31, 32]
LEAST = 0.03
"""Of headroom, for a claim."""


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    readers: int = 1_000
    """In each of the worlds of one kind, which differ by their seed."""
    worlds: int = 2
    days: int = 28


FULL, QUICK = Size(), Size(readers=80, worlds=1, days=4)


def protocol(size: Size) -> str:
    return (
        f"{size.readers:,} readers, {size.days} days, {size.worlds} seeds in each of four worlds; all policies choose "
        f"from the same 100 newest articles with the same luck; active days of the planner over those of greedy_click, "
        f"interval over readers; at each clickbait_cost with the first seed."
    )


def most_worth(world: World, readers: np.ndarray, faced: Encounter) -> Tensor:
    """[B, C] what a read would be worth."""
    return world.response.worth(faced)


def worthy_clicks(world: World, readers: np.ndarray, faced: Encounter) -> Tensor:
    """[B, C] the worth that showing an article brings."""
    return world.response.chance(faced) * world.response.worth(faced)


PLANNER, CLICKS = "planner", "greedy_click"
POLICIES: dict[str, Act] = {
    PLANNER: planner,
    CLICKS: greedy_click,
    "random": Ranking(indifferent, 1.0),
    "newest": Ranking(indifferent),
    "most_worth": Ranking(most_worth),
    "worthy_clicks": Ranking(worthy_clicks),
    "prefers_clickbait": Ranking(preferring, 1.0),
    "avoids_clickbait": Ranking(avoiding, 1.0),
}


def measure(size: Size) -> Part:
    figures: dict[str, dict[str, object]] = {}
    bars = []
    for families in WORLDS:
        name = "-".join(families)
        days = {}
        for policy, act in POLICIES.items():
            days[policy] = active_days(worlds_of(families, size), act)
        best = max((policy for policy in POLICIES if policy != PLANNER), key=lambda policy: days[policy].mean())
        lead = ratio(days[PLANNER] - days[best], days[best])
        gained = ratio(days[PLANNER] - days[CLICKS], days[CLICKS])
        void = lead.value < 0
        by_cost = {cost: of_cost(families, size, cost) for cost in COSTS}
        figures[name] = {
            "active_days": {policy: float(of_readers.mean()) for policy, of_readers in days.items()},
            "headroom": None if void else gained,
            "by_clickbait_cost": by_cost,
        }
        bars += [
            Bar(f"planner over {best}, the best other policy, {name}", lead.value, lead.interval,
                "above 0, or the benchmark is void", not void),
            Bar(f"headroom, {name}", gained.value, gained.interval, f"{LEAST:.0%} or more, or nothing is claimed",
                not void and gained.value >= LEAST),
        ]  # fmt: skip
    return Part({"headroom": figures}, bars)


def active_days(worlds: list[SimulationConfig], act: Act) -> np.ndarray:
    """[worlds * N] of each reader."""
    return np.concatenate([live(config, act).active_days for config in worlds])


def of_cost(families: tuple[str, str], size: Size, clickbait_cost: float) -> Mean:
    """Headroom in the first of the worlds if clickbait takes more or less from a read."""
    world = [replace(worlds_of(families, size)[0], clickbait_cost=clickbait_cost)]
    planned, clicks = active_days(world, planner), active_days(world, greedy_click)
    return ratio(planned - clicks, clicks)


def worlds_of(families: tuple[str, str], size: Size) -> list[SimulationConfig]:
    """Alike but for their seeds."""
    config = world_of(families, size.readers, size.days)
    return [replace(config, seed=seed) for seed in SEEDS[: size.worlds]]
