"""Trained policies before the gate (``newsrec.gating``): choose a winner, compare all on later decisions.

The winner is the best on validation decisions of those that are shown to beat popularity there, or popularity; where
the gate asks for more than rankings (``[shipping]``), the one of whom the log tells the best objective. The comparison
is made on the test decisions that came after them, so the figures that the gate sees did not choose anybody.
Every artefact sees the decisions through the catalogue of its own training (an incumbent's may be months old), with or
without time, as it was trained.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from newsrec import artifact, config, dataset, mixture
from newsrec.artifact import Artifact
from newsrec.decisions import Decisions, time_split
from newsrec.evaluation.comparison import ComparisonConfig, compare
from newsrec.evaluation.gate import BASELINE, GateConfig
from newsrec.evaluation.off_policy.logged import Acting
from newsrec.evaluation.off_policy.uncertainty import normal_intervals
from newsrec.evaluation.ranking import Ranking, evaluate
from newsrec.evaluation.report import write_report
from newsrec.evaluation.shipping.findings import Seen, objective
from newsrec.evaluation.slices import slices
from newsrec.examples import examples
from newsrec.features import feature_hash
from newsrec.files import whole_directory, write_whole
from newsrec.registry import REGISTRY
from newsrec.slate import SlateConfig
from newsrec.training import TrainingConfig

INCUMBENT = "incumbent"
"""Name of the served policy in a comparison."""


class CannotJudge(ValueError):
    """Models or a log from which no winner can be chosen; the message says what was found and expected."""


@dataclass(frozen=True)
class JudgingConfig:
    """What is compared, and how."""

    k: int = 10
    """Length of the lists."""
    comparison: ComparisonConfig = field(default_factory=ComparisonConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    """Whether rankings or ``shipping``'s objective choose the winner."""

    @classmethod
    def of(cls, gate_config: str) -> "JudgingConfig":
        """For a gate with ``gate_config``, JSON of a GateConfig. Raises InvalidConfig."""
        return cls(gate=config.from_mapping(GateConfig, json.loads(gate_config), "gate"))


def evaluate_to(
    training_set: str | Path,
    models: Sequence[str | Path],
    releases_root: str | Path,
    incumbent: str,
    winner: str | Path,
    metrics: str | Path,
    report: str | Path,
    judging: JudgingConfig | None = None,
) -> str:
    """Judges the artefacts ``models`` and the release ``incumbent`` ("" for none); returns the winner's name.

    Writes the winner's artefact to ``winner``, the comparison to the file ``metrics``, and the folder ``report``, with
    the figures of kinds of readers and categories, and a few slates; each appears whole. Raises InvalidArtifact,
    InvalidEvents, FileNotFoundError and CannotJudge.
    """
    judging = judging or JudgingConfig()
    places = _named({Path(model): artifact.load(model) for model in models})
    candidates = {name: loaded for name, (_, loaded) in places.items()}
    served = artifact.load(mixture.control(Path(releases_root) / "versions" / incumbent)) if incumbent else None
    use_time = any(loaded.use_time for loaded in (*candidates.values(), *([served] if served else [])))
    decisions = dataset.read(training_set, use_time=use_time)
    comparison, judged, rankings, test = _judge(decisions, candidates, served, judging)
    best = comparison["selection"]["winner"]
    with whole_directory(winner) as partial:
        shutil.copytree(places[best][0], partial, dirs_exist_ok=True)
    more = {"slices": slices(rankings, decisions, test, BASELINE, judging.comparison)}
    if other := _other(comparison, best):
        more["examples"] = examples(decisions, test, judged, best, other)
    write_report(report, comparison, more)
    write_whole(metrics, json.dumps(comparison, indent=1, allow_nan=False))
    return best


