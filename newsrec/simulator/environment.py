"""The simulated newsroom as gymnasium knows environments: the days of one reader.

*Step*: one slate decision. *Episode*: a reader from their first request to the end of the simulated days, all their
visits; the agent acts whenever the reader asks for a slate. *Reward*: ``newsrec.reward.engagement`` of what the reader
does with this slate, in clicks, all of it, also what reaches the site late. *End*: truncation, when the reader does not
come back before the days are over. Nothing terminates: who stays away has a low hazard of coming, not a last day.

*Observation*: what a policy may see, the fields of ``transitions.State`` and ``Candidates`` under their names, with H =
HISTORY_LENGTH reads and C = ``config.candidates`` articles, padded; features hold what had arrived at the site by
then. A reader who has cleared their cookies is seen as a new one, while the episode goes on: their return is a
return. Behind the last decision the observation is that of the moment at which the days end. ``policy_input`` makes of
it what policies take. *Action*: scores, see ``newsrec.simulator.episodes``.

*Info* of a step: ``slate`` [K], positions in the candidates (0 where ``slate_mask`` [K] is False); ``feedback`` [K, F]
as in ``transitions.Transitions``; ``elapsed_hours`` to the next decision, or where there is none to the end of the
days, which ``censored`` says; and ``discount``, what the next decision's return is worth now, after
``newsrec.reward`` by the elapsed time and 0 where there is no next decision: an agent multiplies by it instead of by a
constant. Info of both: ``reader``, and ``time`` (microseconds) of the decision that is asked for.

*The others*: all readers of ``config`` share one newsroom, and what they do makes its articles popular. In an episode
the others are a ``crowd``, the log of this world under another policy (by default ``simulate(config)``, uniform
slates); the episode's reader is one of thousands and does not move popularity: episodes do not depend on each other.

*Seeds*: ``config.seed`` makes newsroom and population; ``reset(seed=...)`` picks the reader among those who come at all
within the days. What a reader then does is drawn by keys (``newsrec.simulator.draws``): the same reader given the
same slates does the same, in every episode and as in ``simulate``. Bots are among the readers, and no observation
says which.
"""

from dataclasses import replace

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from newsrec import transitions
from newsrec.catalogue import Catalogue
from newsrec.events import KINDS, EventLog
from newsrec.features import EMBEDDING_DIM, HISTORY_LENGTH, HOUR, SHOWN_LENGTH
from newsrec.reward import RewardConfig, discount, engagement
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.crowd import Crowd
from newsrec.simulator.episodes import EpisodeEnv, Info, Outcome, score_space, shown
from newsrec.simulator.live_features import ReaderFeatures
from newsrec.simulator.response import DWELL, LEAVE, Feedback
from newsrec.simulator.rollout import simulate
from newsrec.simulator.shortlist import Shortlist
from newsrec.simulator.world import World
from newsrec.transitions import CONTEXT_DIM, POPULARITY_DIM, Candidates, State

LONGEST_DWELL = 60_000.0
"""Seconds; a packed history has no longer one."""
MOST = 20.0
"""No logarithm among the features is larger."""
MASKS = ("history_mask", "mask")


