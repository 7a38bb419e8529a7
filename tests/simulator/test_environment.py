"""One reader as an environment: the slates of a simulated log, shown again, must bring back that log."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import InvalidAction
from gymnasium.utils.env_checker import data_equivalence

from newsrec import catalogue, dataset
from newsrec.events import KINDS, EventLog
from newsrec.features import HISTORY_LENGTH, HOUR
from newsrec.policy import mask_scores
from newsrec.reward import RewardConfig
from newsrec.simulator.arrival import ArrivalConfig
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.environment import ReaderEnv, ReaderEpisodes, policy_input
from newsrec.simulator.identity import ids
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.simulator.utility import UtilityConfig
from newsrec.transitions import Candidates, State
from tests.simulator.gymnasium_contract import accepted

CONFIG = SimulationConfig(
    readers=40,
    days=5,
    articles_per_day=40,
    slate_size=6,
    candidates=50,
    seed=4,
    population=PopulationConfig(visits_per_day=1.5, cookie_clearers=0.4),
    utility=UtilityConfig(base=-1.5),
    arrival=ArrivalConfig(late_share=0.3),
)
"""Busy readers with much late feedback, many of whom clear their cookies."""


@pytest.fixture(scope="module")
def log() -> EventLog:
    return simulate(CONFIG)


class Replay:
    """All readers of ``config`` side by side, who get the slates of ``log``. ``rows`` are the log's decisions by id."""

    def __init__(self, config: SimulationConfig, log: EventLog) -> None:
        self.config, self.rows = config, {row["request_id"]: row for row in log.recommendations.to_pylist()}
        known = catalogue.from_articles(log.articles)
        readers = ReaderEpisodes(config, 1, log, known).coming
        self.episodes = ReaderEpisodes(config, len(readers), log, known)
        self.readers = np.arange(len(readers))
        self.episodes.begin(self.readers, self.readers)
        assert self.episodes.world.number.tolist() == readers.tolist()

    def requests(self, running: np.ndarray) -> list[str]:
        world = self.episodes.world
        return ids(self.config.seed, "r", *world.requests(running)[:2]).to_pylist()

    def actions(self, requests: list[str]) -> np.ndarray:
        scores = np.zeros((len(requests), self.config.candidates), np.float32)
        for row, request in zip(scores, requests, strict=True):
            logged = self.rows[request]
            for rank, article in enumerate(logged["slate"]):
                row[logged["candidates"].index(article)] = self.config.slate_size - rank
        return scores


@pytest.mark.parametrize("families", [("utility", "hazard"), ("cascade", "self_exciting")])
def test_the_logged_slates_bring_the_logged_decisions_and_feedback(families: tuple, log: EventLog) -> None:
    """Who decides when, among which candidates, and all that followed; every decision, and no other."""
    response, returns = families
    config = replace(CONFIG, response_family=response, return_family=returns)
    log = log if config == CONFIG else simulate(config)
    replay = Replay(config, log)
    happened: dict[str, dict[tuple[int, str], float]] = {}
    for event in log.feedback.to_pylist():
        if event["kind"] != "leave":
            amount = event["dwell_seconds"] if event["kind"] == "dwell" else 1.0
            happened.setdefault(event["request_id"], {})[event["position"], event["kind"]] = amount
    running, seen, met = replay.readers, 0, list[str]()
    arrived = config.end_time - 25 * HOUR  # feedback is at most a day late
    article_ids = np.array(log.articles["article_id"].to_pylist())
    while len(running):
        requests = replay.requests(running)
        shown = [article_ids[row[row >= 0]].tolist() for row in replay.episodes.candidates[running]]
        outcome = replay.episodes.act(running, replay.actions(requests))
        for i, request in enumerate(requests):
            logged = replay.rows[request]
            assert shown[i] == logged["candidates"]
            slate = outcome.info["slate"][i][outcome.info["slate_mask"][i]]
            assert [shown[i][position] for position in slate] == logged["slate"]
            amounts = outcome.info["feedback"][i]
            found = {(k, KINDS[f]): amounts[k, f] for k, f in zip(*np.nonzero(amounts), strict=True)}
            if logged["time"].timestamp() * 1e6 < arrived:
                assert found == happened.get(request, {})
                seen += 1
            else:
                assert found.items() >= happened.get(request, {}).items()
        met += requests
        running = running[~outcome.truncated]
    assert sorted(met) == sorted(replay.rows)
    assert seen > 200


def test_observations_rewards_and_discounts_are_those_of_the_log(log: EventLog) -> None:
    """As ``dataset`` makes them of the finished log, number for number."""
    decisions = dataset.from_log(log)
    batch = decisions.batch(np.arange(len(decisions)))
    sorted_log = log.recommendations.sort_by([("time", "ascending"), ("request_id", "ascending")])
    row = {request: i for i, request in enumerate(sorted_log["request_id"].to_pylist())}
    logged = {name: tensor.numpy() for name, tensor in (batch.state._asdict() | batch.candidates._asdict()).items()}
    replay = Replay(CONFIG, log)
    running, new_users, compared = replay.readers, 0, 0
    while len(running):
        requests = replay.requests(running)
        at = [row[request] for request in requests]
        observation = replay.episodes.observe(running)
        users = replay.episodes.world.requests(running).user
        outcome = replay.episodes.act(running, replay.actions(requests))
        for name, values in observation.items():
            width = logged[name].shape[1]
            np.testing.assert_array_equal(values[:, :width], logged[name][at], name)
            assert not values[:, width:].any()
        early = decisions.time[at] < CONFIG.end_time - 25 * HOUR
        np.testing.assert_array_equal(outcome.reward[early].astype(np.float32), batch.reward.numpy()[at][early])
        compared += int(early.sum())
        renewed = (replay.episodes.world.requests(running).user != users) & ~outcome.truncated
        new_users += int(renewed.sum())
        followed = ~renewed & ~outcome.info["censored"]
        np.testing.assert_array_equal(
            outcome.info["discount"][followed].astype(np.float32), batch.discount[at][followed]
        )
        hours = outcome.info["elapsed_hours"]
        assert (outcome.info["discount"][renewed] == np.exp2(-hours[renewed] / 72).astype(np.float32)).all()
        assert (outcome.info["censored"] == outcome.truncated).all()
        assert (decisions.time[at] + hours * HOUR <= CONFIG.end_time + 1).all()
        running = running[~outcome.truncated]
    assert compared > 200
    assert new_users > 5
    assert batch.state.history_mask.sum(1).max() > 20


