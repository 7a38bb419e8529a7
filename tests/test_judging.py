"""Judging: the winner is chosen on validation, compared on test, and every artefact is read as it was trained."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from newsrec import artifact, events, mixture, releases, training
from newsrec.artifact import Artifact
from newsrec.catalogue import from_articles
from newsrec.decisions import Decisions, time_split
from newsrec.evaluation.comparison import ComparisonConfig
from newsrec.evaluation.ranking import evaluate
from newsrec.events import EventLog
from newsrec.features import feature_hash
from newsrec.gating import Run, gate_to
from newsrec.judging import CannotJudge, JudgingConfig, evaluate_to, judge
from newsrec.policy import mask_scores
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from newsrec.training import RunConfig, TrainingConfig
from tests.evaluation.logs import (
    ByFate,
    ByIdentity,
    ByWorth,
    article,
    build_log,
    decision,
    decisions_of,
    random_log,
    reordered,
)

QUICK = JudgingConfig(comparison=ComparisonConfig(draws=100))
SMALL = TrainingConfig(epochs=2, validation=0.2, test=0.3)


def hand_made(policy, decisions: Decisions, name: str = "", use_time: bool = True, **provenance) -> Artifact:
    name = name or type(policy).__name__
    return Artifact(name, policy, decisions.catalogue, use_time, provenance, feature_hash(), f"version of {name}")


def write_training_set(log: EventLog, directory: Path) -> Path:
    events.write(log, directory / "log")
    readers = point_in_time(decision_moments(log), reader_snapshots(log), "user_id")
    articles = point_in_time(article_moments(log), article_snapshots(log), "article_id")
    pq.write_table(readers, directory / "readers.parquet")
    pq.write_table(articles, directory / "articles.parquet")
    return directory


@pytest.fixture(scope="module")
def log() -> EventLog:
    return random_log(4, readers=40, decisions=500)


@pytest.fixture(scope="module")
def training_set(log, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("set")
    return write_training_set(log, directory)


@pytest.fixture(scope="module")
def models(log, tmp_path_factory) -> list[Path]:
    """Popularity and matrix factorisation, really trained, on articles in another order than the training set has."""
    decisions, directory = decisions_of(reordered(log, np.arange(60)[::-1])), tmp_path_factory.mktemp("models")
    runs = [RunConfig("popularity", training=SMALL), RunConfig("matrix_factorization", training=SMALL)]
    trained = [training.train(decisions, run, progress=lambda line: None) for run in runs]
    return [artifact.save(model, directory / model.name) for model in trained]


@pytest.fixture(scope="module")
def release(models, tmp_path_factory) -> tuple[Path, str]:
    """A releases folder in which matrix factorisation is served, and its version."""
    root, model = tmp_path_factory.mktemp("releases"), artifact.load(models[1])
    artifact.save(model, root / "versions" / model.version)
    return root, model.version


@pytest.fixture(scope="module")
def judged(training_set, models, release, tmp_path_factory) -> Path:
    """winner, metrics and report of both models against the release."""
    out = tmp_path_factory.mktemp("judged")
    name = evaluate_to(training_set, models, *release, out / "winner", out / "metrics.json", out / "report", QUICK)
    assert name == json.loads((out / "metrics.json").read_text())["selection"]["winner"]
    return out


def test_the_winner_is_copied_whole(judged, models):
    comparison = json.loads((judged / "metrics.json").read_text())
    winner = artifact.load(judged / "winner")
    assert winner.version == comparison["models"][comparison["selection"]["winner"]]["version"]
    assert winner.version in {artifact.load(model).version for model in models}


def test_all_are_compared_on_the_test_decisions_of_their_training(judged, log, models, release):
    comparison = json.loads((judged / "metrics.json").read_text())
    time = decisions_of(log).time
    _, validation, test = time_split(time, 0.2, 0.3)
    assert comparison["protocol"]["decisions"] == len(test)
    assert comparison["selection"]["protocol"]["decisions"] == len(validation)
    assert comparison["selection"]["protocol"]["to"] < comparison["protocol"]["from"]
    assert list(comparison["policies"]) == ["popularity", "matrix_factorization", "incumbent"]
    assert list(comparison["differences"]) == ["popularity", "incumbent"]
    assert comparison["models"]["incumbent"] == {"policy": "matrix_factorization", "version": release[1]}
    assert comparison["notes"] == []


def test_a_served_mixture_is_judged_by_its_incumbent(judged, training_set, models, tmp_path):
    version = mixture.write(tmp_path / "mix", models[1], models[0], 0.1, "front-page")
    releases.publish_artifact(tmp_path / "releases", tmp_path / "mix", "", "run")
    out = tmp_path / "winner", tmp_path / "metrics.json", tmp_path / "report"
    evaluate_to(training_set, models, tmp_path / "releases", version, *out, QUICK)
    assert json.loads(out[1].read_text()) == json.loads((judged / "metrics.json").read_text())


def test_an_artefact_of_differently_ordered_articles_is_read_right(judged, log, models):
    comparison = json.loads((judged / "metrics.json").read_text())
    trained_on = decisions_of(reordered(log, np.arange(60)[::-1]))
    _, _, test = time_split(trained_on.time, 0.2, 0.3)
    expected = evaluate(artifact.load(models[1]).policy, trained_on, test).metrics
    for name in ("ndcg_at_10", "mrr", "impression_auc"):
        found = comparison["policies"]["matrix_factorization"][name]["mean"]
        assert found == pytest.approx(np.nanmean(expected[name]), abs=1e-6), name


def test_the_report_tells_how_the_winner_was_chosen(judged):
    text = (judged / "report" / "report.md").read_text()
    assert "validation decisions" in text
    assert (judged / "report" / "policies.png").exists()


def test_the_report_holds_kinds_of_readers_and_slates_beside_it(judged):
    comparison = json.loads((judged / "metrics.json").read_text())
    slices = json.loads((judged / "report" / "slices.json").read_text())
    readers = {part["slice"]: part for part in slices["groups"]["readers"]}
    assert (
        sum(part["decisions"] for part in readers.values()) == comparison["policies"]["incumbent"]["mrr"]["decisions"]
    )
    assert readers["occasional readers"]["lifts"].keys() == {"matrix_factorization", "incumbent"}
    shown = json.loads((judged / "report" / "examples.json").read_text())
    assert shown["policies"] == [comparison["selection"]["winner"], "incumbent"]
    assert {len(slate["articles"]) for one in shown["examples"] for slate in one["slates"].values()} == {5}


def test_a_single_policy_has_nobody_to_stand_beside(training_set, models, tmp_path):
    places = tmp_path / "winner", tmp_path / "metrics", tmp_path / "report"
    evaluate_to(training_set, models[:1], tmp_path, "", *places, QUICK)
    assert (tmp_path / "report" / "slices.json").exists()
    assert not (tmp_path / "report" / "examples.json").exists()


def ranked(folder: Path, judged: Path, gate: str) -> str:
    """The decision of rankings on ``folder``'s metrics.json, without a look at log, winner or releases."""
    nothing, run = folder / "none", Run(folder / "none", "", "run")
    return gate_to(nothing, nothing, folder / "metrics.json", judged / "report", run, gate, folder / "verdict")


