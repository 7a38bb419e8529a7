"""Who takes part, and the studies they take part in: all of them are made from configs/compare/retention.toml."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from benchmarks.results import ROOT
from benchmarks.retention.size import Size
from newsrec import config
from newsrec.compare.study import Study, load
from newsrec.registry import REGISTRY

STUDY, SPACES = ROOT / "configs" / "compare" / "retention.toml", ROOT / "configs" / "spaces"
OFFLINE = ("cql", "iql", "decision_transformer")
"""Algorithms made for a log that nobody can add to."""
CLONES = {"method": "plackett_luce", "temperature": 1.0}
"""How the clone of slates acts: its scores are the log odds of whom it imitates, temperature included."""

Tables = Mapping[str, dict[str, Any]]
"""Contender -> its table in a study."""


class Choice(NamedTuple):
    """What later parts take from earlier ones."""

    tables: Tables
    """Tuned, or as they are before."""
    supervised: tuple[str, ...]
    """The two best of the screening, best first."""
    long_term: tuple[str, ...]
    """Likewise."""
    offline: str
    """The best of OFFLINE."""

    @property
    def best(self) -> str:
        """The long-term policy that is judged: chosen before the seeds that judge it."""
        return self.long_term[0]

    def of(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {name: self.tables[name] for name in names}


@cache
def written() -> Study:
    """The study as it stands in the file."""
    return load(STUDY)


def untuned(size: Size) -> dict[str, dict[str, Any]]:
    """Contender -> its table in the file, with the benchmark's epochs."""
    found = {}
    for name, table in written().contenders.items():
        if not size.contenders or name in size.contenders:
            found[name] = {**table, "training": {**table.get("training", {}), "epochs": size.epochs}}
    return found


def long_term(name: str) -> bool:
    """Whether the contender ``name`` of the file optimises what comes later."""
    return REGISTRY[written().contender(name).run.policy].long_term


def spaces(size: Size) -> dict[str, dict[str, Any]]:
    """Contender -> the space of its policy, but for epochs: all have as many."""
    found = {}
    for name in untuned(size):
        space = config.read_toml(SPACES / f"{written().contender(name).run.policy}.toml")
        training = {key: bounds for key, bounds in space.get("training", {}).items() if key != "epochs"}
        found[name] = {key: bounds for key, bounds in (space | {"training": training}).items() if bounds}
    return found


def study(size: Size, contenders: Tables, seeds: Sequence[int], **differences: Any) -> Study:
    """``contenders`` in the world of their log, the first one as the baseline, unless ``differences`` say otherwise."""
    log = replace(written().log, readers=size.log_readers, days=size.log_days)
    values: dict[str, Any] = {
        "baseline": next(iter(contenders)),
        "contenders": dict(contenders),
        "seeds": tuple(seeds),
        "readers": size.readers,
        "days": size.days,
        "oracles": False,
        "log": log,
        "worlds": {"nominal": {}},
    }
    return replace(written(), **values | differences)
