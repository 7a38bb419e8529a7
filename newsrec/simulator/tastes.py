"""What readers care for now: interests that drift, grow with good reads, and tire. Equations stand in ``world``."""

from dataclasses import dataclass

import torch
from torch import Tensor

from newsrec.features import DAY, HOUR
from newsrec.simulator import luck
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

    def __init__(self, config: TasteConfig, lasting: Tensor, number: Tensor, start: int, seed: int) -> None:
        self.config, self.lasting, self.number, self.start, self.seed = config, lasting, number, start, seed
        self.drift = torch.zeros_like(lasting)  # float32, as the next two
        self.liked = torch.zeros_like(lasting)
        """Reads of each topic, those of worth 1 as 1 and those of worth 0 as -1, fading."""
        self.tired = torch.zeros_like(lasting)
        """Reads of each topic, fading faster; a glance counts a little."""
        self.time = torch.full_like(number, start)
        """Moment as of which each reader's row stands."""
        self._topic = luck.numbers(lasting.shape[1], lasting.device)
        self.begin(torch.arange(len(lasting), device=lasting.device))

    def begin(self, readers: Tensor) -> None:
        """The rows ``readers`` go back to the start, as what ``lasting`` and ``number`` now say."""
        self.liked[readers] = self.tired[readers] = self.drift[readers] = 0.0
        self.time[readers] = self.start
        if self.config.drift:
            (state,) = luck.states(self.seed, ("drift",), self.number[readers, None])  # [B, 1]
            first = self.config.drift * luck.normal(state, luck.numbers(1, state.device), self._topic)
            self.drift[readers] = first.float()

    def at(self, readers: Tensor, now: Tensor) -> Tensor:
        """[B, T] interests of ``readers`` (each once) at ``now`` [B], whose rows go on to that moment."""
        time = self.time[readers]
        days = now // DAY - time // DAY
        later = days > 0
        if self.config.drift and later.any():
            self._drift_on(readers[later], days[later])
        liking, tiring = self._fading((now - time).double() / HOUR)
        liked = (self.liked[readers] * liking[:, None]).float()
        tired = (self.tired[readers] * tiring[:, None]).float()
        self.liked[readers], self.tired[readers], self.time[readers] = liked, tired, now
        return self.lasting[readers] + self.drift[readers] + self.acquired(liked, tired)

    def acquired(self, liked: Tensor, tired: Tensor) -> Tensor:
        """[..., T] what earlier reads and glances add to the interest in each topic."""
        config = self.config
        liking = config.liking * liked / (liked.abs() + config.liking_reads)
        return liking - config.boredom * tired / (tired + config.boredom_reads)

    def learn(self, readers: Tensor, topics: Tensor, examined: Tensor, read: Tensor, worth: Tensor) -> None:
        """A slate with ``topics`` [B, K, T] at the moment of the last ``at``; the others are [B, K]."""
        good = (2.0 * worth - 1.0) * read
        seen = (self.config.glance * examined.double()).masked_fill_(read, 1.0)
        for reads, by in ((self.liked, good), (self.tired, seen)):
            reads[readers] = (reads[readers] + (by[:, :, None] * topics).sum(1)).float()

    def mark(self, topics: Tensor, worth: Tensor, hours: Tensor) -> tuple[Tensor, Tensor]:
        """Both [P, T]: what reads of ``topics`` [P, T] have left in ``liked`` and ``tired``, beyond a glance."""
        liking, tiring = self._fading(hours)
        return ((2.0 * worth - 1.0) * liking)[:, None] * topics, ((1.0 - self.config.glance) * tiring)[:, None] * topics

    def _fading(self, hours: Tensor) -> tuple[Tensor, Tensor]:
        """Both [B]: the share of ``liked`` and of ``tired`` that is left after ``hours``."""
        return torch.exp2(-hours / (24.0 * self.config.liking_days)), torch.exp2(-hours / self.config.boredom_hours)

    def _drift_on(self, readers: Tensor, days: Tensor) -> None:
        """``days`` [B] (1 or more) steps of a first-order autoregression, which an Ornstein-Uhlenbeck process is."""
        keep = 0.5 ** (1.0 / self.config.drift_days)
        first = days.cumsum(0) - days  # [B] into the steps of all readers, one behind the other
        row = torch.arange(len(readers), device=readers.device).repeat_interleave(days)  # [M]
        step = torch.arange(len(row), device=row.device) - first[row]
        day = (self.time[readers] - self.start) // DAY + 1
        (state,) = luck.states(self.seed, ("drift",), self.number[readers])  # [B]
        shocks = luck.normal(state[row, None], (day[row] + step)[:, None], self._topic)  # [M, T]
        shocks *= keep ** (days[row] - 1 - step).double()[:, None]
        moved = torch.segment_reduce(shocks, "sum", lengths=days)  # [B, T]
        spread = self.config.drift * (1.0 - keep**2) ** 0.5
        kept = self.drift[readers] * keep ** days.double()[:, None]
        self.drift[readers] = (kept + spread * moved).float()
