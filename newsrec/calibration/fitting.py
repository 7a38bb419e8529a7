"""A simulated world whose log measures like a given one: indirect inference (Gourieroux, Monfort and Renault 1993).

The same moments m are measured on the log and on simulated ones, and the parameters x are turned until they agree. At
first each by its own moment over the slope that is expected of it, then by what turning each was seen to move::

    x <- x + J^-1 (m(log) - m(x)),   J = dm / dx in blocks, such as the two of visits

What a parameter moves outside of its block is small, and would be more chance than effect in a simulation of some
thousand slates; later rounds correct for it. So parameters of different blocks are turned at once, except for those of
visits and of staying, on which clicks depend too. All of that happens in one world, so the last turn is by what
several worlds of equal parameters lack on average.

An interval holds two kinds of chance, carried over by J^-1: among the readers of the log, who are resampled, and among
worlds, as the log is of one world with its own articles and tastes: Student's, with the spread of those several worlds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from newsrec.calibration.knobs import Knob, knobs
from newsrec.calibration.moments import Moments, moments
from newsrec.config import from_mapping, to_mapping
from newsrec.evaluation.observations import Observations, observe, slates_with_click
from newsrec.events import InvalidEvents
from newsrec.features import SESSION_GAP_MINUTES
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate

LONGEST_TURN, TRIAL_TURN = 1.0, -0.3
"""By which a parameter moves at most in a round, and by which it is turned to see what it moves, on its scale."""
TURNED_ALONE = ("visits", "stays")
"""Blocks whose parameters move clicks."""
LEAST_ANSWER = 0.1
"""Share of the expected slope: a parameter that moves its moment less is not told by it."""
NO_ANSWER = "in the fitted world its number does not move with it"


class CannotCalibrate(InvalidEvents):
    """A log that no parameter can be fitted to, or a world whose log cannot be measured; the message says why."""


@dataclass(frozen=True)
class FittingConfig:
    """How much is simulated, and how intervals are made."""

    readers: int = 1_000
    """Simulated in each world."""
    rounds: int = 3
    """In one world, before it is seen what each parameter moves; one more follows."""
    worlds: int = 5
    """Of equal parameters, for the last turn and for what differs between worlds."""
    draws: int = 1_000
    """Resamples of the log's readers."""
    confidence: float = 0.95
    seed: int = 1
    """Of resamples and of the first world; the others have the next ones, and the last is compared with the log."""

    def __post_init__(self) -> None:
        for name, least in (("readers", 1), ("rounds", 1), ("worlds", 2), ("draws", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, expected {least} or more")
        if not 0.0 < self.confidence < 1.0:
            raise ValueError(f"confidence is {self.confidence}, expected a share between 0 and 1, such as 0.95")


class Fitted(NamedTuple):
    """One parameter that the log tells."""

    parameter: str
    value: float
    low: float
    high: float
    readers: int
    """Of the log, by whom it is told."""
    matched: bool
    """Whether its moment of the last world lies within the chance of that of the log."""


class Fit(NamedTuple):
    """Fitted parameters and a log of their world."""

    parameters: list[Fitted]
    simulated: Observations
    unanswered: dict[str, str]
    """Parameters that moved nothing and kept their value, and why."""


def fit(
    observed: Observations,
    aim: Moments,
    frame: SimulationConfig,
    fitting: FittingConfig,
    progress: Callable[[int, int], None],
) -> Fit:
    """The parameters of ``frame`` that bring the moments of its log to ``aim``, which are those of ``observed``.

    ``progress`` is called with the worlds simulated and their number. Raises CannotCalibrate, InvalidConfig.
    """
    turned = [knob for knob in knobs(frame) if knob.moment not in aim.refusals]
    if not turned:
        raise CannotCalibrate("the log tells no parameter: " + _reasons(knobs(frame), aim.refusals))
    worlds = _Worlds(frame, turned, observed.only_clicked, fitting, progress)
    target = aim.of([knob.moment for knob in turned])
    start = np.array([knob.scale.free(value_of(frame, knob.parameter)) for knob in turned])
    x = _approach(worlds, start, target.value, np.diag(1.0 / worlds.slopes), fitting.rounds)
    moves = _moves(worlds, x)
    told = np.diag(moves) / worlds.slopes > LEAST_ANSWER
    inverse = np.zeros_like(moves)
    inverse[np.ix_(told, told)] = np.linalg.inv(moves[np.ix_(told, told)])
    x = _approach(worlds, np.where(told, x, start), target.value, inverse, 1)
    many = np.stack([worlds.moments(x, fitting.seed + 1 + world) for world in range(fitting.worlds)])  # [W, P]
    x = x + np.clip(inverse @ (target.value - many.mean(0)), -LONGEST_TURN, LONGEST_TURN)
    between = many.std(0, ddof=1) * np.sqrt(1.0 + 1.0 / fitting.worlds)
    among_worlds = np.random.default_rng(fitting.seed).standard_t(fitting.worlds - 1, target.draws.shape)
    chance = target.draws - target.value + between * among_worlds  # [draws, P]
    low, high = target._replace(value=x, draws=x + chance @ inverse.T).band(fitting.confidence)
    least, most = target._replace(draws=target.value + chance).band(fitting.confidence)
    judged = worlds.simulated(x, fitting.seed + fitting.worlds + 1)
    last = worlds.measured(judged)
    fitted = []
    for p in np.flatnonzero(told):
        knob, bounded = turned[p], turned[p].scale.bounded
        readers, matched = aim.readers[knob.moment], bool(least[p] <= last[p] <= most[p])
        fitted.append(Fitted(knob.parameter, bounded(x[p]), bounded(low[p]), bounded(high[p]), readers, matched))
    return Fit(fitted, judged, {turned[p].parameter: NO_ANSWER for p in np.flatnonzero(~told)})


def _reasons(refused: Sequence[Knob], refusals: dict[str, str]) -> str:
    """Why there is no moment for any of ``refused``, each reason once and behind the parameters that it is about."""
    about: dict[str, list[str]] = {}
    for knob in refused:
        about.setdefault(refusals[knob.moment], []).append(knob.parameter)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in about.items())


class _Worlds:
    """Simulated logs by the values of the parameters that are turned, and their moments."""

    def __init__(
        self,
        frame: SimulationConfig,
        turned: list[Knob],
        only_clicked: bool,
        fitting: FittingConfig,
        progress: Callable[[int, int], None],
    ) -> None:
        self.frame, self.turned, self.only_clicked, self.seed = frame, turned, only_clicked, fitting.seed
        self.slopes = np.array([knob.slope for knob in turned])
        blocks = [knob.block for knob in turned]
        self.same_block = np.array([[one == other for other in blocks] for one in blocks])
        alone = [np.array([knob == other for other in turned]) for knob in turned if knob.block in TURNED_ALONE]
        place = np.array([-1 if block in TURNED_ALONE else blocks[:p].count(block) for p, block in enumerate(blocks)])
        self.trials = [*alone, *(place == number for number in range(place.max() + 1))]
        """[P] bool each: the parameters that are turned at once."""
        self._progress, self._done = progress, 0
        self._total = fitting.rounds + 1 + len(self.trials) + 1 + fitting.worlds + 1

    def simulated(self, x: np.ndarray, seed: int) -> Observations:
        self._progress(self._done, self._total)
        self._done += 1
        values = {knob.parameter: knob.scale.bounded(number) for knob, number in zip(self.turned, x, strict=True)}
        log = simulate(with_values(self.frame, {**values, "seed": seed}))
        return observe(slates_with_click(log) if self.only_clicked else log, SESSION_GAP_MINUTES)

    def moments(self, x: np.ndarray, seed: int | None = None) -> np.ndarray:
        """[P] The moment of each parameter at ``x`` [P], in the first world or in that of ``seed``."""
        return self.measured(self.simulated(x, self.seed if seed is None else seed))

    def measured(self, simulated: Observations) -> np.ndarray:
        """[P] Raises CannotCalibrate where the simulated log does not tell a moment."""
        found = moments(simulated, np.random.default_rng(0))
        for knob in self.turned:
            if knob.moment in found.refusals:
                why = f"a simulated log does not tell {knob.parameter}: {found.refusals[knob.moment]}"
                raise CannotCalibrate(f"{why}; simulate more readers")
        return found.of([knob.moment for knob in self.turned]).value


def _approach(worlds: _Worlds, x: np.ndarray, target: np.ndarray, inverse: np.ndarray, rounds: int) -> np.ndarray:
    """[P] Where the moments come to ``target`` [P] if a turn by ``inverse`` [P, P] times what they lack does it."""
    for _ in range(rounds):
        x = x + np.clip(inverse @ (target - worlds.moments(x)), -LONGEST_TURN, LONGEST_TURN)
    return x


def _moves(worlds: _Worlds, x: np.ndarray) -> np.ndarray:
    """[P, P] What a turn by 1 of each parameter (columns) adds to the moments of its block."""
    now, moves = worlds.moments(x), np.zeros((len(x), len(x)))
    for turned in worlds.trials:
        moved = (worlds.moments(x + TRIAL_TURN * turned) - now) / TRIAL_TURN  # [P]
        moves += worlds.same_block * moved[:, None] * turned
    return moves


def with_values(config: SimulationConfig, values: dict[str, Any]) -> SimulationConfig:
    """``config`` with ``values`` by path. Raises InvalidConfig."""
    tables = to_mapping(config)
    for path, value in values.items():
        *parents, last = path.split(".")
        table = tables
        for parent in parents:
            table = table[parent]
        table[last] = value
    return from_mapping(SimulationConfig, tables, "calibrated")


def value_of(config: SimulationConfig, path: str) -> Any:
    """The value at ``path``, such as ``population.patience``."""
    value: Any = config
    for part in path.split("."):
        value = getattr(value, part)
    return value