class ReaderEpisodes:
    """``rows`` readers of one world side by side, each at their own time.

    ``trained_on`` is the catalogue of the artefact of a policy that is to act; without one every article is new to it.
    """

    def __init__(
        self,
        config: SimulationConfig,
        rows: int,
        crowd: EventLog | None = None,
        trained_on: Catalogue | None = None,
        reward: RewardConfig | None = None,
    ) -> None:
        crowd = crowd or simulate(config)
        self.config, self.reward = config, reward or RewardConfig()
        self.coming = World(config).due(config.end_time)
        """The readers of the world who come at all within the days."""
        if not len(self.coming):
            raise ValueError(f"none of {config.readers} readers comes within {config.days} days, expected one or more")
        self.world = World(replace(config, readers=rows))
        self.crowd = Crowd(crowd, self.world.newsroom.table["article_id"].combine_chunks())
        self.shortlist = Shortlist(self.world, crowd.articles, trained_on)
        self._offset = np.zeros(rows, np.int64)  # minutes east of UTC; the features see it change
        self.features = ReaderFeatures(np.zeros(rows, np.int64), self._offset, self.world.newsroom.key)
        self._now = np.zeros(rows, np.int64)
        self.candidates = np.full((rows, config.candidates), -1, np.int32)
        """What each row's scores are of: articles, -1 behind the end."""
        self.action_space = score_space(config.candidates)
        self.observation_space = _observation_space(config, len(self.shortlist.catalogue.ids))

    def begin(self, rows: np.ndarray, numbers: np.ndarray) -> Info:
        reader = self.coming[numbers % len(self.coming)]
        self.world.begin(rows, reader)
        self._offset[rows] = self.world.population.utc_offset.cpu().numpy()[rows]
        self.features.forget(rows)
        self._look(rows)
        return {"reader": reader, "time": self._now[rows]}

    def act(self, rows: np.ndarray, actions: np.ndarray) -> Outcome:
        candidates = self.candidates[rows]
        slate, there = shown(rows, actions, candidates >= 0, self.config.slate_size)  # [B, K]
        before = self.world.requests(rows).time
        articles = np.where(there, np.take_along_axis(candidates, slate, 1), -1)
        feedback = self.world.respond(rows, articles)
        self.features.expect(feedback)
        amounts = _amounts(feedback, rows, slate.shape[1])  # [B, K, F]
        self._look(rows)
        asked = self.world.requests(rows)
        censored = asked.time >= self.config.end_time
        hours = (self._now[rows] - before) / HOUR
        return Outcome(
            reward=engagement(amounts, self.reward).sum(1, dtype=np.float64),
            terminated=np.zeros(len(rows), bool),
            truncated=censored,
            info={
                "reader": self.world.number.cpu().numpy()[rows],
                "time": self._now[rows],
                "slate": slate,
                "slate_mask": there,
                "feedback": amounts,
                "elapsed_hours": hours,
                "discount": (discount(hours, self.reward) * ~censored).astype(np.float64),
                "censored": censored,
            },
        )

    def observe(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The fields of State and Candidates by name, padded; masks as 0 and 1."""
        now, candidates, catalogue = self._now[rows], self.candidates[rows], self.shortlist.catalogue
        known = self.features.at(rows, self.world.requests(rows).user, now)
        state = transitions.state(known, now, self._offset[rows], catalogue)
        counts, as_of = self.crowd.counts(candidates, now)
        of_candidates = transitions.candidates(self.shortlist.rows(candidates), known, counts, as_of, now, catalogue)
        fields = {name: tensor.numpy() for name, tensor in (state._asdict() | of_candidates._asdict()).items()}
        for name in State._fields:
            if name.startswith("history"):
                fields[name] = _padded(fields[name], HISTORY_LENGTH)
        return fields | {name: fields[name].astype(np.int8) for name in MASKS}

    def _look(self, rows: np.ndarray) -> None:
        """Go on to the next request of each of ``rows``, or to the end of the days."""
        asked = self.world.requests(rows)
        self._now[rows] = np.minimum(asked.time, self.config.end_time)
        known = self.features.at(rows, asked.user, self._now[rows])
        self.candidates[rows] = self.shortlist.candidates(self.shortlist.read(known), self._now[rows])


class ReaderEnv(EpisodeEnv):
    """One reader of the newsroom ``config``; the arguments are those of ``ReaderEpisodes``."""

    def __init__(
        self,
        config: SimulationConfig | None = None,
        crowd: EventLog | None = None,
        trained_on: Catalogue | None = None,
        reward: RewardConfig | None = None,
    ) -> None:
        super().__init__(ReaderEpisodes(config or SimulationConfig(), 1, crowd, trained_on, reward))


def policy_input(observation: dict[str, np.ndarray]) -> tuple[State, Candidates]:
    """The observation of a vector environment, [N, ...], as tensors for ``Policy.scores``."""
    tensors = {name: torch.from_numpy(values) for name, values in observation.items()}
    tensors |= {name: tensors[name].bool() for name in MASKS}
    return (
        State(**{name: tensors[name] for name in State._fields}),
        Candidates(**{name: tensors[name] for name in Candidates._fields}),
    )


def _observation_space(config: SimulationConfig, articles: int) -> spaces.Dict:
    reads, candidates = (HISTORY_LENGTH,), (config.candidates,)
    hours = float((config.days + 1) * 24 + config.newsroom.shelf_life_hours)

    def box(low: float, high: float, *shape: int) -> spaces.Box:
        return spaces.Box(low, high, shape, np.float32)

    return spaces.Dict(
        {
            "history_index": spaces.Box(0, articles, reads, np.int64),
            "history_content": box(-1.0, 1.0, *reads, EMBEDDING_DIM),
            "history_age_hours": box(0.0, hours, *reads),
            "history_dwell_seconds": box(0.0, LONGEST_DWELL, *reads),
            "history_mask": spaces.MultiBinary(reads),
            "context": box(-1.0, MOST, CONTEXT_DIM),
            "article_index": spaces.Box(0, articles, candidates, np.int64),
            "content": box(-1.0, 1.0, *candidates, EMBEDDING_DIM),
            "age_hours": box(0.0, hours, *candidates),
            "popularity": box(-MOST, MOST, *candidates, POPULARITY_DIM),
            "shown": box(0.0, SHOWN_LENGTH, *candidates),
            "mask": spaces.MultiBinary(candidates),
        }
    )


def _amounts(feedback: Feedback, rows: np.ndarray, size: int) -> np.ndarray:
    """[B, K, F] float32: how often each kind happened at each position, dwell in seconds; a leave is at none."""
    feedback = feedback.take(feedback.kind != LEAVE)
    order = np.argsort(rows)
    row = order[np.searchsorted(rows[order], feedback.reader)]
    amounts = np.zeros((len(rows), size, len(KINDS)), np.float32)
    amount = np.where(feedback.kind == DWELL, feedback.dwell_seconds, 1.0)
    np.add.at(amounts, (row, feedback.position, feedback.kind), amount)
    return amounts


def _padded(values: np.ndarray, width: int) -> np.ndarray:
    """[B, width, ...] with zeros behind ``values`` [B, H, ...]."""
    wide = np.zeros((len(values), width, *values.shape[2:]), values.dtype)
    wide[:, : values.shape[1]] = values
    return wide


gymnasium.register(
    "newsrec/Reader-v0",
    entry_point="newsrec.simulator.environment:ReaderEnv",
    vector_entry_point="newsrec.simulator.vector_environment:ReaderVectorEnv",
)