def test_a_winner_that_is_served_already_has_nothing_to_gain(judged, tmp_path):
    comparison = json.loads((judged / "metrics.json").read_text())
    comparison["selection"]["winner"] = "matrix_factorization"
    (tmp_path / "metrics.json").write_text(json.dumps(comparison))
    decision = ranked(tmp_path, judged, "{}")
    assert decision == "refuse"
    reasons = json.loads((tmp_path / "verdict" / "verdict.json").read_text())["reasons"]
    assert "matrix_factorization gives the same list as incumbent in every decision: nothing to gain" in reasons


def test_the_verdict_stands_with_its_table_and_on_top_of_the_report(judged, tmp_path):
    lenient = {"min_lift_over_popularity": -1.0, "min_lift_over_incumbent": -1.0, "max_same_list": 1.0}
    comparison = json.loads((judged / "metrics.json").read_text())
    comparison["selection"]["winner"] = "popularity"
    (tmp_path / "metrics.json").write_text(json.dumps(comparison))
    gate = json.dumps(lenient | {"min_coverage_of_incumbent": 0.0})
    assert ranked(tmp_path, judged, gate) == "ship"
    text = (tmp_path / "verdict" / "verdict.md").read_text()
    assert text.startswith("**Ship** popularity instead of incumbent.")
    assert "| nDCG@10 |" in text
    assert "## Verdict\n\n**Ship**" in (tmp_path / "verdict" / "report.md").read_text()
    shown = {path.name for path in (tmp_path / "verdict").iterdir()}
    assert shown >= {"verdict.json", "policies.png", "lifts.png", "lists.png", "slices.png"}
    assert shown >= {"slices.json", "examples.json"}
    assert json.loads((tmp_path / "verdict" / "comparison.json").read_text()) == comparison


def turning_log() -> EventLog:
    """100 decisions of 10 readers, who click the best of three articles in the first 75, then the worst."""
    rows = []
    for i in range(100):
        shown = np.random.default_rng(i).permutation(9)[:3].tolist()
        rows.append(decision(f"r{i:02}", f"u{i % 10}", i / 2, shown, [max(shown) if i < 75 else min(shown)]))
    return build_log([article(i) for i in range(9)], rows)


def test_the_winner_is_chosen_on_validation_and_not_on_test():
    decisions = decisions_of(turning_log())
    split = {"run": {"training": {"validation": 0.2, "test": 0.25}}}
    candidates = {p.__class__.__name__: hand_made(p, decisions, **split) for p in (ByFate(), ByWorth())}
    found = judge(decisions, candidates, None, QUICK)
    assert found["selection"]["winner"] == "ByWorth"
    assert found["policies"]["ByFate"]["impression_auc"]["mean"] == 1.0
    assert found["policies"]["ByWorth"]["impression_auc"]["mean"] == 0.0
    assert found["protocol"]["decisions"] == 25


