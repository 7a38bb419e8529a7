"""Episodes as gymnasium knows them: one at a time as an Env, N side by side as a VectorEnv, from the same code.

An episode is a function of its number and of the actions, whoever runs beside it. Numbers are drawn from the generators
that ``reset(seed=s)`` seeds: a single environment with s, sub-environment i with s + i, as gymnasium's own vector
environments do; without a seed the next number follows. So N single environments and the vector give the same, step by
step. Autoreset is NEXT_STEP, gymnasium 1's default: the step after a last one ignores that sub-environment's action,
returns the first observation of a new episode, and has reward 0. Info follows ``gymnasium.vector.SyncVectorEnv``:
``info[key]`` is [N, ...] and ``info["_" + key]`` says for which sub-environments it stands.

An action is one score for each candidate; the environment shows the highest ones, best on top, and of equal scores the
first candidate's. Positions among the candidates (MultiDiscrete) would be another choice, but most of that space is
no slate: it names an article twice or one that is not there. Any scores are a slate, and policies are scorers
(``newsrec.policy``), whose output, minus infinity where there is no candidate, is an action as it is. Whoever explores
adds noise to the scores.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from newsrec import slate as slates
from newsrec.slate import SlateConfig

Info = dict[str, np.ndarray]
"""[B, ...] each, of dtype float64, int64 or bool where there is no second axis."""


class Outcome(NamedTuple):
    """What B actions led to."""

    reward: np.ndarray  # [B] float64
    terminated: np.ndarray  # [B] bool
    truncated: np.ndarray  # [B] bool
    info: Info


class Episodes(Protocol):
    """A number of running episodes, in rows. ``actions`` [B, C] are scores; no row stands twice in ``rows`` [B]."""

    @property
    def observation_space(self) -> spaces.Space: ...

    @property
    def action_space(self) -> spaces.Box: ...

    def begin(self, rows: np.ndarray, numbers: np.ndarray) -> Info:
        """Start the episodes ``numbers`` [B] int64 in ``rows``."""

    def act(self, rows: np.ndarray, actions: np.ndarray) -> Outcome:
        """One step in each of ``rows``."""

    def observe(self, rows: np.ndarray) -> Any:
        """What is seen in ``rows`` now: [B, ...], or a dictionary of such; new arrays at each call."""


def score_space(candidates: int) -> spaces.Box:
    """One score for each candidate."""
    return spaces.Box(-np.inf, np.inf, (candidates,), np.float32)


def shown(rows: np.ndarray, scores: np.ndarray, mask: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The slates of up to ``size`` with the highest ``scores`` [B, C] among the candidates of ``mask`` [B, C].

    Positions in the candidates [B, K], best first, and which of them are there [B, K]; 0 where none is. ``rows`` [B]
    says whose scores they are. Raises InvalidAction for a candidate whose score is not a finite number.
    """
    bad = mask & ~np.isfinite(scores)
    if bad.any():
        row, candidate = np.argwhere(bad)[0]
        found = f"environment {rows[row]}: the score of candidate {candidate} is {scores[row, candidate]}"
        raise InvalidAction(f"{found}, expected a finite number")
    drawn = slates.draw(torch.from_numpy(np.where(mask, scores, -np.inf)), size, SlateConfig("greedy"))
    return drawn.chosen.numpy(), drawn.mask.numpy()


class EpisodeEnv(gymnasium.Env):
    """One episode after the other. ``episodes`` has one row."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, episodes: Episodes) -> None:
        self.episodes = episodes
        self.observation_space, self.action_space = episodes.observation_space, episodes.action_space
        self._row = np.zeros(1, np.int64)
        self._running = False

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation of a new episode. There are no ``options``."""
        super().reset(seed=seed)
        _refuse_options(options)
        info = self.episodes.begin(self._row, _next_numbers([self.np_random]))
        self._running = True
        return _first(self.episodes.observe(self._row)), _first_info(info)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if not self._running:
            raise ResetNeeded("step() found no running episode, expected reset() before the first step of each")
        action = _checked(action, self.action_space)
        outcome = self.episodes.act(self._row, action[None])
        terminated, truncated = bool(outcome.terminated[0]), bool(outcome.truncated[0])
        self._running = not (terminated or truncated)
        observation = _first(self.episodes.observe(self._row))
        return observation, float(outcome.reward[0]), terminated, truncated, _first_info(outcome.info)


