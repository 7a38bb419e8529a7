"""The one training loop, and the only place that seeds, logs progress and keeps the best weights.

Decisions are split by time: the earliest are trained on, the next ones (validation) say when to stop, the last ones
(test) are never looked at here. What is kept are the weights with the best nDCG of the validation decisions' full
ranking, which is what judging looks at; the initial ones if no epoch improves on them. A long-term policy gives clicks
away on purpose: it trains for all epochs and keeps the last weights, whatever validation says. So do a policy that is
taught another label than the click, and the student of a teacher, whose lesson is not the clicks.
"""

import copy
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from newsrec import artifact, config, dataset
from newsrec.artifact import Artifact
from newsrec.catalogue import Catalogue, from_articles
from newsrec.config import InvalidConfig
from newsrec.decisions import Decisions, time_split
from newsrec.evaluation.ranking import evaluate
from newsrec.events import KINDS
from newsrec.policy import PassLearner, Policy
from newsrec.registry import REGISTRY
from newsrec.reward import RewardConfig
from newsrec.rl.distillation import Config as DistillationConfig
from newsrec.rl.distillation import DistillationLearner
from newsrec.warm_start import SCORER, Layer, warm_start

COMMIT_VARIABLE = "NEWSREC_COMMIT"
"""The environment variable in which an image says which commit it was built from."""
STUDENTS = ("matrix_factorization", "transformer")
"""The policies that a teacher can teach: their scores are all that they have to learn."""


@dataclass(frozen=True)
class TrainingConfig:
    """The loop."""

    epochs: int = 20
    """At most; training stops earlier when validation does not improve."""
    patience: int = 3
    """Epochs without improvement until it stops."""
    batch_size: int = 256
    validation: float = 0.1
    """Share of the decisions, the last before the test share."""
    test: float = 0.2
    """Share of the decisions, the last of all; left to judging."""

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not (self.validation > 0 and self.test > 0 and self.validation + self.test < 1):
            shares = f"validation {self.validation} and test {self.test}"
            raise ValueError(
                f"{shares} leave nothing to train on or judge, expected two shares that add up to less than 1"
            )


@dataclass(frozen=True)
class RunConfig:
    """One training run: a policy of the registry, its own table ``model``, and what is the same for all."""

    policy: str
    model: dict = field(default_factory=dict)
    """Checked against the policy's Config."""
    seed: int = 0
    use_time: bool = True
    """False for a log without a clock: ages, popularity and context are zero then."""
    steps: int = 1
    """Decisions whose rewards a long-term learner sums before it asks for the value of what follows."""
    warm_start: str = ""
    """Folder of an artefact whose weights training starts from (``newsrec.warm_start``); empty: from new ones."""
    warm_start_layers: tuple[Layer, ...] = SCORER
    """What is taken from there; ``critics`` only where they value the same."""
    teacher: str = ""
    """Folder of an artefact whose scores are learnt instead of clicks (``newsrec.rl.distillation``); empty: none."""
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)

    def __post_init__(self) -> None:
        if self.policy not in REGISTRY:
            raise ValueError(f"policy is {self.policy!r}, expected one of {', '.join(REGISTRY)}")
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}, expected 1 or more")
        if self.teacher and self.policy not in STUDENTS:
            raise ValueError(
                f"policy is {self.policy!r}, expected one of {', '.join(STUDENTS)} to learn from a teacher"
            )
        config.from_mapping(REGISTRY[self.policy].config, self.model, "model")


Progress = Callable[[str], None]
"""Called with a line before the first epoch and after each."""
Watch = Callable[[float], None]
"""Called with the best validation nDCG so far after each epoch; what it raises ends the training."""


def seeded(seed: int) -> torch.Generator:
    """A generator for batches; torch's own, by which initial weights and dropout are drawn, starts anew, too."""
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def train(decisions: Decisions, run: RunConfig, progress: Progress = print, watch: Watch | None = None) -> Artifact:
    """The artefact of ``run``'s policy, trained on the earliest of ``decisions``.

    Raises InvalidConfig for a log that is too small to train and stop on, for a loss that is no number, and for a
    teacher or weights to start from that do not fit; InvalidArtifact where there are none.
    """
    generator = seeded(run.seed)
    rows, validation, _ = time_split(decisions.time, run.training.validation, run.training.test)
    if not len(rows) or not len(validation):
        found = f"{len(decisions)} decisions, {len(rows)} to train on and {len(validation)} to validate"
        raise InvalidConfig(f"the log is too small: found {found}, expected some of each")
    entry, teacher = REGISTRY[run.policy], _teacher(run)
    source = artifact.load(run.warm_start) if run.warm_start else None
    decisions = decisions.numbered_by(teacher.catalogue if teacher else _known_articles(decisions, rows))
    _check_labels(decisions, run)
    if entry.long_term:
        decisions = decisions.n_step(run.steps)
    model: Any = config.from_mapping(entry.config, run.model, "model")
    policy: Any = entry.policy(model, decisions.catalogue.trained)
    started = warm_start(policy, decisions.catalogue, source, run.warm_start_layers) if source else None
    learner = _learner(policy, teacher, run, generator)
    keep_last = entry.gives_clicks_away or teacher is not None
    best, best_weights, waited = _ranking_ndcg(policy, decisions, validation), copy.deepcopy(policy.state_dict()), 0
    progress(f"{run.policy} untrained  validation nDCG {best:.4f}")
    for epoch in range(1, run.training.epochs + 1):
        losses = _epoch(learner, decisions, rows, run.training.batch_size, generator, entry.long_term)
        written = "  ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
        if not np.isfinite(losses["loss"]):
            step = f"{'distillation' if teacher else 'model'}.learning_rate"
            raise InvalidConfig(f"{run.policy}: found {written} in epoch {epoch}; lower {step}")
        value = _ranking_ndcg(policy, decisions, validation)
        progress(f"{run.policy} epoch {epoch}/{run.training.epochs}  {written}  validation nDCG {value:.4f}")
        if value > best or keep_last:
            best, best_weights, waited = value, copy.deepcopy(policy.state_dict()), 0
        else:
            waited += 1
        if watch:
            watch(best)
        if waited == run.training.patience:
            break
    policy.load_state_dict(best_weights)
    learnt_from = [known for known in (teacher, source if started and started["articles"] else None) if known]
    provenance = _provenance(decisions, rows, run, best, learnt_from)
    provenance |= {"warm_start": started, "teacher": teacher.version if teacher else None}
    return artifact.create(run.policy, policy, decisions.catalogue, run.use_time, provenance)


