"""The loop: what it may look at, what it keeps, and what it refuses."""

import json
import re
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from newsrec import artifact, config, dataset, events
from newsrec.artifact import Artifact
from newsrec.catalogue import Catalogue
from newsrec.config import InvalidConfig
from newsrec.decisions import Decisions, time_split
from newsrec.evaluation.ranking import evaluate
from newsrec.events import KINDS
from newsrec.registry import REGISTRY
from newsrec.rl.distillation import Config as DistillationConfig
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from newsrec.training import RunConfig, TrainingConfig, train, train_to
from tests import checkerboard
from tests.conftest import ROOT

LOOP = TrainingConfig(epochs=4, patience=4, batch_size=50, validation=0.2, test=0.2)


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return dataset.from_log(checkerboard.log(decisions=300, content=True))


def run(decisions: Decisions, policy: str = "matrix_factorization", **changes) -> tuple[Artifact, list[str]]:
    lines: list[str] = []
    model = changes.pop("model", {})
    seed = changes.pop("seed", 0)
    wanted = RunConfig(policy, model=model, seed=seed, training=replace(LOOP, **changes))
    return train(decisions, wanted, progress=lines.append), lines


def same_weights(first: Artifact, second: Artifact) -> bool:
    ours, theirs = first.policy.state_dict(), second.policy.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def values(lines: list[str]) -> list[float]:
    """The validation nDCG in each line of progress."""
    return [float(line.rpartition(" ")[2]) for line in lines]


def clicked_elsewhere(decisions: Decisions, rows: np.ndarray) -> Decisions:
    """The same decisions, but at ``rows`` each click fell one position lower."""
    feedback, click = decisions.feedback.copy(), KINDS.index("click")
    for row in rows:
        shown = slice(decisions.slate.offsets[row], decisions.slate.offsets[row + 1])
        feedback[shown, click] = np.roll(feedback[shown, click], 1)
    return replace(decisions, feedback=feedback)


def read_for_half_a_minute(decisions: Decisions) -> Decisions:
    """The same decisions, with a dwell of 30 seconds on each read."""
    feedback = decisions.feedback.copy()
    feedback[:, KINDS.index("dwell")] = 30.0 * feedback[:, KINDS.index("click")]
    return replace(decisions, feedback=feedback)


def test_the_test_decisions_are_never_looked_at(decisions: Decisions) -> None:
    train_rows, validation, test = time_split(decisions.time, LOOP.validation, LOOP.test)
    expected, lines = run(decisions)
    other, other_lines = run(clicked_elsewhere(decisions, test))
    assert same_weights(other, expected)
    assert other_lines == lines
    assert run(clicked_elsewhere(decisions, validation))[1][0] != lines[0], "validation decisions are"
    assert not same_weights(run(clicked_elsewhere(decisions, train_rows))[0], expected)


def test_the_same_run_gives_the_same_version_and_another_seed_another(decisions: Decisions) -> None:
    for name in REGISTRY:
        log = read_for_half_a_minute(decisions) if REGISTRY[name].label == "dwell" else decisions
        first, second = (run(log, name, epochs=1)[0] for _ in range(2))
        assert first.version == second.version
    assert not same_weights(run(decisions, epochs=1, seed=1)[0], run(decisions, epochs=1)[0])


def test_the_best_epoch_is_kept(decisions: Decisions) -> None:
    made, lines = run(decisions, "transformer", epochs=8, patience=8, model={"learning_rate": 0.02})
    found = values(lines)
    best = int(np.argmax(found))
    assert 0 < best < 8, "the case that this test is about"
    assert made.provenance["validation_ndcg"] == pytest.approx(found[best], abs=1e-4)
    until_best, _ = run(decisions, "transformer", epochs=best, patience=8, model={"learning_rate": 0.02})
    assert same_weights(made, until_best)
    assert not made.policy.training


def test_validation_is_the_mean_ndcg_of_the_full_ranking(decisions: Decisions) -> None:
    made, lines = run(decisions)
    _, validation, _ = time_split(decisions.time, LOOP.validation, LOOP.test)
    found = evaluate(made.policy, decisions.numbered_by(made.catalogue), validation).metrics["ndcg_at_10"]
    assert max(values(lines)) == pytest.approx(np.nanmean(found), abs=1e-4)
    assert max(values(lines)) > values(lines)[0]


