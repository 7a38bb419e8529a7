"""Worlds that gymnasium brings along, played and written down: the log against the world stepped again by hand."""

from typing import Any

import gymnasium
import numpy as np
import pyarrow.compute as pc
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv

from newsrec import dataset, events, slate
from newsrec.events import ORDINAL_TIME, EventLog, InvalidEvents
from newsrec.simulator.foreign import Mapping, play
from newsrec.slate import SlateConfig

LAKE = Mapping(("left", "down", "right", "up"), {"click": lambda step: step.reward > 0})
"""Reaching the goal is a read."""
TAXI = Mapping(
    ("south", "north", "east", "west", "pick up", "drop off"),
    {
        "click": lambda step: step.reward > 0,
        "dwell": lambda step: np.where(step.reward > 0, 30.0, 0.0),
        "hide": lambda step: step.reward <= -10,
    },
    available="action_mask",
)
"""A delivery is a read of half a minute; where the passenger is let out wrongly, the article is hidden."""
POLE = Mapping(("push left", "push right"), {"like": lambda step: np.abs(step.observation[:, 2]) < 0.02})


def lake(mode: AutoresetMode = AutoresetMode.NEXT_STEP) -> VectorEnv:
    return gymnasium.make_vec("FrozenLake-v1", 4, "sync", vector_kwargs={"autoreset_mode": mode})


def rows(log: EventLog) -> list[dict]:
    return log.recommendations.sort_by([("time", "ascending"), ("user_id", "ascending")]).to_pylist()


def kinds(log: EventLog) -> dict[str, int]:
    return {kind["values"]: kind["counts"] for kind in log.feedback["kind"].value_counts().to_pylist()}


def test_a_lake_stepped_again_with_the_logged_actions_gives_the_logged_feedback() -> None:
    """Step by step: who was where, which article stood in the slate, whether the goal was reached, who left."""
    log = play(lake(), LAKE, steps=120, seed=5)
    feedback: dict[str, set[str]] = {}
    for event in log.feedback.to_pylist():
        feedback.setdefault(event["request_id"], set()).add(event["kind"])
    world = lake()
    world.reset(seed=5)
    logged, episode, over = iter(rows(log)), np.zeros(4, int), np.zeros(4, bool)
    reached = left = 0
    for step in range(120):
        made = {n: next(logged) for n in np.flatnonzero(~over)}
        actions = np.array([int(made[n]["slate"][0].split("-")[1]) if n in made else 0 for n in range(4)])
        _, reward, terminated, truncated, _ = world.step(actions)
        for n, row in made.items():
            assert row["user_id"] == row["session_id"] == f"world/{n}/{episode[n]}"
            assert row["request_id"] == f"world/{n}/{episode[n]}/{step}"
            expected = {"impression"} | ({"click"} if reward[n] else set()) | ({"leave"} if terminated[n] else set())
            assert feedback[row["request_id"]] == expected
        over = terminated | truncated
        episode += over
        reached, left = reached + int(reward.sum()), left + int(terminated.sum())
    assert next(logged, None) is None
    assert kinds(log) == {"impression": log.recommendations.num_rows, "click": reached, "leave": left}
    assert left > 20


def test_the_log_is_valid_and_says_that_it_has_no_clock() -> None:
    log = play(lake(), LAKE, steps=30, seed=0)
    for name in events.SCHEMAS:
        assert events.validate(getattr(log, name), name).num_rows > 0
    assert log.flags == {ORDINAL_TIME}
    assert log.articles["title"].to_pylist() == list(LAKE.articles)
    assert log.has_propensities
    with pytest.raises(InvalidEvents, match="use_time = false"):
        dataset.from_log(log)


def test_a_step_that_only_resets_is_no_decision() -> None:
    next_step, same_step = (play(lake(mode), LAKE, steps=60, seed=1) for mode in list(AutoresetMode)[:2])
    assert same_step.recommendations.num_rows == 4 * 60
    ended_before_the_last = pc.sum(pc.less(leaves(next_step), rows(next_step)[-1]["time"])).as_py()
    assert next_step.recommendations.num_rows == 4 * 60 - ended_before_the_last
    assert ended_before_the_last > 5


def leaves(log: EventLog) -> Any:
    return log.feedback.filter(pc.equal(log.feedback["kind"], "leave"))["time"]


def test_truncation_is_no_leave() -> None:
    """No pole falls within two steps."""
    log = play(gymnasium.make_vec("CartPole-v1", 4, "sync", max_episode_steps=2), POLE, steps=50, seed=0)
    assert "leave" not in kinds(log)
    assert len(pc.unique(log.recommendations["user_id"])) == 4 * 17
    assert log.recommendations.num_rows == 4 * 17 * 2