def train_to(training_set: str | Path, run_config: str, out: str | Path, progress: Progress = print) -> Path:
    """Train on the training set in a directory what ``run_config`` (JSON of a RunConfig) says; save the artefact.

    Uses one thread, so that several can train side by side. Raises InvalidConfig, InvalidEvents, FileNotFoundError.
    """
    run = config.from_mapping(RunConfig, json.loads(run_config))
    torch.set_num_threads(1)
    progress(f"{run.policy}: reading {training_set}")
    decisions = dataset.read(training_set, run.reward, run.use_time)
    return artifact.save(train(decisions, run, progress), out)


def _known_articles(decisions: Decisions, rows: np.ndarray) -> Catalogue:
    """The articles that were published by the last decision of training: the others stay unknown by index."""
    published = decisions.catalogue.published_at[1:] <= decisions.time[rows].max()
    return from_articles(decisions.catalogue.articles.filter(pa.array(published)))


def _teacher(run: RunConfig) -> Artifact | None:
    """Raises InvalidConfig for a teacher that sees other features than its student."""
    if not run.teacher:
        return None
    teacher = artifact.load(run.teacher)
    if teacher.use_time != run.use_time:
        found = f"found use_time {str(teacher.use_time).lower()}, expected {str(run.use_time).lower()} as in this run"
        raise InvalidConfig(f"teacher {teacher.name} {teacher.version}: {found}")
    return teacher


def _learner(policy: Any, teacher: Artifact | None, run: RunConfig, generator: torch.Generator) -> Any:
    if teacher is None:
        return REGISTRY[run.policy].learner(policy, generator)
    return DistillationLearner(policy, teacher.policy, run.distillation, generator)  # type: ignore[arg-type]


def _epoch(
    learner: Any,
    decisions: Decisions,
    rows: np.ndarray,
    batch_size: int,
    generator: torch.Generator,
    successors: bool,
) -> dict[str, float]:
    """Mean losses of one pass over ``rows`` in random order."""
    learner.policy.train()
    order = rows[torch.randperm(len(rows), generator=generator).numpy()]
    parts = np.array_split(order, -(-len(order) // batch_size))
    losses = [learner.update(decisions.batch(part, successors)) for part in parts]
    if isinstance(learner, PassLearner):
        learner.end_pass()
    return {name: float(np.mean([loss[name] for loss in losses])) for name in losses[0]}


def _check_labels(decisions: Decisions, run: RunConfig) -> None:
    """Raises InvalidConfig for a log that does not hold what the policy is taught."""
    entry = REGISTRY[run.policy]
    returns = entry.long_term or entry.label == "return"
    if returns and not run.use_time:
        raise InvalidConfig(
            f"{run.policy} learns from when readers come back, and use_time = false says there is no clock"
        )
    if entry.long_term and np.isnan(decisions.propensity).all():
        wanted = "expected logged ones (newsrec doctor LOG says what else this log allows)"
        raise InvalidConfig(f"{run.policy} corrects for how slates were chosen: found no propensities, {wanted}")
    if returns and not decisions.returned.any():
        raise InvalidConfig(f"{run.policy} learns from who comes back: found no reader with a second visit")
    if entry.label == "dwell" and not decisions.feedback[:, KINDS.index("dwell")].any():
        raise InvalidConfig(
            f"{run.policy} learns from how long reads last: found no dwell, expected feedback with some"
        )


def _ranking_ndcg(policy: Policy, decisions: Decisions, rows: np.ndarray) -> float:
    """Mean nDCG@10 of the full ranking of ``rows``. Raises InvalidConfig where no row can tell good from bad."""
    found = evaluate(policy, decisions, rows, 10).metrics["ndcg_at_10"]
    if not np.isfinite(found).any():
        clicks = f"none of {len(rows)} validation decisions has a click that a ranking could hit"
        raise InvalidConfig(f"the log is too small: {clicks}; expected some, or a larger training.validation")
    return float(np.nanmean(found))


def _provenance(
    decisions: Decisions, rows: np.ndarray, run: RunConfig, validation: float, learnt_from: list[Artifact]
) -> dict[str, Any]:
    """What ``learnt_from`` have seen of the same articles, this policy has seen, too."""

    def latest(key: str, own: np.ndarray) -> int:
        return max(int(own.max()), *(known.provenance.get(key, 0) for known in learnt_from), 0)

    return {
        "commit": _commit(),
        "run": json.loads(json.dumps(config.to_mapping(run))),  # as it comes back from the artefact
        "events_from": int(decisions.time[rows].min()),
        "events_until": latest("events_until", decisions.time[rows]),
        "data_until": latest("data_until", decisions.time),
        "decisions": len(rows),
        "validation_ndcg": validation,
    }


def _commit() -> str:
    """The commit of the code, with "-dirty" where files differ from it; "unknown" where neither image nor git knows."""
    if carried := os.environ.get(COMMIT_VARIABLE):
        return carried
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