def test_stops_after_patience_and_keeps_the_initial_weights_where_nothing_helps(decisions: Decisions) -> None:
    made, lines = run(decisions, epochs=9, patience=2, model={"learning_rate": 1e-12})
    assert [line.split("  ")[0] for line in lines] == [
        "matrix_factorization untrained",
        "matrix_factorization epoch 1/9",
        "matrix_factorization epoch 2/9",
    ]
    torch.manual_seed(0)
    entry = REGISTRY["matrix_factorization"]
    initial = entry.policy(entry.config(), made.catalogue.trained).state_dict()
    assert all(torch.equal(initial[name], value) for name, value in made.policy.state_dict().items())


def test_articles_newer_than_the_last_training_decision_are_unknown_by_index() -> None:
    decisions = dataset.from_log(checkerboard.log(decisions=300, content=True, replaced_at=0.7))
    made, _ = run(decisions, epochs=1)
    train_rows, _, test = time_split(decisions.time, LOOP.validation, LOOP.test)
    known = set(made.catalogue.ids[1 : made.catalogue.trained + 1])
    assert known == {f"a{i}" for i in range(20)}
    assert made.provenance["events_until"] == decisions.time[train_rows].max()
    assert not decisions.numbered_by(made.catalogue).batch(test).candidates.article_index.any()


def test_provenance_says_where_it_comes_from(decisions: Decisions) -> None:
    made, _ = run(decisions, epochs=1, seed=5)
    train_rows, _, _ = time_split(decisions.time, LOOP.validation, LOOP.test)
    found = made.provenance
    assert found["run"]["seed"] == 5
    assert config.from_mapping(RunConfig, found["run"]).training == replace(LOOP, epochs=1)
    assert (found["events_from"], found["data_until"]) == (decisions.time[0], decisions.time[-1])
    assert found["decisions"] == len(train_rows)
    assert json.loads(json.dumps(found)) == found


def test_a_run_starts_from_the_weights_of_an_artefact_and_says_which(decisions: Decisions, tmp_path: Path) -> None:
    source, _ = run(decisions, epochs=2, seed=3)
    artifact.save(source, tmp_path / "source")
    still = replace(LOOP, epochs=1)
    wanted = RunConfig("transformer", {"learning_rate": 1e-12}, warm_start=str(tmp_path / "source"), training=still)
    wanted = replace(wanted, warm_start_layers=("content", "identity"))
    lines: list[str] = []
    made = train(decisions, wanted, lines.append)
    ours, theirs = made.policy.state_dict(), source.policy.state_dict()
    for name in ("article.content.weight", "article.identity.weight"):
        torch.testing.assert_close(ours[name], theirs[name])
    assert not torch.allclose(ours["demand.weight"], theirs["demand.weight"]), "not asked for"
    found = made.provenance["warm_start"]
    assert (found["version"], found["articles"]) == (source.version, made.catalogue.trained)
    assert source.provenance["warm_start"] is None
    saved = artifact.load(artifact.save(made, tmp_path / "made")).provenance
    assert saved == made.provenance
    assert config.from_mapping(RunConfig, saved["run"]) == wanted


def test_what_the_source_has_seen_counts_as_seen_unless_it_comes_from_another_market(
    decisions: Decisions, tmp_path: Path
) -> None:
    """Judging refuses a policy that knows the decisions that shall judge it."""
    source, _ = run(decisions, epochs=1)
    seen = {"events_until": source.provenance["events_until"] + 7, "data_until": source.provenance["data_until"] + 9}
    later = source._replace(provenance=source.provenance | seen)
    names = pa.array([f"b{i}" for i in range(source.catalogue.articles.num_rows)])
    articles = source.catalogue.articles.set_column(0, "article_id", names)
    abroad = later._replace(catalogue=Catalogue(articles, source.catalogue.trained))
    for name, known, expected in (("same", later, seen), ("abroad", abroad, source.provenance)):
        path = str(artifact.save(known, tmp_path / name))
        short = replace(LOOP, epochs=1)
        wanted = RunConfig("matrix_factorization", warm_start=path, warm_start_layers=("content",), training=short)
        found = train(decisions, wanted, lambda _: None).provenance
        assert {key: found[key] for key in seen} == {key: expected[key] for key in seen}, name


def rank_correlation(first: Artifact, second: Artifact, decisions: Decisions, rows: np.ndarray) -> float:
    """Spearman's, between the candidates of each of ``rows``, on average."""
    batch = decisions.batch(rows)
    with torch.inference_mode():
        scores = [made.policy.scores(batch.state, batch.candidates) for made in (first, second)]
    ranks = [score.argsort(1).argsort(1).double().numpy() for score in scores]
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)]))