def test_without_popularity_its_untrained_form_is_the_baseline_and_cannot_win():
    decisions = decisions_of(turning_log())
    found = judge(decisions, {"ByFate": hand_made(ByFate(), decisions)}, None, QUICK)
    assert list(found["differences"]) == ["popularity"]
    assert found["selection"]["winner"] == "ByFate"
    assert list(found["selection"]["policies"]) == ["ByFate"]
    assert found["notes"] == ["No model is called popularity: the gate's baseline is its untrained form."]


def test_an_incumbent_of_an_older_catalogue_is_scored_by_its_own_numbers():
    log = random_log(3)
    older = from_articles(log.articles.slice(5, 40))
    incumbent = hand_made(ByIdentity(40), decisions_of(log))._replace(catalogue=older)
    results = []
    for order in (np.arange(60), np.random.default_rng(1).permutation(60)):
        decisions = decisions_of(reordered(log, order))
        found = judge(decisions, {"ByWorth": hand_made(ByWorth(), decisions)}, incumbent, QUICK)
        results.append(found["policies"]["incumbent"])
    assert results[0] == results[1]
    _, _, test = time_split(decisions.time, 0.1, 0.2)
    direct = evaluate(ByIdentity(40), decisions_of(log).numbered_by(older), test)
    assert results[0]["mrr"]["mean"] == pytest.approx(np.nanmean(direct.metrics["mrr"]))


def test_a_policy_trained_without_time_sees_none():
    class ByAge:
        config = None

        def scores(self, state, candidates):
            return mask_scores(candidates.age_hours, candidates)

    decisions = decisions_of(random_log(5))
    candidates = {n: hand_made(ByAge(), decisions, n, use_time=n == "timed") for n in ("timed", "timeless")}
    found = judge(decisions, candidates, None, QUICK)["policies"]
    assert found["timeless"]["impression_auc"]["mean"] == 0.5
    assert found["timed"]["impression_auc"]["mean"] != 0.5


def test_an_incumbent_of_other_features_is_left_out_and_that_is_said():
    decisions = decisions_of(turning_log())
    incumbent = hand_made(ByFate(), decisions)._replace(feature_hash="0123456789abcdef")
    found = judge(decisions, {"ByWorth": hand_made(ByWorth(), decisions)}, incumbent, QUICK)
    assert "incumbent" not in found["policies"]
    assert "trained on features 0123456789abcdef" in found["notes"][1]


def test_two_models_of_one_policy_keep_apart(training_set, models, tmp_path):
    decisions = decisions_of(random_log(4, readers=40, decisions=500))
    other = training.train(decisions, RunConfig("popularity", seed=1, training=SMALL), progress=lambda line: None)
    both = [models[0], artifact.save(other, tmp_path / "other")]
    evaluate_to(training_set, both, tmp_path, "", tmp_path / "winner", tmp_path / "metrics", tmp_path / "report", QUICK)
    assert list(json.loads((tmp_path / "metrics").read_text())["policies"]) == [
        "popularity",
        f"popularity {other.version}",
    ]


def test_models_that_cannot_be_judged_together_are_refused():
    decisions = decisions_of(turning_log())
    with pytest.raises(CannotJudge, match="no models"):
        judge(decisions, {}, None, QUICK)
    splits = [{"run": {"training": {"test": share}}} for share in (0.2, 0.3)]
    candidates = {f"m{i}": hand_made(ByWorth(), decisions, **split) for i, split in enumerate(splits)}
    with pytest.raises(CannotJudge, match=r"m0 \(0.1, 0.2\), m1 \(0.1, 0.3\)"):
        judge(decisions, candidates, None, QUICK)
    late = hand_made(ByWorth(), decisions, events_until=int(decisions.time[-1]))
    with pytest.raises(CannotJudge, match="late was trained on decisions up to"):
        judge(decisions, {"late": late}, None, QUICK)


def test_a_log_that_cannot_choose_is_refused():
    one = decisions_of(build_log([article(0), article(1)], [decision("r0", "ann", 0.1, "01", clicks="0")]))
    with pytest.raises(CannotJudge, match="too small to judge policies on: found 0 validation"):
        judge(one, {"ByWorth": hand_made(ByWorth(), one)}, None, QUICK)
    rows = [decision(f"r{i}", "ann", i, "01") for i in range(20)]
    silent = decisions_of(build_log([article(0), article(1)], rows))
    with pytest.raises(CannotJudge, match="none of 2 validation decisions has a click"):
        judge(silent, {"ByWorth": hand_made(ByWorth(), silent)}, None, QUICK)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"selection": 3}'])
def test_a_file_that_holds_no_comparison_is_refused(content, tmp_path):
    (tmp_path / "metrics").write_text(content)
    with pytest.raises(CannotJudge, match="holds no comparison"):
        gate_to(tmp_path, tmp_path, tmp_path / "metrics", tmp_path, Run(tmp_path, "", "r"), "{}", tmp_path / "verdict")
    assert not (tmp_path / "verdict").exists()
