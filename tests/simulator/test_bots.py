"""Bots: many requests, clicks without regard to content, tiny dwells or none."""

from dataclasses import replace

import numpy as np
import pytest

from newsrec.features import DAY
from newsrec.simulator.bots import BotConfig, Bots
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import NO_HABIT, PopulationConfig, settle
from newsrec.simulator.response import CLICK, DWELL, IMPRESSION
from newsrec.simulator.shocks import ShockConfig
from newsrec.simulator.world import World
from tests.simulator.encounters import agree, encounter, reacted

B, K = 20_000, 5
CONFIG = BotConfig(slates=5.0, click=0.3, dwell=0.4, dwell_seconds=0.7)


def test_clicks_do_not_look_at_content_or_position() -> None:
    faced = encounter(B, K, match=np.array([9.0, -9.0, 0.0, 0.0, 0.0]), known=np.array([1, 0, 0, 0, 0], bool))
    reaction = reacted(Bots(CONFIG, 0), faced)
    for k in range(K):
        agree(reaction.clicked[:, k], 0.3)
        agree(reaction.happened[reaction.clicked[:, k], DWELL, k], 0.4)
    dwell = reaction.dwell[reaction.happened[:, DWELL]]
    assert dwell.mean() == pytest.approx(0.7, rel=0.05)
    agree(reaction.left, 0.2)
    assert not reaction.happened[:, DWELL + 1 :].any()


def test_nothing_happens_behind_the_end_and_events_keep_their_order() -> None:
    reaction = reacted(Bots(CONFIG, 0), encounter(B, K, present=np.arange(K) < 3))
    assert reaction.happened[:, IMPRESSION].sum(1).tolist() == [3] * B
    assert not reaction.happened[:, :, 3:].any()
    both = reaction.clicked[:, 0] & reaction.clicked[:, 2]
    assert (reaction.moment[both, DWELL, 0] < reaction.moment[both, CLICK, 2]).all()
    assert (reaction.end > np.where(reaction.happened, reaction.moment, 0.0).max((1, 2))).all()


def test_the_population_has_its_share_of_bots_and_zero_is_none() -> None:
    numbers = np.arange(20_000)
    population = settle(PopulationConfig(bots=0.1, bot_visits_per_day=12.0, cookie_clearers=0.5), numbers, 0)
    agree(population.bot.numpy(), 0.1)
    assert (population.visits_per_hour[population.bot] == 0.5).all()
    assert (population.habit[population.bot] == NO_HABIT).all()
    assert (population.habit[~population.bot] < NO_HABIT).all()
    assert not population.clearing[population.bot].any()
    none = settle(PopulationConfig(bots=0.0), numbers, 0)
    assert not none.bot.any()
    kept = ~population.bot
    assert (none.interests[kept] == population.interests[kept]).all()


@pytest.mark.parametrize("returns", ["hazard", "self_exciting"])
def test_bots_come_at_their_rate_and_are_never_satisfied(returns: str) -> None:
    config = SimulationConfig(
        readers=300,
        return_family=returns,
        population=PopulationConfig(bots=0.5, bot_visits_per_day=4.0),
        bots=BotConfig(slates=1.0),
        shocks=ShockConfig(per_month=0.0),
    )
    world = World(config)
    bots = np.flatnonzero(world.population.bot.numpy())
    visits, days = 0, 10
    while len(due := world.due(config.start_time + days * DAY, bots)):
        world.respond(due, np.tile(np.arange(10, dtype=np.int32), (len(due), 1)))
        visits += len(due)
    assert (world.level[bots] == world.returns.rest).all()
    expected = len(bots) * days / (1 / 4.0 + 0.5 / 24)  # half an hour between a visit and the next
    assert abs(visits - expected) < 4 * expected**0.5
    people = np.flatnonzero(~world.population.bot.numpy())
    for _ in range(3):
        world.respond(people, np.tile(np.arange(10, dtype=np.int32), (len(people), 1)))
    assert (world.level[people] != world.returns.rest).any()


def test_people_do_the_same_whether_there_are_bots_beside_them() -> None:
    config = SimulationConfig(readers=50, population=PopulationConfig(bots=0.0))
    alone, mixed = (World(replace(config, population=PopulationConfig(bots=share))) for share in (0.0, 0.4))
    rows, slate = np.arange(50), np.tile(np.arange(10, dtype=np.int32), (50, 1))
    people = ~mixed.population.bot.numpy()
    for _ in range(4):
        a, b = (w.respond(rows, slate) for w in (alone, mixed))
        for x, y in zip(a.take(people[a.reader]), b.take(people[b.reader]), strict=True):
            np.testing.assert_array_equal(x, y)
    assert (alone.level[people] == mixed.level[people]).all()


@pytest.mark.parametrize(("field", "value"), [("slates", 0.5), ("click", 1.5), ("dwell_seconds", 0.0)])
def test_impossible_bots_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        BotConfig(**{field: value})
