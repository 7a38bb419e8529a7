"""What simulated worlds mean: clickbait costs returns, narrow slates bore, habit sets the hour, taste beats fame."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from scipy.stats import chisquare

from newsrec import dataset
from newsrec.catalogue import from_articles
from newsrec.events import KINDS, EventLog, microseconds
from newsrec.features import DAY, HOUR
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import NO_HABIT, WEEK_HOURS, PopulationConfig, habit_table
from newsrec.simulator.rollout import simulate
from newsrec.simulator.shocks import ShockConfig
from newsrec.simulator.tastes import TasteConfig
from newsrec.simulator.world import World
from tests.simulator.worlds import Lived, live, readers_of

MINUTE = HOUR // 60


def interval(values: np.ndarray) -> tuple[float, float]:
    """The mean of independent ``values`` plus and minus four standard errors."""
    error = values.std(ddof=1) / len(values) ** 0.5
    return values.mean() - 4 * error, values.mean() + 4 * error


WORLDS = [(response, returns) for response in ("utility", "cascade") for returns in ("hazard", "self_exciting")]
BUSY = PopulationConfig(visits_per_day=0.6, activity_spread=0.5, bots=0.0)


def slow(families: tuple[str, str]) -> Any:
    """For ``make test-slow``; each family is in ``make test``, too."""
    return pytest.param(families, marks=pytest.mark.slow)


def world_of(families: tuple[str, str], **fields: Any) -> SimulationConfig:
    return SimulationConfig(response_family=families[0], return_family=families[1], **fields)


def clickbait_effect(config: SimulationConfig) -> tuple[np.ndarray, np.ndarray]:
    """What a random policy that prefers clickbait does, against one that avoids it, in worlds with the same luck.

    Differences by reader, both [N]: clicks for each article shown, and active days.
    """
    bait, plain = (live(config, lambda faced, sign=sign: sign * 4 * faced.clickbait) for sign in (1, -1))
    rates = [lived.clicks / np.maximum(lived.impressions, 1) for lived in (bait, plain)]
    return rates[0] - rates[1], bait.active_days - plain.active_days


@pytest.mark.parametrize("families", [WORLDS[0], WORLDS[3], *map(slow, WORLDS[1:3])], ids="-".join)
def test_clickbait_wins_clicks_and_its_price_in_returns_has_the_sign_of_the_elasticity(
    families: tuple[str, str],
) -> None:
    """More of it loses active days at positive elasticity, none at zero, and brings some where it is reversed."""
    config = world_of(families, readers=700, days=10, seed=1, population=BUSY)
    for elasticity in (1.5, 0.0, -1.5):
        clicks, days = clickbait_effect(replace(config, elasticity=elasticity))
        low, high = interval(days)
        assert interval(clicks)[0] > 0
        if elasticity > 0:
            assert high < 0
        elif elasticity < 0:
            assert low > 0
        else:
            assert low <= 0 <= high
            assert high - low < 0.1


@pytest.mark.parametrize("families", [WORLDS[0], slow(WORLDS[3])], ids="-".join)
def test_the_price_of_clickbait_is_one_parameter(families: tuple[str, str]) -> None:
    """At none its clicks are no loss; from there over half and once to twice, random slates lose active days."""
    config = world_of(families, readers=700, days=10, seed=1, elasticity=3.0, population=BUSY)
    assert interval(clickbait_effect(replace(config, clickbait_cost=0.0))[1])[1] > 0
    days = [
        live(replace(config, clickbait_cost=cost), lambda faced: 0 * faced.match).active_days
        for cost in (0.0, 0.5, 1.0, 2.0)
    ]
    for less, more in pairwise(days):
        assert interval(more - less)[1] < 0


@pytest.mark.parametrize("response", ["utility", "cascade"])
def test_narrow_slates_bore(response: str) -> None:
    """After five slates of one topic or of all, what is the chance of a click on ten others of that topic?"""

    def chance(narrow: bool, boredom: float) -> np.ndarray:
        """[N] mean over the articles; visits that end are taken up again within the hour."""
        tastes = TasteConfig(drift=0.0, boredom=boredom)
        config = SimulationConfig(readers=400, seed=2, response_family=response, tastes=tastes, population=BUSY)
        world, readers = World(config), np.arange(400)
        known = np.flatnonzero(world.newsroom.published < config.start_time)
        share = world.newsroom.topics[known, 3]
        shown = known[share > 0.5] if narrow else known[share == 0]
        rng = np.random.default_rng(0)
        probe, pool = known[share > 0][:4], np.setdiff1d(shown, known[share > 0][:4])
        for turn in range(5):
            world.next_time[:] = config.start_time + turn * HOUR // 6
            world.respond(readers, np.tile(rng.choice(pool, 6, replace=False).astype(np.int32), (400, 1)))
        world.next_time[:] = config.start_time + HOUR
        return world.response.chance(world.encounter(readers, np.tile(probe, (400, 1)))).mean(1).numpy()

    bored = chance(True, 1.2) - chance(False, 1.2)
    assert interval(bored)[1] < 0
    assert bored.mean() < -0.1 * chance(False, 1.2).mean()
    assert interval(chance(True, 0.0) - chance(False, 0.0))[0] > -1e-3


@pytest.mark.parametrize("returns", ["hazard", "self_exciting"])
def test_a_shock_moves_demand(returns: str) -> None:
    """Against the same world without: visits while it lasts, the share of its topic among clicks; before, nothing."""
    config = SimulationConfig(
        readers=500, seed=3, return_family=returns, population=BUSY, shocks=ShockConfig(per_month=6.0)
    )
    shocks = World(config).shocks
    assert len(shocks.topic) >= 2
    calm, shaken = (
        live(replace(config, shocks=s), lambda faced: 0 * faced.match)
        for s in (ShockConfig(per_month=0.0), config.shocks)
    )

    def during(lived: Lived) -> np.ndarray:
        inside = shocks.lasting(lived.visits).any(1)
        return np.bincount(lived.visitor[inside], minlength=config.readers)

    assert interval(during(shaken) - during(calm))[0] > 0
    gain = 1 + (shocks.demand * (shocks.end - shocks.start)).sum() / (shocks.end - shocks.start).sum()
    assert during(shaken).sum() / during(calm).sum() == pytest.approx(gain, rel=0.25)
    first = shocks.start.min()
    assert (shaken.visits < first).sum() == (calm.visits < first).sum() > 100
    shares = []
    for lived, newsroom in (
        (calm, World(replace(config, shocks=ShockConfig(per_month=0.0))).newsroom),
        (shaken, World(config).newsroom),
    ):
        lasting = shocks.lasting(lived.clicked_at)  # [C, S]
        main = newsroom.topics[lived.clicked].argmax(1)
        shares.append((main[:, None] == shocks.topic)[lasting].mean())
    assert shares[1] > 2 * shares[0]


def test_visits_follow_the_hours_of_the_reader_s_own_day() -> None:
    """Over two whole weeks, first requests of visits by kind of rhythm, on each reader's local and shifted clock."""
    config = SimulationConfig(
        readers=1_000,
        population=PopulationConfig(visits_per_day=0.2, activity_spread=0.0),
        shocks=ShockConfig(per_month=0.0),
        elasticity=0.0,
    )
    population, log = World(config).population, simulate(config)
    offset = pc.struct_field(log.recommendations["context"], "utc_offset_minutes")
    visits = log.recommendations.append_column("offset", offset).group_by("session_id")
    first = visits.aggregate([("time", "min"), ("user_id", "min"), ("offset", "min")])
    reader = readers_of(config, first["user_id_min"])
    local = (
        microseconds(first["time_min"])
        + first["offset_min"].cast("int64").to_numpy() * MINUTE
        - population.shift[reader].numpy()
    )
    hour = (local // HOUR + 3 * 24) % WEEK_HOURS  # 1970 began on a Thursday
    for habit, row in enumerate(habit_table()[:NO_HABIT]):
        of_kind = hour[population.habit[reader] == habit]
        daily, seen = row.reshape(7, 24).sum(0) / WEEK_HOURS, np.bincount(of_kind % 24, minlength=24)
        assert chisquare(seen, daily * len(of_kind)).pvalue > 1e-3, habit
        weekend = row[5 * 24 :].sum() / WEEK_HOURS
        assert abs((of_kind >= 5 * 24).mean() - weekend) < 4 * (weekend * (1 - weekend) / len(of_kind)) ** 0.5


@pytest.fixture(scope="module", params=WORLDS, ids="-".join)
def world_and_log(request: pytest.FixtureRequest) -> tuple[World, EventLog]:
    config = world_of(request.param, readers=600)
    return World(config), simulate(config)


def test_the_default_log_is_believable(world_and_log: tuple[World, EventLog]) -> None:
    """Click rate, slates a visit, dwell, and the next-day return of readers who come on most days."""
    world, log = world_and_log
    config, kinds = world.config, log.feedback["kind"]
    assert 0.5 < log.recommendations.num_rows / (config.readers * config.days) < 1.2  # 2,000 readers: 15-30 thousand
    clicks, impressions = (pc.sum(pc.equal(kinds, kind)).as_py() for kind in ("click", "impression"))
    assert 0.05 < clicks / impressions < 0.10
    assert 1.8 < log.recommendations.num_rows / pc.count_distinct(log.recommendations["session_id"]).as_py() < 2.5
    dwell = log.feedback["dwell_seconds"].drop_null().to_numpy()
    assert 20 < np.median(dwell) < 40
    active = np.zeros((config.readers, config.days), bool)
    reader = readers_of(config, log.recommendations["user_id"])
    active[reader, (microseconds(log.recommendations["time"]) - config.start_time) // DAY] = True
    regular = active[active.mean(1) > 0.5]
    assert len(regular) > 0.1 * config.readers
    assert 0.60 < (regular[:, 1:] & regular[:, :-1]).sum() / regular[:, :-1].sum() < 0.85
    silent = active[active[:, :4].any(1)]
    assert 0.03 < (~silent[:, 7:].any(1)).mean() < 0.30  # came in the first days, stayed away in the second week


def in_slate_auc(score: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """[D] share of pairs of a clicked and another article of one slate in the right order; ties count a half."""
    order = np.sign(score[:, :, None] - score[:, None, :]) / 2 + 0.5  # [D, K, K]
    pair = clicked[:, :, None] & ~clicked[:, None, :]
    return (order * pair).sum((1, 2)) / pair.sum((1, 2))


def test_taste_matters_more_than_fame_and_both_matter(world_and_log: tuple[World, EventLog]) -> None:
    """Each signal orders the articles of a slate better than chance; a reader's own interest clearly best."""
    world, log = world_and_log
    newsroom, decisions = world.newsroom, dataset.from_log(log)
    batch = decisions.batch(np.arange(len(decisions)))
    article = decisions.candidate.values[decisions.candidate.offsets[:-1, None] + batch.slate.numpy()] - 1  # [D, K]
    clicked = batch.feedback[..., KINDS.index("click")].numpy() > 0
    use = clicked.any(1) & ~clicked.all(1)
    reader = readers_of(world.config, log.recommendations["user_id"])
    interest = np.einsum("dt,dkt->dk", world.population.interests.numpy()[reader], newsroom.topics[article])
    rate = batch.candidates.popularity[..., 2].gather(1, batch.slate).numpy()
    signals = {
        "interest": interest,
        "click rate so far": rate,
        "quality": newsroom.quality[article],
        "clickbait": newsroom.clickbait[article],
        "age": -batch.candidates.age_hours.gather(1, batch.slate).numpy(),
    }
    auc = {name: in_slate_auc(score[use], clicked[use]) for name, score in signals.items()}
    for name, values in auc.items():
        assert interval(values)[0] > 0.5, name
    assert interval(auc["interest"] - auc["click rate so far"])[0] > 0.1
    assert auc["interest"].mean() > 0.7


def test_articles_of_one_topic_read_alike(world_and_log: tuple[World, EventLog]) -> None:
    """The embedding of the simulated words tells topics apart: that is all a new article shows of itself."""
    world, log = world_and_log
    content = from_articles(log.articles).content[1:]
    main = world.newsroom.topics.argmax(1)
    near = content @ content.T
    np.fill_diagonal(near, -1.0)
    assert (main[near.argmax(1)] == main).mean() > 0.95
