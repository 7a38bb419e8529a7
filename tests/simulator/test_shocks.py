"""Shocks: how often, how long, and that supply, demand and interest jump while they last."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from newsrec.features import DAY, HOUR
from newsrec.simulator.articles import TOPIC_NAMES, NewsroomConfig, publish
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig, habit_table, settle
from newsrec.simulator.rhythm import Rhythm
from newsrec.simulator.shocks import ShockConfig, Shocks, TopicGains, strike
from newsrec.simulator.tastes import TasteConfig
from newsrec.simulator.world import World

MONDAY = 19_786 * DAY  # 4 March 2024
TWO = Shocks(  # the first from hour 30 to 40, the second from 36 to 60
    topic=np.array([2, 5]),
    start=MONDAY + np.array([30, 36]) * HOUR,
    end=MONDAY + np.array([40, 60]) * HOUR,
    supply=np.array([2.0, 0.5]),
    demand=np.array([1.0, 2.0]),
    interest=np.array([0.5, 0.7]),
)


def test_shocks_come_as_often_and_are_as_strong_as_configured() -> None:
    shocks = strike(ShockConfig(per_month=6.0, hours=7.0, strength_spread=0.4, demand=2.0), 12, MONDAY, 20_000, 0)
    days = (shocks.start - MONDAY) // DAY
    p = 1 - np.exp(-0.2)
    assert abs(len(days) / 20_000 - p) < 4 * (p * (1 - p) / 20_000) ** 0.5
    assert len(set(days)) == len(days)
    assert ((shocks.end - shocks.start) == 7 * HOUR).all()
    strength = np.log(shocks.demand / 2.0)
    assert abs(strength.mean()) < 4 * 0.4 / len(days) ** 0.5
    assert strength.std() == pytest.approx(0.4, rel=0.05)
    assert np.bincount(shocks.topic, minlength=12) / len(days) == pytest.approx(np.full(12, 1 / 12), abs=0.02)


def test_a_longer_simulation_keeps_the_shocks_of_the_shorter_one_and_zero_is_none() -> None:
    short, long = (strike(ShockConfig(per_month=10.0), 12, MONDAY, days, 0) for days in (30, 60))
    assert 5 < len(short.topic) < len(long.topic)
    for a, b in zip(short, long, strict=True):
        assert (a == b[: len(a)]).all()
    assert not len(strike(ShockConfig(per_month=0.0), 12, MONDAY, 1_000, 0).topic)


def test_demand_steps_up_and_down_where_shocks_overlap() -> None:
    moments, factor = TWO.demand_steps()
    assert ((moments - MONDAY) / HOUR).tolist() == [30, 36, 40, 60]
    assert factor.tolist() == [1, 2, 4, 3, 1]


def test_the_newsroom_publishes_more_on_the_topic_while_it_lasts() -> None:
    calm, busy = (
        publish(NewsroomConfig(), 240, MONDAY, 4, 0, shocks) for shocks in (Shocks(*(x[:0] for x in TWO)), TWO)
    )
    assert busy.table.num_rows - calm.table.num_rows == 240 * 2 * 10 / 24 + 240 * 0.5 * 24 / 24
    for shock, count in ((0, 200), (1, 120)):
        topic = TOPIC_NAMES[TWO.topic[shock]]
        during, before = ((n.published >= TWO.start[shock]) & (n.published < TWO.end[shock]) for n in (busy, calm))
        on_topic = [
            sum(c == topic for c, d in zip(n.table["category"].to_pylist(), when, strict=True) if d)
            for n, when in ((busy, during), (calm, before))
        ]
        assert on_topic[0] - on_topic[1] == count
    assert (np.diff(busy.published) >= 0).all()
    kept = np.isin(busy.quality, calm.quality)
    assert kept.sum() == calm.table.num_rows  # the others are who they were
    assert (busy.clickbait[kept] == calm.clickbait).all()
    ids = busy.table["article_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    assert publish(NewsroomConfig(), 240, MONDAY, 3, 0, TWO).table.equals(
        busy.table.filter(busy.published < MONDAY + 3 * DAY)
    )


def test_articles_of_a_shock_that_outlasts_the_log_are_not_in_it() -> None:
    busy = publish(NewsroomConfig(), 240, MONDAY, 2, 0, TWO)
    assert busy.published.max() < MONDAY + 2 * DAY
    assert publish(NewsroomConfig(), 240, MONDAY, 3, 0, TWO).published.max() > MONDAY + 2 * DAY


def test_visits_come_as_much_sooner_as_demand_is_higher() -> None:
    """The factor times habit, summed minute by minute from before, within and after the shocks."""
    n = 60
    population = settle(PopulationConfig(), np.arange(n), 5)
    readers, wait, minute = np.arange(n), np.geomspace(0.1, 300, n), HOUR // 60
    start = MONDAY + np.random.default_rng(0).integers(0, 70 * HOUR, n)
    calm, busy = (
        Rhythm(population, shocks).after(*map(torch.from_numpy, (readers, start, wait))).numpy()
        for shocks in (Shocks(*(x[:0] for x in TWO)), TWO)
    )
    assert (busy <= calm).all()
    assert (busy < calm).sum() > n / 2
    moments, factor = TWO.demand_steps()
    table = habit_table()
    for i in readers:
        times = np.arange(start[i] + minute // 2, busy[i], minute)
        clock = population.rhythm_clock(torch.full((len(times),), i), torch.from_numpy(times)).long().numpy()
        total = (table[population.habit[i], clock] * factor[np.searchsorted(moments, times, side="right")]).sum() / 60
        assert total == pytest.approx(wait[i], abs=0.25)
        if busy[i] < TWO.start[0] or start[i] > TWO.end[1]:
            assert busy[i] == calm[i]


def test_everybody_s_interest_in_the_topic_gains_while_it_lasts() -> None:
    config = SimulationConfig(readers=3, days=3, tastes=TasteConfig(drift=0.0), shocks=ShockConfig(per_month=0.0))
    world = World(config)
    world.topic_gains = TopicGains(TWO, len(TOPIC_NAMES), world.on)
    articles = np.array([[world.newsroom.topics[:, topic].argmax() for topic in (2, 5)]] * 3)
    weight = world.newsroom.topics[articles[0]][:, [2, 5]]
    calm = World(config).encounter(np.arange(3), articles).match.numpy()
    for hour, gain in ((29, [0, 0]), (31, [0.5, 0]), (37, [0.5, 0.7]), (41, [0, 0.7]), (61, [0, 0])):
        world.next_time[:] = MONDAY + hour * HOUR
        match = world.encounter(np.arange(3), articles).match.numpy()
        assert match - calm == pytest.approx(np.broadcast_to(weight @ gain, (3, 2)), abs=1e-6)


@pytest.mark.parametrize(("field", "value"), [("per_month", -1.0), ("hours", 0.0), ("supply", -0.5), ("demand", -0.5)])
def test_impossible_shocks_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        replace(ShockConfig(), **{field: value})
