"""``python -m pipelines``: what each command sends, prints and returns, and how it fails."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from newsrec import config, supervision
from pipelines import __main__ as command_line
from pipelines import submission
from pipelines.cluster import ClusterConfig
from tests.conftest import ROOT
from tests.pipelines.kubeflow import Kubeflow, details, task

CLUSTERS = ROOT / "configs" / "clusters"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "popularity.toml"
    path.write_text('policy = "popularity"\n')
    return path


def only(runs: dict[str, dict]) -> tuple[str, dict]:
    ((run_id, run),) = runs.items()
    return run_id, run["runtime_config"]["parameters"]


def test_compile_for_a_cluster(run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site.toml").write_text('image = "registry.example.org/newsrec-pipeline:7"\n')
    assert run("compile", "--out", tmp_path / "out", "--cluster", tmp_path / "site.toml") == 0
    names = [f"newsrec-{name}.yaml" for name in ("training", "feedback", "roll-back", "deploy", "experiment")]
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "out" / name) for name in names]
    spec, _ = yaml.safe_load_all((tmp_path / "out" / names[2]).read_text())
    image = spec["deploymentSpec"]["executors"]["exec-roll-back"]["container"]["image"]
    assert image == "registry.example.org/newsrec-pipeline:7"


@pytest.mark.parametrize("name", ["kind", "production"])
def test_the_clusters_of_this_repository(name: str) -> None:
    found = config.load(ClusterConfig, CLUSTERS / f"{name}.toml")
    assert (found == ClusterConfig()) == (name == "kind")
    assert found.storage == {"kind": ClusterConfig.storage, "production": "s3://newsrec/releases"}[name]


def test_submit_trains_on_a_simulated_log(
    run: Callable[..., int], kubeflow: Kubeflow, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("submit", "--host", kubeflow.host, "--policy", policy) == 0
    run_id, arguments = only(kubeflow.runs)
    assert capsys.readouterr().out.splitlines() == [f"run {run_id}", f"{kubeflow.host}/#/runs/details/{run_id}"]
    assert (arguments["source"], arguments["store"]) == ("simulated", "/mnt/newsrec/store")
    assert [json.loads(text)["policy"] for text in arguments["policies"]] == ["popularity"]
    assert kubeflow.runs[run_id]["display_name"] == f"training-{arguments['run']}"


def test_submit_feedback_reads_the_clusters_log(
    run: Callable[..., int], kubeflow: Kubeflow, policy: Path, tmp_path: Path
) -> None:
    (tmp_path / "site.toml").write_text('event_log = "postgresql://me@db/log"\nroot = "/data"\n')
    (tmp_path / "rules.toml").write_text("days = 2\n")
    site = ["--cluster", tmp_path / "site.toml", "--rules", tmp_path / "rules.toml"]
    until = "2026-01-31T04:00:00Z"
    assert run("submit", "feedback", "--host", kubeflow.host, "--policy", policy, *site, "--until", until) == 0
    _, arguments = only(kubeflow.runs)
    assert (arguments["source"], arguments["store"]) == ("log:postgresql://me@db/log", "/data/store")
    assert (json.loads(arguments["rules"])["days"], arguments["until"]) == (2, until)


def test_submit_and_wait(
    run: Callable[..., int], kubeflow: Kubeflow, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeflow.scripts["newsrec-training"] = iter(
        [
            {"state": "SUCCEEDED", **details(task("gate", "SUCCEEDED", 4))},
            {"state": "FAILED", **details(task("train", "FAILED", 4, error={"message": "ValueError: no rows"}))},
        ]
    )
    wanted = ("submit", "--host", kubeflow.host, "--policy", policy, "--wait")
    assert run(*wanted) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["  ✓ gate  4 s"]
    assert run(*wanted) == 2
    assert capsys.readouterr().err.startswith("pipelines: task train: ValueError: no rows; the whole run: http://127")


def test_schedule_twice_and_off(
    run: Callable[..., int],
    kubeflow: Kubeflow,
    policy: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submission, "code_digest", lambda: "c0de")  # whoever edits meanwhile changes nothing here
    wanted = ("schedule", "--host", kubeflow.host, "--policy", policy)
    for expected in ("new", "unchanged"):
        assert run(*wanted) == 0
        assert capsys.readouterr().out == f"feedback at '0 4 * * *': {expected}\n"
    _, arguments = only(kubeflow.recurring)
    assert (arguments["source"], arguments["until"]) == (f"log:{ClusterConfig.event_log}", "")
    assert run(*wanted, "--off") == 0
    assert capsys.readouterr().out == "1 recurring run(s) deleted\n"
    assert not kubeflow.recurring


def accelerated(sent: dict) -> dict[str, tuple[dict, dict]]:
    """Executor -> node labels and GPU, in the two documents that the API was sent, where there is either."""
    pipeline, platform = (sent["pipeline_spec"][part] for part in ("pipeline_spec", "platform_spec"))
    options = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    found = {
        name: (
            options[name].get("nodeSelector", {}).get("labels", {}),
            {k: v for k, v in executor["container"]["resources"].get("accelerator", {}).items() if "resource" in k},
        )
        for name, executor in pipeline["deploymentSpec"]["executors"].items()
    }
    return {name: parts for name, parts in found.items() if any(parts)}


@pytest.mark.parametrize("command", [["submit"], ["submit", "feedback"], ["schedule"]])
def test_a_gpu_by_flag_wins_over_the_clusters_own(
    run: Callable[..., int], kubeflow: Kubeflow, policy: Path, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "site.toml").write_text('gpu = "accelerator=l4"\n')
    wanted = (*command, "--host", kubeflow.host, "--policy", policy, "--cluster", tmp_path / "site.toml")
    nodes = []
    for flag in ([], ["--gpu", "accelerator=a100"], ["--gpu", ""]):
        assert run(*wanted, *flag) == 0
        *_, sent = (kubeflow.recurring if command == ["schedule"] else kubeflow.runs).values()
        nodes.append(accelerated(sent))
    one = {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}
    assert nodes == [
        {"exec-train": ({"accelerator": "l4"}, one)},
        {"exec-train": ({"accelerator": "a100"}, one)},
        {},
    ]
    assert len(kubeflow.recurring) == (command == ["schedule"])


def test_status_of_nothing(run: Callable[..., int], kubeflow: Kubeflow, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "--host", kubeflow.host) == 0
    assert "nothing was submitted" in capsys.readouterr().out


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder where version v2 is served and v1 was before."""
    releases = tmp_path / "site" / "releases"
    (releases / "published").mkdir(parents=True)
    for version, previous in (("v1", None), ("v2", "v1")):
        release = {"version": version, "previous": previous, "run": "r", "data_until": 0, "rolled_back": None}
        for path in (releases / "published" / f"{version}.json", releases / "CURRENT"):
            path.write_text(json.dumps(release))
    return releases.parent


