"""Do the knobs of the worlds mean what they say? Every difference is between the same readers with the same luck.

Clickbait: a policy that prefers it against one that avoids it, both drawing slates at random around their preference.
Boredom: after five slates of one topic or of all, how likely are four others of that topic read? Shocks: how much more
is asked for while they last than at the same time in a world without?
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.results import Bar, Mean, Part, mean, ratio
from newsrec.features import HOUR
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live
from newsrec.simulator.oracle import Ranking
from newsrec.simulator.response import Encounter
from newsrec.simulator.shocks import ShockConfig
from newsrec.simulator.tastes import TasteConfig
from newsrec.simulator.world import RESPONSES, RETURNS, World

SEEDS = [21]
WORLDS = [(response, returns) for response in RESPONSES for returns in RETURNS]
ELASTICITIES = {"nominal": 1.5, "zero": 0.0, "reversed": -1.5}
COSTS = (0.0, 0.5, 1.0, 2.0)
PREFERENCE = 4.0
"""Of clickbait, in units of the noise by which slates are drawn."""


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    readers: int = 1_000
    days: int = 28
    bored_readers: int = 1_000


FULL, QUICK = Size(), Size(readers=60, days=4, bored_readers=60)


def protocol(size: Size) -> str:
    return (
        f"{size.readers:,} readers, {size.days} days in each of four worlds, paired by reader: slates that prefer "
        f"clickbait less those that avoid it, at elasticity 1.5, 0 and -1.5 and at clickbait_cost 0, 0.5, 1 and 2 "
        f"(elasticity 1.5); boredom on {size.bored_readers:,} readers; shocks at six a month against none."
    )


def measure(size: Size) -> Part:
    figures: dict[str, dict[str, object]] = {"clickbait": {}, "clickbait_cost": {}, "boredom": {}, "shocks": {}}
    bars = []
    for families in WORLDS:
        name = "-".join(families)
        config = world_of(families, size.readers, size.days)
        found = {}
        for word, elasticity in ELASTICITIES.items():
            found[word] = price_of_clickbait(replace(config, elasticity=elasticity))
        figures["clickbait"][name] = found
        for word, holds, expected in (
            ("nominal", found["nominal"].active_days.high < 0, "below 0"),
            ("zero", found["zero"].active_days.low <= 0 <= found["zero"].active_days.high, "interval holds 0"),
            ("reversed", found["reversed"].active_days.low > 0, "above 0"),
        ):
            won = found[word].active_days
            bars.append(Bar(f"days won by clickbait, {name}, {word}", won.value, won.interval, expected, holds))
        swept = {}
        for cost in COSTS:
            swept[cost] = found["nominal"] if cost == 1.0 else price_of_clickbait(replace(config, clickbait_cost=cost))
        figures["clickbait_cost"][name] = swept
        days = [swept[cost].active_days.value for cost in COSTS]
        falls = all(more < less for less, more in pairwise(days))
        bars.append(Bar(f"days won by clickbait at twice its cost, {name}", days[-1], swept[2.0].active_days.interval,
                        "falls from cost 0 over 0.5 and 1 to 2", falls))  # fmt: skip
    for response in RESPONSES:
        bored = {boredom: what_narrow_slates_do(response, boredom, size.bored_readers) for boredom in (1.2, 0.0)}
        figures["boredom"][response] = bored
        found_ = bored[1.2]
        bars.append(Bar(f"narrow slates on the chance of a read, {response}", found_.value, found_.interval,
                        "below 0", found_.high < 0))  # fmt: skip
    for returns in RETURNS:
        gain = what_shocks_do(world_of(("utility", returns), size.readers, size.days))
        figures["shocks"][returns] = gain
        bars.append(Bar(f"slates asked for during shocks, {returns}", gain.value, gain.interval,
                        "above 1 times those without", gain.low > 1))  # fmt: skip
    return Part({"meaning": figures}, bars)


def world_of(families: tuple[str, str], readers: int, days: int) -> SimulationConfig:
    response, returns = families
    return SimulationConfig(
        readers=readers,
        days=days,
        seed=SEEDS[0],
        response_family=response,  # type: ignore[arg-type]
        return_family=returns,  # type: ignore[arg-type]
    )


class Price(NamedTuple):
    """What preferring clickbait does against avoiding it."""

    click_rate: Mean
    """Clicks an article shown."""
    active_days: Mean


def price_of_clickbait(config: SimulationConfig) -> Price:
    """Means over the readers of ``config``."""
    bait, plain = live(config, Ranking(preferring, 1.0)), live(config, Ranking(avoiding, 1.0))
    rates = [lives.clicks / np.maximum(lives.impressions, 1.0) for lives in (bait, plain)]
    return Price(mean(rates[0] - rates[1]), mean(bait.active_days - plain.active_days))


def preferring(world: World, readers: np.ndarray, faced: Encounter) -> Tensor:
    return PREFERENCE * faced.clickbait


def avoiding(world: World, readers: np.ndarray, faced: Encounter) -> Tensor:
    return -PREFERENCE * faced.clickbait


def indifferent(world: World, readers: np.ndarray, faced: Encounter) -> Tensor:
    return torch.zeros_like(faced.match)


def what_narrow_slates_do(response: str, boredom: float, readers: int, topic: int = 3) -> Mean:
    """What five slates of ``topic`` add to the mean chance of a read on it, over five slates without it."""
    chances = [_chance_after(response, boredom, readers, topic, narrow) for narrow in (True, False)]
    return mean(chances[0] - chances[1])


def _chance_after(response: str, boredom: float, n: int, topic: int, narrow: bool) -> np.ndarray:
    """[N] mean over articles of ``topic`` that nobody has seen."""
    tastes = TasteConfig(drift=0.0, boredom=boredom)
    config = SimulationConfig(readers=n, seed=SEEDS[0], response_family=response, tastes=tastes)  # type: ignore[arg-type]
    world, readers = World(config), np.arange(n)
    old = np.flatnonzero(world.newsroom.published < config.start_time)
    share = world.newsroom.topics[old, topic]
    probe = old[share > 0][:4]
    pool = np.setdiff1d(old[share > 0.5] if narrow else old[share == 0], probe)
    generator = np.random.default_rng(SEEDS[0])
    for turn in range(5):
        world.next_time[:] = config.start_time + turn * HOUR // 6
        slate = generator.choice(pool, 6, replace=False).astype(np.int32)
        world.respond(readers, np.tile(slate, (n, 1)))
    world.next_time[:] = config.start_time + HOUR
    return world.response.chance(world.encounter(readers, np.tile(probe, (n, 1)))).mean(1).numpy()


def what_shocks_do(config: SimulationConfig) -> Mean:
    """Slates asked for while shocks last, as a multiple of those at the same times in the world without shocks."""
    shaken = replace(config, shocks=ShockConfig(per_month=6.0))
    shocks = World(replace(shaken, readers=1)).shocks
    counts = []
    for world in (shaken, replace(config, shocks=ShockConfig(per_month=0.0))):
        asked = np.zeros(config.readers)

        def act(world: World, readers: np.ndarray, asked: np.ndarray = asked) -> np.ndarray:
            asked[readers] += shocks.lasting(world.requests(readers).time).any(1)
            return Ranking(indifferent, 1.0)(world, readers)

        live(world, act)
        counts.append(asked)
    return ratio(*counts)
