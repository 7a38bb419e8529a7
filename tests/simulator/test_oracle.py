"""Policies that know the truth: the planner's slates are nearly the best there are, and it wins where it should."""

from itertools import permutations, product

import numpy as np
import pytest
import torch

from newsrec.features import HOUR
from newsrec.simulator.articles import NewsroomConfig
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live
from newsrec.simulator.oracle import Ranking, click_chance, expected_dwell, greedy_click, greedy_dwell, planner, shelf
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.utility import UtilityConfig
from newsrec.simulator.world import World

BUSY = PopulationConfig(visits_per_day=0.8, activity_spread=0.3, bots=0.0)
ALL_COME = PopulationConfig(visits_per_day=5.0, activity_spread=0.0, bots=0.0)
"""Within the first days, so that there is something to show."""
FAMILIES = [(response, returns) for response in ("utility", "cascade") for returns in ("hazard", "self_exciting")]


def test_the_shelf_holds_the_newest_living_articles() -> None:
    config = SimulationConfig(readers=30, seed=3, candidates=200, population=ALL_COME)
    world = World(config)
    readers = np.array([4, 0, 17])
    articles, published = shelf(world, readers), world.newsroom.published
    assert articles.shape == (3, 200)
    for row, now in zip(articles, world.requests(readers).time, strict=True):
        alive = np.flatnonzero((published <= now) & (published > now - 48 * HOUR))[::-1]
        assert 0 < len(alive) < 200
        np.testing.assert_array_equal(row[row >= 0], alive)
        assert (row[len(alive) :] == -1).all()


def test_greedy_click_shows_what_is_likeliest_clicked_best_on_top() -> None:
    world, readers = World(SimulationConfig(readers=20, seed=1, population=ALL_COME)), np.arange(20)
    slate, all_ = greedy_click(world, readers), shelf(world, readers)
    chance, shown = (world.response.chance(world.encounter(readers, x)).numpy() for x in (all_, slate))
    np.testing.assert_allclose(shown, -np.sort(-np.where(all_ >= 0, chance, -1.0), 1)[:, :10])


@pytest.mark.parametrize("elasticity", [1.5, -1.5])
@pytest.mark.parametrize("returns", ["hazard", "self_exciting"])
def test_no_slate_of_two_promises_much_more_than_the_planner_s(returns: str, elasticity: float) -> None:
    """Against all 132 slates of two out of 12, by the exact expectation over who is examined and clicked."""
    config = SimulationConfig(
        readers=25, seed=2, candidates=12, slate_size=2, return_family=returns, elasticity=elasticity,
        population=BUSY, utility=UtilityConfig(base=-1.5, position_bias=0.7),
    )  # fmt: skip
    world, readers = World(config), np.arange(25)
    world.level[:] = torch.linspace(0.2, 0.8, 25)
    articles = shelf(world, readers)
    faced = world.encounter(readers, articles)
    chance, worth = world.response.chance(faced), world.response.worth(faced)
    hours = (world.next_time - config.start_time).double() / HOUR
    examined, zero = torch.tensor([1.0, 2.0**-0.7], dtype=torch.float64), torch.zeros(25, dtype=torch.float64)

    def promise(pair: tuple[int, ...]) -> np.ndarray:
        """[25] expected log hazard of the next visit."""
        p, total = chance[:, pair] * examined, zero
        for read in product((False, True), repeat=2):
            is_read = torch.tensor(read).expand(25, 2)
            probability = torch.where(is_read, p, 1.0 - p).prod(1)
            level = world.returns.learned(world.level, hours, worth[:, pair], is_read)
            total = total + probability * world.returns.log_factor(level, zero)
        return total.numpy()

    pairs = list(permutations(range(12), 2))
    all_ = np.stack([promise(pair) for pair in pairs], 1)  # [25, 132]
    column = (planner(world, readers)[:, :, None] == articles[:, None]).argmax(2)  # [25, 2]
    planned = np.array([all_[n, pairs.index(tuple(pair))] for n, pair in enumerate(column.tolist())])
    best, random = all_.max(1), all_.mean(1)
    assert (planned - random).sum() > 0.97 * (best - random).sum() > 0


