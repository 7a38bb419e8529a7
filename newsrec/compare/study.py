"""What a comparison in simulated worlds consists of, as one configuration.

A log is written in one world by one policy; every contender is trained on it, once for each training seed, and then
plays in worlds that may differ from the log's. All of it follows from the training seeds. Seed s has a log of its own,
in a world with the seed 2 s; its initial weights, of seed s; and readers of its own, in worlds with the seed 2 s + 1.
So no reader who is played has been trained on, contenders of one training seed meet the same readers with the same
luck, and nothing is shared between training seeds.

Beside the study's log there may be others, for contenders that name them: of fewer readers, from another world, of
another market, or written by a contender.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from newsrec import config
from newsrec.config import InvalidConfig
from newsrec.registry import REGISTRY
from newsrec.simulator.config import SimulationConfig
from newsrec.slate import SlateConfig
from newsrec.training import RunConfig

ORACLES = ("planner", "greedy_click", "greedy_dwell")
"""Policies that know the truth (``newsrec.simulator.oracle``)."""
HEADROOM = ("planner", "greedy_click")
"""The upper and the lower end of what there is to win."""
BEHAVIOUR = "behaviour"
"""The policy that wrote the study's log, where it is played, too."""
TAUGHT_BY = ("warm_start", "teacher")
"""What of a run may name another contender instead of the folder of an artefact."""
MARKETS_APART = 1_000_000
"""Between the training seeds whose worlds the same seed has in one market and in the next."""


def has_chance(slate: SlateConfig) -> bool:
    """Whether ``slate`` leaves every article a chance."""
    return slate.method != "greedy" and (slate.method != "epsilon" or slate.epsilon > 0.0)


@dataclass(frozen=True)
class ActorConfig:
    """Who chose the slates of the log."""

    policy: Literal["random", "popularity"] = "popularity"
    """Every slate as likely as any other, or untrained popularity."""
    slate: SlateConfig = field(default_factory=lambda: SlateConfig("plackett_luce"))
    """How the scores of popularity became slates."""

    @property
    def explores(self) -> bool:
        """Whether every article had a chance."""
        return self.policy == "random" or has_chance(self.slate)


@dataclass(frozen=True)
class FurtherLog:
    """One entry of ``Study.logs``: what is not as in the study's log."""

    world: dict = field(default_factory=dict)
    """Differences from the world of the study's log, its readers and days among them."""
    market: int = 0
    """Every number has readers and articles of its own; 0: those of the study's log."""
    by: str = ""
    """The contender whose artefact of the same seed chose the slates; empty: the study's actor."""
    slate: SlateConfig = field(default_factory=lambda: SlateConfig("plackett_luce"))
    """How that contender acted."""

    def __post_init__(self) -> None:
        if self.market < 0:
            raise ValueError(f"market is {self.market}, expected 0 or more")
        if "seed" in self.world:
            raise ValueError("world has a seed, expected none: seeds and market say which one is used")


@dataclass(frozen=True)
class Taught:
    """What of a contender's table says what it is trained on and how it is played."""

    slate: SlateConfig = field(default_factory=SlateConfig)
    """How it acts when it is played."""
    log: str = ""
    """The entry of ``Study.logs`` that it learns from; empty: the study's log."""
    permuted: Literal["", "rewards", "outcomes"] = ""
    """What is exchanged among the decisions of its log (``newsrec.compare.permutation``): a control."""


@dataclass(frozen=True)
class Contender:
    """One entry of ``Study.contenders``, read."""

    run: RunConfig
    """With the default seed."""
    taught: Taught
    taught_by: Mapping[str, str]
    """``warm_start`` or ``teacher`` -> the contender whose artefact of the same seed that is."""

    @property
    def slate(self) -> SlateConfig:
        return self.taught.slate


