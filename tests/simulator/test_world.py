"""The world as a whole: readers of any numbers in any rows, one story each."""

from dataclasses import replace

import numpy as np
import pytest
from torch import Tensor

from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.response import Feedback
from newsrec.simulator.world import MEMORY, World

CONFIG = SimulationConfig(readers=60, days=4, population=PopulationConfig(visits_per_day=2.0, cookie_clearers=0.5))
FAMILIES = [(response, returns) for response in ("utility", "cascade") for returns in ("hazard", "self_exciting")]


def story(world: World, rows: np.ndarray, turns: int = 12) -> list[Feedback]:
    """What the readers in ``rows`` do with slates that depend on their numbers and the turn alone."""
    told = []
    for turn in range(turns):
        slate = (world.number.numpy()[rows, None] * 7 + turn * 3 + np.arange(10)) % len(world.newsroom.published)
        told.append(world.respond(rows, slate.astype(np.int32)))
    return told


@pytest.mark.parametrize(("response", "returns"), FAMILIES)
def test_a_reader_s_story_is_the_same_whoever_is_simulated_beside_them(response: str, returns: str) -> None:
    """Alone, put into another row, or among sixty, in any order."""
    config = replace(CONFIG, response_family=response, return_family=returns)
    everyone = story(World(config), np.arange(60))
    few = World(replace(config, readers=3))
    story(few, np.arange(3), 2)  # somebody else was there before
    few.begin(np.array([2, 0]), np.array([17, 41]))
    for among, alone in zip(everyone, story(few, np.array([2, 0])), strict=True):
        for number, row in ((17, 2), (41, 0)):
            expected, found = among.take(among.reader == number), alone.take(alone.reader == row)
            for name, a, b in zip(Feedback._fields, expected, found, strict=True):
                if name != "reader":
                    np.testing.assert_array_equal(a, b, name)


def test_readers_remember_the_latest_slates_and_what_they_read_in_them() -> None:
    world = World(CONFIG)
    rows = np.arange(60)
    reads: list[set[tuple[int, int]]] = []
    for turn in range(MEMORY + 2):
        feedback = world.respond(rows, np.tile(np.arange(turn, turn + 10, dtype=np.int32), (60, 1)))
        clicked = feedback.kind == 1
        reads.append(set(zip(feedback.reader[clicked].tolist(), feedback.article[clicked].tolist(), strict=True)))
    articles = np.arange(MEMORY + 12)
    faced = world.encounter(rows, np.tile(articles, (60, 1)))
    lately = set().union(*reads[-MEMORY:])
    assert lately
    assert {(n, a) for n, a in faced.known.nonzero().tolist()} == lately
    assert (faced.repetition[:, :2] == 0).all()  # shown in the first two slates alone
    assert faced.repetition.max() <= MEMORY
    assert faced.repetition[:, 9].sum() > faced.repetition[:, 2].sum() > 0


def test_state_takes_less_than_a_kilobyte_a_reader() -> None:
    world = World(replace(CONFIG, readers=1_000))
    arrays = [*vars(world).values(), *world.population, *vars(world.tastes).values()]
    distinct = {id(a): a for a in arrays if isinstance(a, Tensor) and a.dim() and len(a) == 1_000}
    assert len(distinct) > 20
    assert sum(a.nbytes for a in distinct.values()) < 1_000 * 1_024
