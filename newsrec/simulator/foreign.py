"""A gymnasium world that is not ours, played and written down as the project's events.

What its parts become is declared in a ``Mapping``: an action is an article, there from the start; a step is a decision
that shows one; the episode of a sub-environment is a reader with one session; and reward, observation and action are
turned into kinds of feedback. An episode that terminates ends in the reader's leave; one that is truncated is cut off.

What such a log is good for: to see that data, learners and off-policy estimators work on dynamics that nobody here
wrote. Propensities are exact, because the slates are drawn here. What it does not show: return, churn and whatever else
needs a clock, since foreign worlds have steps and no time (the log carries ORDINAL_TIME, and ``dataset`` wants
``use_time=False``); the world's observation, for which the schema has no place, so that a policy learned from the log
knows what the reader read and not the world's state; and the reward as far as the declared feedback leaves it out. A
result on it says nothing about news.
"""

from collections.abc import Callable
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

from newsrec import slate as slates
from newsrec.datasets import foreign as made_up
from newsrec.events import KINDS, MAX_CANDIDATES, ORDINAL_TIME, TIME, EventLog
from newsrec.slate import SlateConfig

DECLARED = tuple(kind for kind in KINDS if kind not in ("impression", "leave"))
"""The feedback that a mapping may declare; the other two kinds follow from showing and from termination."""
UNIFORM = SlateConfig("plackett_luce")


class Step(NamedTuple):
    """One step of N sub-environments, those aside that were only reset in it."""

    observation: Any  # [N, ...], before the action
    action: np.ndarray  # [N]
    reward: np.ndarray  # [N]
    terminated: np.ndarray  # [N]


@dataclass(frozen=True)
class Mapping:
    """What the parts of a world are in news."""

    articles: tuple[str, ...]
    """The title of what each action shows."""
    feedback: Dictionary[str, Callable[[Step], np.ndarray]]
    """For kinds of DECLARED whether it happened, [N] bool; for dwell the seconds, [N], 0 where there is none."""
    available: str = ""
    """Key of the info, [N, actions], that says which actions there are now; empty: always all."""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.feedback) - set(DECLARED)):
            raise ValueError(f"the mapping declares {unknown[0]!r}, expected kinds among {', '.join(DECLARED)}")


class _Decisions(NamedTuple):
    """D decisions in order of time."""

    environment: np.ndarray  # [D] int64
    episode: np.ndarray  # [D] int64, of the sub-environment, counted from 0
    step: np.ndarray  # [D] int64, of the whole play
    candidates: np.ndarray  # [D, A] bool
    action: np.ndarray  # [D] int64
    propensity: np.ndarray  # [D] float64
    terminated: np.ndarray  # [D] bool
    feedback: np.ndarray  # [D, declared kinds] float64, seconds for dwell, elsewhere 1 where it happened


