"""Chocolate and kale: the smallest world in which what is clicked now costs what is read later.

One reader meets a fixed shelf of C documents of kaleness ``c_j``, evenly spaced from 0 (chocolate) to 1 (kale), and
``steps`` slates of K of them. ``x_t`` is the reader's net exposure to kale, ``S_t`` their satisfaction::

    satisfaction   S_t = sigmoid(sensitivity x_t)
    clicked        document j of the slate with P = softmax(appeal (1 - c_j)), wherever it stands: exactly one
    engagement     log e_t ~ Normal(S_t (c_j kale_mean + (1 - c_j) chocolate_mean), spread)
    exposure       x_t+1 = memory x_t + 2 (c_j - 1/2) + Normal(0, innovation),   x_0 ~ Uniform(-1, 1) / 2 (1 - memory)

The reward is ``e_t``. Chocolate is clicked more and engages more at the same satisfaction; kale raises satisfaction,
which multiplies all engagement to come. What is observed, satisfaction and the share of the steps that are left, is the
whole state, so that the optimum can be computed (``newsrec.simulator.kale_optimum``): a learner that does not come near
it is wrong. Nothing is discounted. The steps that are left are part of the state and nothing is worth anything after
the last, so that episodes terminate; they are not truncated.

From RecSim's example (Ie et al. 2019, arXiv:1909.04847; its tutorial "Developing an Environment" and its
environments/long_term_satisfaction.py). Differs from it:

1. The sign. The tutorial's text has this equation of exposure; its code has ``- 2 (c_j - 1/2)`` and gives the mean of
   chocolate to kaleness 1, so that what it calls kale is chocolate (google-research/recsim, issue 18). The package
   renames kaleness to clickbait score: the code's minus is then right, and its docstring has a plus.
2. ``sensitivity`` is 0.1, not 0.01. With 0.01 satisfaction stays between 0.49 and 0.51 and always showing the two
   sweetest documents is optimal within 0.04 %: there is nothing long-term to learn. With 0.1 the optimum earns 1031 an
   episode, always kale 998, uniform slates 944 and always chocolate 833 (each within 2).
3. The shelf is fixed; RecSim draws documents anew. The reader chooses as in the tutorial; the package's reader takes
   the first document.
4. The state is observed. RecSim shows engagement and at most a noisy satisfaction, so that its optimum is not known.
"""

from dataclasses import dataclass

import gymnasium
import numpy as np
from gymnasium import spaces
from scipy.special import expit, ndtri, softmax

from newsrec.simulator import draws
from newsrec.simulator.episodes import EpisodeEnv, EpisodeVectorEnv, Info, Outcome, score_space, shown
from newsrec.simulator.parameters import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, Range, assumed, chosen, refuse_impossible


@dataclass(frozen=True)
class KaleConfig:
    """All values but ``sensitivity`` are RecSim's: of its package, ``appeal`` of its tutorial."""

    documents: int = chosen(10, "documents on the shelf", Range("2 or more", lambda x: x >= 2))
    slate_size: int = chosen(2, "documents of a slate", COUNT)
    steps: int = chosen(60, "slates of an episode", COUNT)
    memory: float = assumed(0.7, "share of the exposure that is left at the next slate", SHARE)
    sensitivity: float = assumed(0.1, "of satisfaction to exposure", POSITIVE)
    innovation: float = assumed(0.05, "standard deviation of what else moves exposure", POSITIVE)
    chocolate_mean: float = assumed(5.0, "mean of the log of engagement with chocolate, at satisfaction 1", POSITIVE)
    kale_mean: float = assumed(4.0, "the same with kale", POSITIVE)
    spread: float = assumed(1.0, "standard deviation of the log of engagement", NOT_NEGATIVE)
    appeal: float = assumed(1.0, "log of how much likelier chocolate is clicked than kale beside it")

    def __post_init__(self) -> None:
        refuse_impossible(self)
        if self.slate_size > self.documents:
            raise ValueError(f"slate_size is {self.slate_size}, expected at most the {self.documents} documents")

    @property
    def kaleness(self) -> np.ndarray:
        """[C], of each document."""
        return np.linspace(0.0, 1.0, self.documents)

    @property
    def log_engagement(self) -> np.ndarray:
        """[C], mean of the log of engagement with each document at satisfaction 1."""
        return self.kaleness * self.kale_mean + (1.0 - self.kaleness) * self.chocolate_mean

    @property
    def first_exposure(self) -> float:
        """The largest exposure at the start of an episode; the smallest is its negative."""
        return 0.5 / (1.0 - self.memory)

    def satisfaction(self, exposure: np.ndarray) -> np.ndarray:
        return expit(self.sensitivity * exposure)

    def click_chance(self, slate: np.ndarray) -> np.ndarray:
        """[..., K] probability that each document of ``slate`` [..., K] is the clicked one."""
        return softmax(self.appeal * (1.0 - self.kaleness[slate]), axis=-1)