@dataclass(frozen=True)
class Study:
    """Contenders, worlds, seeds and readers."""

    baseline: str
    """The contender that the others are compared with."""
    contenders: dict
    """Name -> a table of RunConfig without seed, and what ``Taught`` holds."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Training seeds."""
    readers: int = 1_000
    """Played with each training seed."""
    days: int = 28
    """That they are followed for, from assignment."""
    oracles: bool = True
    """Whether the policies that know the truth are played too: what could be won."""
    behaviour: bool = False
    """Whether the policy of the log is played too, under the name "behaviour"."""
    log: SimulationConfig = field(default_factory=SimulationConfig)
    """The world of the logs and their size; its seed is not given."""
    actor: ActorConfig = field(default_factory=ActorConfig)
    """Who acted there."""
    logs: dict = field(default_factory=dict)
    """Name -> a table of FurtherLog: logs for the contenders that name one."""
    worlds: dict = field(default_factory=lambda: {"nominal": {}})
    """Name -> what differs from the world of the log: where the contenders are played."""

    def __post_init__(self) -> None:
        self._check_sizes()
        for name in self.logs:
            self._check_log(name)
        for name in self.contenders:
            self._check_contender(name)
        played = [*self.contenders, *[BEHAVIOUR] * self.behaviour]
        if self.baseline not in played:
            raise ValueError(f"baseline is {self.baseline!r}, expected one of {', '.join(played)}")
        for name in self.worlds:
            self.world(name, self.seeds[0])

    def contender(self, name: str) -> Contender:
        """Raises InvalidConfig."""
        where, table = f"contenders.{name}", self.contenders[name]
        if not isinstance(table, Mapping):
            raise InvalidConfig(f"{where}: found {table!r}, expected a table")
        if "seed" in table:
            raise InvalidConfig(f"{where} has a seed, expected none: it is trained with each of seeds")
        own = [entry.name for entry in fields(Taught)]
        taught = config.from_mapping(Taught, {key: table[key] for key in own if key in table}, where)
        run = config.from_mapping(RunConfig, {key: value for key, value in table.items() if key not in own}, where)
        taught_by = {key: getattr(run, key) for key in TAUGHT_BY if getattr(run, key) in self.contenders}
        return Contender(run, taught, taught_by)

    def further_log(self, name: str) -> FurtherLog:
        """Raises InvalidConfig."""
        return config.from_mapping(FurtherLog, self.logs[name], f"logs.{name}")

    def world(self, name: str, seed: int) -> SimulationConfig:
        """Where contenders of training seed ``seed`` are played. Raises InvalidConfig."""
        where, differences = f"worlds.{name}", self.worlds[name]
        if not isinstance(differences, Mapping):
            raise InvalidConfig(f"{where}: found {differences!r}, expected a table")
        for key in ("seed", "readers", "days"):
            if key in differences:
                raise InvalidConfig(f"{where} has its own {key}, expected none: worlds share seeds, readers and days")
        values = merged(config.to_mapping(self.log), differences)
        own = {"seed": 2 * seed + 1, "readers": self.readers, "days": self.days}
        return config.from_mapping(SimulationConfig, values | own, where)

    def log_world(self, seed: int, name: str = "") -> SimulationConfig:
        """Where the study's log of training seed ``seed`` is written, or the one called ``name``."""
        other = self.further_log(name) if name else FurtherLog()
        values = merged(config.to_mapping(self.log), other.world)
        own = {"seed": 2 * (seed + other.market * MARKETS_APART)}
        return config.from_mapping(SimulationConfig, values | own, f"logs.{name}.world" if name else "log")

    def _check_sizes(self) -> None:
        for name in ("seeds", "contenders", "worlds"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty, expected at least one")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds are {list(self.seeds)}, expected different ones of 0 or more")
        if any(seed >= MARKETS_APART for seed in self.seeds):
            raise ValueError(f"seeds are {list(self.seeds)}, expected less than {MARKETS_APART}")
        if self.log.seed:
            raise ValueError(f"log.seed is {self.log.seed}, expected none: seeds says which ones are used")
        if self.readers < 2 or self.days < 1:
            found = f"readers is {self.readers} and days {self.days}"
            raise ValueError(f"{found}, expected at least 2 readers, whose spread makes an interval, and 1 day")

    def _check_log(self, name: str) -> None:
        self.log_world(self.seeds[0], name)
        if (by := self.further_log(name).by) and by not in self.contenders:
            raise ValueError(f"logs.{name}.by is {by!r}, expected one of {', '.join(self.contenders)}")

    def _explores(self, name: str) -> bool:
        """Whether every article had a chance in the study's log, or in the one called ``name``."""
        return has_chance(log.slate) if name and (log := self.further_log(name)).by else self.actor.explores

    def _check_contender(self, name: str) -> None:
        where, contender = f"contenders.{name}", self.contender(name)
        if name in ORACLES:
            raise ValueError(f"{where} has the name of an oracle, expected another one")
        if name == BEHAVIOUR:
            raise ValueError(f"{where} has the name of the policy of the log, expected another one")
        if (log := contender.taught.log) and log not in self.logs:
            raise ValueError(
                f"{where}.log is {log!r}, expected one of {', '.join(self.logs) or 'logs, which is empty'}"
            )
        if not contender.run.use_time:
            raise ValueError(f"{where}.use_time is false, expected true: worlds show policies the clock")
        if REGISTRY[contender.run.policy].long_term and not self._explores(log):
            found = f"{where}: {contender.run.policy} corrects for how slates were chosen, found a log without chance"
            slate = f"logs.{log}.slate" if log and self.further_log(log).by else "actor.slate"
            raise ValueError(f"{found}, expected {slate} to be drawn (plackett_luce, epsilon)")
        self._check_order(name, ())

    def _check_order(self, name: str, after: tuple[str, ...]) -> None:
        if name in after:
            chain = " from ".join((*after, name))
            raise ValueError(f"contenders: {chain}: found a circle, expected a first one to train")
        contender = self.contender(name)
        author = self.further_log(contender.taught.log).by if contender.taught.log else ""
        for teacher in [*contender.taught_by.values(), *[author] * bool(author)]:
            self._check_order(teacher, (*after, name))


def load(path: str | Path, overrides: Iterable[str] = ()) -> Study:
    """The study in a TOML file, with ``overrides`` such as ``"readers=500"``.

    ``log`` and each world may name a ``file`` with a world, from the study's folder on: what else they say differs from
    it; readers, days and start in a file are those of the log that it was fitted to, and left out. Raises InvalidConfig
    and FileNotFoundError.
    """
    values = config.read_toml(path, overrides)
    for tables, names in ((values, ["log"]), (values.get("worlds", {}), list(values.get("worlds", {})))):
        for name in names:
            if isinstance(tables.get(name), dict) and "file" in tables[name]:
                tables[name] = _from_file(Path(path).parent, tables[name])
    return config.from_mapping(Study, values, str(path))


def merged(values: Mapping[str, Any], differences: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables ``values`` with ``differences`` put in their places."""
    result = dict(values)
    for key, value in differences.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result


def _from_file(folder: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    world = config.read_toml(folder / str(table["file"]))
    fitted = {key: value for key, value in world.items() if key not in ("readers", "days", "start", "seed")}
    return merged(fitted, {key: value for key, value in table.items() if key != "file"})
