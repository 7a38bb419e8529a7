"""Rankers share no layer with the sequence policies, yet warm-start one: a student carries over what they know."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from newsrec import artifact, dataset
from newsrec.artifact import Artifact
from newsrec.config import InvalidConfig
from newsrec.decisions import Decisions
from newsrec.rl.distillation import Config as DistillationConfig
from newsrec.training import RunConfig, TrainingConfig, train
from tests import checkerboard
from tests.test_training import rank_correlation

LOOP = TrainingConfig(epochs=6, patience=6, batch_size=64, validation=0.2, test=0.2)
SMALL = {"width": 16, "layers": 1}
SCORER = ("dwell.", "history.", "output.", "article.", "context.", "moment.", "demand.", "fatigue.")


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return dataset.from_log(checkerboard.log(decisions=300))


def made(decisions: Decisions, wanted: RunConfig) -> Artifact:
    return train(decisions, wanted, lambda _: None)


@pytest.mark.parametrize("name", ["ease", "als", "bpr", "lightgcn"])
def test_a_value_learner_starts_from_what_a_ranker_taught_its_student(
    name: str, decisions: Decisions, tmp_path: Path
) -> None:
    ranker = made(decisions, RunConfig(name, training=LOOP))
    folder = str(artifact.save(ranker, tmp_path / name))
    still = {"learning_rate": 1e-12}
    value = RunConfig("dqn", {"network": SMALL, **still}, training=replace(LOOP, epochs=1))
    with pytest.raises(InvalidConfig, match=rf"history of {name} .* does not fit: found no layer in common"):
        made(decisions, replace(value, warm_start=folder))
    lesson = DistillationConfig(learning_rate=1e-2)
    student = made(decisions, RunConfig("transformer", SMALL, teacher=folder, distillation=lesson, training=LOOP))
    rows = decisions.time.argsort()[-60:]
    assert rank_correlation(student, ranker, decisions.numbered_by(ranker.catalogue), rows) > 0.4, (
        "none follows by chance"
    )
    started = made(decisions, replace(value, warm_start=str(artifact.save(student, tmp_path / "student"))))
    ours, theirs = started.policy.state_dict(), student.policy.state_dict()
    shared = [key for key in theirs if key.startswith(SCORER)]
    assert len(shared) > 10
    for key in shared:
        torch.testing.assert_close(ours[key], theirs[key])
    assert started.provenance["warm_start"]["version"] == student.version
    assert student.provenance["teacher"] == ranker.version