def play(
    world: VectorEnv,
    mapping: Mapping,
    steps: int,
    seed: int,
    behaviour: Callable[[Any], np.ndarray] | None = None,
    slate: SlateConfig = UNIFORM,
) -> EventLog:
    """The valid log of ``steps`` steps in every sub-environment of ``world``.

    ``behaviour`` turns an observation [N, ...] into scores [N, actions], by default equal ones; ``slate`` says how they
    are drawn from. Raises ValueError for a world that ``mapping`` does not fit.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, expected 1 or more")
    _refuse_misfit(world, mapping)
    autoreset = world.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP  # takes a step of its own
    generator = torch.Generator().manual_seed(seed)
    observation, info = world.reset(seed=seed)
    episode, starting = np.zeros(world.num_envs, np.int64), np.zeros(world.num_envs, bool)
    played: list[_Decisions] = []
    for number in range(steps):
        candidates = _candidates(world, mapping, info)
        scores = np.zeros(candidates.shape) if behaviour is None else np.asarray(behaviour(observation), float)
        drawn = slates.draw(torch.from_numpy(np.where(candidates, scores, -np.inf)), 1, slate, generator)
        action = drawn.chosen[:, 0].numpy()
        following, reward, terminated, truncated, info = world.step(action)
        outcome = Step(observation, action, reward, terminated)
        happened = [np.asarray(happens(outcome), float) for happens in mapping.feedback.values()]
        made = _Decisions(
            environment=np.arange(world.num_envs),
            episode=episode.copy(),
            step=np.full(world.num_envs, number),
            candidates=candidates,
            action=action,
            propensity=drawn.propensity[:, 0].numpy(),
            terminated=terminated,
            feedback=np.stack(happened, 1) if happened else np.zeros((world.num_envs, 0)),
        )
        played.append(_Decisions(*(column[~starting] for column in made)))
        starting = (terminated | truncated) & autoreset
        episode += terminated | truncated
        observation = following
    return _log(mapping, _Decisions(*(np.concatenate(columns) for columns in zip(*played, strict=True))))


def _refuse_misfit(world: VectorEnv, mapping: Mapping) -> None:
    space, mode = world.single_action_space, world.metadata.get("autoreset_mode")
    if not isinstance(space, spaces.Discrete) or space.start != 0:
        raise ValueError(f"the world's actions are {space}, expected Discrete from 0: each action is an article")
    if len(mapping.articles) != space.n:
        raise ValueError(
            f"the mapping has {len(mapping.articles)} articles, expected one for each of {space.n} actions"
        )
    if space.n > MAX_CANDIDATES:
        raise ValueError(f"the world has {space.n} actions, expected at most {MAX_CANDIDATES}")
    if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        raise ValueError(f"the world's autoreset mode is {mode}, expected NEXT_STEP or SAME_STEP")


def _candidates(world: VectorEnv, mapping: Mapping, info: dict[str, Any]) -> np.ndarray:
    """[N, actions] bool: those that there are now."""
    shape = (world.num_envs, len(mapping.articles))
    if not mapping.available:
        return np.ones(shape, bool)
    found = np.asarray(info.get(mapping.available))
    if found.shape != shape:
        raise ValueError(f"info {mapping.available!r} has shape {found.shape}, expected {shape}: the actions there are")
    if not (found != 0).any(1).all():
        raise ValueError(f"info {mapping.available!r} leaves no action in some sub-environment, expected at least one")
    return found != 0


def _log(mapping: Mapping, played: _Decisions) -> EventLog:
    ids = pa.array([f"action-{number}" for number in range(len(mapping.articles))])
    environment = made_up.numbered(pa.repeat("world", len(played.step)), played.environment)
    reader = made_up.numbered(environment, played.episode)
    row, candidate = np.nonzero(played.candidates)
    each = np.arange(len(played.step))
    shown = ids.take(pa.array(played.action))
    columns = {
        "request_id": made_up.numbered(reader, played.step),
        "user_id": reader,
        "session_id": reader,
        "policy": pa.repeat("behaviour", len(each)),
        "candidates": made_up.lists(row, ids.take(pa.array(candidate)), len(each)),
        "slate": made_up.lists(each, shown, len(each)),
        "propensities": made_up.lists(each, pa.array(played.propensity), len(each)),
    }
    time = made_up.ORDINAL_START + made_up.MINUTE * played.step
    decided = made_up.recommendations(columns, time, {"surface": pa.repeat("foreign world", len(each))})

    def events(kind: str, where: np.ndarray, article: pa.Array, **optional: pa.Array) -> pa.Table:
        after, only = time[where] + made_up.SECOND, np.zeros(len(where), np.int64)
        return made_up.feedback(kind, decided, where, only, article, after, **optional)

    happened = [made_up.impressions(decided)]
    for kind, amount in zip(mapping.feedback, played.feedback.T, strict=True):
        where = np.flatnonzero(amount)
        seconds = {"dwell_seconds": pa.array(amount[where])} if kind == "dwell" else {}
        happened.append(events(kind, where, shown.take(pa.array(where)), **seconds))
    start = pa.repeat(made_up.ORDINAL_START, len(ids)).cast(TIME)
    described = pa.table({"article_id": ids, "title": list(mapping.articles), "published_at": start})
    log = made_up.event_log(described, decided, pa.concat_tables(happened), {ORDINAL_TIME})
    gone = np.flatnonzero(played.terminated)
    leaves = events("leave", gone, pa.nulls(len(gone), pa.string()))
    return log._replace(feedback=pa.concat_tables([log.feedback, leaves]))
