"""The daily look from paths to files: a broken day fails and says why, a release is kept, retrained or rolled back."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from newsrec import artifact, config, events, mixture, releases
from newsrec.config import InvalidConfig
from newsrec.events import CONTEXT, EventLog, microseconds
from newsrec.features import DAY
from newsrec.files import write_whole
from newsrec.releases import Conflict
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from newsrec.supervision import ContractBroken, FeedbackConfig, check_to, observe_to
from tests.monitoring.releases import HALF, two_releases, world
from tests.trained import made

SEED = 1
END = world(SEED).end_time
PATIENT = json.dumps({"rules": {"max_growth": 2.0}})
"""Half the log is new to the second release."""


def write_training_set(log: EventLog, directory: Path) -> Path:
    events.write(log, directory / "log")
    readers = point_in_time(decision_moments(log), reader_snapshots(log), "user_id")
    articles = point_in_time(article_moments(log), article_snapshots(log), "article_id")
    pq.write_table(readers, directory / "readers.parquet")
    pq.write_table(articles, directory / "articles.parquet")
    return directory


@pytest.fixture
def root(tmp_path) -> Path:
    """Releases in which a second one followed the first after HALF of the days."""
    incumbent, time = "", microseconds(two_releases(SEED, worse=False).recommendations["time"])
    last_before = int(time[time < world(SEED).start_time + HALF * DAY].max())
    for seed, data_until in enumerate((world(SEED).start_time, last_before)):
        model = artifact.save(made(seed=seed, data_until=data_until), tmp_path / f"model-{seed}")
        incumbent = releases.publish_artifact(tmp_path / "releases", model, incumbent, f"run-{seed}")
    return tmp_path / "releases"


def served_by(root: Path, log: EventLog) -> EventLog:
    """``log`` with the versions of the two releases in ``root``."""
    release = releases.current(root)
    second = pc.equal(log.recommendations["policy_version"], "second")
    at = log.recommendations.schema.get_field_index("policy_version")
    versions = pc.if_else(second, release.version, release.previous)
    return log._replace(recommendations=log.recommendations.set_column(at, "policy_version", versions))


def observed(root: Path, log: EventLog, tmp_path: Path, rules: str = "{}") -> tuple[str, dict]:
    """The action, and the metrics that say so."""
    training_set = write_training_set(served_by(root, log), tmp_path / "set")
    out = tmp_path / "metrics.json", tmp_path / "report"
    action = observe_to(training_set, root, releases.current(root).version, END, rules, *out)
    metrics = json.loads(out[0].read_text())
    assert metrics["action"] == action
    return action, metrics


def test_a_bad_release_is_rolled_back(root, tmp_path):
    second = releases.current(root)
    action, metrics = observed(root, two_releases(SEED, worse=True), tmp_path)
    assert (action, metrics["reasons"]) == ("roll_back", ["bad_release"])
    assert [rule["name"] for rule in metrics["rules"] if rule["fired"]] == ["bad_release", "growth"]
    assert metrics["value"]["difference"]["reward"]["high"] < 0
    assert metrics["release"]["version"] == second.version
    assert releases.roll_back(root, second.version).version == second.previous


def test_a_bad_candidate_in_a_mixture_is_rolled_back(root, tmp_path):
    """The log names the arms' own versions, never the mixture's."""
    first, second = releases.current(root).previous, releases.current(root)
    log = served_by(root, two_releases(SEED, worse=True))
    releases.roll_back(root)
    mixture.write(tmp_path / "mix", root / "versions" / first, second.directory, 0.5, "front-page")
    version = releases.publish_artifact(root, tmp_path / "mix", first, "mixes")
    training_set, out = write_training_set(log, tmp_path / "set"), (tmp_path / "metrics.json", tmp_path / "report")
    assert observe_to(training_set, root, version, END, "{}", *out) == "roll_back"
    metrics = json.loads(out[0].read_text())
    assert (metrics["release"]["version"], metrics["release"]["previous"]) == (version, first)
    assert metrics["reasons"] == ["bad_release"]
    assert releases.roll_back(root, version).version == first


def test_a_release_that_changes_nothing_is_kept(root, tmp_path):
    action, metrics = observed(root, two_releases(SEED, worse=False), tmp_path, PATIENT)
    assert (action, metrics["reasons"]) == ("keep", [])
    version = two_releases(SEED, worse=False).recommendations["policy_version"].to_pylist()
    assert metrics["release"]["known"] == version.count("first")
    assert metrics["release"]["new"] == version.count("second")
    report = (tmp_path / "report" / "report.md").read_text()
    assert report.startswith("# The served release, 2024-03-12 00:00 UTC\n\n**keep**\n")
    assert "- quiet drift: none of " in report
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.md", "value.png", "drift.png"}


def test_tablets_everywhere_retrain(root, tmp_path):
    log = two_releases(SEED, worse=False)
    last_day = pa.array(microseconds(log.recommendations["time"]) >= END - DAY)
    context = log.recommendations["context"].combine_chunks()
    fields = {field.name: pc.struct_field(context, field.name) for field in CONTEXT}
    fields["device"] = pc.if_else(last_day, "tablet", fields["device"])
    shifted = pa.StructArray.from_arrays([fields[field.name] for field in CONTEXT], fields=list(CONTEXT))
    at = log.recommendations.schema.get_field_index("context")
    log = log._replace(recommendations=log.recommendations.set_column(at, "context", shifted))
    action, metrics = observed(root, log, tmp_path, PATIENT)
    assert (action, metrics["reasons"]) == ("retrain", ["drift"])
    assert [name for name, drift in metrics["drift"].items() if drift["drifted"]] == ["device"]
    assert metrics["drift"]["device"]["why"].endswith(" before, 100.0% today")


def test_a_site_without_a_release_is_trained(tmp_path):
    out = tmp_path / "metrics.json", tmp_path / "report"
    assert observe_to(tmp_path / "unread", tmp_path / "releases", "", END, "{}", *out) == "retrain"
    metrics = json.loads(out[0].read_text())
    assert metrics["reasons"] == ["no_release"]
    assert metrics["value"] is None
    assert [path.name for path in out[1].iterdir()] == ["report.md"]


def test_another_release_than_the_run_began_with_is_not_judged(root, tmp_path):
    version = releases.current(root).version
    with pytest.raises(Conflict, match=f"{version} is served by now, expected nothing; run it again"):
        observe_to(tmp_path, root, "", END, "{}", tmp_path / "metrics.json", tmp_path / "report")
    with pytest.raises(Conflict, match="nothing is served by now, expected gone"):
        observe_to(tmp_path, tmp_path / "empty", "gone", END, "{}", tmp_path / "metrics.json", tmp_path / "report")
    assert not (tmp_path / "metrics.json").exists()


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    return events.write(two_releases(SEED, worse=False), tmp_path_factory.mktemp("log") / "log")


def test_a_sound_day_passes_and_is_written_down(log, tmp_path):
    check_to(log, END, "{}", tmp_path / "contract")
    content = json.loads((tmp_path / "contract" / "contract.json").read_text())
    assert content["passed"]
    assert {check["name"] for check in content["checks"] if check["judged"]} > {"decisions", "click_rate", "traffic"}
    assert "The day may be learned from." in (tmp_path / "contract" / "report.md").read_text()


def test_a_broken_day_fails_after_its_report_is_written(log, tmp_path):
    rules = json.dumps({"contract": {"max_click_rate": 0.01, "max_dwell_seconds": 2.0}})
    with pytest.raises(ContractBroken) as raised:
        check_to(log, END, rules, tmp_path / "contract")
    first, second = str(raised.value).split("; ")
    assert first.startswith("click_rate: found 0.0")
    assert ", expected 0.0005 to 0.01: are clicks lost, or sent twice?" in first
    assert second.startswith("dwell_seconds: found ")
    content = json.loads((tmp_path / "contract" / "contract.json").read_text())
    assert [check["name"] for check in content["checks"] if not check["passed"]] == ["click_rate", "dwell_seconds"]
    text = (tmp_path / "contract" / "report.md").read_text()
    assert "2 of 14 clauses are broken." in text
    assert f"- {first}" in text


def test_a_day_without_events_fails_with_one_sentence(log, tmp_path):
    with pytest.raises(ContractBroken) as raised:
        check_to(log, END + 3 * DAY, "{}", tmp_path / "contract")
    assert str(raised.value) == (
        "decisions: found 0 decisions in the 24 h up to 2024-03-15 00:00 UTC, expected at least 1: is the collector up?"
    )


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ("{", "the feedback rules are no JSON"),
        ("[]", "expected an object"),
        ('{"drift": {"treshold": 1}}', "feedback.drift: unknown key treshold; did you mean threshold?"),
        ('{"days": 0}', "days is 0, expected 1 or more"),
    ],
)
def test_rules_that_cannot_be_used_are_refused_before_anything_is_read(rules, sentence, tmp_path):
    with pytest.raises(InvalidConfig, match=sentence.replace("?", r"\?")):
        check_to(tmp_path / "nowhere", END, rules, tmp_path / "contract")
    with pytest.raises(InvalidConfig):
        observe_to(tmp_path, tmp_path, "", END, rules, tmp_path / "metrics.json", tmp_path / "report")


def test_the_example_says_only_what_differs_from_the_defaults(tmp_path):
    example = config.load(FeedbackConfig, Path(__file__).parent.parent / "configs" / "feedback.toml")
    assert example != FeedbackConfig()
    there_and_back = config.from_mapping(FeedbackConfig, json.loads(json.dumps(config.to_mapping(example))))
    assert there_and_back == example
    write_whole(tmp_path / "empty.toml", "")
    assert config.load(FeedbackConfig, tmp_path / "empty.toml") == FeedbackConfig()