def judge(
    decisions: Decisions, candidates: Mapping[str, Artifact], incumbent: Artifact | None, judging: JudgingConfig
) -> dict[str, Any]:
    """The comparison of ``candidates`` and ``incumbent`` on test decisions, with the ``selection`` of the winner.

    Raises CannotJudge.
    """
    return _judge(decisions, candidates, incumbent, judging).comparison


class _Judgement(NamedTuple):
    comparison: dict[str, Any]
    judged: dict[str, Artifact]
    rankings: dict[str, Ranking]
    test: np.ndarray
    """Rows of the decisions that all of it is about."""


def _judge(
    decisions: Decisions, candidates: Mapping[str, Artifact], incumbent: Artifact | None, judging: JudgingConfig
) -> _Judgement:
    split = shares(candidates)
    _, validation, test = time_split(decisions.time, split.validation, split.test)
    _check_rows(decisions, candidates, validation, test)
    floor = [BASELINE] if BASELINE in candidates else []
    chosen = compare(_rankings(decisions, candidates, validation, judging.k), floor, judging.comparison)
    judged, notes = dict(candidates), []
    if BASELINE not in judged:
        judged[BASELINE] = _untrained_baseline(decisions)
        notes.append(f"No model is called {BASELINE}: the gate's baseline is its untrained form.")
    baselines = [BASELINE]
    if incumbent is not None and incumbent.feature_hash != feature_hash():
        features = f"features {incumbent.feature_hash} instead of {feature_hash()}"
        notes.append(
            f"The incumbent {incumbent.version} was trained on {features}: it cannot be scored and is left out."
        )
    elif incumbent is not None:
        judged[INCUMBENT] = incumbent
        baselines.append(INCUMBENT)
    rankings = _rankings(decisions, judged, test, judging.k)
    models = {name: {"policy": loaded.name, "version": loaded.version} for name, loaded in judged.items()}
    if not any(loaded.use_time for loaded in candidates.values()):
        notes.append(
            "Nobody was trained with time: where the log has no clock, the times and hours below only follow its order."
        )
    comparison = compare(rankings, baselines, judging.comparison)
    selection = _selection(chosen, f"ndcg_at_{judging.k}")
    if judging.gate.shipping is not None:
        selection |= _best_objective(decisions, candidates, validation, judging.gate)
    comparison |= {"models": models, "notes": notes, "selection": selection}
    return _Judgement(comparison, judged, rankings, test)


def _named(loaded: Mapping[Path, Artifact]) -> dict[str, tuple[Path, Artifact]]:
    """Artefacts by policy name; where two have the same, the later one's version makes the difference."""
    named: dict[str, tuple[Path, Artifact]] = {}
    for path, model in loaded.items():
        name = model.name if model.name not in named else f"{model.name} {model.version}"
        named[name] = (path, model)
    return named


def shares(candidates: Mapping[str, Artifact]) -> TrainingConfig:
    """The split that all candidates were trained with."""
    if not candidates:
        raise CannotJudge("found no models, expected at least one trained policy")
    found = {}
    for name, loaded in candidates.items():
        training = loaded.provenance.get("run", {}).get("training", {})
        found[name] = config.from_mapping(TrainingConfig, training, f"provenance of {name}")
    splits = {name: (split.validation, split.test) for name, split in found.items()}
    if len(set(splits.values())) > 1:
        listed = ", ".join(f"{name} {split}" for name, split in splits.items())
        raise CannotJudge(f"models have different validation and test shares ({listed}): train all with the same")
    return next(iter(found.values()))


def _check_rows(
    decisions: Decisions, candidates: Mapping[str, Artifact], validation: np.ndarray, test: np.ndarray
) -> None:
    """Raises CannotJudge for an empty split, and for a model that was trained on decisions that shall judge it."""
    if not len(validation) or not len(test):
        found = f"{len(validation)} validation and {len(test)} test decisions of {len(decisions)}"
        raise CannotJudge(f"the log is too small to judge policies on: found {found}, expected some of each")
    for name, loaded in candidates.items():
        until, start = loaded.provenance.get("events_until", 0), int(decisions.time[validation[0]])
        if until >= start:
            seen = f"decisions up to {until} (microseconds since 1970), validation begins at {start}"
            raise CannotJudge(f"{name} was trained on {seen}: train it on this training set")