class EpisodeVectorEnv(VectorEnv):
    """N episodes side by side. ``episodes`` has N rows."""

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, episodes: Episodes, num_envs: int) -> None:
        self.episodes, self.num_envs = episodes, num_envs
        self.single_observation_space, self.single_action_space = episodes.observation_space, episodes.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rows = np.arange(num_envs)
        self._over: np.ndarray | None = None
        self._generators = [seeding.np_random()[0] for _ in self._rows]

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """The first observations of N new episodes. There are no ``options``."""
        _refuse_options(options)
        seeds = [seed + i for i in self._rows.tolist()] if isinstance(seed, int) else seed
        if seeds is not None:
            if len(seeds) != self.num_envs:
                raise ValueError(f"found {len(seeds)} seeds, expected one for each of {self.num_envs} environments")
            for row, own in enumerate(seeds):
                if own is not None:
                    self._generators[row] = seeding.np_random(own)[0]
        infos: dict[str, np.ndarray] = {}
        self._begin(self._rows, infos)
        self._over = np.zeros(self.num_envs, bool)
        return self.episodes.observe(self._rows), infos

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        if self._over is None:
            raise ResetNeeded("step() found no running episode, expected reset() before the first step")
        actions = _checked(actions, self.action_space)
        over, infos = np.flatnonzero(self._over), dict[str, np.ndarray]()
        acting = np.flatnonzero(~self._over)
        reward = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        if len(acting):
            outcome = self.episodes.act(acting, actions[acting])
            reward[acting], terminated[acting], truncated[acting] = outcome[:3]
            self._add(infos, acting, outcome.info)
        if len(over):
            self._begin(over, infos)
        self._over = terminated | truncated
        return self.episodes.observe(self._rows), reward, terminated, truncated, infos

    def _begin(self, rows: np.ndarray, infos: dict[str, np.ndarray]) -> None:
        numbers = _next_numbers([self._generators[row] for row in rows])
        self._add(infos, rows, self.episodes.begin(rows, numbers))

    def _add(self, infos: dict[str, np.ndarray], rows: np.ndarray, info: Info) -> None:
        """Put what is known of ``rows`` into ``infos``."""
        for key, values in info.items():
            if key not in infos:
                infos[key] = np.zeros((self.num_envs, *values.shape[1:]), values.dtype)
                infos[f"_{key}"] = np.zeros(self.num_envs, bool)
            infos[key][rows], infos[f"_{key}"][rows] = values, True


def _next_numbers(generators: list[np.random.Generator]) -> np.ndarray:
    return np.array([generator.integers(2**63, dtype=np.uint64) for generator in generators]).astype(np.int64)


def _checked(action: Any, space: spaces.Space) -> np.ndarray:
    """``action`` as numbers in the shape of ``space``. Raises InvalidAction."""
    try:
        array = np.asarray(action, space.dtype)
    except (TypeError, ValueError):
        raise InvalidAction(f"the action is {action!r}, expected scores of shape {space.shape}") from None
    if array.shape != space.shape:
        raise InvalidAction(f"the action has shape {array.shape}, expected scores of shape {space.shape}")
    return array


def _refuse_options(options: dict | None) -> None:
    if options:
        raise ValueError(f"reset() found options {sorted(options)}, expected none")


def _first(observation: Any) -> Any:
    return {key: value[0] for key, value in observation.items()} if isinstance(observation, dict) else observation[0]


def _first_info(info: Info) -> dict[str, Any]:
    return {key: values[0] if values.ndim > 1 else values[0].item() for key, values in info.items()}
