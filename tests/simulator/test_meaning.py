"""What the simulated world must mean: clickbait costs returns, habit sets the hour, taste matters more than fame."""

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from newsrec import dataset
from newsrec.catalogue import Catalogue, from_articles
from newsrec.events import KINDS, EventLog, microseconds
from newsrec.features import DAY, HOUR
from newsrec.policy import mask_scores
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import NO_HABIT, WEEK_HOURS, PopulationConfig, habit_table
from newsrec.simulator.rollout import UNIFORM, Actor, simulate
from newsrec.simulator.world import World
from newsrec.transitions import Candidates, State
from tests.simulator.worlds import readers_of

MINUTE = HOUR // 60


class Omniscient:
    """Scores every article by a number of its own, which only the world knows."""

    config = None

    def __init__(self, value: np.ndarray) -> None:
        self.value = torch.from_numpy(np.concatenate([[0.0], value])).float()

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        return mask_scores(self.value[candidates.article_index], candidates)


def per_reader(log: EventLog, config: SimulationConfig, kind: str | None = None) -> np.ndarray:
    """[N] visits of each reader, or events of ``kind``, zeros included."""
    if kind is None:
        ids = log.recommendations.group_by(["user_id", "session_id"]).aggregate([])["user_id"]
    else:
        ids = log.feedback.filter(pc.equal(log.feedback["kind"], kind))["user_id"]
    return np.bincount(readers_of(config, ids), minlength=config.readers)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The mean of independent ``values`` plus and minus four standard errors."""
    error = values.std(ddof=1) / len(values) ** 0.5
    return values.mean() - 4 * error, values.mean() + 4 * error


def clickbait_effect(elasticity: float) -> tuple[np.ndarray, np.ndarray]:
    """What a random policy that prefers clickbait does, against one that avoids it, in worlds with the same luck.

    Differences by reader, both [N]: clicks for each article shown, and visits.
    """
    config = SimulationConfig(
        readers=150,
        days=5,
        seed=1,
        population=PopulationConfig(visits_per_day=1.5, activity_spread=0.5),
        elasticity=elasticity,
    )
    newsroom = World(config).newsroom
    known = Catalogue(newsroom.table, newsroom.table.num_rows)
    bait, plain = (
        simulate(config, Actor(Omniscient(sign * 6 * newsroom.clickbait), UNIFORM, "bait", known)) for sign in (1, -1)
    )
    rate = [
        per_reader(log, config, "click") / np.maximum(per_reader(log, config, "impression"), 1) for log in (bait, plain)
    ]
    return rate[0] - rate[1], per_reader(bait, config) - per_reader(plain, config)


def test_clickbait_wins_clicks_and_loses_returns() -> None:
    clicks, visits = clickbait_effect(1.5)
    assert interval(clicks)[0] > 0
    assert interval(visits)[1] < 0


def test_without_elasticity_clickbait_costs_no_return() -> None:
    clicks, visits = clickbait_effect(0.0)
    low, high = interval(visits)
    assert interval(clicks)[0] > 0
    assert low <= 0 <= high
    assert high - low < 0.2


def test_with_reversed_elasticity_clickbait_brings_readers_back() -> None:
    assert interval(clickbait_effect(-1.5)[1])[0] > 0


def test_visits_follow_the_hours_of_the_reader_s_own_day() -> None:
    """Over two whole weeks, first requests of visits by kind of rhythm, on each reader's local and shifted clock."""
    config = SimulationConfig(
        readers=1_000,
        population=PopulationConfig(visits_per_day=0.2, activity_spread=0.0),
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
        - population.shift[reader]
    )
    hour = (local // HOUR + 3 * 24) % WEEK_HOURS  # 1970 began on a Thursday
    for habit, row in enumerate(habit_table()[:NO_HABIT]):
        of_kind = hour[population.habit[reader] == habit]
        daily, seen = row.reshape(7, 24).sum(0) / WEEK_HOURS, np.bincount(of_kind % 24, minlength=24)
        assert chisquare(seen, daily * len(of_kind)).pvalue > 1e-3, habit
        weekend = row[5 * 24 :].sum() / WEEK_HOURS
        assert abs((of_kind >= 5 * 24).mean() - weekend) < 4 * (weekend * (1 - weekend) / len(of_kind)) ** 0.5


@pytest.fixture(scope="module")
def world_and_log() -> tuple[World, EventLog]:
    config = SimulationConfig(readers=600)
    return World(config), simulate(config)


def test_the_default_log_is_believable(world_and_log: tuple[World, EventLog]) -> None:
    """Click rate, slates a visit, dwell, and the next-day return of readers who come on most days."""
    world, log = world_and_log
    config, kinds = world.config, log.feedback["kind"]
    assert 0.5 < log.recommendations.num_rows / (config.readers * config.days) < 0.9  # 2,000 readers: 15-25 thousand
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
    interest = np.einsum("dt,dkt->dk", world.population.interests[reader], newsroom.topics[article])
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
