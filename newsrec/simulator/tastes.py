"""What readers care for now: interests that drift, grow with good reads, and tire. Equations stand in ``world``."""

from dataclasses import dataclass

import numpy as np

from newsrec.features import DAY, HOUR
from newsrec.simulator import draws
from newsrec.simulator.parameters import NOT_NEGATIVE, POSITIVE, PROBABILITY, assumed, refuse_impossible


@dataclass(frozen=True)
class TasteConfig:
    """How interests move."""

    drift: float = assumed(0.4, "standard deviation of an interest around its lasting value; 0: it stays", NOT_NEGATIVE)
    drift_days: float = assumed(7.0, "time in which half of such a deviation is gone", POSITIVE)
    liking: float = assumed(
        0.6, "what good reads add to the interest in their topics at most; 0: nothing", NOT_NEGATIVE
    )
    liking_reads: float = assumed(8.0, "reads of worth 1 after which half of that is reached", POSITIVE)
    liking_days: float = assumed(14.0, "time in which half of them is forgotten", POSITIVE)
    boredom: float = assumed(1.2, "what a topic that was read too much loses at most; 0: nobody is bored", NOT_NEGATIVE)
    boredom_reads: float = assumed(6.0, "reads after which half of that is reached", POSITIVE)
    boredom_hours: float = assumed(24.0, "time in which half of them is forgotten", POSITIVE)
    glance: float = assumed(0.1, "what an article that is examined but not read counts of a read", PROBABILITY)

    def __post_init__(self) -> None:
        refuse_impossible(self)


class Tastes:
    """The interests of N readers in T topics; ``lasting`` [N, T] is what they are drawn back to.

    ``number`` [N] are the keys of their drift. It is one path, whenever one looks: a step for each day since ``start``.
    """

    def __init__(self, config: TasteConfig, lasting: np.ndarray, number: np.ndarray, start: int, seed: int) -> None:
        self.config, self.lasting, self.number, self.start, self.seed = config, lasting, number, start, seed
        self.drift = np.zeros(lasting.shape, np.float32)
        self.liked = np.zeros(lasting.shape, np.float32)
        """Reads of each topic, those of worth 1 as 1 and those of worth 0 as -1, fading."""
        self.tired = np.zeros(lasting.shape, np.float32)
        """Reads of each topic, fading faster; a glance counts a little."""
        self.time = np.full(len(lasting), start)
        """Moment as of which each reader's row stands."""
        self.begin(np.arange(len(lasting)))

    def begin(self, readers: np.ndarray) -> None:
        """The rows ``readers`` go back to the start, as what ``lasting`` and ``number`` now say."""
        self.liked[readers] = self.tired[readers] = self.drift[readers] = 0.0
        self.time[readers] = self.start
        if self.config.drift:
            keys = self.number[readers, None], np.array([0]), np.arange(self.lasting.shape[1])
            self.drift[readers] = self.config.drift * draws.normal(self.seed, "drift", *keys)

    def at(self, readers: np.ndarray, now: np.ndarray) -> np.ndarray:
        """[B, T] interests of ``readers`` (each once) at ``now`` [B], whose rows go on to that moment."""
        days = now // DAY - self.time[readers] // DAY
        if self.config.drift and days.any():
            self._drift_on(readers[days > 0], days[days > 0])
        liking, tiring = self._fading((now - self.time[readers]) / HOUR)
        self.liked[readers] *= liking[:, None]
        self.tired[readers] *= tiring[:, None]
        self.time[readers] = now
        return self.lasting[readers] + self.drift[readers] + self.acquired(self.liked[readers], self.tired[readers])

    def acquired(self, liked: np.ndarray, tired: np.ndarray) -> np.ndarray:
        """[..., T] what earlier reads and glances add to the interest in each topic."""
        config = self.config
        liking = config.liking * liked / (np.abs(liked) + config.liking_reads)
        return liking - config.boredom * tired / (tired + config.boredom_reads)

    def learn(
        self, readers: np.ndarray, topics: np.ndarray, examined: np.ndarray, read: np.ndarray, worth: np.ndarray
    ) -> None:
        """A slate with ``topics`` [B, K, T] at the moment of the last ``at``; the others are [B, K]."""
        self.liked[readers] += np.einsum("bk,bkt->bt", (2.0 * worth - 1.0) * read, topics)
        self.tired[readers] += np.einsum("bk,bkt->bt", np.where(read, 1.0, self.config.glance * examined), topics)

    def mark(self, topics: np.ndarray, worth: np.ndarray, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both [P, T]: what reads of ``topics`` [P, T] have left in ``liked`` and ``tired``, beyond a glance."""
        liking, tiring = self._fading(hours)
        return ((2.0 * worth - 1.0) * liking)[:, None] * topics, ((1.0 - self.config.glance) * tiring)[:, None] * topics

    def _fading(self, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both [B]: the share of ``liked`` and of ``tired`` that is left after ``hours``."""
        return np.exp2(-hours / (24.0 * self.config.liking_days)), np.exp2(-hours / self.config.boredom_hours)

    def _drift_on(self, readers: np.ndarray, days: np.ndarray) -> None:
        """``days`` [B] (1 or more) steps of a first-order autoregression, which an Ornstein-Uhlenbeck process is."""
        keep = 0.5 ** (1.0 / self.config.drift_days)
        first = np.cumsum(days) - days  # [B] into the steps of all readers, one behind the other
        row = np.repeat(np.arange(len(readers)), days)  # [M]
        step = np.arange(len(row)) - first[row]
        day = (self.time[readers] - self.start) // DAY + 1
        keys = self.number[readers[row], None], (day[row] + step)[:, None], np.arange(self.lasting.shape[1])
        shocks = draws.normal(self.seed, "drift", *keys) * keep ** (days[row] - 1.0 - step)[:, None]  # [M, T]
        spread = self.config.drift * (1.0 - keep**2) ** 0.5
        self.drift[readers] = self.drift[readers] * keep ** days[:, None] + spread * np.add.reduceat(shocks, first)
