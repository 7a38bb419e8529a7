"""The pipeline of an experiment: on this machine with a real log, and what a cluster is sent."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from newsrec import events
from tests.evaluation.abtest.logs import active_log
from tests.pipelines.kubeflow import Kubeflow, details, task

pytestmark = pytest.mark.usefixtures("warm_tasks")
READING = 'control = "old"\nreaders = 600\n'


@pytest.fixture
def reading(tmp_path: Path) -> Path:
    path = tmp_path / "reading.toml"
    path.write_text(READING)
    return path


def test_an_experiment_is_read_on_this_machine(
    run: Callable[..., int], reading: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    rate = generator.beta(1.0, 3.0, 600)
    arms = np.where(generator.random(600) < 0.5, "new", "old")
    gain = np.where((arms == "new")[:, None] & (np.arange(70) >= 35), 1.5, 1.0)
    active = generator.random((600, 70)) < np.clip(rate[:, None] * gain, 0.0, 0.95)
    log = events.write(active_log(active, np.zeros(600, int), arms, since=30), tmp_path / "log")
    root = tmp_path / "runs"
    arguments = ("experiment", "--root", root, "--source", f"events:{log}", "--config", reading)
    assert run(*arguments, "--until", "2024-03-11T00:00:00Z") == 0
    printed = capsys.readouterr().out
    assert "## new: better" in printed
    assert "| active days in 28, CUPED | +" in printed
    (metrics,) = root.glob("pipelines/*/*/analyse/metrics")
    (compared,) = json.loads(metrics.read_text())["comparisons"]
    assert compared["verdict"] == "better"
    ledger = [json.loads(line) for line in (root / "releases" / "runs.jsonl").read_text().splitlines()]
    assert ledger[-1]["state"] == "SUCCEEDED"
    reading.write_text(READING.replace("old", "older"))
    assert run(*arguments) == 2
    assert "expected older (the control) and others" in capsys.readouterr().err


def test_a_cluster_reads_its_own_log(run: Callable[..., int], kubeflow: Kubeflow, reading: Path) -> None:
    kubeflow.scripts["newsrec-experiment"] = iter([{"state": "SUCCEEDED", **details(task("analyse", "SUCCEEDED", 5))}])
    assert run("experiment", "--host", kubeflow.host, "--config", reading) == 0
    (sent,) = kubeflow.runs.values()
    arguments = sent["runtime_config"]["parameters"]
    assert arguments["source"] == "log:postgresql://newsrec@postgres.newsrec/newsrec"
    assert json.loads(arguments["config"])["control"] == "old"
    assert arguments["until"] == ""
    assert sent["display_name"] == f"experiment-{arguments['run']}"


@pytest.mark.parametrize(
    "arguments", [[], ["--root", "runs"], ["--root", "runs", "--host", "HOST", "--source", "log:x"]]
)
def test_where_and_what_must_be_said(
    arguments: list[str], run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("experiment", *arguments) == 2
    assert "experiment takes --host URL, or --root DIR and --source" in capsys.readouterr().err