@pytest.mark.parametrize("response", ["utility", "cascade"])
def test_expected_dwell_is_what_readers_spend_on_what_they_click(response: str) -> None:
    """4,000 readers with one article of each world in front of them: the mean goes with what was expected."""
    config = SimulationConfig(
        readers=4_000, seed=6, response_family=response, population=ALL_COME, candidates=1, slate_size=1,
        newsroom=NewsroomConfig(clickbait=0.5),
    )  # fmt: skip
    world, readers = World(config), np.arange(4_000)
    articles = shelf(world, readers)
    faced = world.encounter(readers, articles)
    reaction = world.response.react(faced)
    spent = torch.where(reaction.clicked, reaction.dwell, 0.0)
    expected = expected_dwell(world, readers, faced)
    order = expected[:, 0].argsort()
    means = np.array([(spent[part].mean(), expected[part].mean()) for part in order.chunk(4)])
    assert (np.diff(means[:, 0]) > 0).all()
    ratio = means[1:, 0] / means[1:, 1]
    assert ratio.max() < 1.4 * ratio.min()


def test_minutes_known_bring_more_days_than_clicks_known_and_fewer_than_the_planner() -> None:
    config = SimulationConfig(readers=400, days=14, seed=4, population=BUSY)
    clicks, dwell, planned = (live(config, act).active_days for act in (greedy_click, greedy_dwell, planner))
    for gain in (dwell - clicks, planned - dwell):
        assert gain.mean() > 2 * gain.std(ddof=1) / 400**0.5


@pytest.mark.parametrize("families", FAMILIES, ids="-".join)
def test_the_planner_brings_readers_back_more_than_perfect_clicks_do(families: tuple[str, str]) -> None:
    """Same readers, same luck: fewer clicks an article, more active days."""
    response, returns = families
    config = SimulationConfig(
        readers=400, days=14, seed=4, response_family=response, return_family=returns, population=BUSY
    )
    planned, greedy = live(config, planner), live(config, greedy_click)
    gain = planned.active_days - greedy.active_days
    assert gain.mean() > 4 * gain.std(ddof=1) / 400**0.5
    assert planned.clicks.sum() / planned.impressions.sum() < greedy.clicks.sum() / greedy.impressions.sum()


def test_noise_draws_slates_in_proportion_to_their_scores() -> None:
    """The first place of a Plackett-Luce law is a softmax: 30 readers in each of 60 worlds."""
    first, readers = [], np.arange(30)
    for seed in range(60):
        world = World(SimulationConfig(readers=30, candidates=3, slate_size=2, seed=seed, population=ALL_COME))
        articles = shelf(world, readers)
        slate = Ranking(lambda world, readers, faced: torch.tensor([0.0, 1.0, 2.0]).expand(30, 3), 1.0)(world, readers)
        first.append((articles == slate[:, :1]).argmax(1))
    share = np.bincount(np.concatenate(first), minlength=3) / 1_800
    expected = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    np.testing.assert_allclose(share, expected, atol=4 * 0.5 / 1_800**0.5)


def test_lives_count_days_slates_and_clicks() -> None:
    """One reader's life, counted by hand."""
    config = SimulationConfig(readers=1, days=9, seed=5, population=PopulationConfig(visits_per_day=2.0, bots=0.0))
    lives, world, act = live(config, greedy_click), World(config), Ranking(click_chance)
    days, slates, clicks = set(), 0, 0
    while world.next_time[0] < config.end_time:
        days.add(int(world.next_time[0] - config.start_time) // (24 * HOUR))
        feedback = world.respond(np.array([0]), act(world, np.array([0])))
        slates, clicks = slates + 1, clicks + int((feedback.kind == 1).sum())
    assert lives.active_days.tolist() == [len(days)]
    assert lives.slates.tolist() == [slates]
    assert lives.clicks.tolist() == [clicks]
    assert lives.impressions.tolist() == [10 * slates]
    assert 3 < len(days) <= 9
    assert clicks > 0