def seen(decisions: Decisions, loaded: Artifact, slates: SlateConfig) -> Seen:
    """The policy of ``loaded`` as it would act, with ``decisions`` as it sees them."""
    return Seen(Acting(loaded.policy.scores, slates), loaded.sees(decisions))  # type: ignore[arg-type]


def _best_objective(
    decisions: Decisions, candidates: Mapping[str, Artifact], validation: np.ndarray, gate: GateConfig
) -> dict[str, Any]:
    """The winner by the objective of ``gate.shipping`` and what the log tells of everyone's; of equals the first."""
    asked = gate.shipping
    assert asked is not None
    terms = [objective(decisions, validation, seen(decisions, a, gate.slates), asked) for a in candidates.values()]
    values, widths = normal_intervals(terms, gate.confidence)
    found = {
        name: {"mean": float(value), "low": float(value - width), "high": float(value + width)}
        for name, value, width in zip(candidates, values, widths, strict=True)
    }
    defined = {name: value["mean"] for name, value in found.items() if np.isfinite([*value.values()]).all()}
    if not defined:
        count = f"{len(validation)} validation decisions"
        raise CannotJudge(f"{asked.objective} is defined for nobody in {count}; expected two readers or more")
    sign = 1.0 if asked.higher_is_better else -1.0
    winner = max(defined, key=lambda name: sign * defined[name])
    return {"winner": winner, "objective": {"metric": asked.objective, "policies": {n: found[n] for n in defined}}}


def _rankings(decisions: Decisions, judged: Mapping[str, Artifact], rows: np.ndarray, k: int) -> dict[str, Ranking]:
    found = {}
    for name, loaded in judged.items():
        found[name] = evaluate(loaded.policy, loaded.sees(decisions), rows, k)  # type: ignore[arg-type]
    return found


def _other(comparison: dict[str, Any], winner: str) -> str | None:
    """Whom the winner is shown beside: who is served, else popularity, else the second best; None for nobody."""
    selection = comparison["selection"]
    known = {name: value["mean"] for name, value in selection["policies"].items() if value["mean"] is not None}
    second = sorted((name for name in known if name != winner), key=lambda name: -known[name])
    names = (name for name in (INCUMBENT, BASELINE, *second) if name != winner and name in comparison["policies"])
    return next(names, None)


def _untrained_baseline(decisions: Decisions) -> Artifact:
    entry = REGISTRY[BASELINE]
    policy = entry.policy(entry.config(), decisions.catalogue.trained)
    return artifact.create(BASELINE, policy, decisions.catalogue, decisions.use_time)


def _selection(chosen: dict[str, Any], metric: str) -> dict[str, Any]:
    """The best by ``metric`` on validation among those shown to beat popularity there, else popularity itself.

    Where popularity is no candidate, the best; of equals the first. Raises CannotJudge where nobody has the metric.
    """
    policies = {name: values[metric] for name, values in chosen["policies"].items()}
    defined = {name: value["mean"] for name, value in policies.items() if value["mean"] is not None}
    if not defined:
        found = chosen["protocol"]["decisions"]
        raise CannotJudge(f"none of {found} validation decisions has a click that could choose a winner")
    lifts = {name: found["metrics"][metric] for name, found in chosen["differences"].get(BASELINE, {}).items()}
    eligible = [name for name in defined if name not in lifts or (lifts[name]["low"] or 0.0) > 0.0]
    better = [name for name in eligible if name in lifts] or eligible
    winner = max(better, key=lambda name: defined[name])
    return {"winner": winner, "metric": metric, "protocol": chosen["protocol"], "policies": policies, "lifts": lifts}
