"""Who a reader is to the site: ids that tell nothing, and cookies that are cleared."""

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc

from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.identity import ids, user_number
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.simulator.world import World
from tests.simulator.worlds import readers_of

CONFIG = SimulationConfig(
    readers=40,
    days=6,
    population=PopulationConfig(visits_per_day=3.0, activity_spread=0.5, cookie_clearers=0.5, cookie_clearing=0.4),
)


def test_no_two_users_are_alike() -> None:
    reader, clearings = np.meshgrid(np.append(np.arange(3_000), 2**28 - 1), np.arange(50))
    number = user_number(0, reader.ravel(), clearings.ravel())
    assert len(np.unique(number)) == number.size
    assert number.min() >= 0
    assert number.max() < 10**14


def test_ids_have_one_length_and_sort_by_number() -> None:
    user = np.array([0, 2**44 - 1])
    assert ids(7, "u", user).to_pylist() == ["s7-u00000000000000", "s7-u17592186044415"]
    assert ids(7, "r", user, np.array([3, 12])).to_pylist()[1] == "s7-r17592186044415-00012"


def test_some_readers_come_back_as_somebody_else() -> None:
    log = simulate(CONFIG)
    rows = log.recommendations.select(["user_id", "session_id", "request_id"])
    reader = readers_of(CONFIG, rows["user_id"])
    users: dict[int, list[str]] = {}
    for n, user in zip(reader, rows["user_id"].to_pylist(), strict=True):
        if user not in users.setdefault(int(n), []):
            users[int(n)].append(user)
    clearing = World(CONFIG).population.clearing
    assert all(len(users[n]) == 1 for n in users if clearing[n] == 0)
    visits = rows.group_by("session_id").aggregate([("user_id", "min")])
    of_clearers = readers_of(CONFIG, visits["user_id_min"])
    again = sum(len(users[n]) - 1 for n in users)
    chances = (clearing[of_clearers] > 0).sum() - len({n for n in users if clearing[n] > 0})
    assert chances > 200
    assert abs(again / chances - 0.4) < 4 * (0.4 * 0.6 / chances) ** 0.5
    for row in rows.to_pylist():  # all ids of a row are of one user, and a new user's requests begin at 0
        assert row["session_id"].startswith(row["user_id"].replace("-u", "-v"))
    for column, letter in (("request_id", "-r"), ("session_id", "-v")):
        first = rows.group_by("user_id").aggregate([(column, "min")]).to_pylist()
        assert all(row[f"{column}_min"] == row["user_id"].replace("-u", letter) + "-00000" for row in first)


def test_nobody_clears_cookies_where_the_share_is_zero() -> None:
    config = replace(CONFIG, population=replace(CONFIG.population, cookie_clearers=0.0))
    log = simulate(config)
    user = pc.unique(log.recommendations["user_id"])
    assert len(user) == len(set(readers_of(config, user)))


def test_the_world_knows_who_is_behind_each_user() -> None:
    world = World(CONFIG)
    everybody, shown = np.arange(CONFIG.readers), np.zeros((CONFIG.readers, 10), np.int32)
    seen = {(int(u), n) for n, u in enumerate(world.user)}
    for _ in range(30):
        world.respond(everybody, shown)
        seen |= {(int(u), n) for n, u in enumerate(world.user)}
    table = world.users()
    expected = {(ids(0, "u", np.array([user]))[0].as_py(), n) for user, n in seen}
    assert set(zip(table["user_id"].to_pylist(), table["reader"].to_pylist(), strict=True)) == expected
    assert len(expected) > 60


def test_to_themselves_readers_stay_who_they_are() -> None:
    """The same satisfaction, tastes and memory as those who do not clear cookies: only the ids are new."""
    worlds = [World(replace(CONFIG, population=replace(CONFIG.population, cookie_clearing=p))) for p in (0.0, 1.0)]
    for world in worlds:
        world.respond(np.arange(40), np.tile(np.arange(10, dtype=np.int32), (40, 1)))
    left = worlds[0].visit > 0
    clearers = left & (worlds[1].population.clearing > 0)
    assert clearers.sum() > 5
    assert (worlds[0].user == worlds[1].user).tolist() == (~clearers).tolist()
    assert (worlds[1].decision[clearers] == 0).all()
    assert (worlds[0].level == worlds[1].level).all()
    for world in worlds:
        world.next_time[:] = worlds[0].next_time.max()
    first, second = (w.encounter(np.arange(40), np.tile(np.arange(10), (40, 1))) for w in worlds)
    assert (first.match == second.match).all()
    assert (first.repetition == second.repetition).all()
    assert first.repetition.max() == 1
    assert (first.known == second.known).all()
    assert first.known.any()
