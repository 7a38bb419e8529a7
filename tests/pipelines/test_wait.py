"""A run on a cluster, followed through KFP's own client to its end, good or bad."""

import io

import pytest
from rich.console import Console

from pipelines.api import ApiFailed
from pipelines.local import RunFailed
from pipelines.wait import MISSES, wait
from tests.pipelines.kubeflow import Kubeflow, details, task
from tests.pipelines.test_submit import submitted


def waited(kubeflow: Kubeflow, *steps: object) -> tuple[list[str], int]:
    """What was printed while a run went through ``steps``, and how often was paused."""
    kubeflow.scripts["newsrec-roll-back"] = iter(steps)
    out, pauses = io.StringIO(), []
    run_id = submitted(kubeflow)
    try:
        wait(run_id, kubeflow.host, Console(file=out, width=80), pauses.append)
    finally:
        lines = [line.strip() for line in out.getvalue().splitlines()]
    return lines, len(pauses)


def test_each_change_of_a_task_is_a_line(kubeflow: Kubeflow) -> None:
    driver, rolls = task("roll-back-driver", "SUCCEEDED", 3), task("roll-back", "SUCCEEDED", 7)
    lines, pauses = waited(
        kubeflow,
        {"state": "RUNNING"},
        {"state": "RUNNING", **details(task("exit-handler-1", "RUNNING"), task("roll-back", "RUNNING"))},
        {"state": "RUNNING", **details(driver, task("roll-back", "RUNNING"))},
        {"state": "RUNNING", **details(driver, rolls, task("executor", "SUCCEEDED", 7))},
        {"state": "SUCCEEDED", **details(rolls, task("report", "SKIPPED"))},
    )
    assert lines == ["· roll-back …", "✓ roll-back  7 s", "= report  skipped"]
    assert pauses == 4


FAILED = task("roll-back", "FAILED", 7)
REASON = "Conflict: v2 is served by now,\n expected v1"


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"code": 13, "message": REASON}},
        {"state_history": [{"state": "FAILED", "error": {"code": 13, "message": REASON}}]},
    ],
)
def test_a_failed_run_raises_its_first_tasks_error(kubeflow: Kubeflow, said: dict) -> None:
    later = task("report", "FAILED", 9, error={"message": "no space left"})
    with pytest.raises(RunFailed) as raised:
        waited(kubeflow, {"state": "FAILED", **details(later, task("root", "FAILED", 8), {**FAILED, **said})})
    message = str(raised.value)
    assert message.startswith("task roll-back: Conflict: v2 is served by now, expected v1; the whole run: http://")
    assert message.endswith(f"/#/runs/details/{next(iter(kubeflow.runs))}")


def test_without_an_error_in_the_api_the_log_is_named(kubeflow: Kubeflow) -> None:
    """As KFP 2.17 leaves it."""
    with pytest.raises(
        RunFailed, match="task roll-back; its log says why: kubectl -n kubeflow logs --selector"
    ) as raised:
        waited(kubeflow, {"state": "FAILED", **details(FAILED)})
    assert f"pipeline/runid={next(iter(kubeflow.runs))} --container main" in str(raised.value)


def test_a_task_that_never_started_is_named_by_its_driver(kubeflow: Kubeflow) -> None:
    with pytest.raises(RunFailed, match=r"task roll-back;"):
        waited(kubeflow, {"state": "FAILED", **details(task("roll-back-driver", "FAILED", 2))})


def test_a_cancelled_run_has_not_succeeded(kubeflow: Kubeflow) -> None:
    with pytest.raises(RunFailed, match="the run is canceled"):
        waited(kubeflow, {"state": "CANCELED"})


def test_a_broken_connection_is_waited_out(kubeflow: Kubeflow) -> None:
    broken = (502, "Bad Gateway")
    lines, pauses = waited(
        kubeflow, *[broken] * MISSES, {"state": "RUNNING"}, *[broken] * MISSES, {"state": "SUCCEEDED"}
    )
    assert (lines, pauses) == ([], 2 * MISSES + 1)


def test_a_connection_that_stays_broken_ends_the_wait(kubeflow: Kubeflow) -> None:
    with pytest.raises(ApiFailed, match=r"refused \(502\)"):
        waited(kubeflow, *[(502, "Bad Gateway")] * (MISSES + 1))


def test_a_run_that_is_gone_ends_the_wait_at_once(kubeflow: Kubeflow) -> None:
    with pytest.raises(ApiFailed, match="Run r7 not found"):
        wait("r7", kubeflow.host, Console(quiet=True), pytest.fail)
