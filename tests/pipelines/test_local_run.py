"""The whole pipeline through KFP's local runner, with real Feast, real training and a real release, again and again."""

import builtins
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from feature_repo.store import open_store
from newsrec import artifact, config, events, ingestion, releases
from newsrec.simulator.config import SimulationConfig
from pipelines import submission
from pipelines.cluster import ClusterConfig
from pipelines.local import RunFailed, RunResult, run
from pipelines.submission import Submission

pytestmark = pytest.mark.usefixtures("warm_tasks")
LENIENT = """
min_lift_over_popularity = -1.0
min_lift_over_incumbent = -1.0
min_coverage_of_incumbent = 0.0
max_same_list = 1.0
"""
CACHED = ["evaluate", "features", "ingest", "train", "train"]


class Site:
    """One site's folder: its log, its configurations, its releases."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log"
        self.gate = root / "gate.toml"
        self.policies = (root / "popularity.toml", root / "matrix_factorization.toml")
        ingestion.simulate_to(SimulationConfig(readers=150, days=4, articles_per_day=20), self.log)
        self.gate.write_text(LENIENT)
        for path in self.policies:
            path.write_text(f'policy = "{path.stem}"\n[training]\nepochs = 1\n')

    def submission(self) -> Submission:
        return Submission(f"events:{self.log}", self.policies, self.root, gate=self.gate)

    def run(self) -> RunResult:
        return run("training", self.submission().training(), self.root / "runs", Console(quiet=True))

    def served(self) -> releases.Release:
        release = releases.current(self.root / "releases")
        assert release is not None
        return release

    def ledger(self) -> list[dict]:
        return [json.loads(line) for line in (self.root / "releases" / "runs.jsonl").read_text().splitlines()]

    def add_article(self, article_id: str) -> None:
        log = events.read(self.log)
        first = log.articles.slice(0, 1).set_column(0, "article_id", pa.array([article_id]))
        events.write(log._replace(articles=pa.concat_tables([log.articles, first])), self.log)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def first(site: Site) -> RunResult:
    return site.run()


def test_a_first_run_executes_everything_and_publishes(site: Site, first: RunResult) -> None:
    expected = [
        "evaluate",
        "features",
        "gate",
        "ingest",
        "materialize",
        "publish",
        "report",
        "resolve",
        "train",
        "train",
    ]
    assert sorted(first.executed) == sorted(expected)
    assert first.cached == []
    assert sorted(artifact.load(folder).name for folder in first.trained) == ["matrix_factorization", "popularity"]
    assert first.verdict is not None
    assert first.verdict["decision"] == "ship"
    release = site.served()
    served = artifact.load(release.directory)
    assert served.version == release.version
    assert served.name == first.verdict["candidate"]
    assert site.ledger()[-1] == {"run": release.run, "state": "SUCCEEDED", "error": "", "served": release.version}


def test_the_gate_leaves_a_page_that_names_the_run_and_its_winner(site: Site, first: RunResult) -> None:
    assert first.verdict is not None
    page = (first.directory / "gate" / "page").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert f"<h1>{site.served().run}</h1>" in page
    assert f"<strong>Ship</strong> {first.verdict['candidate']} as the first release." in page
    assert "What readers would see" in page


def test_a_run_leaves_print_and_the_root_logger_as_they_were(first: RunResult) -> None:
    assert builtins.print.__module__ == "builtins"
    assert not [
        handler for handler in logging.getLogger().handlers if "MillisecondFormatter" in repr(handler.formatter)
    ]


def test_the_features_are_online_in_feast(site: Site, first: RunResult) -> None:
    log = events.read(site.log)
    readers = log.feedback["user_id"].unique().to_pylist()
    rows = open_store(site.root / "store").readers([*readers, "nobody"])
    assert all(row["sessions"] >= 1 for row in rows[:-1])
    newest = max(row["event_timestamp"] for row in rows[:-1])
    assert newest == events.microseconds(log.feedback["received_at"]).max()
    assert rows[-1]["sessions"] is None


def test_the_same_run_again_takes_what_has_not_changed_from_the_cache(site: Site, first: RunResult) -> None:
    before = site.served()
    again = site.run()  # the incumbent is another: evaluated anew
    assert sorted(again.cached) == [task for task in CACHED if task != "evaluate"]
    assert again.verdict is not None
    assert again.verdict["decision"] == "refuse"
    assert any("nothing to gain" in reason for reason in again.verdict["reasons"])
    assert "publish" not in again.executed
    assert site.served() == before
    named = [line["run"] for line in site.ledger()]
    assert len(set(named)) == 2
    assert len({run.partition("/")[0] for run in named}) == 1
    assert before.run == named[0]
    third = site.run()
    assert sorted(third.cached) == CACHED
    assert sorted(third.trained) == sorted(again.trained) == sorted(first.trained)
    assert sorted(third.executed) == ["gate", "materialize", "report", "resolve"]


def test_a_changed_configuration_trains_that_policy_alone(site: Site, first: RunResult) -> None:
    path = site.policies[1]
    path.write_text(path.read_text() + "[model]\nwidth = 8\n")
    result = site.run()
    assert sorted(result.cached) == ["features", "ingest", "train"]
    assert "train" in result.executed
    kept = {artifact.load(folder).name for folder in {*result.trained} & {*first.trained}}
    assert (len(result.trained), kept) == (2, {"popularity"})


def test_changed_data_run_anew_and_a_failed_task_is_named_in_the_ledger(site: Site, first: RunResult) -> None:
    before = site.served()
    site.add_article("late-addition")
    weights = before.directory / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(RunFailed, match=r"task evaluate failed: .*InvalidArtifact: .*weights"):
        site.run()
    weights.write_bytes(whole)
    assert site.served() == before
    failed = site.ledger()[-1]
    assert (failed["state"], failed["served"]) == ("FAILED", before.version)
    assert set(site.run().cached) == {"ingest", "features", "train"}  # of the changed data, by the run that failed


def test_changed_code_runs_anew(site: Site, first: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    unchanged = site.submission().training()
    monkeypatch.setattr(submission, "code_digest", lambda: "another")
    changed = site.submission().training()
    assert {name for name in changed if changed[name] != unchanged[name]} == {"code", "run"}
    assert site.run().cached == []


def copied_tree(target: Path) -> Path:
    for name in ("newsrec/a.py", "feature_repo/b.py", "components/c.py", "docs/d.py"):
        (target / name).parent.mkdir(parents=True)
        (target / name).write_text("x = 1\n")
    (target / "requirements.lock").write_text("torch==1\n")
    return target


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda root: (root / "newsrec/a.py").write_text("x = 2\n"), True),
        (lambda root: (root / "components/c.py").rename(root / "components/e.py"), True),
        (lambda root: (root / "requirements.lock").write_text("torch==2\n"), True),
        (lambda root: (root / "docs/d.py").write_text("x = 2\n"), False),
    ],
)
def test_the_code_digest_follows_the_components_sources(tmp_path: Path, change: Callable, differs: bool) -> None:
    root = copied_tree(tmp_path)
    before = submission.code_digest(root)
    change(root)
    assert (submission.code_digest(root) != before) == differs


def test_a_log_that_is_not_there_is_refused_at_submission(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Submission(f"events:{tmp_path}/none", (), tmp_path).training()
    assert not list(tmp_path.iterdir())


def test_a_path_of_this_machine_is_refused_for_a_cluster(tmp_path: Path) -> None:
    wanted = Submission("mind:data", (), Path("/mnt/newsrec"), cluster=ClusterConfig())
    with pytest.raises(config.InvalidConfig, match="expected a path below /mnt/newsrec"):
        wanted.training()
    there = replace(wanted, source="mind:/mnt/newsrec/data").training()
    assert there["source"] == "mind:/mnt/newsrec/data"
    assert (there["storage"], there["service"]) == ("s3://mlpipeline/newsrec/releases", "newsrec/newsrec")


def test_an_unknown_key_in_a_policys_table_is_refused_at_submission(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('policy = "popularity"\n[model]\nlerning_rate = 1.0\n')
    wanted = Submission("simulated", (path,), tmp_path)
    with pytest.raises(config.InvalidConfig, match="unknown key lerning_rate; did you mean learning_rate"):
        wanted.training()