def test_roll_back_a_folder(run: Callable[..., int], site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("roll-back", "--root", site, "--expected", "v1") == 2
    assert "v2 is served by now, expected v1" in capsys.readouterr().err
    assert run("roll-back", "--root", site, "--expected", "v2") == 0
    assert capsys.readouterr().out == f"v1 is served from {site}\n"
    assert run("roll-back", "--root", site) == 2
    assert "no release before the current one" in capsys.readouterr().err


@pytest.mark.usefixtures("warm_tasks")
def test_roll_back_with_the_local_runner(
    run: Callable[..., int], site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", "roll-back", "--root", site, "--expected", "v2") == 0
    assert capsys.readouterr().out.endswith(f"v1 is served from {site}\n")


def test_roll_back_a_cluster(run: Callable[..., int], kubeflow: Kubeflow, capsys: pytest.CaptureFixture[str]) -> None:
    kubeflow.scripts["newsrec-roll-back"] = iter([{"state": "SUCCEEDED", **details(task("roll-back", "SUCCEEDED", 5))}])
    assert run("roll-back", "--host", kubeflow.host, "--expected", "v2") == 0
    _, arguments = only(kubeflow.runs)
    assert arguments["expected"] == "v2"
    assert arguments["releases"] == "/mnt/newsrec/releases"
    assert arguments["storage"] == "s3://mlpipeline/newsrec/releases"
    assert arguments["service"] == "newsrec/newsrec"
    assert capsys.readouterr().out.splitlines()[-1] == "  ✓ roll-back  5 s"


def test_the_observation_of_a_feedback_run(tmp_path: Path) -> None:
    supervision.observe_to(
        tmp_path, tmp_path / "releases", "", 0, "{}", tmp_path / "observe" / "metrics", tmp_path / "observe" / "report"
    )
    out = io.StringIO()
    command_line.print_observation(tmp_path / "observe", Console(file=out, width=80))
    assert out.getvalue().splitlines() == [
        "retrain",
        "  fired no_release: nothing is served yet",
        f"report: {tmp_path}/observe/report",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", "--host", "HOST", "--source", "mind:data"], "expected a path below /mnt/newsrec"),
        (["submit", "--host", "HOST", "--until", "2026-01-31T04:00:00Z"], "--rules and --until are for feedback"),
        (["submit", "feedback", "--host", "HOST", "--simulation", "x.toml"], "--simulation is for training"),
        (["submit", "--host", "HOST", "--cluster", "none.toml"], "none.toml: No such file"),
        (["submit", "--host", "HOST", "--gpu", "a100"], "^pipelines: --gpu: gpu is 'a100', expected LABEL=VALUE of"),
        (["schedule", "--host", "HOST", "--gpu", "=a100"], "^pipelines: --gpu: gpu is '=a100', expected LABEL=VALUE"),
        (["schedule", "--host", "HOST", "--cron", "daily"], "expected 5 .* such as '0 4 \\* \\* \\*'"),
        (["roll-back"], "roll-back takes --host URL"),
        (["roll-back", "--host", "HOST", "--root", "runs"], "roll-back takes --host URL"),
        (["run", "feedback"], "expected --source, such as log:sqlite:///runs/events.db"),
        (["status", "--host", "localhost:8888"], "expected a URL such as http://localhost:8888"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_sent(
    run: Callable[..., int], kubeflow: Kubeflow, capsys: pytest.CaptureFixture[str], arguments: list, message: str
) -> None:
    assert run(*(kubeflow.host if argument == "HOST" else argument for argument in arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert not kubeflow.requests


def test_the_module_says_one_sentence_where_no_api_is() -> None:
    command = [sys.executable, "-m", "pipelines", "status", "--host", "http://127.0.0.1:9"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("pipelines: no answer (Connection refused) from http://127.0.0.1:9, expected the API")
