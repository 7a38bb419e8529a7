"""The daily look at a running site: is the day's data sound, and what shall become of the served release.

Paths in, files out, each of them whole. ``check_to`` stands before anything that learns from the day, and fails where
the data contract is broken; ``observe_to`` measures drift and the value of the served release and says keep, retrain or
roll_back. Both take their configuration as JSON of a FeedbackConfig and the run's moment ``until`` in microseconds;
the day is the ``days`` before it.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from newsrec import config as configs
from newsrec import dataset, events, releases
from newsrec.config import InvalidConfig
from newsrec.features import DAY
from newsrec.files import whole_directory, write_whole
from newsrec.monitoring import inspection, live_value
from newsrec.monitoring.columns import columns
from newsrec.monitoring.contract import ContractConfig
from newsrec.monitoring.decision import RulesConfig, Standing, decide, nothing_served
from newsrec.monitoring.drift import Drift, DriftConfig, measure
from newsrec.monitoring.live_value import LiveValue, ValueConfig
from newsrec.monitoring.report import contract_report, write_observation
from newsrec.releases import Conflict, Release


class ContractBroken(ValueError):
    """A day that must not be learned from; the message names every broken clause, what was found and expected."""


@dataclass(frozen=True)
class FeedbackConfig:
    """The daily rules; docs/monitoring.md explains each."""

    days: int = 1
    """Whole days before the run that are checked, and compared for drift: features follow the time of the day."""
    contract: ContractConfig = field(default_factory=ContractConfig)
    drift: DriftConfig = field(default_factory=DriftConfig)
    value: ValueConfig = field(default_factory=ValueConfig)
    rules: RulesConfig = field(default_factory=RulesConfig)

    def __post_init__(self) -> None:
        if self.days < 1:
            raise ValueError(f"days is {self.days}, expected 1 or more")


def check_to(log: str | Path, until: int, config: str, out: str | Path) -> None:
    """Hold the day of the event log in the folder ``log`` against the data contract.

    Writes the folder ``out``: contract.json and report.md. Raises ContractBroken after that, InvalidEvents,
    InvalidConfig, FileNotFoundError.
    """
    rules = _parsed(config)
    checks = inspection.check(events.read(log), until, rules.contract, rules.days)
    found = [{**check._asdict(), "judged": check.judged, "passed": check.passed} for check in checks]
    with whole_directory(out) as partial:
        content = {"until": until, "days": rules.days, "passed": all(c.passed for c in checks), "checks": found}
        (partial / "contract.json").write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
        (partial / "report.md").write_text(contract_report(checks, until), encoding="utf-8")
    if broken := [check.message for check in checks if not check.passed]:
        raise ContractBroken("; ".join(broken))


def observe_to(
    training_set: str | Path,
    releases_root: str | Path,
    incumbent: str,
    until: int,
    config: str,
    metrics: str | Path,
    report: str | Path,
) -> str:
    """``keep``, ``retrain`` or ``roll_back``: what the rules say of the served release ``incumbent`` ("" for none).

    Writes the file ``metrics`` (JSON) and the folder ``report``: report.md, value.png and drift.png, without the plots
    where nothing is served. Raises Conflict where another release is served by now, InvalidEvents, InvalidConfig,
    FileNotFoundError.
    """
    rules = _parsed(config)
    release = releases.current(releases_root)
    found = release.version if release else ""
    if found != incumbent:
        raise Conflict(f"{found or 'nothing'} is served by now, expected {incumbent or 'nothing'}; run it again")
    standing: Standing | None = None
    value: LiveValue | None = None
    drifts: dict[str, Drift] = {}
    if release is None:
        verdict = nothing_served()
    else:
        standing, value, drifts = _measured(Path(training_set), release, until, rules)
        verdict = decide(standing, value, drifts, until, rules.rules)
    write_observation(report, until, verdict, value, drifts)
    observation = {"format": 1, "until": until, **verdict._asdict(), "reasons": verdict.reasons}
    observation |= {"release": standing, "drift": drifts, "value": value}
    write_whole(metrics, json.dumps(_plain(observation), indent=1, allow_nan=False))
    return verdict.action


def _parsed(config: str) -> FeedbackConfig:
    try:
        values = json.loads(config)
    except ValueError as error:
        raise InvalidConfig(f"the feedback rules are no JSON: {error}") from None
    if not isinstance(values, dict):
        raise InvalidConfig(f"the feedback rules are {values!r}, expected an object")
    return configs.from_mapping(FeedbackConfig, values, "feedback")


def _measured(
    training_set: Path, release: Release, until: int, rules: FeedbackConfig
) -> tuple[Standing, LiveValue, dict[str, Drift]]:
    decisions, log = dataset.read(training_set), events.read(training_set / "log")
    learned = release.data_until + 1  # the moment from which on nothing is known to the release
    reference = (learned - rules.drift.reference_days * DAY, learned)
    drifts = measure(columns(log, decisions), reference, (until - rules.days * DAY, until), rules.drift)
    value = live_value.compare(log, *release.compared, until, rules.value)
    known, new = (int(np.count_nonzero(rows)) for rows in (decisions.time < learned, decisions.time >= learned))
    standing = Standing(release.version, release.previous, release.rolled_back, release.data_until, known, new)
    return standing, value, drifts


def _plain(value: Any) -> Any:
    """JSON of named tuples: objects; null for a number that is not defined."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