def test_a_small_student_learns_what_its_teacher_knows(tmp_path: Path) -> None:
    """Identities alone tell the parity, and the student sees no click: whatever it knows it has been told."""
    decisions = dataset.from_log(checkerboard.log())
    loop = replace(LOOP, epochs=8, batch_size=64)
    teacher = train(decisions, RunConfig("transformer", training=loop), lambda _: None)
    size = {"width": 16, "layers": 1}
    wanted = RunConfig("transformer", size, teacher=str(artifact.save(teacher, tmp_path / "teacher")), training=loop)
    student = train(decisions, wanted, lambda _: None)
    seen, (_, _, test) = (
        decisions.numbered_by(teacher.catalogue),
        time_split(decisions.time, LOOP.validation, LOOP.test),
    )
    torch.manual_seed(0)
    entry = REGISTRY["transformer"]
    initial = student._replace(policy=entry.policy(entry.config(**size), teacher.catalogue.trained).eval())
    count = [sum(p.numel() for p in made.policy.parameters()) for made in (student, teacher)]
    assert count[0] <= count[1] / 4
    assert rank_correlation(student, teacher, seen, test) > 0.7
    assert rank_correlation(initial, teacher, seen, test) < 0.3
    assert checkerboard.accuracy(student, seen, test) > 0.9
    assert student.provenance["teacher"] == teacher.version


def test_a_teacher_is_followed_to_the_last_epoch_whatever_validation_says(decisions: Decisions, tmp_path: Path) -> None:
    teacher, _ = run(decisions, epochs=1)
    path, still = str(artifact.save(teacher, tmp_path / "teacher")), DistillationConfig(learning_rate=1e-12)
    impatient = replace(LOOP, patience=1)
    wanted = RunConfig("matrix_factorization", {"width": 8}, teacher=path, distillation=still, training=impatient)
    lines: list[str] = []
    train(decisions, wanted, lines.append)
    assert len(lines) == 1 + impatient.epochs
    assert len(run(decisions, patience=1, model={"learning_rate": 1e-12})[1]) == 2, "clicks alone stop it"
    with pytest.raises(InvalidConfig, match=r"teacher matrix_.* found use_time true, expected false as in this run"):
        train(decisions, replace(wanted, use_time=False), lines.append)


def test_another_label_than_the_click_is_followed_to_the_last_epoch(decisions: Decisions) -> None:
    still = {"learning_rate": 1e-12}
    for name in ("dwell", "return", "diverse"):
        lines = run(read_for_half_a_minute(decisions), name, epochs=3, patience=1, model=still)[1]
        assert len(lines) == 1 + 3, name
    assert len(run(decisions, "transformer", epochs=3, patience=1, model=still)[1]) == 2, "clicks say when to stop"


def test_a_log_without_the_label_is_refused(decisions: Decisions) -> None:
    for name in ("dwell", "diverse"):
        with pytest.raises(InvalidConfig, match=rf"{name} learns from how long reads last: found no dwell, expected"):
            run(decisions, name)
    nobody = replace(decisions, returned=np.zeros_like(decisions.returned))
    for name in ("return", "dqn"):
        with pytest.raises(InvalidConfig, match=rf"{name} learns from who comes back: found no reader with a second"):
            run(nobody, name)
        with pytest.raises(InvalidConfig, match=rf"{name} learns from when readers come back, and use_time = false"):
            train(decisions, RunConfig(name, use_time=False, training=LOOP), lambda _: None)
    unknown = replace(decisions, propensity=np.full_like(decisions.propensity, np.nan))
    run(unknown, "return", epochs=1)
    with pytest.raises(InvalidConfig, match=r"dqn corrects for how slates were chosen: found no propensities"):
        run(unknown, "dqn")


def test_weights_to_start_from_that_are_not_there_or_do_not_fit_are_said(decisions: Decisions, tmp_path: Path) -> None:
    artifact.save(run(decisions, epochs=1, model={"width": 8})[0], tmp_path / "narrow")
    narrow = RunConfig(
        "transformer", warm_start=str(tmp_path / "narrow"), warm_start_layers=("content",), training=LOOP
    )
    with pytest.raises(InvalidConfig, match=r"content of matrix_factorization .* does not fit: found .* \[8, 64\]"):
        train(decisions, narrow, progress=lambda _: None)
    with pytest.raises(artifact.InvalidArtifact, match=r"policy.json cannot be read"):
        train(decisions, replace(narrow, warm_start=str(tmp_path / "none")), progress=lambda _: None)


