"""Recorded causes against the same story told again without the read in question."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc
import pytest
from scipy.special import logit
from torch import Tensor

from newsrec.features import HOUR
from newsrec.simulator.cascade import CascadeConfig
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.identity import ids
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.response import CLICK, Encounter, Reaction
from newsrec.simulator.tastes import TasteConfig
from newsrec.simulator.utility import UtilityConfig
from newsrec.simulator.world import World

N, TURNS = 12, 25
CONFIG = SimulationConfig(
    readers=N,
    days=6,
    population=PopulationConfig(visits_per_day=2.0, bots=0.0, cookie_clearers=0.5, cookie_clearing=0.3),
    tastes=TasteConfig(liking=1.0, boredom=2.0),
    utility=UtilityConfig(base=-1.2),
    cascade=CascadeConfig(threshold=0.8),
)
FAMILIES = [(response, returns) for response in ("utility", "cascade") for returns in ("hazard", "self_exciting")]


class Told:
    """A family of responses whose reactions are noted, or are those of an earlier telling."""

    def __init__(self, family, reactions: list[Reaction] | None = None) -> None:  # type: ignore[no-untyped-def]
        self.family, self.replay = family, iter(reactions or [])
        self.faced: list[Encounter] = []
        self.reactions: list[Reaction] = []

    def chance(self, encounter: Encounter) -> Tensor:
        return self.family.chance(encounter)

    def react(self, encounter: Encounter) -> Reaction:
        self.faced.append(encounter)
        self.reactions.append(next(self.replay, None) or self.family.react(encounter))
        return self.reactions[-1]


class Story:
    """``TURNS`` slates of old articles on three topics for each reader; with ``reactions``, what happened is given."""

    def __init__(self, config: SimulationConfig, reactions: list[Reaction] | None = None) -> None:
        self.world = World(config, record_causes=True)
        self.told = Told(self.world.response, reactions)
        self.world.response = self.told
        self.slates, self.times, self.levels = [], [], []
        newsroom = self.world.newsroom
        few = np.flatnonzero((newsroom.topics[:, :3].sum(1) > 0.5) & (newsroom.published < config.start_time))
        rng = np.random.default_rng(3)
        for _ in range(TURNS):
            slate = np.stack([rng.choice(few, 10, replace=False) for _ in range(N)]).astype(np.int32)
            self.slates.append(slate)
            self.times.append(self.world.next_time.numpy().copy())
            self.levels.append(self.world.level.clone())
            self.world.respond(np.arange(N), slate)

    def request(self, turn: int, reader: int) -> str:
        faced = self.told.faced[turn]
        return ids(0, "r", faced.user[[reader]].numpy(), faced.decision[[reader]].numpy())[0].as_py()

    def without(self, turn: int, reader: int, position: int) -> list[Reaction]:
        """The reactions of this story, but for one read that was a glance."""
        changed = self.told.reactions[turn].clicked.clone()
        changed[reader, position] = False
        told = list(self.told.reactions)
        told[turn] = told[turn]._replace(clicked=changed)
        return told


def weights(table) -> dict[tuple[str, str | None, str, str], float]:  # type: ignore[no-untyped-def]
    rows = table.to_pylist()
    found = {(r["request_id"], r["article_id"], r["read_request_id"], r["read_article_id"]): r["weight"] for r in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("response", ["utility", "cascade"])
def test_the_weight_of_a_read_is_what_the_log_odds_of_a_click_lose_without_it(response: str) -> None:
    """With elasticity 0 the visits are the same with and without the read, so that only tastes differ."""
    config = replace(CONFIG, response_family=response, elasticity=0.0)
    story = Story(config)
    names = story.world.newsroom.table["article_id"].to_pylist()
    found = weights(story.world.causes.clicks())
    reads = [(t, *place) for t, r in enumerate(story.told.reactions) for place in r.clicked.nonzero().tolist()]
    assert len(reads) > 120
    pairs = sum(1 for a in reads for b in reads if a[1] == b[1] and a[0] < b[0])
    assert len(found) == pairs  # all earlier slates' reads, and no other's; nobody has more than 50 here
    compared, signs = 0, set()
    for turn, reader, position in reads[:: len(reads) // 10]:
        other = Story(config, story.without(turn, reader, position))
        for later, (a, b) in enumerate(zip(story.told.faced, other.told.faced, strict=True)):
            if later <= turn:
                continue
            assert story.times[later].tolist() == other.times[later].tolist()
            chance, other_chance = (story.told.chance(x)[reader].numpy() for x in (a, b))
            for k in np.flatnonzero(story.told.reactions[later].clicked[reader]):
                lost = logit(chance[k]) - logit(other_chance[k])
                article = story.slates[later][reader, k]
                read = story.slates[turn][reader, position]
                key = story.request(later, reader), names[article], story.request(turn, reader), names[read]
                assert found[key] == pytest.approx(lost, abs=2e-5)
                compared += 1
                signs.add(np.sign(found[key]))
    assert compared > 30
    assert signs >= {-1.0, 1.0}


@pytest.mark.parametrize(("response", "returns"), FAMILIES)
def test_the_weight_of_a_read_is_what_the_log_hazard_of_the_return_loses_without_it(
    response: str, returns: str
) -> None:
    """Level by level: the visit is told again without the read, the hazard compared at the moment of the return."""
    config = replace(CONFIG, response_family=response, return_family=returns)
    story = Story(config)
    names = story.world.newsroom.table["article_id"].to_pylist()
    found, world = weights(story.world.causes.returns()), story.world
    compared = 0
    for reader in range(N):
        starts = [0] + [t + 1 for t in range(TURNS) if story.told.reactions[t].left[reader]]
        for first, back in pairwise(start for start in starts if start < TURNS):
            hours = (story.times[back][reader] - story.times[back - 1][reader]) / HOUR
            for turn in range(first, back):
                for position in np.flatnonzero(story.told.reactions[turn].clicked[reader]):
                    level = story.levels[first][[reader]]
                    for t in range(first, back):
                        since = (story.times[t] - (story.times[t - 1] if t else world.config.start_time))[reader] / HOUR
                        reaction = story.told.reactions[t]
                        read = reaction.clicked[[reader]].clone()
                        if t == turn:
                            read[0, position] = False
                        level = world.returns.learned(level, 0 * level + since, reaction.worth[[reader]], read)
                    with_, without = (
                        world.returns.log_factor(x, 0 * x + hours) for x in (story.levels[back][[reader]], level)
                    )
                    article = names[story.slates[turn][reader, position]]
                    key = story.request(back, reader), None, story.request(turn, reader), article
                    assert found.pop(key) == pytest.approx(float((with_ - without)[0]), abs=1e-9)
                    compared += 1
    assert compared > 60
    assert not found


def test_a_good_read_brings_back_at_positive_elasticity_and_keeps_away_when_it_is_reversed() -> None:
    """Excitement, which no read takes away."""
    for elasticity in (1.5, -1.5, 0.0):
        config = replace(CONFIG, return_family="self_exciting", elasticity=elasticity)
        weight = Story(config).world.causes.returns()["weight"].to_numpy()
        assert len(weight) > 50
        assert set(np.sign(weight)) <= {0.0, np.sign(elasticity)}
        assert weight.any() == (elasticity != 0)


def test_without_liking_and_boredom_no_read_drives_a_click() -> None:
    config = replace(CONFIG, tastes=TasteConfig(liking=0.0, boredom=0.0))
    weight = Story(config).world.causes.clicks()["weight"].to_numpy()
    assert len(weight) > 100
    assert not weight.any()


def test_recording_changes_nothing_and_is_off_by_itself() -> None:
    silent, recorded = World(CONFIG), World(CONFIG, record_causes=True)
    assert silent.causes is None
    for turn in range(8):
        slate = np.tile(np.arange(turn, turn + 10, dtype=np.int32), (N, 1))
        for a, b in zip(*(w.respond(np.arange(N), slate) for w in (silent, recorded)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_causes_are_of_clicks_that_happened_and_bots_have_none() -> None:
    config = replace(CONFIG, population=replace(CONFIG.population, bots=0.4))
    world, clicks = World(config, record_causes=True), set()
    bot = world.population.bot.numpy()
    assert 0 < bot.sum() < N
    for turn in range(TURNS):
        feedback = world.respond(np.arange(N), np.tile(np.arange(turn, turn + 10, dtype=np.int32), (N, 1)))
        of = feedback.take((feedback.kind == CLICK) & ~bot[feedback.reader])
        names = world.newsroom.table["article_id"].take(of.article).to_pylist()
        clicks |= set(zip(ids(0, "r", of.user, of.decision).to_pylist(), names, strict=True))
    for table in (world.causes.clicks(), world.causes.returns()):
        rows = table.select(["read_request_id", "read_article_id"]).to_pylist()
        assert rows
        assert {tuple(row.values()) for row in rows} <= clicks
    rows = world.causes.clicks().select(["request_id", "article_id"]).to_pylist()
    assert {tuple(row.values()) for row in rows} <= clicks


def test_only_the_latest_reads_are_considered_and_a_new_reader_has_none() -> None:
    config = replace(CONFIG, utility=UtilityConfig(base=9.0, position_bias=0.0), elasticity=0.0)
    world = World(config, record_causes=True)
    for turn in range(8):  # ten reads in each slate
        slate = np.tile(np.arange(turn * 10, turn * 10 + 10, dtype=np.int32), (N, 1))
        world.respond(np.arange(N), slate)
    table = world.causes.clicks().group_by(["request_id", "article_id"]).aggregate([("weight", "count")])
    counts = table["weight_count"].to_numpy()
    assert counts.max() == 50
    world.begin(np.arange(N), np.arange(100, 100 + N))
    before = world.causes.clicks().num_rows
    world.respond(np.arange(N), np.tile(np.arange(10, dtype=np.int32), (N, 1)))
    assert world.causes.clicks().num_rows == before
    assert pc.all(pc.is_finite(world.causes.clicks()["weight"])).as_py()
