"""The daily run: one of its name on the cluster whatever was there before, and none when it is switched off."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from newsrec.config import InvalidConfig
from pipelines.api import ApiFailed, api, made_experiment
from pipelines.cluster import ClusterConfig
from pipelines.local import RunFailed, run
from pipelines.schedule import DAILY, NAME, schedule, unschedule
from tests.pipelines.kubeflow import Kubeflow

CLUSTER = ClusterConfig(service_account="runner", pipeline_root="s3://bucket/runs", claim="shared")
ARGUMENTS: dict[str, Any] = {
    "source": "log:postgresql://newsrec@postgres.newsrec/newsrec",
    "timezone": "",
    "until": "",
    "rules": "{}",
    "code": "c0de",
    "policies": ['{"policy": "popularity"}'],
    "gate_config": "{}",
    "store": "/mnt/newsrec/store",
    "releases": "/mnt/newsrec/releases",
    "storage": "s3://bucket/releases",
    "service": "newsrec/newsrec",
    "run": "0123456789abcdef",
}
RECURRING = "/apis/v2beta1/recurringruns"


def scheduled(kubeflow: Kubeflow) -> list[dict]:
    return [run for run in kubeflow.recurring.values() if run["display_name"] == NAME]


def test_the_recurring_run_arrives_whole(kubeflow: Kubeflow, capfd: pytest.CaptureFixture[str]) -> None:
    assert schedule(ARGUMENTS, DAILY, CLUSTER, kubeflow.host) == "new"
    (run,) = kubeflow.recurring.values()
    assert run["display_name"] == "newsrec-feedback"
    assert run["trigger"] == {"cron_schedule": {"cron": "0 0 4 * * *"}}
    assert (run["max_concurrency"], run["no_catchup"], run["status"]) == ("1", True, "ENABLED")
    assert run["service_account"] == "runner"
    assert run["runtime_config"] == {"parameters": ARGUMENTS, "pipeline_root": "s3://bucket/runs"}
    (experiment,) = kubeflow.experiments.values()
    assert (experiment["display_name"], run["experiment_id"]) == ("newsrec", experiment["experiment_id"])
    documents = run["pipeline_spec"]
    assert documents["pipeline_spec"]["pipelineInfo"]["name"] == "newsrec-feedback"
    executors = documents["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-ingest"]["pvcMount"][0]["constant"] == "shared"
    assert capfd.readouterr() == ("", "")


def test_the_same_again_changes_nothing(kubeflow: Kubeflow) -> None:
    schedule(ARGUMENTS, DAILY, CLUSTER, kubeflow.host)
    before = dict(kubeflow.recurring)
    kubeflow.requests.clear()
    assert schedule(dict(ARGUMENTS), DAILY, CLUSTER, kubeflow.host) == "unchanged"
    assert kubeflow.recurring == before
    assert not [request for request in kubeflow.requests if not request.startswith("GET ")]


@pytest.mark.parametrize(
    ("arguments", "cron", "cluster"),
    [
        ({**ARGUMENTS, "code": "new"}, DAILY, CLUSTER),
        (ARGUMENTS, "30 5 * * *", CLUSTER),
        (ARGUMENTS, DAILY, replace(CLUSTER, claim="another")),
        (ARGUMENTS, DAILY, replace(CLUSTER, service_account="another")),
        (ARGUMENTS, DAILY, replace(CLUSTER, pipeline_root="")),
    ],
)
def test_another_takes_its_place(kubeflow: Kubeflow, arguments: dict, cron: str, cluster: ClusterConfig) -> None:
    schedule(ARGUMENTS, DAILY, CLUSTER, kubeflow.host)
    (old,) = kubeflow.recurring
    kubeflow.requests.clear()
    assert schedule(arguments, cron, cluster, kubeflow.host) == "replaced"
    assert len(scheduled(kubeflow)) == 1
    assert old not in kubeflow.recurring
    changes = [request for request in kubeflow.requests if not request.startswith("GET ")]
    assert changes == [f"POST {RECURRING}", f"DELETE {RECURRING}/{old}"]


def test_what_cannot_be_made_leaves_what_was_there(kubeflow: Kubeflow) -> None:
    schedule(ARGUMENTS, DAILY, CLUSTER, kubeflow.host)
    before = dict(kubeflow.recurring)
    kubeflow.fails[f"POST {RECURRING}"] = (500, {"message": "no disk space"})
    with pytest.raises(ApiFailed, match="no disk space"):
        schedule(ARGUMENTS, "0 5 * * *", CLUSTER, kubeflow.host)
    assert kubeflow.recurring == before


def test_an_interruption_between_the_two_is_mended_by_the_next_call(kubeflow: Kubeflow) -> None:
    schedule(ARGUMENTS, DAILY, CLUSTER, kubeflow.host)
    (old,) = kubeflow.recurring
    kubeflow.fails[f"DELETE {RECURRING}/{old}"] = (503, {"message": "going down"})
    with pytest.raises(ApiFailed, match="going down"):
        schedule(ARGUMENTS, "0 5 * * *", CLUSTER, kubeflow.host)
    assert len(scheduled(kubeflow)) == 2
    kubeflow.fails.clear()
    assert schedule(ARGUMENTS, "0 5 * * *", CLUSTER, kubeflow.host) == "unchanged"
    (left,) = scheduled(kubeflow)
    assert left["trigger"]["cron_schedule"]["cron"] == "0 0 5 * * *"


def test_what_was_paused_runs_again(kubeflow: Kubeflow) -> None:
    schedule(ARGUMENTS, DAILY, CLUSTER, kubeflow.host)
    scheduled(kubeflow)[0]["status"] = "DISABLED"
    assert schedule(ARGUMENTS, DAILY, CLUSTER, kubeflow.host) == "replaced"
    assert [run["status"] for run in scheduled(kubeflow)] == ["ENABLED"]


def add_foreign(kubeflow: Kubeflow, *names: str) -> None:
    with api(kubeflow.host) as client:
        group = made_experiment(client)
    for name in names:
        kubeflow.keep(kubeflow.recurring, "recurring_run_id", {"display_name": name, "experiment_id": group})


def test_other_recurring_runs_stay(kubeflow: Kubeflow) -> None:
    add_foreign(kubeflow, "weekly", "newsrec-feedback-of-mine")
    schedule(ARGUMENTS, DAILY, CLUSTER, kubeflow.host)
    schedule(ARGUMENTS, "0 5 * * *", CLUSTER, kubeflow.host)
    assert len(scheduled(kubeflow)) == 1
    assert unschedule(kubeflow.host) == 1
    assert [run["display_name"] for run in kubeflow.recurring.values()] == ["weekly", "newsrec-feedback-of-mine"]


def test_off_when_nothing_is_on(kubeflow: Kubeflow) -> None:
    assert unschedule(kubeflow.host) == 0
    assert not kubeflow.experiments


@pytest.mark.usefixtures("warm_tasks")
def test_two_runs_of_one_schedule_are_told_apart(kubeflow: Kubeflow, tmp_path: Path) -> None:
    """Both have the arguments that Kubeflow keeps; they end early, since the log of these is not there."""
    arguments = {**ARGUMENTS, "source": f"events:{tmp_path}/none", "releases": str(tmp_path), "storage": ""}
    schedule(arguments, DAILY, CLUSTER, kubeflow.host)
    (recurring,) = kubeflow.recurring.values()
    for _ in range(2):
        with pytest.raises(RunFailed, match="task resolve failed"):
            run("feedback", recurring["runtime_config"]["parameters"], tmp_path / "runs", Console(quiet=True))
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    first, first_again, second, second_again = (line["run"] for line in lines)  # by its last task, by the runner
    assert (first, second) == (first_again, second_again)
    assert first != second
    assert {name.partition("/")[0] for name in (first, second)} == {ARGUMENTS["run"]}


def test_a_bad_cron_is_refused_before_anything_is_sent(kubeflow: Kubeflow) -> None:
    with pytest.raises(InvalidConfig, match="with 4 fields, expected 5"):
        schedule(ARGUMENTS, "4 * * *", CLUSTER, kubeflow.host)
    assert not kubeflow.requests