def test_masked_actions_are_no_candidates_and_rewards_become_the_declared_kinds() -> None:
    """Taxi: its action mask allows no wrong drop, so nothing is hidden; without the mask, reward -10 is a hide."""
    log = play(gymnasium.make_vec("Taxi-v4", 8, "sync"), TAXI, steps=400, seed=0)
    for row in rows(log):
        assert row["slate"][0] in row["candidates"]
        assert row["propensities"] == pytest.approx([1 / len(row["candidates"])])
    sizes = pc.list_value_length(log.recommendations["candidates"]).to_numpy()
    assert 1 <= sizes.min() < sizes.max() < 6
    assert kinds(log)["click"] == kinds(log)["dwell"] > 0
    assert "hide" not in kinds(log)
    assert set(log.feedback["dwell_seconds"].drop_null().to_pylist()) == {30.0}
    anything = Mapping(TAXI.articles, TAXI.feedback)
    assert kinds(play(gymnasium.make_vec("Taxi-v4", 4, "sync"), anything, steps=100, seed=0))["hide"] > 50


def test_a_behaviour_acts_on_the_observation_and_its_propensities_are_those_of_its_scores() -> None:
    """Pushing under the leaning pole keeps it up longer; each propensity is what the slate's own code says."""
    seen: list[np.ndarray] = []

    def under_the_pole(observation: np.ndarray) -> np.ndarray:
        lean = observation[:, 2] + observation[:, 3]
        seen.append(np.stack([-lean, lean], 1) * 5)
        return seen[-1]

    softly = SlateConfig("plackett_luce", temperature=2.0)
    world = gymnasium.make_vec("CartPole-v1", 8, "vector_entry_point")
    log = play(world, POLE, 100, seed=0, behaviour=under_the_pole, slate=softly)
    uniform = play(world, POLE, 100, seed=0)
    assert len(pc.unique(log.recommendations["user_id"])) < len(pc.unique(uniform.recommendations["user_id"])) / 2
    first = [row for row in rows(log) if row["request_id"].endswith("/0")]
    for scores, row in zip(seen[0], first, strict=True):
        p = np.exp(scores / 2) / np.exp(scores / 2).sum()
        assert row["propensities"][0] == pytest.approx(p[int(row["slate"][0].split("-")[1])], rel=1e-6)


def test_feedback_is_declared_on_what_was_seen_before_the_action() -> None:
    world = gymnasium.make_vec("CartPole-v1", 1000, "vector_entry_point")
    log = play(world, POLE, steps=1, seed=7)
    upright = np.abs(world.reset(seed=7)[0][:, 2]) < 0.02
    likes = log.feedback.filter(pc.equal(log.feedback["kind"], "like"))["user_id"].to_pylist()
    assert likes == [f"world/{n}/0" for n in np.flatnonzero(upright)]
    assert 0 < len(likes) < 1000


def test_transitions_carry_reward_and_the_order_of_the_episode() -> None:
    log = play(gymnasium.make_vec("Taxi-v4", 8, "sync"), TAXI, steps=400, seed=0)
    decisions = dataset.from_log(log, use_time=False)
    batch = decisions.batch(np.arange(len(decisions)))
    clicks = kinds(log)["click"]
    assert clicks > 0
    assert float(batch.reward.sum()) == pytest.approx(clicks * (1.0 + 0.2 * 0.5))  # a click and half a minute
    readers = len(pc.unique(log.recommendations["user_id"]))
    assert int((decisions.next_row < 0).sum()) == readers
    equal = slate.propensities(
        batch.candidates.mask.float().log(), batch.slate, batch.slate_mask, SlateConfig("plackett_luce")
    )
    np.testing.assert_allclose(equal.log(), batch.log_propensity, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "mapping", "expected"),
    [
        ("Pendulum-v1", LAKE, r"actions are Box\(.*expected Discrete from 0"),
        ("FrozenLake-v1", POLE, "has 2 articles, expected one for each of 4 actions"),
        (
            "FrozenLake-v1",
            Mapping(LAKE.articles, {}, "action_mask"),
            r"'action_mask' has shape \(\), expected \(2, 4\)",
        ),
    ],
)
def test_a_world_that_does_not_fit_is_refused(name: str, mapping: Mapping, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        play(gymnasium.make_vec(name, 2, "sync"), mapping, steps=3, seed=0)


def test_worlds_without_autoreset_and_unknown_feedback_are_refused() -> None:
    with pytest.raises(ValueError, match=r"autoreset mode is .*DISABLED, expected NEXT_STEP or SAME_STEP"):
        play(lake(AutoresetMode.DISABLED), LAKE, steps=3, seed=0)
    with pytest.raises(ValueError, match="declares 'purchase', expected kinds among click, dwell"):
        Mapping(LAKE.articles, {"purchase": lambda step: step.reward > 0})
