"""What the cluster did last and what recurs there, as two tables."""

import io
import re

import pytest
from rich.console import Console

from pipelines.api import ApiFailed
from pipelines.cluster import ClusterConfig
from pipelines.schedule import DAILY, schedule
from pipelines.status import LAST, print_status
from pipelines.submit import submit
from tests.pipelines.kubeflow import Kubeflow, details, task
from tests.pipelines.test_schedule import ARGUMENTS
from tests.pipelines.test_submit import submitted


def printed(kubeflow: Kubeflow) -> str:
    out = io.StringIO()
    print_status(kubeflow.host, Console(file=out, width=80))
    return out.getvalue()


def rows(text: str) -> list[list[str]]:
    """The cells of each line, which two spaces part."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def test_of_nothing(kubeflow: Kubeflow) -> None:
    assert printed(kubeflow) == f"nothing was submitted to {kubeflow.host} yet: it has no experiment newsrec\n"
    assert not kubeflow.experiments


def test_of_an_experiment_without_runs(kubeflow: Kubeflow) -> None:
    kubeflow.keep(kubeflow.experiments, "experiment_id", {"display_name": "newsrec"})
    assert printed(kubeflow) == "no run yet\nnothing recurs\n"


def test_runs_from_the_newest_with_state_time_and_error(kubeflow: Kubeflow) -> None:
    states = {
        submitted(kubeflow): {"state": "SUCCEEDED", "finished_at": "2026-03-01T05:02:00Z"},
        submitted(kubeflow): {
            "state": "FAILED",
            "finished_at": "2026-03-01T04:04:30Z",
            **details(task("roll-back", "FAILED", 5, error={"message": "Conflict: [v2] is served"})),
        },
        submitted(kubeflow): {"state": "RUNNING", "finished_at": "1970-01-01T00:00:00Z"},
    }
    for run_id, state in states.items():
        kubeflow.runs[run_id].update(state)
    assert rows(printed(kubeflow)) == [
        ["run", "pipeline", "state", "started", "took"],
        ["roll-back-0123456789abcdef", "roll-back", "RUNNING", "2026-03-01 04:04"],
        ["roll-back-0123456789abcdef", "roll-back", "FAILED", "2026-03-01 04:03", "90 s"],
        ["roll-back-0123456789abcdef", "roll-back", "SUCCEEDED", "2026-03-01 04:02", "60 min"],
        ["failed 2026-03-01 04:03: roll-back: Conflict: [v2] is served"],
        ["nothing recurs"],
    ]


def test_an_error_that_the_api_does_not_tell_is_in_the_log(kubeflow: Kubeflow) -> None:
    run_id = submitted(kubeflow)
    kubeflow.runs[run_id].update({"state": "FAILED", **details(task("roll-back", "FAILED", 5))})
    why = "roll-back; its log says why: kubectl -n kubeflow logs --selector"
    assert f"failed 2026-03-01 04:02: {why} pipeline/runid={run_id} " in printed(kubeflow)


def test_no_more_than_the_last_runs(kubeflow: Kubeflow) -> None:
    for _ in range(LAST + 1):
        submitted(kubeflow)
    assert printed(kubeflow).count("roll-back-0123456789abcdef") == LAST


def test_what_recurs_and_when_it_ran_last(kubeflow: Kubeflow) -> None:
    cluster = ClusterConfig()
    schedule(ARGUMENTS, DAILY, cluster, kubeflow.host)
    (recurring,) = kubeflow.recurring
    for _ in range(2):
        run_id = submit("feedback", ARGUMENTS, cluster, kubeflow.host).run_id
        kubeflow.runs[run_id]["recurring_run_id"] = recurring
    last = kubeflow.runs[run_id]["created_at"][:16].replace("T", " ")
    assert rows(printed(kubeflow))[-2:] == [
        ["recurring run", "pipeline", "cron", "state", "last"],
        ["newsrec-feedback", "feedback", "0 4 * * *", "ENABLED", last],
    ]


def test_a_run_of_a_pipeline_that_the_server_keeps_has_no_name(kubeflow: Kubeflow) -> None:
    run_id = submitted(kubeflow)
    kubeflow.runs[run_id]["pipeline_spec"] = None
    assert rows(printed(kubeflow))[1] == ["roll-back-0123456789abcdef", "PENDING", "2026-03-01 04:02"]


def test_without_an_api(kubeflow: Kubeflow) -> None:
    kubeflow.fails["GET /apis/v2beta1/runs"] = (500, {"message": "database is down"})
    submitted(kubeflow)
    with pytest.raises(ApiFailed, match="database is down"):
        printed(kubeflow)