class KaleEpisodes:
    """Many readers side by side, each in an episode of its own. Draws are keyed by episode and step."""

    def __init__(self, config: KaleConfig, rows: int) -> None:
        self.config = config
        self.observation_space = spaces.Box(0.0, 1.0, (2,), np.float32)
        self.action_space = score_space(config.documents)
        self.exposure = np.zeros(rows)
        self._number, self._step = np.zeros(rows, np.int64), np.zeros(rows, np.int64)

    def begin(self, rows: np.ndarray, numbers: np.ndarray) -> Info:
        self._number[rows], self._step[rows] = numbers, 0
        self.exposure[rows] = self.config.first_exposure * (2.0 * draws.uniform(0, "exposure", numbers) - 1.0)
        return {}

    def act(self, rows: np.ndarray, actions: np.ndarray) -> Outcome:
        config, number, step = self.config, self._number[rows], self._step[rows]
        slate, _ = shown(rows, actions, np.ones(actions.shape, bool), config.slate_size)  # [B, K]
        u = draws.uniform(0, "step", number[:, None], step[:, None], np.arange(3))  # [B, 3]
        below = np.cumsum(config.click_chance(slate), 1)[:, :-1] < u[:, :1]  # [B, K - 1]
        document = np.take_along_axis(slate, below.sum(1, keepdims=True), 1)[:, 0]  # [B]
        level = config.satisfaction(self.exposure[rows]) * config.log_engagement[document]
        moved = 2.0 * (config.kaleness[document] - 0.5) + config.innovation * ndtri(u[:, 2])
        self.exposure[rows] = config.memory * self.exposure[rows] + moved
        self._step[rows] += 1
        return Outcome(
            reward=np.exp(level + config.spread * ndtri(u[:, 1])),
            terminated=self._step[rows] == config.steps,
            truncated=np.zeros(len(rows), bool),
            info={"slate": slate, "clicked": document},
        )

    def observe(self, rows: np.ndarray) -> np.ndarray:
        """[B, 2] float32: satisfaction, and the share of the steps that are left."""
        satisfaction = self.config.satisfaction(self.exposure[rows])
        return np.stack([satisfaction, 1.0 - self._step[rows] / self.config.steps], 1).astype(np.float32)


class KaleEnv(EpisodeEnv):
    """One reader of chocolate and kale."""

    def __init__(self, config: KaleConfig | None = None) -> None:
        super().__init__(KaleEpisodes(config or KaleConfig(), 1))


class KaleVectorEnv(EpisodeVectorEnv):
    """``num_envs`` readers of chocolate and kale."""

    def __init__(self, num_envs: int = 1, config: KaleConfig | None = None) -> None:
        super().__init__(KaleEpisodes(config or KaleConfig(), num_envs), num_envs)


gymnasium.register(
    "newsrec/Kale-v0",
    entry_point="newsrec.simulator.kale:KaleEnv",
    vector_entry_point="newsrec.simulator.kale:KaleVectorEnv",
)