def test_behind_the_last_decision_stands_the_end_of_the_days(log: EventLog) -> None:
    env = ReaderEnv(CONFIG, log)
    _, info = env.reset(seed=1)
    truncated = False
    while not truncated:
        before = info["time"]
        observation, _, terminated, truncated, info = env.step(np.zeros(CONFIG.candidates))
        assert not terminated
        assert info["elapsed_hours"] == (info["time"] - before) / HOUR > 0
    assert info["time"] == CONFIG.end_time
    assert info["censored"]
    assert info["discount"] == 0.0
    assert observation["mask"].any()


def test_seeds_pick_readers_who_come_and_without_one_others_follow(log: EventLog) -> None:
    env = ReaderEnv(replace(CONFIG, population=replace(CONFIG.population, visits_per_day=0.2)), log)
    picked = []
    for seed in range(40):
        observation, info = env.reset(seed=seed)
        assert CONFIG.start_time <= info["time"] < CONFIG.end_time
        assert not observation["history_mask"].any()
        picked.append(info["reader"])
    assert len(set(picked)) > 10
    assert set(picked) < set(range(40))
    env.reset(seed=3)
    following = [env.reset()[1]["reader"] for _ in range(6)]
    env.reset(seed=3)
    assert following == [env.reset()[1]["reader"] for _ in range(6)]
    assert len(set(following)) > 1


def test_a_reader_who_begins_again_is_new_to_the_site(log: EventLog) -> None:
    """Another life of the same reader in the same row, while feedback of the first one is still to arrive."""
    used, fresh = ReaderEnv(CONFIG, log), ReaderEnv(CONFIG, log)
    reads = 0
    for seed in range(6):
        used.reset(seed=seed)
        for _ in range(2):
            used.step(np.zeros(50))
        assert data_equivalence(used.reset(seed=seed), fresh.reset(seed=seed), exact=True)
        for _ in range(4):
            ours, theirs = used.step(np.arange(50)), fresh.step(np.arange(50))
            assert data_equivalence(ours, theirs, exact=True)
        reads += int(ours[0]["history_mask"].sum())
    assert reads > 6


def test_a_policy_reads_the_observation_and_its_scores_are_an_action(log: EventLog) -> None:
    def scores(state: State, candidates: Candidates) -> torch.Tensor:
        return mask_scores(candidates.popularity[..., 2] + state.context[:, :1], candidates)

    env = ReaderEnv(CONFIG, log)
    observation, _ = env.reset(seed=0)
    assert observation["history_mask"].shape == (HISTORY_LENGTH,)
    state, candidates = policy_input({name: values[None] for name, values in observation.items()})
    assert candidates.mask.dtype == state.history_mask.dtype == torch.bool
    action = scores(state, candidates)[0].numpy()
    assert np.isneginf(action).any() == (observation["mask"] == 0).any()
    info = env.step(action)[4]
    assert info["slate"].tolist() == np.argsort(-action, kind="stable")[:6].tolist()


def test_the_reward_follows_its_configuration(log: EventLog) -> None:
    clicks = RewardConfig(click=1, dwell_minute=0, like=0, share=0, comment=0, hide=0)
    env = ReaderEnv(CONFIG, log, reward=clicks)
    env.reset(seed=2)
    total = 0.0
    for _ in range(5):
        _, reward, _, truncated, info = env.step(np.zeros(50))
        assert reward == info["feedback"][:, KINDS.index("click")].sum()
        total += reward
        if truncated:
            break
    assert total > 0


def test_gymnasium_accepts_it(log: EventLog) -> None:
    accepted(gymnasium.make("newsrec.simulator.environment:newsrec/Reader-v0", config=CONFIG, crowd=log))


def test_a_bad_action_is_refused_and_nothing_happens(log: EventLog) -> None:
    env = ReaderEnv(CONFIG, log)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"has shape \(6,\), expected scores of shape \(50,\)"):
        env.step(np.arange(6))
    with pytest.raises(InvalidAction, match="environment 0: the score of candidate 0 is nan, expected a finite number"):
        env.step(np.full(50, np.nan))
    assert env.episodes.world.decision.tolist() == [0]


def test_worlds_that_nobody_visits_and_crowds_of_another_newsroom_are_refused(log: EventLog) -> None:
    with pytest.raises(ValueError, match="none of 1 readers comes within 5 days"):
        ReaderEnv(replace(CONFIG, readers=1, population=PopulationConfig(visits_per_day=1e-9)), log)
    with pytest.raises(
        ValueError, match=r"the crowd's log has .* articles from s4-a000000, expected the .* from s5-a000000"
    ):
        ReaderEnv(replace(CONFIG, seed=5), log)