def test_the_commit_is_the_image_s_or_the_checkout_s_or_unknown(
    decisions: Decisions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit() -> str:
        return run(decisions, "popularity", epochs=1)[0].provenance["commit"]

    monkeypatch.setenv("NEWSREC_COMMIT", "0123abc-dirty")
    assert commit() == "0123abc-dirty"
    monkeypatch.setenv("NEWSREC_COMMIT", "")
    if (ROOT / ".git").exists():
        head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        assert commit().removesuffix("-dirty") == head.stdout.strip()
    monkeypatch.setenv("PATH", str(tmp_path))  # no git, as in an image
    assert commit() == "unknown"


def test_a_loss_that_is_no_number_is_said(decisions: Decisions) -> None:
    with pytest.raises(InvalidConfig, match=r"matrix_factorization: found loss nan in epoch 1; lower model\."):
        run(decisions, model={"learning_rate": 1e30})


def test_a_log_that_is_too_small_is_said(decisions: Decisions) -> None:
    at_once = replace(decisions, time=np.full(300, decisions.time[0]))
    with pytest.raises(InvalidConfig, match=r"too small: found 300 decisions, 0 to train on and 0 to validate"):
        run(at_once)
    no_click = replace(decisions, feedback=np.zeros_like(decisions.feedback))
    with pytest.raises(InvalidConfig, match=r"too small: none of 60 validation decisions has a click that a"):
        run(no_click)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"policy": "oracle"}, "policy is 'oracle', expected one of popularity, "),
        ({"policy": "transformer", "model": {"widht": 8}}, "model: unknown key widht; did you mean width?"),
        ({"policy": "transformer", "model": {"heads": 3}}, "model: width is 64, expected a multiple of the 3 heads"),
        ({"policy": "popularity", "modle": {}}, "unknown key modle; did you mean model?"),
        ({"policy": "popularity", "training": {"epochs": 0}}, "epochs is 0, expected 1 or more"),
        ({"policy": "popularity", "training": {"test": 0.95}}, "leave nothing to train on"),
        ({"policy": "popularity", "reward": {"half_life_hours": 0}}, "half_life_hours is 0.0, expected more than 0"),
        (
            {"policy": "dqn", "warm_start_layers": ["histroy"]},
            "warm_start_layers[0]: found 'histroy', expected one of history, content, identity, context, critics",
        ),
        (
            {"policy": "dqn", "teacher": "runs/model"},
            "policy is 'dqn', expected one of matrix_factorization, transformer to learn from a teacher",
        ),
        ({}, "policy"),
    ],
)
def test_an_impossible_configuration_is_refused(values: dict, message: str) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(message)):
        config.from_mapping(RunConfig, values)


@pytest.mark.parametrize("name", REGISTRY)
def test_each_policy_has_a_file_that_states_only_differences(name: str) -> None:
    path = ROOT / "configs" / f"{name}.toml"
    loaded = config.load(RunConfig, path)
    assert loaded.policy == name
    defaults = config.to_mapping(RunConfig(name))
    defaults["model"] = config.to_mapping(REGISTRY[name].config())
    for key, value in tomllib.loads(path.read_text()).items():
        if key != "policy":
            same = [inner for inner, found in value.items() if defaults[key][inner] == found]
            assert not same, f"{path.name} repeats the defaults of {key}: {same}"


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, log = tmp_path_factory.mktemp("set"), checkerboard.log(decisions=300, content=True)
    events.write(log, directory / "log")
    readers = point_in_time(decision_moments(log), reader_snapshots(log), "user_id")
    articles = point_in_time(article_moments(log), article_snapshots(log), "article_id")
    pq.write_table(readers.take(pa.array(np.arange(len(readers))[::-1])), directory / "readers.parquet")
    pq.write_table(articles, directory / "articles.parquet")
    return directory


def test_trains_what_the_configuration_says_into_a_directory(
    training_set: Path, decisions: Decisions, tmp_path: Path
) -> None:
    wanted = {"policy": "matrix_factorization", "model": {"width": 8}, "training": config.to_mapping(LOOP)}
    lines: list[str] = []
    out = train_to(training_set, json.dumps(wanted), tmp_path / "model", lines.append)
    expected, _ = run(decisions, model={"width": 8})
    assert artifact.load(out).version == expected.version
    assert lines[0] == f"matrix_factorization: reading {training_set}"
    assert len(lines) == 6


def test_an_interrupted_training_leaves_nothing(training_set: Path, tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if "epoch 2" in line:
            raise KeyboardInterrupt

    wanted = json.dumps({"policy": "matrix_factorization", "training": config.to_mapping(LOOP)})
    with pytest.raises(KeyboardInterrupt):
        train_to(training_set, wanted, tmp_path / "model", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_training_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"readers.parquet is missing"):
        train_to(tmp_path, '{"policy": "popularity"}', tmp_path / "model")
